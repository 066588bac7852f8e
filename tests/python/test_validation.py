"""The scripts that validate potentials: what they count as broken, how they match modes, what they report."""

import json
import re
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.calculators.lj import LennardJones
from ase.io import read
from click.testing import CliRunner
from plugin import needs_plugin
from scipy.spatial.transform import Rotation

POTENTIALS = Path(__file__).resolve().parents[2] / "potentials"
CHNO = POTENTIALS.parent / "examples" / "chno-small" / "chno-small.yaml"
sys.path.insert(0, str(POTENTIALS / "validation"))

import bonds  # noqa: E402
import dimers  # noqa: E402
import dynamics  # noqa: E402
import errors  # noqa: E402
import expansion  # noqa: E402
import frequencies  # noqa: E402
import liquids  # noqa: E402
import pressures  # noqa: E402
import report  # noqa: E402
import stability  # noqa: E402
import teacher  # noqa: E402
import torsions  # noqa: E402
import validate  # noqa: E402

from mlff_student.train.frames import Frames  # noqa: E402

# ------------------------------------------------------------------------------------ bonds

WATER = molecule("H2O")


def change(*frames, edges=None):
    """First change of water's bonds in these frames."""
    first = bonds.bonded(WATER.numbers, WATER.positions, None)
    boxes = None if edges is None else np.array([edges] * len(frames))
    return bonds.first_change(WATER.numbers, np.array(frames), boxes, first)


def stretched(factor):
    """Water with one of its bonds longer."""
    positions = WATER.positions.copy()
    positions[1] = positions[0] + factor * (positions[1] - positions[0])
    return positions


def test_a_vibrating_molecule_keeps_its_bonds():
    assert bonds.bonded(WATER.numbers, WATER.positions, None).sum() == 4
    assert change(WATER.positions, stretched(0.8), stretched(1.5)) is None


def test_a_broken_bond_is_found_in_the_frame_where_it_breaks():
    index, reason = change(WATER.positions, stretched(1.2), stretched(1.8))
    assert index == 2 and "O1-H2 broken" in reason


def test_a_new_bond_is_found():
    positions = WATER.positions.copy()
    middle = positions[1:].mean(axis=0)
    positions[1:] = middle + 0.45 * (positions[1:] - middle)  # 0.7 Angstrom apart, both still near the oxygen
    assert "H2-H3 formed" in change(positions)[1]


def test_a_coordinate_that_is_not_a_number_is_found():
    positions = WATER.positions.copy()
    positions[2, 1] = np.nan
    assert change(WATER.positions, positions)[0] == 1


def test_bonds_across_a_periodic_boundary_hold():
    edges = np.array([10.0, 11.0, 12.0])
    assert change((WATER.positions - 0.05) % edges, edges=edges) is None


# ------------------------------------------------------------------------------------ torsions


def test_a_torsion_turns_one_side_of_its_bond():
    molecules = read(torsions.STRUCTURES / "molecules.extxyz", ":")
    butane = next(atoms for atoms in molecules if atoms.info["name"] == "butane")
    sides = [torsions.beyond(butane, *pair) for pair in ((1, 2), (2, 1))]
    assert {2, 3} <= set(sides[0]) and {0, 1} <= set(sides[1])
    assert [str(butane[side].symbols.formula.format("hill")) for side in sides] == ["C2H5"] * 2
    assert sorted(sides[0] + sides[1]) == list(range(14))


# ------------------------------------------------------------------------------------ frequencies


def harmonic(atoms, spring):
    """A calculator of one spring (eV/Angstrom^2) along the bond of a diatomic molecule."""
    axis = atoms.positions[1] - atoms.positions[0]
    axis /= np.linalg.norm(axis)
    along = np.concatenate([-axis, axis])
    hessian = spring * np.outer(along, along)
    return HarmonicCalculator(HarmonicForceField(ref_atoms=atoms, ref_energy=0.0, hessian_x=hessian))


def test_frequency_of_a_spring():
    atoms = Atoms("CO", [[0.1, 0.2, 0.3], [0.5, 0.9, 1.0]])
    atoms.calc = harmonic(atoms.copy(), 100.0)
    found, modes = frequencies.normal_modes(atoms)
    mass = 1 / (1 / atoms.get_masses()).sum()
    expected = units._hbar * np.sqrt(100.0 * units._e * 1e20 / (mass * units._amu)) / units._e / units.invcm
    assert len(found) == 1  # a linear molecule has five rigid motions
    assert found[0] == pytest.approx(expected, rel=1e-6)
    assert np.linalg.norm(modes[0]) == pytest.approx(1.0)


def teachers_phenol():
    return json.loads((teacher.FOLDER / "frequencies.json").read_text())["frequencies"]["phenol"]


def turned(one):
    """A molecule's result in another orientation."""
    rotation = Rotation.random(random_state=3).as_matrix()
    modes = np.array(one["modes"])
    return one | {
        "positions": (np.array(one["positions"]) @ rotation + 1.0).tolist(),
        "modes": (modes.reshape(len(modes), -1, 3) @ rotation).reshape(modes.shape).tolist(),
    }


def test_a_turned_molecule_has_the_same_modes():
    found = frequencies.compare(turned(teachers_phenol()), teachers_phenol())
    assert found["rmsd"] < 1e-4
    assert found["mean_overlap"] > 0.999
    assert found["by_overlap_mean"] == found["by_order_mean"] == 0


def test_exchanged_modes_are_found_by_overlap():
    phenol = teachers_phenol()
    exchanged = phenol | {"modes": [*phenol["modes"][1::-1], *phenol["modes"][2:]]}
    found = frequencies.compare(exchanged, phenol)
    gap = phenol["frequencies"][1] - phenol["frequencies"][0]
    assert found["by_order_mean"] == 0
    assert abs(found["by_overlap_largest"]) == pytest.approx(gap)


# ------------------------------------------------------------------------------------ liquids


def test_points_at_random_have_no_structure():
    atoms = Atoms("OHH" * 40, cell=[9.0, 10.0, 11.0], pbc=True)
    atoms.info = {"name": "water", "molecules": 40}
    frames = np.random.default_rng(0).random((100, 120, 3)) * atoms.cell.lengths()
    g = liquids.distributions(frames, atoms)
    for pair in ("OO", "OH", "HH"):
        assert np.mean(g[pair][20:]) == pytest.approx(1.0, abs=0.02)


def test_atoms_of_one_molecule_are_left_out():
    atoms = Atoms("OHH" * 2, cell=[20.0] * 3, pbc=True)
    atoms.info = {"name": "water", "molecules": 2}
    frame = np.concatenate([WATER.positions, WATER.positions + [19.0, 0, 0]]) % 20
    r, g = (np.array(liquids.distributions(frame[None], atoms)[name]) for name in ("r", "OO"))
    assert np.flatnonzero(g).size == 1 and r[g.argmax()] == pytest.approx(1.0, abs=liquids.BIN)


def test_pressure_of_two_atoms_that_repel():
    """Against -dE/dV by differences."""
    atoms = Atoms("Ar2", [[0, 0, 0], [3.0, 0.4, 0]], cell=[9.0] * 3, pbc=True)
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.01, rc=8.0)
    pressure, cell, volume = pressures.virial_pressure(atoms), atoms.cell.copy(), atoms.get_volume()
    energies = []
    for factor in (1 - 1e-4, 1 + 1e-4):
        atoms.set_cell(cell * factor, scale_atoms=True)
        energies.append(atoms.get_potential_energy())
    expected = (energies[0] - energies[1]) / (6e-4 * volume) / units.bar
    assert pressure == pytest.approx(expected, rel=1e-3)
    assert pressure > 0


def test_expanded_molecules_stay_as_they_are():
    edges = np.array([9.0, 10.0, 11.0])
    first = WATER.positions + [5.0, 9.6, 5.0]  # across the box's edge
    positions = np.concatenate([first % edges, (WATER.positions + [2.0, 9.0, 1.0]) % edges])
    state = dynamics.start(np.array([8, 1, 1] * 2), positions, edges, True, 300.0, 1)
    larger = expansion.expanded(state, 3, 1.3 * edges)
    for k in range(2):
        arms = larger.positions[3 * k + 1 : 3 * k + 3] - larger.positions[3 * k]
        assert arms == pytest.approx(WATER.positions[1:] - WATER.positions[0])
        assert larger.positions[3 * k] == pytest.approx(1.3 * state.positions[3 * k])


@pytest.mark.parametrize("name", expansion.LIQUIDS)
def test_configurations_have_the_densities_that_they_state(name):
    liquid = expansion.LIQUIDS[name]
    kept = read(expansion.configurations(name), ":")
    stated = [atoms.info["density"] for atoms in kept]
    assert stated == [density for density in liquid.densities for _ in range(liquid.snapshots)]
    for atoms in kept:
        density = atoms.get_masses().sum() / units.mol / atoms.get_volume() * 1e24
        assert density == pytest.approx(atoms.info["density"], rel=2e-3)


@pytest.mark.parametrize("name", expansion.LIQUIDS)
def test_configurations_have_whole_molecules(name):
    box = read(expansion.STRUCTURES / f"{expansion.LIQUIDS[name].box}.extxyz")
    first = bonds.bonded(box.numbers, box.positions, box.cell.lengths())
    for atoms in read(expansion.configurations(name), ":"):
        edges = atoms.cell.lengths()[None]
        assert bonds.first_change(atoms.numbers, atoms.positions[None], edges, first) is None


class Free(Calculator):
    """Of atoms that nothing acts upon."""

    implemented_properties = ["forces", "stress"]

    def calculate(self, *arguments):
        super().calculate(*arguments)
        self.results = {"forces": np.zeros((len(self.atoms), 3)), "stress": np.zeros(6)}


@pytest.mark.parametrize("name, first", [("water", "0.997"), ("ethanol", "0.785")])
def test_pressure_of_configurations_has_the_kinetic_part(name, first):
    """Of a calculator without forces it is that of an ideal gas, of atoms or of molecules."""
    found = expansion.measure_liquid(name, Free(), lambda items, label: items)
    atoms = read(expansion.configurations(name), 0)
    for kind, number in (("atoms", len(atoms)), ("molecules", atoms.info["molecules"])):
        expected = number * units.kB * 300.0 / atoms.get_volume() / units.bar
        assert found[first][kind] == pytest.approx([expected] * expansion.LIQUIDS[name].snapshots, abs=0.1)


def test_pressure_of_molecules_is_that_of_rigid_ones():
    """Against -dE/dV by differences, where molecules keep their shapes and their centres move with the box."""
    atoms = read(expansion.configurations("ethanol"), -1)
    number = atoms.info["molecules"]
    atoms.calc = LennardJones(sigma=1.5, epsilon=0.01, rc=6.0)
    ideal = pressures.ideal_pressure(atoms, 300.0)
    found = pressures.virial_pressure(atoms) + ideal - expansion.inner_pressure(atoms)
    arms = expansion.from_first(atoms.positions, 9, atoms.cell.lengths())
    masses = atoms.get_masses().reshape(-1, 9, 1)
    centres = (masses * arms).sum(axis=1, keepdims=True) / masses.sum(axis=1, keepdims=True)
    arms -= centres
    centres += atoms.positions[::9, None]
    energies = []
    for factor in (1 - 1e-4, 1 + 1e-4):
        other = Atoms(atoms.numbers, (factor * centres + arms).reshape(-1, 3), cell=factor * atoms.cell, pbc=True)
        other.calc = LennardJones(sigma=1.5, epsilon=0.01, rc=6.0)
        energies.append(other.get_potential_energy())
    expected = (energies[0] - energies[1]) / (6e-4 * atoms.get_volume()) / units.bar
    assert abs(expected) > 1
    assert found == pytest.approx(expected + ideal * number / len(atoms), rel=1e-3)


def of_density(**values):
    """Pressures of one liquid, of molecules; those of atoms are ten times as large."""
    return {
        density: {"molecules": one, "atoms": [10 * value for value in one]} for density, one in values.items()
    }


def test_pressures_are_compared_configuration_by_configuration():
    rows = expansion.compare(of_density(**{"0.8": [3.0, 5.0]}), of_density(**{"0.8": [1.0, 1.0]}))
    assert rows == [
        {"density": 0.8, "student": (4.0, 1.0), "teacher": (1.0, 0.0), "difference": (3.0, 1.0),
         "student_atoms": 40.0, "teacher_atoms": 10.0}
    ]  # fmt: skip


@pytest.mark.parametrize(
    "found, lowest, held",
    [
        ({"0.8": [9, 10, 11], "0.6": [4, 5, 6], "0.4": [0, 1, 3], "0.3": [9, 10, 11]}, "0.6", []),
        ({"0.8": [9, 10, 11], "0.6": [-6, -5, -4], "0.4": [-3, -1, 0]}, "0.8", ["0.6"]),
        ({"0.8": [0, 1, 3], "0.6": [4, 5, 6]}, None, []),
    ],
)
def test_a_liquid_expands_as_long_as_its_pressure_is_surely_positive(found, lowest, held):
    found = of_density(**found)
    assert (expansion.expands_to(found), expansion.contracts_at(found)) == (lowest, held)


def test_the_page_says_which_liquids_the_teacher_expands():
    up, down = [9, 10, 11], [-11, -10, -9]
    told = report.expanding({
        "wine": of_density(**{"0.8": up, "0.6": up, "0.4": down}), "oil": of_density(**{"0.9": down, "0.5": down}),
        "tea": of_density(**{"0.9": up, "0.5": up}),
    })  # fmt: skip
    assert "expands** wine from 0.8 to 0.6 g/cm3 at least, tea from 0.9 to 0.5 g/cm3 at least;" in told
    assert "not surely oil at 0.9 g/cm3." in told
    assert "negative by more than two standard errors for wine at 0.4, oil at 0.9, oil at 0.5 g/cm3." in told
    assert "standard errors at no density measured." in report.expanding({"tea": of_density(**{"0.9": up})})


# ------------------------------------------------------------------------------------ errors


def test_errors_by_class_and_by_force():
    frames = Frames(
        counts=np.array([1, 1, 2]), numbers=np.ones(4, int), positions=np.zeros((4, 3)),
        forces=np.array([[0.05, 0, 0], [0.5, 0, 0], [0, 2.0, 0], [0, 0, 2.0]]), energies=np.zeros(3),
        cells=np.zeros((3, 3, 3)), groups=np.array([0, 1, 2]), trajectories=np.zeros(3, int),
        group_names=["a", "b", "c"], group_classes=["x", "x", "y"],
    )  # fmt: skip
    deviations = [np.full((1, 3), 0.01), np.full((1, 3), -0.03), np.full((2, 3), 0.1)]
    energies = np.array([0.001, -0.003, 0.002])
    molecules = errors.by_molecule(frames, energies, deviations)
    classes = errors.by_class(frames, energies, deviations, molecules)
    assert list(classes) == ["all", "x", "y"]
    assert classes["x"]["force_mae_meV_per_A"] == pytest.approx(20)
    assert classes["x"]["energy_mae_meV_per_atom"] == pytest.approx(2)
    assert classes["x"]["worst_molecule"] == "b"
    assert classes["all"]["worst_molecule"] == "c"
    assert classes["all"]["force_mae_meV_per_A"] == pytest.approx((10 + 30 + 2 * 100) / 4)
    rows = errors.by_force(frames, deviations)
    assert [(row["from"], row["forces"]) for row in rows] == [(0.0, 1), (0.3, 1), (1.0, 2)]
    assert rows[2]["mae"] == pytest.approx(0.1)


# ------------------------------------------------------------------------------------ page


@pytest.fixture
def perfect(tmp_path):
    """A folder of a student that is the teacher."""
    for module in (frequencies, torsions, dimers):
        result = {"of": {"name": "perfect"}, module.__name__: report.load_teacher(module.__name__)}
        (tmp_path / f"{module.__name__}.json").write_text(json.dumps(result))
    return tmp_path


def page_of(students, folder):
    """The page's text."""
    return report.text_of(report.fill(students, folder / report.PAGE.name))


def test_the_page_is_that_of_the_results(tmp_path):
    page = report.fill(report.students_in(report.shipped()), tmp_path / report.PAGE.name)
    page.file = report.PAGE  # figures are in the temporary folder
    assert report.PAGE.read_text() == report.text_of(page), "run potentials/validation/report.py"


def test_the_page_of_other_folders_is_beside_their_results(perfect):
    before = report.PAGE.stat().st_mtime_ns
    assert CliRunner().invoke(report.main, [str(perfect)], catch_exceptions=False).exit_code == 0
    page = (perfect / "validation.md").read_text()
    shown = re.findall(r"!\[.*\]\((.*)\)", page)
    assert "validation/torsions.svg" in shown and all((perfect / figure).is_file() for figure in shown)
    manual = re.search(r"\[potentials/validation\]\((.*?)\)", page).group(1)
    assert (perfect / manual).resolve() == POTENTIALS / "validation" / "README.md"
    assert report.PAGE.stat().st_mtime_ns == before


def test_the_teacher_meets_all_criteria(perfect):
    page = page_of({"perfect": perfect}, perfect)
    assert "meets all criteria" in page and "✗ |" not in page


@pytest.mark.parametrize(
    "subject, spoil, said",
    [
        ("frequencies", lambda r: r["phenol"].update(frequencies=[f * 1.1 for f in r["phenol"]["frequencies"]]),
         "frequencies, phenol"),
        ("torsions", lambda r: r["butane"].update(energies=[0.0] * len(r["butane"]["angles"])), "torsion"),
        ("dimers", lambda r: r["water dimer"].update(energies=[0.0] * len(r["water dimer"]["separations"])),
         "well depth, water dimer"),
    ],
)  # fmt: skip
def test_a_failure_is_named(perfect, subject, spoil, said):
    file = perfect / f"{subject}.json"
    result = json.loads(file.read_text())
    spoil(result[subject])
    file.write_text(json.dumps(result))
    page = page_of({"perfect": perfect}, perfect)
    failures = page.split("## Where they fail")[1].split("\n## ")[0]
    assert said in failures and "meets all" not in page and "✗ |" in page


def test_a_name_with_brackets_is_no_link(perfect):
    """CommonMark reads [N+](=O) as one, but not in code."""
    name = "C[N+](=O)[O-]"
    mean = {f"{of}_{kind}_{unit}": 1.0 for of, unit in (("energy", "meV_per_atom"), ("force", "meV_per_A"))
            for kind in ("mae", "rmse")}  # fmt: skip
    result = {
        "of": {"name": "perfect"}, "molecules_are_shared_with_training": False, "molecules": {name: mean},
        "classes": {"all": mean | {"frames": 1, "worst_molecule": name, "worst_force_mae_meV_per_A": 1.0}},
        "by_force": [{"from": 0.0, "to": 0.3, "forces": 1, "mae": 0.001, "rmse": 0.001}],
    }  # fmt: skip
    (perfect / "errors.json").write_text(json.dumps(result))
    page = page_of({"perfect": perfect}, perfect)
    assert f"`{name}` (1.0)" in page
    outside_code = re.sub("`[^`]*`", "", page)
    assert all(Path(target).suffix in (".svg", ".md") for target in re.findall(r"\]\(([^)]*)\)", outside_code))


def test_dynamics_that_stopped_are_a_failure_in_their_box(perfect):
    page = report.Page({"perfect": perfect}, None)
    for box in ("water-32", "acetonitrile-16"):
        report.write_rdf(page, box, None, {"perfect": {"error": "Lost atoms"}})
    assert report.by_subject(page.failures["perfect"]) == {
        "dynamics stopped": ["water-32: Lost atoms", "acetonitrile-16: Lost atoms"]
    }
    assert str(page.failures["perfect"][0]) == "dynamics stopped, water-32: Lost atoms"


# ------------------------------------------------------------------------------------ stability


def run(test, folder, potential=CHNO):
    """A test from its beginning to its end."""
    lengths = stability.Lengths(frames=0.02, segment=0.2)
    running = stability.Run(test, dynamics.Engine(potential), folder, lengths)
    while not running.is_done:
        running.advance()
    return running.summary()


def test_velocities_at_first_have_the_temperature():
    state = dynamics.start([8] * 4000, np.zeros((4000, 3)), [1.0] * 3, True, 300.0, 1)
    energy = 15.999 * units._amu * np.sum((100 * state.velocities) ** 2) / 2  # J; 1 Angstrom/ps is 100 m/s
    assert energy / (1.5 * 4000 * units._k) == pytest.approx(300.0, rel=0.03)


@needs_plugin
def test_frames_end_where_the_run_ends(tmp_path):
    methane = molecule("CH4")
    state = dynamics.start(methane.numbers, methane.positions + 10.0, [20.0] * 3, False, 300.0, 1)
    found = dynamics.run(dynamics.Engine(CHNO), state, tmp_path, 300.0, 60, 20, 1)
    np.testing.assert_allclose(found.times, [0.01, 0.02, 0.03])
    np.testing.assert_allclose(found.frames[-1], found.end.positions, atol=1e-4)
    assert np.abs(found.frames[0] - found.end.positions).max() > 1e-2


def test_a_run_that_is_ended_from_outside_is_no_failure_of_the_potential(tmp_path):
    script = tmp_path / "lmp"
    script.write_text("#!/bin/sh\ntouch frames.dump\nkill -TERM $$\n")
    script.chmod(0o755)
    state = dynamics.start([1], [[1.0, 1.0, 1.0]], [2.0] * 3, False, 300.0, 1)
    with pytest.raises(dynamics.DynamicsError, match="status -15"):
        dynamics.run(dynamics.Engine(CHNO, str(script)), state, tmp_path, 300.0, 10, 10, 1)


WHOLE, BROKEN = (WATER.positions, stretched(1.2)), (WATER.positions, stretched(1.8))


def killed(folder, *told, run=0, end=":"):
    """A test of water whose LAMMPS writes these frames, one run after another, and is killed each time.

    run, end: the run that ends otherwise, and the shell's commands for it.
    """
    (folder / "water" / "lammps").mkdir(parents=True)
    head = "ITEM\n" * 5 + "0 20\n" * 3 + "ITEM\n"
    for k, frames in enumerate(told):
        texts = [
            head + "".join(f"{i} {x} {y} {z}\n" for i, (x, y, z) in enumerate(positions, start=1))
            for positions in (WATER.positions, *frames)
        ]
        cut_short = texts[0].rsplit(" ", 1)[0]
        (folder / "water" / "lammps" / f"{k}.told").write_text("".join(texts) + cut_short)
    script = folder / "lmp"
    script.write_text(
        "#!/bin/sh\ntold=$(ls *.told | head -n 1)\nmv $told frames.dump\n"
        "(echo title; for time in 0 0.02 0.04 0.06; do echo $time 300 0 1 0; done) > thermo.txt\n"
        f"if [ $told = {run}.told ]; then {end}; fi\nkill -KILL $$\n"
    )
    script.chmod(0o755)
    test = stability.Test("water", {"water": WATER}, 300.0, 0.4)
    return stability.Run(
        test, dynamics.Engine(CHNO, str(script)), folder / "water", stability.Lengths(frames=0.02, segment=0.2)
    )


@pytest.mark.parametrize("told", [(BROKEN,), (WHOLE, BROKEN), ((), BROKEN)])
def test_a_killed_run_fails_where_its_frames_or_closer_ones_show_a_failure(tmp_path, told):
    running = killed(tmp_path, *told)
    running.advance()
    assert "O1-H2 broken" in running.summary()["failed"]["water"]["reason"]
    assert running.summary()["failed"]["water"]["ps"] == 0.04
    assert running.is_done and not list(tmp_path.rglob("*.told"))


@pytest.mark.parametrize(
    ("run", "end"),
    [(0, ":"), (0, "echo 'ERROR: Lost atoms'; exit 1"), (1, "cp frames.dump end.dump; exit 0")],
    ids=["killed twice", "an error, then killed", "killed, then not"],
)
def test_a_killed_run_that_shows_no_failure_is_an_error_and_can_be_repeated(tmp_path, run, end):
    running = killed(tmp_path, WHOLE, WHOLE, BROKEN, run=run, end=end)
    with pytest.raises(dynamics.DynamicsError, match="status -9"):
        running.advance()
    assert running.alive == ["water"] and running.progress["ps"] == 0.0
    running.advance()
    assert not running.alive


def test_lammps_sees_the_gpu_that_it_is_given(tmp_path, monkeypatch):
    script = tmp_path / "lmp"
    script.write_text('#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES" > seen; exit 1\n')
    script.chmod(0o755)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    state = dynamics.start([1], [[1.0, 1.0, 1.0]], [2.0] * 3, False, 300.0, 1)
    for gpu, seen in (*zip(dynamics.gpus(2), "47"), ("", "4,7")):
        with pytest.raises(dynamics.DynamicsError, match="status 1"):
            dynamics.run(dynamics.Engine(CHNO, str(script), gpu=gpu), state, tmp_path, 300.0, 10, 10, 1)
        assert (tmp_path / "seen").read_text().strip() == seen
    with pytest.raises(dynamics.DynamicsError, match="3 GPUs are asked for, CUDA_VISIBLE_DEVICES=4,7 names 2"):
        dynamics.gpus(3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert dynamics.gpus(3) == ["0", "1", "2"]


class Pretended:
    """In place of a stability.Run: says what it was told to run, and when."""

    def __init__(self, length, told, action=lambda ps: None):
        self.test, self.segment, self.left = SimpleNamespace(length=length), 50.0, length
        self.engine, self.told, self.action = dynamics.Engine(CHNO), told, action

    @property
    def is_done(self):
        return self.left < 1e-6

    def advance(self, longest):
        ps = min(self.segment, longest, self.left)
        self.told.append((self.test.length, self.engine.gpu, ps))
        self.action(ps)
        self.left -= ps
        return ps


def test_jobs_are_spread_over_the_gpus():
    told, together = [], threading.Barrier(4, timeout=30)
    runs = [Pretended(40, told, lambda ps: together.wait()) for _ in range(8)]
    stability.run_all(runs, 4, ["5", "6"], float("inf"))
    assert sorted(gpu for _, gpu, _ in told[:4]) == sorted(gpu for _, gpu, _ in told[4:]) == ["5", "5", "6", "6"]


def test_the_longest_test_is_first():
    told = []
    stability.run_all([Pretended(ps, told) for ps in (10, 30, 20)], 1, [], float("inf"))
    assert told == [(30, "", 30), (20, "", 20), (10, "", 10)]


def test_the_last_segment_is_as_long_as_there_is_time(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(stability.time, "monotonic", lambda: clock[0])

    def two_seconds_for_a_ps(ps):
        clock[0] += 2 * ps

    told = []
    first, second = (Pretended(ps, told, two_seconds_for_a_ps) for ps in (100, 90))
    stability.run_all([first, second], 1, [], 150.0)
    assert told[0][2] == 50 and 15 < told[1][2] < 25
    assert 1140 < clock[0] <= 1150
    assert second.left == 90  # what a ps takes is known from the first


def test_an_error_of_one_test_lets_the_others_end():
    def fail(ps):
        raise dynamics.DynamicsError("no such GPU")

    told = []
    with pytest.raises(dynamics.DynamicsError, match="no such GPU"):
        stability.run_all([Pretended(30, told, fail), Pretended(20, told), Pretended(10, told)], 1, [], float("inf"))
    assert [length for length, _, _ in told] == [30, 20, 10]


def test_liquids_alone_need_no_lammps_in_python(tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "MLFFStudent", lambda file: pytest.fail("LAMMPS was opened"))
    measure = lambda engine, folder, progress, scale: {"water-32": {"error": str(engine.lammps)}}  # noqa: E731
    monkeypatch.setattr(liquids, "measure", measure)
    arguments = [str(CHNO), "--output", str(tmp_path), "--lammps", "lmp -sf kk"]
    done = CliRunner().invoke(validate.main, [*arguments, "--only-liquids"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert [file.name for file in tmp_path.glob("*.json")] == ["liquids.json"]
    stored = json.loads((tmp_path / "liquids.json").read_text())["liquids"]
    assert stored == {"water-32": {"error": "lmp -sf kk"}}
    for subject in validate.SUBJECTS | validate.OF_STUDENTS:
        (tmp_path / f"{subject}.json").write_text((tmp_path / "liquids.json").read_text())
    assert CliRunner().invoke(validate.main, arguments, catch_exceptions=False).exit_code == 0


def test_liquids_of_shortened_dynamics_are_measured_again_at_full_length(tmp_path, monkeypatch):
    scales = []

    def measure(engine, folder, progress, scale):
        scales.append(scale)
        return {"water-32": {"length_ps": scale * liquids.LENGTH}}

    monkeypatch.setattr(liquids, "measure", measure)
    for scale in ("0.01", "0.001", "1", "1"):
        arguments = [str(CHNO), "--output", str(tmp_path), "--only-liquids", "--scale", scale]
        assert CliRunner().invoke(validate.main, arguments, catch_exceptions=False).exit_code == 0
    assert scales == [0.01, 1.0]


@needs_plugin
def test_the_molecule_that_breaks_is_taken_out_and_the_others_go_on(tmp_path):
    names = {"methane": "CH4", "benzene": "C6H6", "ethanol": "CH3CH2OH"}
    fragments = {name: molecule(g2) for name, g2 in names.items()}
    crushed = fragments["benzene"].copy()
    crushed.positions[0] *= 0.3  # its bonds are there at first, and will not last
    fragments["benzene"] = crushed
    summary = run(stability.Test("molecules", fragments, 300.0, 0.4), tmp_path)
    assert list(summary["failed"]) == ["benzene"]
    assert (summary["survivors"], summary["ps"]) == (2, 0.4)


@needs_plugin
def test_a_run_continues_as_if_it_had_not_stopped(tmp_path):
    fragments = {"methane": molecule("CH4"), "water": molecule("H2O")}
    test = stability.Test("molecules", fragments, 300.0, 0.4)
    lengths = stability.Lengths(frames=0.02, segment=0.2)
    for _ in range(2):
        again = stability.Run(test, dynamics.Engine(CHNO), tmp_path / "pieces", lengths)
        again.advance()
    assert again.is_done
    assert again.summary() == run(test, tmp_path / "whole")


@needs_plugin
def test_another_potential_may_not_continue(tmp_path):
    test = stability.Test("molecules", {"methane": molecule("CH4")}, 300.0, 0.2)
    run(test, tmp_path)
    other = replace(dynamics.Engine(CHNO), timestep=1.0)
    with pytest.raises(Exception, match="choose another --output"):
        stability.Run(test, other, tmp_path, stability.Lengths())


@needs_plugin
def test_a_box_that_boils_away_fails_by_its_density(tmp_path):
    gas = molecule("CH4")
    gas.set_cell([6.0] * 3)
    gas.pbc = True
    gas.info["density"] = 10.0  # far from what it has
    summary = run(stability.Test("methane-NPT", {"methane": gas}, 300.0, 0.2, npt=True), tmp_path)
    assert "density" in summary["failed"]["methane"]["reason"]
