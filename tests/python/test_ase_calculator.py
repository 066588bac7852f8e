"""The ASE calculator, and with it the LAMMPS session, against the NumPy reference."""

import copy
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.stress import voigt_6_to_full_3x3_stress
from fixtures import FOLDER, NAMES, reference
from plugin import needs_plugin
from scipy.spatial.transform import Rotation

from mlff_student.ase import MLFFStudent
from mlff_student.lammps_box import StructureError
from mlff_student.lammps_session import (
    LammpsError,
    OrientationWarning,
    PotentialWarning,
    Session,
    find_plugin,
)
from mlff_student.potential import Potential, PotentialError
from mlff_student.reference import evaluate

pytestmark = [
    needs_plugin,
    pytest.mark.filterwarnings("ignore::mlff_student.lammps_session.PotentialWarning"),
]
PAINN = FOLDER / "painn_f24_l2_bessel_mollifier.yaml"  # H C N O, eV and Angstrom
DISTILLER = FOLDER / "distiller_f8_l2.yaml"
TOLERANCE = 1e-9
TURN = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()


@pytest.fixture(scope="module")
def calculator() -> MLFFStudent:
    return MLFFStudent(PAINN)


def assert_close(value, expected, relative: float = TOLERANCE) -> None:
    expected = np.asarray(expected)
    assert np.shape(value) == expected.shape
    assert abs(np.asarray(value) - expected).max(initial=0) <= relative * max(
        abs(expected).max(initial=0), 1e-2
    )


def expected_of(atoms: Atoms, potential: Potential | None = None) -> dict:
    """What the NumPy reference says; an open direction becomes a periodic one with a wide gap."""
    potential = potential or Potential.read(PAINN)
    cell = None
    if atoms.pbc.any():
        wide = atoms.copy()
        for axis in np.flatnonzero(~atoms.pbc):
            wide.cell[axis] = 0.0
        cell = wide.cell.complete().array
        cell[~atoms.pbc] *= 100.0
    result = evaluate(potential, list(atoms.symbols), atoms.positions, cell)
    return {
        "energy": result.energy,
        "energies": result.atomic_energies,
        "forces": result.forces,
        "virial": result.virial,
    }


def assert_agrees(calculator: MLFFStudent, atoms: Atoms, expected: dict | None = None) -> None:
    atoms.calc = calculator
    expected = expected or expected_of(atoms)
    assert_close(atoms.get_potential_energy(), expected["energy"])
    assert_close(atoms.get_potential_energies(), expected["energies"])
    assert_close(atoms.get_forces(), expected["forces"])
    if atoms.pbc.any():
        virial = 0.5 * (expected["virial"] + expected["virial"].T)
        assert_close(atoms.get_stress(voigt=False) * atoms.cell.volume, -virial)
        parts = atoms.get_stresses(voigt=False).sum(axis=0)
        assert_close(parts * atoms.cell.volume, -virial)


def box_of_atoms(cell, n: int = 12, seed: int = 1) -> Atoms:
    """Random atoms of all elements, at least 1 Angstrom apart."""
    rng, atoms = np.random.default_rng(seed), Atoms(cell=cell, pbc=True)
    while len(atoms) < n:
        atoms.append("HCNO"[len(atoms) % 4])
        atoms.positions[-1] = rng.uniform(-0.5, 1.5, 3) @ atoms.cell.array
        if len(atoms) > 1 and atoms.get_distances(-1, range(len(atoms) - 1), mic=True).min() < 1.0:
            del atoms[-1]
    return atoms


# ------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("name", NAMES)
def test_fixtures_in_eV_and_angstrom(name):
    p = Potential.read(FOLDER / f"{name}.yaml")
    length, energy = p.length_in_angstrom, p.energy_in_eV
    calculator = MLFFStudent(FOLDER / f"{name}.yaml")
    for structure in reference(name):
        cell = structure["cell"]
        atoms = Atoms(
            structure["numbers"],
            np.array(structure["positions"]) * length,
            cell=None if cell is None else np.array(cell) * length,
            pbc=cell is not None,
        )
        expected = {
            "energy": structure["energy"] * energy,
            "energies": np.array(structure["atomic_energies"]) * energy,
            "forces": np.array(structure["forces"]) * energy / length,
            "virial": np.array(structure["virial"]) * energy,
        }
        assert_agrees(calculator, atoms, expected)


CELLS = {
    "turned": np.array([[6.0, 0, 0], [1.5, 5.5, 0], [-1.0, 0.8, 5.0]]) @ TURN,
    "left-handed": np.array([[1.5, 5.5, 0], [6.0, 0, 0], [-1.0, 0.8, 5.0]]) @ TURN,
    "permuted": np.array([[0, 0, 5.2], [6.0, 0, 0], [0, -5.5, 0]]),
    "tilted": np.array([[5.0, 0, 0], [31.0, 6.0, 0], [-22.0, 50.0, 5.5]]),
    "fcc": bulk("Cu", a=9.0).cell.array,
}


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 1, 0), (1, 0, 1)])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_cells_of_any_shape_and_periodicity(calculator, cell, pbc):
    atoms = box_of_atoms(cell)
    atoms.pbc = pbc
    assert_agrees(calculator, atoms)


@pytest.mark.parametrize(
    "edges", [[2.1, 2.3, 2.7], [1.9, 30.0, 2.4], [12.0, 12.0, 1.8], [1.5, 1.5, 1.5]]
)
def test_cells_below_the_cutoff(calculator, edges):
    atoms = box_of_atoms(np.diag(edges) @ TURN, 1 if max(edges) < 2 else 2)
    assert_agrees(calculator, atoms)


def test_molecules_and_single_atoms(calculator):
    for name in ("C6H6", "CH3CH2OH", "H2O", "H", "N2"):
        assert_agrees(calculator, molecule(name))
    assert_agrees(calculator, Atoms("O", cell=[2.0, 2.1, 2.2], pbc=True))


def test_no_atoms(calculator):
    atoms = Atoms(calculator=calculator)
    assert atoms.get_potential_energy() == 0.0
    assert atoms.get_forces().shape == (0, 3)


def test_atoms_may_stand_far_outside_the_cell(calculator):
    atoms = box_of_atoms(CELLS["turned"])
    expected = expected_of(atoms)
    atoms.positions += (
        np.random.default_rng(3).integers(-50, 50, (len(atoms), 3)) @ atoms.cell.array
    )
    assert_agrees(calculator, atoms, expected)


def test_atoms_may_be_far_apart(calculator):
    near, far = molecule("H2O"), molecule("CH4")
    far.positions += [3e4, -2e4, 1e4]
    expected = [expected_of(part) for part in (near, far)]
    atoms = near + far
    atoms.calc = calculator
    assert_close(atoms.get_potential_energy(), sum(part["energy"] for part in expected))
    # positions of 1e4 leave eleven digits to a bond
    assert_close(atoms.get_forces(), np.vstack([part["forces"] for part in expected]), 1e-7)


def test_stress_is_the_derivative_of_the_energy_by_strain(calculator):
    atoms = box_of_atoms(CELLS["turned"])
    atoms.calc = calculator
    stress, h = atoms.get_stress(voigt=False), 1e-5
    for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            strained.calc = calculator
            energies.append(strained.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * h) / atoms.cell.volume
        assert slope == pytest.approx(stress[a, b], rel=1e-5, abs=1e-7)


def test_no_stress_without_a_volume(calculator):
    atoms = molecule("H2O")
    atoms.calc = calculator
    with pytest.raises(NotImplementedError):
        atoms.get_stress()


def test_results_do_not_depend_on_what_came_before():
    frames = [
        molecule("C6H6"), box_of_atoms(CELLS["tilted"]), molecule("H"), box_of_atoms([7.0, 7, 7], 30),
        Atoms("CO", [[0, 0, 0], [0, 0, 1.2]], cell=[0, 0, 4.0], pbc=(0, 0, 1)),
    ]  # fmt: skip
    with Session(PAINN) as session:
        for frame in [*frames, *frames[::-1]]:
            with Session(PAINN) as fresh:
                arguments = (frame.numbers, frame.positions, frame.cell.array, frame.pbc)
                one, other = session.evaluate(*arguments), fresh.evaluate(*arguments)
            assert one.energy == other.energy
            assert np.array_equal(one.forces, other.forces)
            assert np.array_equal(one.atomic_virials, other.atomic_virials)


def test_precision_and_filters_reach_the_pair_style(calculator):
    atoms = box_of_atoms([6.0, 6.0, 6.0], 20)
    atoms.calc = calculator
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    scale = np.sqrt(np.mean(forces**2))
    for options in ({"precision": "single"}, {"precision": "mixed"}, {"filters": "spline"}):
        atoms.calc = MLFFStudent(PAINN, **options)
        assert 0 < abs(atoms.get_potential_energy() - energy) < 1e-5 * len(atoms)
        assert 0 < abs(atoms.get_forces() - forces).max() < 1e-3 * scale
    atoms.calc = MLFFStudent(PAINN, threads=2)
    assert atoms.get_potential_energy() == energy


# ------------------------------------------------------------------------------------ orientation


def test_distiller_in_lower_triangular_cells_is_not_rotated():
    atoms = box_of_atoms(np.array([[6.0, 0, 0], [1.5, 5.5, 0], [-1.0, 0.8, 5.0]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", OrientationWarning)
        assert_agrees(MLFFStudent(DISTILLER), atoms, expected_of(atoms, Potential.read(DISTILLER)))
        atoms = box_of_atoms(CELLS["permuted"])
        assert_agrees(MLFFStudent(DISTILLER), atoms, expected_of(atoms, Potential.read(DISTILLER)))


def test_distiller_in_other_cells_warns_once():
    atoms = box_of_atoms(CELLS["turned"])
    with pytest.warns(OrientationWarning, match="rotated.*depends on orientation") as caught:
        atoms.calc = MLFFStudent(DISTILLER)
        energy = atoms.get_potential_energy()
        atoms.rattle(0.01)
        atoms.get_potential_energy()
    assert sum(w.category is OrientationWarning for w in caught) == 1
    atoms = box_of_atoms(CELLS["turned"])
    assert abs(energy - expected_of(atoms, Potential.read(DISTILLER))["energy"]) > 1e-3


def test_distiller_warns_with_measured_numbers():
    with pytest.warns(
        PotentialWarning, match=r"jumps.*by up to [0-9.]+ eV.*orientation, here by up to [0-9.]+ eV"
    ):
        Session(DISTILLER).close()


# ------------------------------------------------------------------------------------ errors


def test_an_element_that_is_not_in_the_potential(calculator):
    atoms = Atoms("HXe", [[0, 0, 0], [0, 0, 2]], calculator=calculator)
    with pytest.raises(
        StructureError, match=r"element Xe of atom 2 is not in .*mollifier.yaml, .*H C N O"
    ):
        atoms.get_potential_energy()


def test_periodic_without_a_cell(calculator):
    atoms = Atoms("H", pbc=True, calculator=calculator)
    with pytest.raises(StructureError, match="span no lattice"):
        atoms.get_potential_energy()


def test_an_error_of_lammps_has_its_message_and_the_session_goes_on(calculator):
    atoms = Atoms("HH", [[0, 0, 0], [0, 0, 0]], calculator=calculator)
    with pytest.raises(LammpsError, match="mlff/student.*atom") as error:
        atoms.get_potential_energy()
    assert ".cpp" not in str(error.value) and "run 0" not in str(error.value)
    assert_agrees(calculator, molecule("H2O"))


@pytest.mark.parametrize("options", [{"precision": "half"}, {"filters": "cubic"}])
def test_wrong_options_name_the_right_ones(options):
    known = {"precision": "double, mixed, single", "filters": "exact, spline"}
    for key, value in options.items():
        with pytest.raises(ValueError, match=f"{key}: '{value}' given, known: {known[key]}"):
            MLFFStudent(PAINN, **options)


def test_a_missing_file_says_where_was_looked_and_what_ships(tmp_path, monkeypatch):
    (tmp_path / "ours.yaml").write_text("")
    monkeypatch.setattr("mlff_student.lammps_plugin.potentials", lambda: tmp_path)
    monkeypatch.setenv("LAMMPS_POTENTIALS", f"/nowhere:{tmp_path}")
    with pytest.raises(PotentialError, match="^nowhere.yaml: cannot be read: No such file") as error:
        MLFFStudent("nowhere.yaml")
    assert f"looked in {os.getcwd()}, /nowhere, {tmp_path}; " in str(error.value)
    assert str(error.value).endswith("the name of one that ships: ours.yaml")
    with pytest.raises(PotentialError, match="^/nowhere/p.yaml: cannot be read: No such") as error:
        MLFFStudent("/nowhere/p.yaml")
    assert "looked in" not in str(error.value) and "ours.yaml" in str(error.value)
    (tmp_path / "ours.yaml").unlink()
    with pytest.raises(PotentialError, match="none ships with this installation"):
        MLFFStudent("nowhere.yaml")


def test_paths_with_spaces_and_dollars(tmp_path):
    path = tmp_path / "a $folder # of 'mine'" / "my potential.yaml"
    path.parent.mkdir()
    path.write_bytes(PAINN.read_bytes())
    assert_agrees(MLFFStudent(path), molecule("H2O"))


def test_potentials_are_found_by_name(monkeypatch):
    monkeypatch.setenv("LAMMPS_POTENTIALS", f"/nowhere:{FOLDER}")
    assert_agrees(MLFFStudent(PAINN.name), molecule("H2O"))


def test_a_missing_plugin_says_what_to_do(tmp_path):
    program = f"from mlff_student.lammps_session import Session; Session({str(PAINN)!r})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MLFF_PLUGIN": str(tmp_path / "none.so")},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "none.so does not exist" in done.stderr and "pip install ." in done.stderr


def test_the_plugin_is_a_file():
    assert find_plugin().is_file()


def test_copies_compute_for_themselves(calculator):
    atoms = molecule("CH4")
    expected = expected_of(atoms)
    assert_agrees(copy.deepcopy(calculator), atoms.copy(), expected)
    assert_agrees(pickle.loads(pickle.dumps(calculator)), atoms.copy(), expected)
    assert_agrees(calculator, atoms, expected)


def test_stresses_in_voigt_order(calculator):
    atoms = box_of_atoms(CELLS["turned"])
    atoms.calc = calculator
    full = atoms.get_stress(voigt=False)
    assert np.array_equal(voigt_6_to_full_3x3_stress(atoms.get_stress()), full)
    assert atoms.get_stresses().shape == (len(atoms), 6)
