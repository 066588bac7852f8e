"""mlff-student check: what it measures, and that it can fail."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from click.testing import CliRunner
from fixtures import FOLDER, NAMES, SHARED
from plugin import needs_plugin, own_lines

from mlff_student.check import DIFFERENCES, ORIENTATION
from mlff_student.cli import main
from mlff_student.convert.command import convert
from mlff_student.lammps_session import PotentialWarning, Session
from mlff_student.measurements import (
    Structure,
    check_structure,
    deviation_from_differences,
    energy_jump_at_cutoff,
    orientation_dependence,
    precision_deviation,
)
from mlff_student.potential import Potential

pytestmark = [
    needs_plugin,
    pytest.mark.filterwarnings("ignore::mlff_student.lammps_session.PotentialWarning"),
]
PAINN = FOLDER / "painn_f24_l2_bessel_mollifier.yaml"  # H C N O, eV and Angstrom
DISTILLER = FOLDER / "distiller_f8_l2.yaml"
DEFECTS = {"jump of the energy at the cutoff", "change of the energy on rotation"}


def check(*arguments) -> tuple[int, str]:
    """Exit status and everything printed."""
    result = CliRunner().invoke(main, ["check", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def failures(*arguments) -> tuple[int, set[str]]:
    status, text = check(*arguments, "--json")
    content = json.loads(text)
    failed = {test["test"] for test in content["tests"] if test["verdict"] != "ok"}
    assert content["passed"] == (not failed)
    return status, failed


@pytest.mark.parametrize("name", NAMES)
def test_painn_passes_and_distiller_fails_where_it_must(name):
    expected = DEFECTS if name.startswith("distiller") else set()
    assert failures(FOLDER / f"{name}.yaml") == (1 if expected else 0, expected)


def test_the_table():
    status, text = check(PAINN)
    lines = text.splitlines()
    assert status == 0
    assert lines[0].split() == ["test", "value", "limit", "unit", "verdict"]
    assert all(line.endswith("ok") for line in lines[1:-1]) and len(lines) == 18
    assert lines[-1] == f"{PAINN}: all tests passed"
    status, text = check(DISTILLER)
    assert status == 1
    assert text.splitlines()[-1].startswith(
        f"{DISTILLER}: FAILED: jump of the energy at the cutoff; "
    )
    assert "warning" not in text.lower()


def test_the_published_distiller_network_fails(tmp_path):
    if not SHARED.is_dir():
        pytest.skip("the published checkpoints are not there")
    potential, _ = convert(SHARED / "mlff_distiller_427k.onnx", ["H", "C", "N", "O"])
    potential.write(tmp_path / "p.yaml")
    assert failures(tmp_path / "p.yaml") == (1, DEFECTS)


def test_the_published_painn_network_passes(tmp_path):
    if not SHARED.is_dir():
        pytest.skip("the published checkpoints are not there")
    potential, _ = convert(
        SHARED / "schnetpack_painn_rmd17_ethanol.model", ["H", "C", "O"], "kcal/mol", "Angstrom"
    )
    potential.write(tmp_path / "p.yaml")
    assert failures(tmp_path / "p.yaml") == (0, set())


# ------------------------------------------------------------------------------------ structures


def test_structures_of_ones_own(tmp_path):
    box = Atoms(
        "HCNOHC",
        [[0, 0, 0], [1.3, 0.4, 0], [2.6, 0, 0.5], [0.3, 1.9, 1.1], [0.2, 0.2, 3.0], [2.0, 2.2, 2.5]],
        cell=[[3.9, 0, 0], [0.5, 4.1, 0], [0.4, 0.2, 5.1]], pbc=(True, True, False),
    )  # fmt: skip
    ase.io.write(tmp_path / "a.xyz", [molecule("CH3CH2OH"), box, molecule("H")])
    ase.io.write(tmp_path / "b.xyz", molecule("N2"))
    assert failures(
        PAINN, "--structures", tmp_path / "a.xyz", "--structures", tmp_path / "b.xyz"
    ) == (0, set())


def test_a_structure_with_another_element_is_named(tmp_path):
    ase.io.write(tmp_path / "a.xyz", [molecule("H2O"), molecule("SiH4")])
    status, text = check(PAINN, "--structures", tmp_path / "a.xyz")
    assert status == 2 and "a.xyz: frame 2: element Si of atom 1 is not in" in text


def test_what_cannot_be_computed_has_failed(tmp_path):
    ase.io.write(tmp_path / "a.xyz", Atoms("HCC", [[0, 0, 0], [0, 0, 1], [0, 0, 1]]))
    status, text = check(PAINN, "--structures", tmp_path / "a.xyz")
    assert status == 1
    assert "not measured" in text and "a.xyz: frame 1: Pair style mlff/student: " in text
    assert "check structure: energy" in text


def test_structures_can_fail(tmp_path):
    """A molecule that a distiller network distinguishes from its rotated self."""
    ase.io.write(tmp_path / "a.xyz", molecule("H2O"))
    assert failures(DISTILLER, "--structures", tmp_path / "a.xyz") == (1, DEFECTS)
    with Session(DISTILLER) as session:
        water = Structure.from_atoms(molecule("H2O"), "water")
        assert orientation_dependence(session, water) > 1000 * ORIENTATION


# ------------------------------------------------------------------------------------ files


def test_unusable_files_have_a_status_of_their_own(tmp_path):
    status, text = check(tmp_path / "none.yaml")
    assert status == 2 and "none.yaml: cannot be read" in text
    text = PAINN.read_text()
    (tmp_path / "short.yaml").write_text(text[: len(text) // 2])
    assert check(tmp_path / "short.yaml")[0] == 2
    (tmp_path / "changed.yaml").write_text(text.replace("cutoff: 4.5", "cutoff: 4.6"))
    status, text = check(tmp_path / "changed.yaml")
    assert status == 2 and "sha256" in text


def test_a_wrong_check_structure_fails(tmp_path):
    potential = Potential.read(PAINN)
    potential.check = replace(potential.check, energy=potential.check.energy + 1e-3)
    potential.write(tmp_path / "p.yaml")
    status, text = check(tmp_path / "p.yaml")
    assert status == 1
    assert "FAILED" in text and "check: energy: the file says" in text


def test_as_a_program(tmp_path):
    shutil.copy(PAINN, tmp_path / "p.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "mlff_student", "check", "p.yaml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("p.yaml: all tests passed\n") and own_lines(done.stderr) == ""


# ------------------------------------------------------------------------------------ measures


class Falsified:
    """A session whose results are changed on the way."""

    def __init__(self, session: Session, change):
        self.session, self.change = session, change
        self.potential, self.cutoff = session.potential, session.cutoff

    def evaluate(self, *arguments):
        return self.change(self.session.evaluate(*arguments), *arguments)


@pytest.fixture(scope="module")
def session():
    with Session(PAINN) as session:
        yield session


def test_a_small_error_of_the_forces_is_found(session):
    structure = check_structure(session.potential)
    assert deviation_from_differences(session, structure) < DIFFERENCES
    wrong = Falsified(
        session, lambda result, *_: replace(result, forces=result.forces * (1 + 1e-7))
    )
    assert deviation_from_differences(wrong, structure) > DIFFERENCES


def test_a_jump_is_found(session):
    def count_neighbours(result, elements, positions, *_):
        distances = np.linalg.norm(positions[:, None] - positions, axis=2)
        return replace(result, energy=result.energy + 1e-5 * (distances < session.cutoff).sum() / 2)

    structure = check_structure(session.potential)
    assert energy_jump_at_cutoff(session, structure) < 1e-9
    wrong = Falsified(session, count_neighbours)
    assert energy_jump_at_cutoff(wrong, structure) == pytest.approx(1e-5, rel=1e-3)


def test_a_dependence_on_orientation_is_found(session):
    def field(result, elements, positions, *_):
        return replace(result, energy=result.energy + 1e-4 * np.ptp(positions[:, 2]))

    structure = check_structure(session.potential)
    assert orientation_dependence(session, structure) < 1e-9
    assert orientation_dependence(Falsified(session, field), structure) > 1e-5


def test_a_deviation_of_the_precision_is_found(session):
    def change(result, *_):
        return replace(result, energy=result.energy + 6e-3, forces=result.forces * 1.01)

    structure = check_structure(session.potential)
    energy, largest, rms = precision_deviation(Falsified(session, change), session, [structure])
    assert energy == pytest.approx(6e-3 / len(structure.elements))
    assert rms == pytest.approx(0.01) and largest > rms


def test_forces_at_rest_are_measured_by_those_in_motion(session):
    """Also where atoms rest, an error is what it is beside the forces of moving ones."""
    structure = check_structure(session.potential)
    moving = np.sqrt(np.mean(structure.shaken().evaluate(session).forces ** 2))

    def change(result, *_):
        return replace(result, forces=result.forces + 0.01 * moving)

    energy, largest, rms = precision_deviation(Falsified(session, change), session, [structure])
    assert energy == 0 and (largest, rms) == pytest.approx((0.01, 0.01), rel=1e-6)


@pytest.mark.parametrize("name", ["chno-f128", "chno-f64-1"])
def test_potentials_that_ship_pass(name):
    file = Path(__file__).resolve().parents[2] / "potentials" / "chno" / f"{name}.yaml"
    assert failures(file) == (0, set())


def test_displacements_across_the_cutoff_are_left_out(session):
    r = session.cutoff + 1e-4
    structure = Structure(
        ["H", "C", "O"], np.array([[0.0, 0, 0], [r, 0, 0], [1.0, 0.5, 0]]), name="pair"
    )
    # y and z of H and C, at right angles to the pair, stay: they change its length by less
    assert deviation_from_differences(session, structure) < DIFFERENCES
    diatomic = Structure(
        ["H", "C"], np.array([[0.0, 0, 0], [r, r, r]]) / [[1], [np.sqrt(3)]], name="pair"
    )
    assert deviation_from_differences(session, diatomic) is None


def test_jump_and_orientation_are_those_of_the_pair_style():
    with pytest.warns(PotentialWarning) as caught:
        session = Session(DISTILLER)
    structure = check_structure(session.potential)
    text = str(caught[0].message)
    assert f"by up to {energy_jump_at_cutoff(session, structure):g} eV" in text
    assert f"by up to {orientation_dependence(session, structure):g} eV" in text
    session.close()
