"""The two student networks in PyTorch: what `mlff-student train` fits and bench/ compares with.

Both take, for N atoms and E directed edges of any number of molecules at once,

- species [N] int64: row of the embedding, the index into Potential.elements;
- edge_index [2, E] int64: row 0 the neighbour j, row 1 the centre i;
- edge_vec [E, 3]: r_j - r_i in the potential's length unit;

and return the atoms' energies [N] without `atomic_energies`, which `atom_energies` adds in double
precision. Edges at or beyond the cutoff contribute exactly nothing in PaiNN, so a batch can be
padded with them. Equations and names: doc/potential_format.md; K. T. Schütt, O. T. Unke,
M. Gastegger, ICML 2021, in the form of SchNetPack 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .potential import Potential


class Radial(nn.Module):
    """Radial functions g_k(r) and the cutoff function fc(r)."""

    def __init__(
        self, count: int, cutoff: float, kind: str = "gaussian", cutoff_function: str = "cosine"
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.gaussian = kind == "gaussian"
        self.cosine = cutoff_function == "cosine"
        centers = torch.linspace(0, cutoff, count, dtype=torch.float64)
        spacing = cutoff / max(count - 1, 1)
        self.register_buffer("centers", centers)
        self.register_buffer("widths", torch.full_like(centers, spacing))
        frequencies = torch.arange(1, count + 1, dtype=torch.float64) * math.pi / cutoff
        self.register_buffer("frequencies", frequencies)

    def forward(self, r: Tensor) -> Tensor:
        """g [E, K] at distances r [E]."""
        x = r.unsqueeze(1)
        if self.gaussian:
            return torch.exp(-0.5 * ((x - self.centers) / self.widths) ** 2)
        return torch.sin(x * self.frequencies) / x

    def envelope(self, r: Tensor) -> Tensor:
        """fc [E] at distances r [E]; zero from the cutoff on."""
        inside = r < self.cutoff
        if self.cosine:
            return 0.5 * (torch.cos(r * (math.pi / self.cutoff)) + 1.0) * inside
        ratio = torch.where(inside, r / self.cutoff, 0.0)
        return torch.exp(1.0 - 1.0 / (1.0 - ratio * ratio)) * inside


def stack(sizes: Sequence[int]) -> nn.Sequential:
    """Dense layers of these sizes with SiLU after each but the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class PaiNN(nn.Module):
    """PaiNN in the form of SchNetPack 2: F channels, L layers, K radial functions."""

    architecture = "painn"

    def __init__(
        self,
        elements: Sequence[str],
        channels: int = 128,
        layers: int = 3,
        number_of_radial_functions: int = 20,
        cutoff: float = 5.0,
        radial_functions: str = "gaussian",
        cutoff_function: str = "cosine",
        epsilon: float = 1e-8,
        shared_interactions: bool = False,
        shared_filters: bool = False,
        readout: Sequence[int] = (),
    ) -> None:
        super().__init__()
        F, K = channels, number_of_radial_functions
        own = 1 if shared_interactions else layers
        self.elements = list(elements)
        self.channels, self.layers, self.epsilon = F, layers, epsilon
        self.shared_interactions, self.shared_filters = shared_interactions, shared_filters
        self.embedding = nn.Embedding(len(self.elements), F)
        self.register_buffer(
            "atomic_energies", torch.zeros(len(self.elements), dtype=torch.float64)
        )
        self.radial = Radial(K, cutoff, radial_functions, cutoff_function)
        self.filter = nn.Linear(K, 3 * F * (1 if shared_filters else layers))
        self.phi = _repeat([stack([F, F, 3 * F]) for _ in range(own)], layers)
        self.mix = _repeat([nn.Linear(F, 2 * F, bias=False) for _ in range(own)], layers)
        self.upd = _repeat([stack([2 * F, F, 3 * F]) for _ in range(own)], layers)
        self.out = stack([F, *(readout or [F // 2]), 1])
        _initialise(self)

    def forward(self, species: Tensor, edge_index: Tensor, edge_vec: Tensor) -> Tensor:
        """Energies of the atoms [N] without `atomic_energies`."""
        F = self.channels
        j, i = edge_index[0], edge_index[1]
        r = torch.linalg.vector_norm(edge_vec, dim=1)
        u = (edge_vec / r.unsqueeze(1)).unsqueeze(2)  # [E, 3, 1]
        filters = self.filter(self.radial(r)) * self.radial.envelope(r).unsqueeze(1)
        s = self.embedding(species)  # [N, F]
        v = torch.zeros(s.shape[0], 3, F, dtype=s.dtype, device=s.device)
        for l, (phi, mix, upd) in enumerate(zip(self.phi, self.mix, self.upd)):
            W = filters if self.shared_filters else filters[:, 3 * F * l : 3 * F * (l + 1)]
            a, b, c = (phi(s).index_select(0, j) * W).split(F, dim=1)
            p = b.unsqueeze(1) * u
            if l > 0:  # v is zero in the first layer
                p = p + c.unsqueeze(1) * v.index_select(0, j)
            s = s.index_add(0, i, a)
            v = v.index_add(0, i, p)
            V, Wv = mix(v).split(F, dim=2)
            n = torch.sqrt((V * V).sum(dim=1) + self.epsilon)
            a_s, a_v, a_sv = upd(torch.cat([s, n], dim=1)).split(F, dim=1)
            s = s + a_s + a_sv * (V * Wv).sum(dim=1)
            v = v + a_v.unsqueeze(1) * Wv
        return self.out(s).squeeze(1)


class MlffDistiller(nn.Module):
    """The published MLFF-Distiller student, with the two defects that belong to its weights: the
    filter stack comes after the cutoff, and `mixing` mixes Cartesian axes.
    """

    architecture = "mlff-distiller"

    def __init__(
        self,
        elements: Sequence[str],
        channels: int = 128,
        layers: int = 3,
        number_of_radial_functions: int = 20,
        cutoff: float = 5.0,
        radial_functions: str = "gaussian",
        readout: Sequence[int] = (),
    ) -> None:
        super().__init__()
        F, K = channels, number_of_radial_functions
        self.elements = list(elements)
        self.channels, self.layers = F, layers
        self.embedding = nn.Embedding(len(self.elements), F)
        self.register_buffer(
            "atomic_energies", torch.zeros(len(self.elements), dtype=torch.float64)
        )
        self.radial = Radial(K, cutoff, radial_functions)
        self.radial.widths.fill_(cutoff / K / math.sqrt(2.0))
        self.filter = nn.ModuleList([stack([K, F, 3 * F]) for _ in range(layers)])
        self.upd = nn.ModuleList([stack([2 * F, F, 3 * F]) for _ in range(layers)])
        self.mixing = nn.Parameter(torch.eye(3).repeat(layers, 1, 1))
        self.out = stack([F, *(readout or [F // 2, F // 4]), 1])
        _initialise(self)

    def forward(self, species: Tensor, edge_index: Tensor, edge_vec: Tensor) -> Tensor:
        """Energies of the atoms [N] without `atomic_energies`."""
        F = self.channels
        j, i = edge_index[0], edge_index[1]
        r = torch.linalg.vector_norm(edge_vec, dim=1)
        u = (edge_vec / (r + 1e-8).unsqueeze(1)).unsqueeze(2)
        g = self.radial(r) * self.radial.envelope(r).unsqueeze(1)
        s = self.embedding(species)
        v = torch.zeros(s.shape[0], 3, F, dtype=s.dtype, device=s.device)
        for l, (filters, upd) in enumerate(zip(self.filter, self.upd)):
            W_s, W_v, W_u = filters(g).split(F, dim=1)
            p = W_u.unsqueeze(1) * u
            if l > 0:  # v is zero in the first layer
                p = p + W_v.unsqueeze(1) * v.index_select(0, j)
            # Not s.index_add(...): compiled by PyTorch 2.15 that gathers from s while it adds to it.
            s = s + torch.zeros_like(s).index_add(0, i, s.index_select(0, j) * W_s)
            v = v.index_add(0, i, p)
            n = torch.linalg.vector_norm(v, dim=1)
            a_s, g1, g2 = upd(torch.cat([s, n], dim=1)).split(F, dim=1)
            s = s + a_s
            v = v * g1.unsqueeze(1) + torch.matmul(self.mixing[l], v) * g2.unsqueeze(1)
        return self.out(s).squeeze(1)


NETWORKS = {network.architecture: network for network in (PaiNN, MlffDistiller)}


def atom_energies(network: nn.Module, species: Tensor, interaction: Tensor) -> Tensor:
    """Energies of the atoms [N] in double precision: a network's output plus `atomic_energies`."""
    return interaction.double() + network.atomic_energies.double()[species]


def energies_and_forces(
    network: nn.Module, species: Tensor, edge_index: Tensor, edge_vec: Tensor, train: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Output of the network [N], forces [N, 3] and virial [3, 3] (-sum of r (x) dE/dr over edges).

    With `train` the results can be differentiated once more by the weights.
    """
    vec = edge_vec if edge_vec.requires_grad else edge_vec.detach().requires_grad_(True)
    energies = network(species, edge_index, vec)
    (gradient,) = torch.autograd.grad(energies.sum(), vec, create_graph=train)
    forces = torch.zeros(species.shape[0], 3, dtype=vec.dtype, device=vec.device)
    forces = forces.index_add(0, edge_index[1], gradient)
    forces = forces.index_add(0, edge_index[0], -gradient)
    if not train:
        energies = energies.detach()
    return energies, forces, -(vec.detach().T @ gradient)


# --------------------------------------------------------------------- to and from potential files


def to_potential(network: nn.Module, dtype: str = "float32", **header: object) -> Potential:
    """The network as a Potential; `header` sets its other fields (provenance, check, …)."""
    options = {}
    if isinstance(network, PaiNN):
        names = ("epsilon", "shared_interactions", "shared_filters")
        options = {name: getattr(network, name) for name in names}
    radial = network.radial
    tensors = {}
    for name, tensor in _tensors(network).items():
        exact = name == "atomic_energies" or name.startswith("radial.")
        array = tensor.detach().cpu().numpy().copy()
        tensors[name] = array.astype("float64" if exact else dtype)
    return Potential(
        architecture=network.architecture,
        channels=network.channels,
        layers=network.layers,
        number_of_radial_functions=radial.centers.shape[0],
        cutoff=radial.cutoff,
        elements=list(network.elements),
        tensors=tensors,
        radial_functions="gaussian" if radial.gaussian else "bessel",
        cutoff_function="cosine" if radial.cosine else "mollifier",
        **options,
        **header,
    )


def from_potential(potential: Potential, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The network of a potential in this precision (`atomic_energies` in double), to evaluate."""
    count = sum(name.startswith("out.") and name.endswith(".weight") for name in potential.tensors)
    options = {
        "readout": [potential.tensors[f"out.{k}.weight"].shape[0] for k in range(count - 1)],
        "radial_functions": potential.radial_functions,
    }
    if potential.architecture == "painn":
        names = ("cutoff_function", "epsilon", "shared_interactions", "shared_filters")
        options |= {name: getattr(potential, name) for name in names}
    network = NETWORKS[potential.architecture](
        potential.elements,
        potential.channels,
        potential.layers,
        potential.number_of_radial_functions,
        potential.cutoff,
        **options,
    )
    if not options["readout"]:
        network.out = stack([potential.channels, 1])
    network = network.double()
    with torch.no_grad():
        for name, tensor in _tensors(network).items():
            tensor.copy_(torch.from_numpy(np.array(potential.tensor(name))))
    energies = network.atomic_energies
    network = network.to(dtype).eval()
    network.atomic_energies = energies  # stay in double precision: they are large
    return network


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """The network's tensors (views, not copies) under their names in a potential file, in order."""
    found = {"embedding": network.embedding.weight, "atomic_energies": network.atomic_energies}
    names = ("centers", "widths") if network.radial.gaussian else ("frequencies",)
    found |= {f"radial.{name}": getattr(network.radial, name) for name in names}
    painn = isinstance(network, PaiNN)
    for l in range(network.layers):
        own = l == 0 or not painn or not network.shared_interactions
        if painn and (l == 0 or not network.shared_filters):
            rows = slice(3 * network.channels * l, 3 * network.channels * (l + 1))
            found[f"filter.{l}.weight"] = network.filter.weight[rows]
            found[f"filter.{l}.bias"] = network.filter.bias[rows]
        if painn and own:
            found |= _dense(f"phi.{l}", network.phi[l])
            found[f"mix.{l}.weight"] = network.mix[l].weight
        if not painn:
            found |= _dense(f"filter.{l}", network.filter[l])
            found[f"mixing.{l}"] = network.mixing[l]
        if own:
            found |= _dense(f"upd.{l}", network.upd[l])
    return found | _dense("out", network.out)


def _dense(name: str, layers: nn.Sequential) -> dict[str, Tensor]:
    found = {}
    for k, layer in enumerate(layer for layer in layers if isinstance(layer, nn.Linear)):
        found[f"{name}.{k}.weight"] = layer.weight
        found[f"{name}.{k}.bias"] = layer.bias
    return found


def _repeat(modules: list[nn.Module], layers: int) -> nn.ModuleList:
    return nn.ModuleList(modules * (layers // len(modules)))


def _initialise(network: nn.Module) -> None:
    """Glorot weights and zero biases, as SchNetPack starts from."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
