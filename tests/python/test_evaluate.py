"""mlff-student eval: frames in, frames with energies, forces and stress out."""

import json
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import CliRunner
from fixtures import FOLDER, NAMES, SHARED, reference
from plugin import needs_plugin, own_lines

from mlff_student.cli import main
from mlff_student.convert.command import convert
from mlff_student.evaluate import FrameError, read_frames
from mlff_student.extxyz import count_frames, write_frame
from mlff_student.potential import Potential

PAINN = FOLDER / "painn_f24_l2_bessel_mollifier.yaml"  # H C N O, eV and Angstrom


def run(*arguments) -> tuple[int, str]:
    """Exit status and everything printed."""
    result = CliRunner().invoke(main, ["eval", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def frames_of(structures: list[dict], length: float) -> list[Atoms]:
    """The structures of a JSON file with lengths in Angstrom."""
    return [
        Atoms(
            s["numbers"], np.array(s["positions"]) * length, info={"name": s["name"]}, pbc=s["cell"] is not None,
            cell=None if s["cell"] is None else np.array(s["cell"]) * length,
        )
        for s in structures
    ]  # fmt: skip


def write_exactly(path, frames) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        for atoms in frames:
            write_frame(stream, atoms, {})


def assert_reproduces(output, structures: list[dict], p: Potential, relative: float = 1e-10) -> None:
    frames = ase.io.read(output, ":")
    assert [atoms.info["name"] for atoms in frames] == [s["name"] for s in structures]
    energy, length = p.energy_in_eV, p.length_in_angstrom
    for atoms, s in zip(frames, structures):
        expected = {
            "energy": np.array(s["energy"]) * energy,
            "energies": np.array(s["atomic_energies"]) * energy,
            "forces": np.array(s["forces"]) * energy / length,
        }
        if atoms.pbc.all():
            virial = np.array(s["virial"])[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
            virial = 0.5 * (virial + np.array(s["virial"])[[0, 1, 2, 2, 2, 1], [0, 1, 2, 1, 0, 0]])
            expected["stress"] = -virial * energy / atoms.cell.volume
        assert set(atoms.calc.results) == set(expected)
        for key, value in expected.items():
            scale = max(abs(value).max(), 1e-2)
            assert abs(atoms.calc.results[key] - value).max() <= relative * scale, (s["name"], key)


@needs_plugin
@pytest.mark.parametrize("name", NAMES)
def test_fixtures(tmp_path, name):
    p, structures = Potential.read(FOLDER / f"{name}.yaml"), reference(name)
    write_exactly(tmp_path / "in.xyz", frames_of(structures, p.length_in_angstrom))
    status, text = run(p.file, tmp_path / "in.xyz", "-o", tmp_path / "out.xyz")
    assert status == 0, text
    assert f"{len(structures)} frames, double precision" in text
    assert ("warning: " in text) == (p.architecture == "mlff-distiller")
    assert_reproduces(tmp_path / "out.xyz", structures, p)


@needs_plugin
@pytest.mark.parametrize(
    ("checkpoint", "numbers"),
    [
        ("mlff_distiller_427k.onnx", "mlff_distiller_427k"),
        ("schnetpack_painn_rmd17_ethanol.model", "schnetpack_painn_rmd17_ethanol"),
    ],
)
def test_published_checkpoints(tmp_path, checkpoint, numbers):
    if not (SHARED / checkpoint).is_file():
        pytest.skip("the published checkpoints are not there")
    content = json.loads((SHARED / f"{numbers}.json").read_text())
    units = content["units"]
    potential, _ = convert(
        SHARED / checkpoint, ["H", "C", "N", "O"],
        **({} if checkpoint.endswith(".onnx") else
           {"energy_unit": units["energy"], "length_unit": units["length"]}),
    )  # fmt: skip
    potential.write(tmp_path / "p.yaml")
    write_exactly(
        tmp_path / "in.xyz", frames_of(content["structures"], potential.length_in_angstrom)
    )
    status, text = run(tmp_path / "p.yaml", tmp_path / "in.xyz", "-o", tmp_path / "out.xyz")
    assert status == 0, text
    assert_reproduces(tmp_path / "out.xyz", content["structures"], potential)


@needs_plugin
def test_frames_keep_what_they_hold_but_not_old_results(tmp_path):
    atoms = molecule("H2O", cell=[7.0, 8.0, 9.0], pbc=True)
    atoms.info |= {"name": "water", "dft_energy": -1.25, "charge": 0}
    atoms.arrays["tag"] = np.array([3, 4, 5])
    atoms.arrays["dipole_parts"] = np.arange(9.0).reshape(3, 3)
    atoms.calc = SinglePointCalculator(
        atoms, energy=99.0, forces=np.full((3, 3), 99.0), dipole=np.ones(3)
    )
    ase.io.write(tmp_path / "in.xyz", atoms)
    assert run(PAINN, tmp_path / "in.xyz", "-o", tmp_path / "out.xyz")[0] == 0
    found = ase.io.read(tmp_path / "out.xyz")
    assert found.info == {"name": "water", "dft_energy": -1.25, "charge": 0}
    assert found.arrays["tag"].tolist() == [3, 4, 5]
    assert np.array_equal(found.arrays["dipole_parts"], atoms.arrays["dipole_parts"])
    assert found.pbc.all() and np.array_equal(found.cell.array, atoms.cell.array)
    assert set(found.calc.results) == {"energy", "energies", "forces", "stress"}
    assert abs(found.get_potential_energy() - 99.0) > 1 and abs(found.get_forces()).max() < 50
    # a second pass over its own output, in place
    before = (tmp_path / "out.xyz").read_text()
    assert run(PAINN, tmp_path / "out.xyz", "-o", tmp_path / "out.xyz")[0] == 0
    assert (tmp_path / "out.xyz").read_text() == before


@needs_plugin
def test_other_formats_and_precisions(tmp_path):
    atoms = molecule("CH3CH2OH", vacuum=3.0, pbc=True)
    ase.io.write(tmp_path / "POSCAR", atoms, format="vasp")
    energies = {}
    for precision in ("double", "mixed", "single"):
        status, text = run(
            PAINN, tmp_path / "POSCAR", "-o", tmp_path / "out.xyz", "--precision", precision
        )
        assert status == 0 and f"1 frame, {precision} precision" in text, text
        energies[precision] = ase.io.read(tmp_path / "out.xyz").get_potential_energy()
    assert 0 < abs(energies["single"] - energies["double"]) < 1e-4
    assert (
        run(PAINN, tmp_path / "POSCAR", "-o", tmp_path / "out.xyz", "--filters", "spline")[0] == 0
    )
    assert (
        0
        < abs(ase.io.read(tmp_path / "out.xyz").get_potential_energy() - energies["double"])
        < 1e-4
    )


# ------------------------------------------------------------------------------------ errors


@needs_plugin
def test_an_error_names_the_frame_and_leaves_nothing(tmp_path):
    frames = [molecule("H2O"), molecule("CH4"), molecule("SiH4")]
    ase.io.write(tmp_path / "in.xyz", frames)
    status, text = run(PAINN, tmp_path / "in.xyz", "-o", tmp_path / "out.xyz")
    assert status == 1
    assert (
        "in.xyz: frame 3: element Si of atom 1 is not in" in text and "which has: H C N O" in text
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.xyz"]
    (tmp_path / "out.xyz").write_text("of an earlier run")
    assert run(PAINN, tmp_path / "in.xyz", "-o", tmp_path / "out.xyz")[0] == 1
    assert (tmp_path / "out.xyz").read_text() == "of an earlier run"


@needs_plugin
def test_an_error_of_lammps_names_the_frame(tmp_path):
    ase.io.write(tmp_path / "in.xyz", [molecule("H2O"), Atoms("H2", [[0, 0, 0], [0, 0, 0]])])
    status, text = run(PAINN, tmp_path / "in.xyz", "-o", tmp_path / "out.xyz")
    assert status == 1 and "in.xyz: frame 2: Pair style mlff/student" in text
    assert not (tmp_path / "out.xyz").exists()


@needs_plugin
def test_damaged_input_names_the_frame(tmp_path):
    ase.io.write(tmp_path / "in.xyz", [molecule("H2O")] * 2)
    text = (tmp_path / "in.xyz").read_text()
    (tmp_path / "in.xyz").write_text(text[: len(text) - 60])
    status, text = run(PAINN, tmp_path / "in.xyz", "-o", tmp_path / "out.xyz")
    assert status == 1 and "frame 2: cannot be read" in text
    (tmp_path / "empty.xyz").write_text("")
    status, text = run(PAINN, tmp_path / "empty.xyz", "-o", tmp_path / "out.xyz")
    assert status == 1 and "empty.xyz" in text
    assert not (tmp_path / "out.xyz").exists()


@pytest.mark.parametrize("name, content, said", [
    ("a.bz", "of no kind\n", "a.bz: cannot be read: ASE does not recognise its format (bz)"),
    ("a.dat", "LAMMPS data file\n\n3 atoms\n", "a.dat: frame 1: cannot be read: AttributeError"),
    ("a.data", "LAMMPS data file\n", "a.data: there is no frame in it; ASE took its format for runnerdata"),
])  # fmt: skip
def test_a_format_that_was_not_recognised_says_what_always_works(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(FrameError) as error:
        list(read_frames(tmp_path / name))
    assert said in str(error.value) and "extended XYZ (FILE.xyz), which always works" in str(error.value)


def test_what_is_extended_xyz_is_not_called_another_format(tmp_path):
    (tmp_path / "a.xyz").write_text("3\n\nH 0 0 0\n")
    with pytest.raises(FrameError, match="frame 1: cannot be read: XYZError: .*read as extended XYZ"):
        list(read_frames(tmp_path / "a.xyz"))


@needs_plugin
def test_wrong_files(tmp_path):
    ase.io.write(tmp_path / "in.xyz", molecule("H2O"))
    status, text = run(tmp_path / "none.yaml", tmp_path / "in.xyz", "-o", tmp_path / "out.xyz")
    assert status == 1 and "none.yaml: cannot be read" in text
    status, text = run(PAINN, tmp_path / "in.xyz", "-o", tmp_path / "no folder" / "out.xyz")
    assert status == 1 and "cannot be written" in text
    status, text = run(PAINN, tmp_path / "none.xyz", "-o", tmp_path / "out.xyz")
    assert status == 2 and "none.xyz" in text
    damaged = PAINN.read_text().replace("cutoff: 4.5", "cutoff: 4.6")
    (tmp_path / "damaged.yaml").write_text(damaged)
    status, text = run(tmp_path / "damaged.yaml", tmp_path / "in.xyz", "-o", tmp_path / "out.xyz")
    assert status == 1 and "sha256" in text


@needs_plugin
def test_as_a_program(tmp_path):
    ase.io.write(tmp_path / "in.xyz", [molecule("H2O"), molecule("CH4", vacuum=2.0, pbc=True)])
    done = subprocess.run(
        [sys.executable, "-m", "mlff_student", "eval", PAINN, "in.xyz", "-o", "out.xyz"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert own_lines(done.stdout) == "out.xyz: 2 frames, double precision\n"
    assert own_lines(done.stderr) == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.xyz", "out.xyz"]
    assert len(ase.io.read(tmp_path / "out.xyz", ":")) == 2


# ------------------------------------------------------------------------------------ format


def test_every_digit_is_written(tmp_path):
    rng = np.random.default_rng(0)
    atoms = Atoms(
        "HCO", rng.normal(size=(3, 3)) * 1e5, cell=rng.normal(size=(3, 3)), pbc=(True, True, False)
    )
    results = {
        "energy": float(rng.normal()) * 1e6,
        "energies": rng.normal(size=3) * 1e-12,
        "forces": rng.normal(size=(3, 3)),
        "stress": rng.normal(size=6),
    }
    with open(tmp_path / "a.xyz", "w", encoding="utf-8") as stream:
        write_frame(stream, atoms, results)
    found = ase.io.read(tmp_path / "a.xyz")
    assert np.array_equal(found.positions, atoms.positions)
    assert np.array_equal(found.cell.array, atoms.cell.array) and np.array_equal(
        found.pbc, atoms.pbc
    )
    for key, value in results.items():
        assert np.array_equal(found.calc.results[key], value), key


def test_frames_are_counted(tmp_path):
    ase.io.write(tmp_path / "a.xyz", [molecule("H2O"), molecule("H"), molecule("C6H6")])
    assert count_frames(tmp_path / "a.xyz") == 3
    (tmp_path / "b").write_text("no xyz\nat all\n")
    assert count_frames(tmp_path / "b") is None
