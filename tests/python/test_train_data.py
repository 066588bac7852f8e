"""Data sets from SMILES: the list, force-field geometries, clusters, liquids, pieces shared by processes."""

import copy
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ase", reason="labelling needs ASE")

from ase import units  # noqa: E402
from test_train import TOY  # noqa: E402

from mlff_student.train import label as labelling  # noqa: E402
from mlff_student.train.config import ConfigError, load_config, parse_config  # noqa: E402
from mlff_student.train.frames import Frames, split_frames  # noqa: E402
from mlff_student.train.plan import tasks  # noqa: E402

LIST = """
# SMILES name group part
O water waters
CO methanol alcohols
CCO ethanol alcohols
CC alkane alkanes test
"""

SAMPLING = [
    {"kind": "force_field", "frames": 4, "run": 2, "temperatures": [300, 600], "steps": 2},
    {"kind": "force_field", "frames": 2, "temperatures": [0], "heavy_atoms": [3, 3]},
    {"kind": "force_field", "frames": 1, "temperatures": [0], "relaxation": 2, "heavy_atoms": [1, 1]},
    {"kind": "stretch", "frames": 2, "range": [0.9, 1.2]},
    {"kind": "rattle", "frames": 2, "range": [0.01, 0.05]},
    {"kind": "md", "frames": 2, "temperatures": [300], "spacing": 2, "equilibration": 3,
     "molecules": ["alcohols"]},
    {"kind": "contact", "frames": 1, "count": 3, "range": [0.9, 1.2]},
    {"kind": "cluster", "frames": 2, "count": 3, "size": [2, 3], "temperatures": [300, 500]},
    {"kind": "cluster", "frames": 1, "count": 1, "size": [2, 2], "temperatures": [300], "part": "test"},
    {"kind": "liquid", "frames": 2, "count": 2, "size": [5, 6], "range": [0.8, 0.9], "temperatures": [400],
     "molecules": ["water"], "part": "train"},
    {"kind": "liquid", "frames": 1, "count": 1, "size": [4, 4], "range": [0.8, 0.9], "temperatures": [400],
     "molecules": ["water"], "part": "validation"},
]  # fmt: skip

CHNO = Path(__file__).parents[2] / "potentials" / "chno"


def configuration(folder, **data):
    (folder / "molecules.smi").write_text(LIST)
    mapping = {
        "name": "toy",
        "seed": 5,
        "teacher": copy.deepcopy(TOY["teacher"]),
        "data": {"file": "toy.npz", "smiles": "molecules.smi", "sampling": copy.deepcopy(SAMPLING)} | data,
        "split": {"by": "molecule", "validation": 0.3, "test": 0.0},
    }  # fmt: skip
    return parse_config(mapping, folder)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A data set with every sampler, and its configuration."""
    pytest.importorskip("rdkit", reason="conformers need RDKit")
    config = configuration(tmp_path_factory.mktemp("data"))
    return config, labelling.label(config, progress=False)


# ------------------------------------------------------------------------------------- the list


@pytest.mark.parametrize(
    "line, text",
    [
        ("CCC", "line 7: 'CCC' must be SMILES, name, group and part"),
        ("CCC propane alkanes testing", "line 7: 'testing' is not known; known: train"),
        ("CCC water", "more than one is called water"),
    ],
)
def test_a_bad_list_of_molecules_is_refused(tmp_path, line, text):
    config = configuration(tmp_path)
    (tmp_path / "molecules.smi").write_text(LIST + line)
    with pytest.raises(ConfigError, match="data.*" + text.replace("(", r"\(")):
        parse_config({"name": "x", "teacher": {"calculator": "y"},
                      "data": {"file": "f", "smiles": "molecules.smi", "sampling": []}},
                     config.folder)  # fmt: skip


def test_a_missing_list_and_unknown_molecules_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="none.smi cannot be read"):
        configuration(tmp_path, smiles="none.smi")
    with pytest.raises(ConfigError, match="'ether' is not known; known: water.*alcohols"):
        configuration(tmp_path, sampling=[SAMPLING[2] | {"molecules": ["ether"]}])
    with pytest.raises(ConfigError, match="must have either structure or smiles"):
        configuration(tmp_path, molecules=[{"name": "x", "structure": "H2O", "smiles": "O"}])


@pytest.mark.parametrize(
    "sampler, text",
    [
        ({"kind": "cluster", "size": [2, 3], "temperatures": [300]}, "count: is missing"),
        (
            {"kind": "cluster", "count": 1, "temperatures": [300]},
            r"size: must be \[lowest, highest\]",
        ),
        ({"kind": "liquid", "count": 1, "size": [3, 3], "temperatures": [300]}, "range: must be"),
        ({"kind": "force_field"}, "temperatures: is missing"),
        ({"kind": "md", "temperatures": [300, 0]}, "temperatures: must be above zero"),
        (
            {"kind": "md", "temperatures": [300], "steps": 3},
            "md takes neither steps nor relaxation",
        ),
        (
            {"kind": "force_field", "temperatures": [300], "heavy_atoms": [3]},
            "heavy_atoms: must be",
        ),
        ({"kind": "contact", "range": [1, 1], "part": "exam"}, "'exam' is not known"),
    ],
)
def test_a_bad_sampler_is_refused(tmp_path, sampler, text):
    with pytest.raises(ConfigError, match=r"data.sampling\[0\].*" + text):
        configuration(tmp_path, sampling=[{"frames": 1, **sampler}])


def test_a_sampler_without_molecules_is_refused(tmp_path):
    sampler = {"kind": "rattle", "frames": 1, "range": [0, 1], "heavy_atoms": [9, 10]}
    with pytest.raises(ConfigError, match=r"data.sampling\[0\]: no molecule has"):
        tasks(configuration(tmp_path, sampling=[sampler]))


def test_nothing_to_label_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="data.sampling: asks for no frame"):
        labelling.label(configuration(tmp_path, sampling=[]), progress=False)


@pytest.mark.parametrize(
    "sampler, text",
    [
        (
            {"kind": "force_field", "temperatures": [300]},
            "force_field needs the SMILES.*methane has",
        ),
        ({"kind": "contact", "range": [1.0, 1.1]}, "contact mixes molecules"),
    ],
)
def test_samplers_say_when_they_need_smiles(tmp_path, sampler, text):
    methane = [{"name": "methane", "structure": "CH4"}]
    config = configuration(tmp_path, molecules=methane, sampling=[{"frames": 1, **sampler}])
    with pytest.raises(ConfigError, match=r"data.sampling\[0\]: " + text):
        tasks(config)


def test_the_molecules_of_chno_are_what_they_should_be():
    chem = pytest.importorskip("rdkit.Chem", reason="reads SMILES")
    config = load_config(CHNO / "config-f128.yaml")
    held_out = [m for m in config.molecules if m.part == "test"]
    assert len(config.molecules) >= 1500 and len(held_out) >= 150
    seen = set()
    for molecule in config.molecules:
        structure = chem.MolFromSmiles(molecule.smiles)
        assert {a.GetSymbol() for a in structure.GetAtoms()} <= {"C", "N", "O"}, molecule
        assert structure.GetNumHeavyAtoms() == molecule.heavy_atoms <= 20, molecule
        assert chem.GetFormalCharge(structure) == 0, molecule
        assert not any(a.GetNumRadicalElectrons() for a in structure.GetAtoms()), molecule
        seen.add(chem.MolToSmiles(structure, isomericSmiles=False))
    assert len(seen) == len(config.molecules)
    trained = {m.smiles for m in config.molecules if m.part != "test"}
    for line in (CHNO / "heldout.smi").read_text().splitlines()[1:]:
        smiles = line.split()[0]
        assert chem.MolToSmiles(chem.MolFromSmiles(smiles), isomericSmiles=False) in seen - trained


def test_held_out_molecules_meet_no_others(tmp_path):
    for task in tasks(load_config(CHNO / "config-f128.yaml")):
        parts = {molecule.part for molecule in task.members}
        assert parts == ({"test"} if "test" in parts else {""})
        assert "test" not in parts or task.part == "test"


# ------------------------------------------------------------------------------- the force field


@pytest.fixture(scope="module")
def pair():
    """Two molecules of methanol and water, hydrogen-bonded."""
    pytest.importorskip("rdkit", reason="MMFF94 is RDKit's")
    from mlff_student.train import force_field

    (first, a), (second, b) = force_field.conformer("CO", 1), force_field.conformer("O", 2)
    return [first, second], np.concatenate([a.positions, b.positions + [0.0, 3.4, 0.5]])


def test_the_gradient_is_that_of_the_energy_after_other_positions(pair):
    from rdkit.Chem import rdForceFieldHelpers as helpers

    from mlff_student.train import force_field

    molecule, positions = pair[0][0], pair[1][:6]
    slope = force_field.gradient([molecule])
    slope(1.05 * positions)
    field = helpers.MMFFGetMoleculeForceField(molecule, helpers.MMFFGetMoleculeProperties(molecule))
    moved = positions + 0.02 * np.sin(np.arange(18.0).reshape(6, 3))
    numeric = np.zeros(18)
    for k, sign in itertools.product(range(18), (1, -1)):
        shifted = moved.ravel().copy()
        shifted[k] += sign * 1e-4
        numeric[k] += sign * field.CalcEnergy(shifted.tolist()) / 2e-4
    expected = numeric.reshape(6, 3) * units.kcal / units.mol
    np.testing.assert_allclose(slope(moved), expected, atol=1e-6)


def test_in_a_large_box_the_liquid_is_the_cluster(pair, monkeypatch):
    from mlff_student.train import force_field

    molecules, positions = pair
    monkeypatch.setattr(
        force_field, "CUTOFF", 2000.0
    )  # what the shift of the charges adds vanishes
    monkeypatch.setattr(force_field._Pairs, "_list", _all_pairs)
    inside = force_field.periodic_gradient(molecules, 1e5)(positions)
    outside = force_field.gradient(molecules)(positions)
    between = outside - np.concatenate(
        [force_field.gradient([m])(p) for m, p in zip(molecules, (positions[:6], positions[6:]))]
    )
    assert np.abs(between).max() > 0.01
    np.testing.assert_allclose(inside, outside, atol=1e-4)


def _all_pairs(self, positions):
    apart = np.triu(self.molecule[:, None] != self.molecule)
    self.i, self.j = np.nonzero(apart)
    self.shift, self.listed_at = np.zeros((len(self.i), 3)), positions.copy()


def test_a_liquid_does_not_notice_which_image_is_meant(pair):
    from mlff_student.train import force_field

    molecules, positions = pair
    one = force_field.periodic_gradient(molecules, 8.0)(positions)
    elsewhere = positions.copy()
    elsewhere[6:] += [24.0, -32.0, 0.0]
    other = force_field.periodic_gradient(molecules, 8.0)(elsewhere)
    np.testing.assert_allclose(one, other, atol=1e-9)
    # a molecule meets its own images too: the force on it vanishes, that on its atoms does not
    alone = force_field.periodic_gradient(molecules[:1], 4.0)(positions[:6])
    assert np.abs(alone).max() > 0.05
    np.testing.assert_allclose(alone.sum(axis=0), 0, atol=1e-9)


def test_dynamics_has_the_temperature():
    from mlff_student.train import force_field

    stiffness = 3.0  # eV/Angstrom^2
    steps = force_field.dynamics(
        np.zeros((200, 3)), lambda x: stiffness * x, 400.0, 300, 40, np.random.default_rng(1)
    )
    variance = np.mean([np.mean(x**2) for x in itertools.islice(steps, 20)])
    assert variance == pytest.approx(units.kB * 400.0 / stiffness, rel=0.04)


def test_molecules_that_the_force_field_cannot_do_are_named():
    pytest.importorskip("rdkit", reason="MMFF94 is RDKit's")
    from mlff_student.train import force_field

    with pytest.raises(ConfigError, match="'C1CC' is not a SMILES"):
        force_field.conformer("C1CC", 1)
    with pytest.raises(ConfigError, match="MMFF94 lacks parameters"):
        force_field.conformer("[He]", 1)


# ---------------------------------------------------------------------------------- the data set


def test_every_sampler_gives_its_frames(labelled):
    config, frames = labelled
    planned = sum(task.frames for task in tasks(config))
    assert 0.9 * planned < len(frames) <= planned
    classes = dict(zip(frames.group_names, frames.group_classes))
    parts = dict(zip(frames.group_names, frames.group_parts))
    assert classes["methanol"] == "alcohols" and parts["methanol"] == ""
    assert parts["alkane"] == parts["2 alkane (test)"] == "test"
    assert classes["2 alkane (test)"] == "clusters"
    assert parts["liquid water (validation)"] == "validation"
    assert classes["liquid water (validation)"] == classes["liquid water"] == "liquid water"
    dealt = split_frames(frames, config.split, config.seed)
    names = {part: {frames.group_names[g] for g in frames.groups[i]} for part, i in dealt.items()}
    assert {"alkane", "2 alkane (test)"} == names["test"]
    assert "liquid water (validation)" in names["validation"]
    assert "liquid water" in names["train"] - names["validation"]


def test_liquids_have_their_density_and_nothing_else_is_periodic(labelled):
    from ase.data import atomic_masses

    frames = labelled[1]
    offsets = frames.offsets
    for k in range(len(frames)):
        name = frames.group_names[frames.groups[k]]
        assert frames.cells[k].any() == name.startswith("liquid")
        if name.startswith("liquid"):
            mass = atomic_masses[frames.numbers[offsets[k] : offsets[k + 1]]].sum() / units._Nav
            density = mass / (np.linalg.det(frames.cells[k]) * 1e-24)
            assert 0.8 - 1e-6 <= density <= 0.9 + 1e-6


def test_labels_belong_to_their_structures(labelled):
    from mlff_student.train.sampling import make_teacher
    from mlff_student.train.starts import structures_of

    config, frames = labelled
    for k, atoms in enumerate(structures_of(frames)):
        if k % 5:
            continue
        atoms.calc = make_teacher(config.teacher)
        assert atoms.get_potential_energy() == pytest.approx(frames.energies[k], abs=1e-3)
        part = slice(frames.offsets[k], frames.offsets[k + 1])
        np.testing.assert_allclose(atoms.get_forces(), frames.forces[part], atol=1e-3)


def test_normal_modes_are_those_of_the_conformer_at_hand(tmp_path, monkeypatch):
    pytest.importorskip("rdkit", reason="conformers need RDKit")
    sampler = {"kind": "normal_modes", "frames": 2, "run": 1, "temperatures": [300]}
    config = configuration(tmp_path, sampling=[sampler | {"molecules": ["methanol"]}])
    starts, modes, of = (
        labelling.prepare(config, progress=False),
        labelling.sampling.normal_modes,
        [],
    )
    record = lambda start: of.append(start.positions.copy()) or modes(start)  # noqa: E731
    monkeypatch.setattr(labelling.sampling, "normal_modes", record)
    labelling.label(config, progress=False)
    given = {starts[k][0].positions.tobytes() for k in (0, 1)}
    assert len(given) == 2 and given == {positions.tobytes() for positions in of}


def test_no_frame_is_there_twice(labelled):
    frames = labelled[1]
    seen = set()
    for part in itertools.pairwise(frames.offsets):
        seen.add(np.round(frames.positions[slice(*part)], 2).tobytes())
    assert len(seen) == len(frames)


def test_processes_and_calls_share_the_pieces(labelled, tmp_path, monkeypatch):
    expected = labelled[1]
    config = configuration(tmp_path)
    assert labelling.label(config, progress=False, time_limit=0.0) is None
    folder = labelling.parts_folder(config)
    assert labelling.finished(folder) == set() and not config.data_path.exists()
    with pytest.raises(ConfigError, match="no piece is finished"):
        labelling.label(config, progress=False, collect_only=True)
    worker = labelling._Worker(config, folder)
    starts, plan = labelling.prepare(config, progress=False), tasks(config)
    groups = list(dict.fromkeys(task.group for task in plan))
    for k in (0, 3, len(plan) - 1):
        worker(k, plan[k], starts[k], groups.index(plan[k].group))
    labelling.bundle(folder, compact=False)
    assert labelling.finished(folder) == {0, 3, len(plan) - 1}
    assert labelling.label(config, progress=False, collect_only=True) is not None
    part = Frames.load(config.data_path)
    assert set(part.trajectories) == {0, 3, len(plan) - 1}
    assert part.recipe["pieces"] == f"3 of {len(plan)}" and part.group_names == expected.group_names
    worker(3, plan[3], starts[3], groups.index(plan[3].group))  # made twice, counts once
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    frames = labelling.label(config, progress=False, jobs=2)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert frames.hash() == expected.hash()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["molecules.smi", "toy.npz"]


def test_prepared_structures_need_no_rdkit_later(labelled, tmp_path, monkeypatch):
    config = configuration(tmp_path)
    labelling.prepare(config, progress=False)
    monkeypatch.setattr(labelling, "make_starts", None)
    with pytest.raises(TypeError):  # other settings need structures of their own
        labelling.label(configuration(tmp_path, force_limit=20.0), progress=False)
    assert labelling.label(config, progress=False).hash() == labelled[1].hash()
