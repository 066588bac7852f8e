"""The NumPy reference against complex steps, symmetries, fixtures and the original codes."""

import sys

import numpy as np
import pytest
from fixtures import FOLDER, NAMES, SHARED, reference

from mlff_student.potential import Potential, PotentialError
from mlff_student.reference import (
    Edges,
    atomic_energies,
    element_indices,
    evaluate,
    find_edges,
    make_check,
)


def load(name: str) -> Potential:
    return Potential.read(FOLDER / f"{name}.yaml")


def assert_close(given, expected, relative: float) -> None:
    expected = np.asarray(expected)
    assert abs(np.asarray(given) - expected).max() <= relative * max(abs(expected).max(), 1e-3)


def arrays(structure: dict) -> tuple:
    cell = structure["cell"]
    return (
        structure["numbers"],
        np.array(structure["positions"]),
        None if cell is None else np.array(cell),
    )


@pytest.mark.parametrize("name", NAMES)
def test_fixtures_hold_what_the_reference_computes(name):
    potential = load(name)
    for structure in reference(name):
        result = evaluate(potential, *arrays(structure))
        for key in ("energy", "atomic_energies", "forces", "virial"):
            assert_close(getattr(result, key), structure[key], 1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_forces_and_virial_are_complex_step_derivatives(name):
    potential = load(name)
    structure = next(s for s in reference(name) if s["name"] == "cell_below_the_cutoff")
    numbers, positions, cell = arrays(structure)
    index, edges = element_indices(potential, numbers), find_edges(
        positions, cell, potential.cutoff
    )
    result = evaluate(potential, numbers, positions, cell)
    h = 1e-30
    for atom in range(len(numbers)):
        for axis in range(3):
            vectors = edges.vectors.astype(complex)
            vectors[edges.neighbour == atom, axis] += 1j * h
            vectors[edges.centre == atom, axis] -= 1j * h
            energy = atomic_energies(
                potential, index, Edges(edges.centre, edges.neighbour, vectors)
            ).sum()
            assert (
                abs(-energy.imag / h - result.forces[atom, axis]) < 1e-11 * abs(result.forces).max()
            )
    for a in range(3):
        for b in range(3):
            vectors = edges.vectors.astype(complex)
            vectors[:, b] += 1j * h * edges.vectors[:, a]
            energy = atomic_energies(
                potential, index, Edges(edges.centre, edges.neighbour, vectors)
            ).sum()
            assert abs(-energy.imag / h - result.virial[a, b]) < 1e-11 * abs(result.virial).max()


@pytest.mark.parametrize("name", NAMES)
def test_supercell_has_the_energy_of_its_cells(name):
    potential = load(name)
    structure = next(s for s in reference(name) if s["name"] == "cell_below_the_cutoff")
    numbers, positions, cell = arrays(structure)
    copies = [positions + i * cell[0] + j * cell[1] for i in range(3) for j in range(2)]
    result = evaluate(potential, numbers * 6, np.vstack(copies), cell * np.array([[3], [2], [1]]))
    assert_close(result.energy, 6 * structure["energy"], 1e-11)
    assert_close(result.forces, np.tile(structure["forces"], (6, 1)), 1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_rotation_changes_only_distiller_energies(name):
    potential = load(name)
    structure = next(s for s in reference(name) if s["name"] == "molecule")
    numbers, positions, _ = arrays(structure)
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    energy = evaluate(potential, numbers, positions @ rotation + 1.5).energy
    change = abs(energy - structure["energy"])
    if potential.architecture == "painn":
        assert change < 1e-11 * abs(energy)
    else:
        assert change > 1e-3


def test_edges_agree_with_brute_force():
    rng = np.random.default_rng(5)
    cell = np.array([[2.0, 0.0, 0.0], [1.1, 2.2, 0.0], [-0.9, 0.7, 1.8]])
    positions = rng.uniform(-3, 3, (4, 3))
    edges = find_edges(positions, cell, 3.0)
    n = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 3), -1).reshape(-1, 3) @ cell
    expected = 0
    for i in range(4):
        for j in range(4):
            r = np.linalg.norm(positions[j] + n - positions[i], axis=1)
            expected += ((r < 3.0) & (r > 0)).sum()
    assert len(edges.centre) == expected
    assert (np.linalg.norm(edges.vectors, axis=1) < 3.0).all()


def test_unknown_element_is_named():
    with pytest.raises(PotentialError, match="Xe asked for, the potential knows H, C, O"):
        evaluate(load("painn_f8_l1"), ["H", "Xe"], np.zeros((2, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_check_structure_holds_every_element(name):
    potential = load(name)
    check = make_check(potential)
    assert set(check.elements) == set(potential.elements) and len(check.elements) >= 6
    distances = np.linalg.norm(check.positions[:, None] - check.positions, axis=2)
    distances = distances[np.triu_indices(len(distances), 1)] * potential.length_in_angstrom
    assert distances.min() > 0.89 and distances.max() < 3.01
    assert check.energy == pytest.approx(potential.check.energy, rel=1e-12)
    assert_close(check.forces, potential.check.forces, 1e-11)


def test_painn_agrees_with_the_torch_oracle():
    torch = pytest.importorskip("torch")
    if not (SHARED / "painn_torch.py").exists():
        pytest.skip("the oracle is not part of the repository")
    sys.path.insert(0, str(SHARED))
    import painn_torch

    potential = load("painn_f128_l3_kcal")
    model = painn_torch.PaiNN(128, 3, 20).double()
    state = {"embedding.weight": np.zeros((100, 128))}
    state["embedding.weight"][[1, 8]] = potential.tensor("embedding")
    for key in ("weight", "bias"):
        state[f"filter.{key}"] = np.concatenate(
            [potential.tensor(f"filter.{l}.{key}") for l in range(3)]
        )
        for k in range(2):
            state[f"out.{2 * k}.{key}"] = potential.tensor(f"out.{k}.{key}")
            for l in range(3):
                for name in ("phi", "upd"):
                    state[f"{name}.{l}.{2 * k}.{key}"] = potential.tensor(f"{name}.{l}.{k}.{key}")
    for l in range(3):
        state[f"mix.{l}.weight"] = potential.tensor(f"mix.{l}.weight")
    state["basis.mu"] = potential.tensor("radial.centers")
    state["basis.gamma"] = np.array(0.5 / potential.tensor("radial.widths")[0] ** 2)
    model.load_state_dict({k: torch.as_tensor(v) for k, v in state.items()})
    for structure in reference("painn_f128_l3_kcal"):
        numbers, positions, cell = arrays(structure)
        edges = find_edges(positions, cell, potential.cutoff)
        index = torch.as_tensor(np.stack([edges.neighbour, edges.centre]))
        energies, forces, virial = painn_torch.energy_forces(
            model, torch.as_tensor(numbers), index, torch.as_tensor(edges.vectors)
        )
        offsets = potential.tensor("atomic_energies")[element_indices(potential, numbers)]
        assert_close(energies.numpy() + offsets, structure["atomic_energies"], 1e-10)
        assert_close(forces.numpy(), structure["forces"], 1e-10)
        assert_close(virial.numpy(), structure["virial"], 1e-10)
