"""The PyTorch networks against the NumPy reference, which was written apart from them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks of training and bench/ need PyTorch")

from mlff_student.networks import (  # noqa: E402
    MlffDistiller,
    PaiNN,
    atom_energies,
    energies_and_forces,
    from_potential,
    to_potential,
)
from mlff_student.reference import evaluate, find_edges  # noqa: E402

ELEMENTS = ["H", "C", "N", "O"]
NETWORKS = {
    "painn": lambda: PaiNN(ELEMENTS, 8, 2, 5, 3.0),
    "painn, shared interactions": lambda: PaiNN(ELEMENTS, 8, 3, 5, 3.0, shared_interactions=True),
    "painn, shared filters": lambda: PaiNN(ELEMENTS, 12, 3, 7, 3.0, shared_filters=True),
    "painn, all shared": lambda: PaiNN(
        ELEMENTS, 8, 2, 5, 3.0, shared_filters=True, shared_interactions=True
    ),
    "painn, bessel and mollifier": lambda: PaiNN(
        ELEMENTS, 24, 2, 20, 4.0, radial_functions="bessel", cutoff_function="mollifier"
    ),
    "painn, three read-out layers": lambda: PaiNN(ELEMENTS, 8, 1, 5, 3.0, readout=[7, 3]),
    "mlff-distiller": lambda: MlffDistiller(ELEMENTS, 8, 3, 5, 3.0),
}


def random_network(name):
    torch.manual_seed(7)
    network = NETWORKS[name]().double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        network.atomic_energies.copy_(torch.tensor([-13.0, -1030.0, -1485.0, -2042.0]))
    return network


def structure(n=12, seed=0):
    """Random atoms, no two closer than 0.9 Angstrom."""
    rng = np.random.default_rng(seed)
    points = np.zeros((0, 3))
    while len(points) < n:
        candidate = rng.uniform(0, 4.5, 3)
        if (np.linalg.norm(points - candidate, axis=1) > 0.9).all():
            points = np.vstack([points, candidate])
    return rng.integers(0, 4, n), points


@pytest.mark.parametrize("cell", [None, np.array([[5.0, 0, 0], [1.0, 4.8, 0], [0.5, 0.3, 5.2]])])
@pytest.mark.parametrize("name", NETWORKS)
def test_network_agrees_with_the_reference(name, cell):
    network = random_network(name)
    potential = to_potential(network, "float64")
    potential.validate()
    rows, positions = structure()
    expected = evaluate(potential, [ELEMENTS[k] for k in rows], positions, cell)
    edges = find_edges(positions, cell, potential.cutoff)
    index = torch.as_tensor(np.stack([edges.neighbour, edges.centre]))
    species = torch.as_tensor(rows)
    energies, forces, virial = energies_and_forces(
        network, species, index, torch.as_tensor(edges.vectors)
    )
    energies = atom_energies(network, species, energies)
    np.testing.assert_allclose(energies, expected.atomic_energies, rtol=1e-10)
    scale = np.abs(expected.forces).max()
    np.testing.assert_allclose(forces / scale, expected.forces / scale, atol=1e-10)
    np.testing.assert_allclose(virial / scale, expected.virial / scale, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_there_and_back(name):
    network = random_network(name)
    potential = to_potential(network, "float64")
    again = to_potential(from_potential(potential), "float64")
    assert again.sha256 == potential.sha256


def test_atomic_energies_stay_in_double_precision():
    network = random_network("painn")
    network.atomic_energies[1] = -1030.123456789
    single = from_potential(to_potential(network), torch.float32)
    assert single.atomic_energies[1].item() == -1030.123456789
    assert single.embedding.weight.dtype == torch.float32


def test_edges_beyond_the_cutoff_are_padding():
    network = random_network("painn")
    rows, positions = structure()
    edges = find_edges(positions, None, 3.0)
    index = torch.as_tensor(np.stack([edges.neighbour, edges.centre]))
    vectors = torch.as_tensor(edges.vectors)
    padded = torch.cat([index, torch.zeros(2, 9, dtype=index.dtype)], dim=1)
    far = torch.cat([vectors, torch.tensor([[6.0, 0.0, 0.0]]).double().repeat(9, 1)])
    species = torch.as_tensor(rows)
    plain = energies_and_forces(network, species, index, vectors)
    for a, b in zip(plain, energies_and_forces(network, species, padded, far)):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["painn", "mlff-distiller"])
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
def test_torchscript_gives_the_same(name):
    network = random_network(name)
    rows, positions = structure()
    edges = find_edges(positions, None, 3.0)
    inputs = (
        torch.as_tensor(rows),
        torch.as_tensor(np.stack([edges.neighbour, edges.centre])),
        torch.as_tensor(edges.vectors),
    )
    scripted = torch.jit.script(network)
    torch.testing.assert_close(scripted(*inputs), network(*inputs), rtol=1e-12, atol=1e-12)
