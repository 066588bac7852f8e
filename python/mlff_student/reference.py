"""The student networks in NumPy and double precision, written for clarity: what a potential means.

Each forward function stands beside its adjoint (the bar of x, dE/dx, is called `d_x`). Edge (i, j)
has centre i, neighbour j and vector r_j - r_i. Shapes: N atoms, E directed edges, F channels,
K radial functions; s [N, F], v [N, 3, F]. The forward functions also take complex edge vectors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .potential import CheckStructure, Potential, PotentialError
from .units import SYMBOLS

#: MLFF-Distiller's unit vectors are (r_j - r_i) / (r + this), in Angstrom.
_DISTILLER_UNIT_EPSILON = 1e-8


@dataclass
class Evaluation:
    """Results in the potential's units."""

    energy: float
    atomic_energies: np.ndarray  #: [N]
    forces: np.ndarray  #: [N, 3]
    virial: np.ndarray  #: [3, 3], -sum over directed edges of r (x) dE/dr


@dataclass
class Edges:
    """Directed edges within the cutoff, each pair in both directions."""

    centre: np.ndarray  #: [E] i
    neighbour: np.ndarray  #: [E] j
    vectors: np.ndarray  #: [E, 3] r_j - r_i


def evaluate(
    potential: Potential,
    elements: Sequence[str] | Sequence[int],
    positions: np.ndarray,
    cell: np.ndarray | None = None,
) -> Evaluation:
    """Energy, atomic energies, forces and virial of one structure.

    elements: [N] chemical symbols or atomic numbers; positions: [N, 3]; cell: [3, 3] rows, periodic
    in all three directions, of any size and shape, or None; lengths in the potential's unit.
    Raises PotentialError if an element is not in the potential.
    """
    index = element_indices(potential, elements)
    positions = np.asarray(positions, dtype=np.float64)
    edges = find_edges(positions, cell, potential.cutoff)
    network = _network(potential, index, edges)
    atomic_energies = network.forward()
    gradient = network.adjoint()
    forces = network.to_centres(gradient) - network.to_neighbours(gradient)
    virial = -edges.vectors.T @ gradient
    return Evaluation(float(atomic_energies.sum()), atomic_energies, forces, virial)


def atomic_energies(potential: Potential, index: np.ndarray, edges: Edges) -> np.ndarray:
    """[N] energies of given edges, complex vectors allowed; index: [N] rows of the embedding."""
    return _network(potential, index, edges).forward()


def element_indices(potential: Potential, elements: Sequence[str] | Sequence[int]) -> np.ndarray:
    """[N] rows of the embedding for chemical symbols or atomic numbers."""
    symbols = [e if isinstance(e, str) else SYMBOLS[int(e) - 1] for e in elements]
    if unknown := sorted(set(symbols) - set(potential.elements)):
        raise PotentialError(
            f"{potential.file}: elements: {', '.join(unknown)} asked for, "
            f"the potential knows {', '.join(potential.elements)}"
        )
    return np.array([potential.elements.index(symbol) for symbol in symbols], dtype=np.int64)


def find_edges(positions: np.ndarray, cell: np.ndarray | None, cutoff: float) -> Edges:
    """All edges with r < cutoff; in a periodic cell to every image, also of the atom itself."""
    difference = positions[None, :, :] - positions[:, None, :]  # [i, j]
    images = np.zeros((1, 3))
    if cell is not None:
        cell = np.asarray(cell, dtype=np.float64)
        inverse = np.linalg.inv(cell)
        heights = 1.0 / np.linalg.norm(inverse, axis=0)
        difference = difference - np.round(difference @ inverse) @ cell
        n = np.floor(cutoff / heights + 0.5).astype(int)
        images = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in n), indexing="ij"), -1)
        images = images.reshape(-1, 3) @ cell
    found = []
    for image in images:
        vectors = difference + image
        r2 = np.einsum("ijk,ijk->ij", vectors, vectors)
        if not image.any():
            np.fill_diagonal(r2, np.inf)
        i, j = np.nonzero(r2 < cutoff * cutoff)
        found.append((i, j, vectors[i, j]))
    i, j, vectors = (np.concatenate(parts) for parts in zip(*found))
    order = np.lexsort((j, i))
    return Edges(i[order], j[order], vectors[order])


def make_check(potential: Potential) -> CheckStructure:
    """A small cluster with every element of the potential, its energy and forces.

    Deterministic: at least six atoms, each 1.0 to 1.6 Angstrom from its nearest one before and no
    two closer than 0.9.
    """
    elements = [potential.elements[k % len(potential.elements)] for k in range(6)]
    elements += potential.elements[6:]
    rng = np.random.default_rng(20)
    positions = np.zeros((1, 3))
    while len(positions) < len(elements):
        near = positions[rng.integers(max(0, len(positions) - 6), len(positions))]
        direction = rng.normal(size=3)
        candidate = near + rng.uniform(1.0, 1.6) * direction / np.linalg.norm(direction)
        distances = np.linalg.norm(positions - candidate, axis=1)
        if distances.min() >= 0.9 and (distances.max() <= 3.0 or len(positions) >= 6):
            positions = np.vstack([positions, candidate])
    positions = np.round(positions / potential.length_in_angstrom, 4)
    result = evaluate(potential, elements, positions)
    return CheckStructure(elements, positions, None, result.energy, result.forces)


# ------------------------------------------------------------------------------ radial functions


def radial_functions(p: Potential, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """g [E, K] and dg/dr."""
    r = r[:, None]
    if p.radial_functions == "gaussian":
        centers, widths = p.tensor("radial.centers"), p.tensor("radial.widths")
        g = np.exp(-0.5 * ((r - centers) / widths) ** 2)
        return g, -(r - centers) / widths**2 * g
    frequencies = p.tensor("radial.frequencies")
    g = np.sin(frequencies * r) / r
    return g, (frequencies * np.cos(frequencies * r) - g) / r


def cutoff_function(p: Potential, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """fc [E] and dfc/dr for r < cutoff."""
    if p.cutoff_function == "cosine":
        x = np.pi * r / p.cutoff
        return 0.5 * (np.cos(x) + 1.0), -0.5 * np.pi / p.cutoff * np.sin(x)
    x = r / p.cutoff
    with np.errstate(divide="ignore", over="ignore"):
        y = 1.0 - x**2
        fc = np.exp(1.0 - 1.0 / y)
        return fc, np.where(fc == 0, 0.0, -2.0 * x / (p.cutoff * y**2) * fc)


# ---------------------------------------------------------------------------------- dense layers


class _Stack:
    """Dense layers with SiLU after each but the last: `name.0`, `name.1`, ..."""

    def __init__(self, p: Potential, name: str):
        self.layers = []
        while f"{name}.{len(self.layers)}.weight" in p.tensors:
            layer = f"{name}.{len(self.layers)}"
            self.layers.append((p.tensor(f"{layer}.weight"), p.tensor(f"{layer}.bias")))

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Outputs, and the values before each SiLU, which the adjoint needs."""
        before = []
        for k, (weight, bias) in enumerate(self.layers):
            if k:
                before.append(x)
                x = x * _sigmoid(x)
            x = x @ weight.T + bias
        return x, before

    def adjoint(self, d_y: np.ndarray, before: list[np.ndarray]) -> np.ndarray:
        for k in range(len(self.layers) - 1, -1, -1):
            d_y = d_y @ self.layers[k][0]
            if k:
                x = before[k - 1]
                sigmoid = _sigmoid(x)
                d_y = d_y * sigmoid * (1.0 + x * (1.0 - sigmoid))
        return d_y


def _sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


# -------------------------------------------------------------------------------------- networks


class _Network:
    """What both architectures share: edges, sums over them, embedding, read-out and schedule."""

    unit_epsilon = 0.0

    def __init__(self, p: Potential, index: np.ndarray, edges: Edges):
        self.p, self.index = p, index
        self.i, self.j, self.vectors = edges.centre, edges.neighbour, edges.vectors
        self.r = np.sqrt((self.vectors**2).sum(1))
        self.u = self.vectors / (self.r + self.unit_epsilon)[:, None]
        self.g, self.dg_dr = radial_functions(p, self.r)
        self.fc, self.dfc_dr = cutoff_function(p, self.r)
        self.to_centres = _sum_to(self.i, len(index))
        self.to_neighbours = _sum_to(self.j, len(index))
        self.out = _Stack(p, "out")

    def forward(self) -> np.ndarray:
        """[N] atomic energies."""
        s = self.p.tensor("embedding")[self.index]
        v = np.zeros((len(s), 3, self.p.channels))
        self.saved = []
        for l in range(self.p.layers):
            s, v, message = self.message(l, s, v)
            s, v, update = self.update(l, s, v)
            self.saved.append((message, update))
        energies, self.before_out = self.out(s)
        return energies[:, 0] + self.p.tensor("atomic_energies")[self.index]

    def adjoint(self) -> np.ndarray:
        """[E, 3] dE/d(r_j - r_i), each directed edge's vector being a variable of its own."""
        self.d_u, self.d_r = np.zeros_like(self.vectors), np.zeros_like(self.r)
        d_s = self.out.adjoint(np.ones((len(self.index), 1)), self.before_out)
        d_v = np.zeros((len(self.index), 3, self.p.channels))
        for l in range(self.p.layers - 1, -1, -1):
            message, update = self.saved[l]
            d_s, d_v = self.update_adjoint(l, d_s, d_v, *update)
            d_s, d_v = self.message_adjoint(l, d_s, d_v, *message)
        r = (self.r + self.unit_epsilon)[:, None]
        d_r = self.d_r[:, None] - (self.u * self.d_u).sum(1, keepdims=True) / r
        return self.d_u / r + d_r * self.vectors / self.r[:, None]


class _PaiNN(_Network):
    """Schütt, Unke, Gastegger, ICML 2021, as SchNetPack 2 has it."""

    def __init__(self, p: Potential, index: np.ndarray, edges: Edges):
        super().__init__(p, index, edges)
        layers = [0 if p.shared_interactions else l for l in range(p.layers)]
        self.phi = [_Stack(p, f"phi.{l}") for l in layers]
        self.upd = [_Stack(p, f"upd.{l}") for l in layers]
        self.mix = [p.tensor(f"mix.{l}.weight") for l in layers]
        filters = [f"filter.{0 if p.shared_filters else l}" for l in range(p.layers)]
        self.filter = [(p.tensor(f"{f}.weight"), p.tensor(f"{f}.bias")) for f in filters]

    def message(self, l, s, v):
        A, b = self.filter[l]
        h = self.g @ A.T + b
        x, before = self.phi[l](s)
        Wa, Wb, Wc = _thirds(h * self.fc[:, None])
        xa, xb, xc = _thirds(x[self.j])
        v_j = v[self.j]
        s = s + self.to_centres(xa * Wa)
        v = v + self.to_centres(
            (xb * Wb)[:, None, :] * self.u[:, :, None] + (xc * Wc)[:, None, :] * v_j
        )
        return s, v, (h, x, before, v_j)

    def message_adjoint(self, l, d_s, d_v, h, x, before, v_j):
        Wa, Wb, Wc = _thirds(h * self.fc[:, None])
        xa, xb, xc = _thirds(x[self.j])
        d_si, d_vi = d_s[self.i], d_v[self.i]
        u_dv = np.einsum("ea,eaf->ef", self.u, d_vi)
        v_dv = np.einsum("eaf,eaf->ef", v_j, d_vi)
        d_W = np.concatenate([xa * d_si, xb * u_dv, xc * v_dv], axis=1)
        d_x = self.to_neighbours(np.concatenate([Wa * d_si, Wb * u_dv, Wc * v_dv], axis=1))
        self.d_u += np.einsum("ef,eaf->ea", xb * Wb, d_vi)
        d_g = (d_W * self.fc[:, None]) @ self.filter[l][0]
        self.d_r += (d_g * self.dg_dr).sum(1) + (d_W * h).sum(1) * self.dfc_dr
        d_s = d_s + self.phi[l].adjoint(d_x, before)
        d_v = d_v + self.to_neighbours((xc * Wc)[:, None, :] * d_vi)
        return d_s, d_v

    def update(self, l, s, v):
        V, W = np.split(v @ self.mix[l].T, 2, axis=2)
        n = np.sqrt((V**2).sum(1) + self.p.epsilon)
        a, before = self.upd[l](np.concatenate([s, n], axis=1))
        a_s, a_v, a_sv = _thirds(a)
        q = (V * W).sum(1)
        return s + a_s + a_sv * q, v + a_v[:, None, :] * W, (V, W, n, a_v, a_sv, q, before)

    def update_adjoint(self, l, d_s, d_v, V, W, n, a_v, a_sv, q, before):
        d_a = np.concatenate([d_s, (d_v * W).sum(1), d_s * q], axis=1)
        d_s_in, d_n = np.split(self.upd[l].adjoint(d_a, before), 2, axis=1)
        d_q = d_s * a_sv
        d_V = d_q[:, None, :] * W + (d_n / n)[:, None, :] * V
        d_W = d_v * a_v[:, None, :] + d_q[:, None, :] * V
        return d_s + d_s_in, d_v + np.concatenate([d_V, d_W], axis=2) @ self.mix[l]


class _MlffDistiller(_Network):
    """The MLFF-Distiller student: filters behind the cutoff, and mixed Cartesian axes."""

    def __init__(self, p: Potential, index: np.ndarray, edges: Edges):
        self.unit_epsilon = _DISTILLER_UNIT_EPSILON / p.length_in_angstrom
        super().__init__(p, index, edges)
        self.filter = [_Stack(p, f"filter.{l}") for l in range(p.layers)]
        self.upd = [_Stack(p, f"upd.{l}") for l in range(p.layers)]
        self.mixing = [p.tensor(f"mixing.{l}") for l in range(p.layers)]

    def message(self, l, s, v):
        W, before = self.filter[l](self.g * self.fc[:, None])
        W_s, W_v, W_u = _thirds(W)
        s_j, v_j = s[self.j], v[self.j]
        s = s + self.to_centres(s_j * W_s)
        v = v + self.to_centres(v_j * W_v[:, None, :] + self.u[:, :, None] * W_u[:, None, :])
        return s, v, (W, before, s_j, v_j)

    def message_adjoint(self, l, d_s, d_v, W, before, s_j, v_j):
        W_s, W_v, W_u = _thirds(W)
        d_si, d_vi = d_s[self.i], d_v[self.i]
        d_W_v = np.einsum("eaf,eaf->ef", v_j, d_vi)
        d_W_u = np.einsum("ea,eaf->ef", self.u, d_vi)
        d_g = self.filter[l].adjoint(np.concatenate([s_j * d_si, d_W_v, d_W_u], axis=1), before)
        self.d_r += (d_g * (self.dg_dr * self.fc[:, None] + self.g * self.dfc_dr[:, None])).sum(1)
        self.d_u += np.einsum("ef,eaf->ea", W_u, d_vi)
        d_s = d_s + self.to_neighbours(W_s * d_si)
        return d_s, d_v + self.to_neighbours(W_v[:, None, :] * d_vi)

    def update(self, l, s, v):
        n = np.sqrt((v**2).sum(1))
        a, before = self.upd[l](np.concatenate([s, n], axis=1))
        a_s, g1, g2 = _thirds(a)
        mixed = np.einsum("ab,nbf->naf", self.mixing[l], v)
        saved = (v, n, g1, g2, mixed, before)
        return s + a_s, v * g1[:, None, :] + mixed * g2[:, None, :], saved

    def update_adjoint(self, l, d_s, d_v, v, n, g1, g2, mixed, before):
        d_a = np.concatenate([d_s, (d_v * v).sum(1), (d_v * mixed).sum(1)], axis=1)
        d_s_in, d_n = np.split(self.upd[l].adjoint(d_a, before), 2, axis=1)
        d_n = np.where(n > 0, d_n / np.where(n > 0, n, 1.0), 0.0)  # d|v|/dv of v = 0 is taken as 0
        d_mixed = d_v * g2[:, None, :]
        d_v = d_v * g1[:, None, :] + np.einsum("ab,naf->nbf", self.mixing[l], d_mixed)
        return d_s + d_s_in, d_v + d_n[:, None, :] * v


def _network(potential: Potential, index: np.ndarray, edges: Edges) -> _Network:
    return (_PaiNN if potential.architecture == "painn" else _MlffDistiller)(
        potential, index, edges
    )


def _thirds(x: np.ndarray) -> list[np.ndarray]:
    return np.split(x, 3, axis=1)


def _sum_to(index: np.ndarray, n: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function that sums edges' rows [E, ...] into atoms [n, ...]; `index` [E] names them."""
    order = np.argsort(index, kind="stable")
    atoms, starts = np.unique(index[order], return_index=True)

    def total(values: np.ndarray) -> np.ndarray:
        result = np.zeros((n, *values.shape[1:]), dtype=values.dtype)
        if len(atoms):
            result[atoms] = np.add.reduceat(values[order], starts, axis=0)
        return result

    return total
