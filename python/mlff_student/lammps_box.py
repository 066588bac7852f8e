"""How atoms in any cell, periodic or not, are placed into a box as LAMMPS wants it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np


class StructureError(ValueError):
    """A structure that cannot be evaluated; the text says why."""


@dataclass(frozen=True)
class Placement:
    """Atoms in a box with the corner at the origin, periodic in all three directions."""

    box: np.ndarray  #: [3, 3] rows a, b, c; lower triangular, positive diagonal, small tilts
    positions: np.ndarray  #: [N, 3] inside the box
    rotation: (
        np.ndarray
    )  #: [3, 3] proper; a row vector v of the structure is v @ rotation in the box

    @property
    def is_rotated(self) -> bool:
        return not np.array_equal(self.rotation, np.eye(3))

    def vectors_back(self, vectors: np.ndarray) -> np.ndarray:
        """[..., 3] vectors of the box in the structure's orientation."""
        return vectors @ self.rotation.T

    def tensors_back(self, tensors: np.ndarray) -> np.ndarray:
        """[..., 3, 3] tensors of the box in the structure's orientation."""
        return self.rotation @ tensors @ self.rotation.T


def place(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, clearance: float) -> Placement:
    """Places atoms into a box with the same lattice.

    positions: [N, 3]; cell: [3, 3] rows, those of open directions are ignored; pbc: [3] bool. In open
    directions the box ends `clearance` beyond the outermost atoms, so with `clearance` at least half the
    cutoff no atom sees an image in them. The structure is rotated only if no order of its lattice vectors is
    lower triangular as it stands. Raises StructureError.
    """
    positions, cell = np.asarray(positions, dtype=float), np.asarray(cell, dtype=float)
    _check_numbers(positions, cell)
    periodic = np.flatnonzero(pbc)
    lattice = cell[periodic]
    _check_lattice(lattice, periodic)
    open_directions = _orthogonal_directions(lattice)
    heights = positions @ open_directions.T
    low, high = heights.min(axis=0), heights.max(axis=0)
    widths = high - low + 2 * clearance
    positions = positions + (clearance - low) @ open_directions
    basis = np.vstack([lattice, widths[:, None] * open_directions])
    box, rotation = _restricted(basis)
    box = _with_small_tilts(box)
    positions = positions @ rotation if not np.array_equal(rotation, np.eye(3)) else positions
    images = np.floor(positions @ np.linalg.inv(box))
    return Placement(box, positions - images @ box, rotation)


def _check_numbers(positions: np.ndarray, cell: np.ndarray) -> None:
    wrong = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(wrong):
        raise StructureError(
            f"the position of atom {wrong[0] + 1} is {positions[wrong[0]]}, not a number"
        )
    if not np.isfinite(cell).all():
        raise StructureError(f"the cell holds something that is not a number: {cell.tolist()}")


def _check_lattice(lattice: np.ndarray, periodic: np.ndarray) -> None:
    if len(lattice) == 0:
        return
    values = np.linalg.svd(lattice, compute_uv=False)
    if values[-1] <= 1e-10 * values[0]:
        names = ", ".join("abc"[k] for k in periodic)
        raise StructureError(
            f"periodic along {names}, but these cell vectors span no lattice: {lattice.tolist()}; "
            "give the cell, or make the structure non-periodic"
        )


def _orthogonal_directions(lattice: np.ndarray) -> np.ndarray:
    """[3 - P, 3] unit vectors at right angles to the P rows of `lattice` and to each other."""
    if len(lattice) == 3:
        return np.zeros((0, 3))
    if len(lattice) == 0:
        return np.eye(3)
    if len(lattice) == 2:
        normal = np.cross(*lattice)
        return (normal / np.linalg.norm(normal))[None, :]
    along = lattice[0] / np.linalg.norm(lattice[0])
    first = np.eye(3)[np.argmin(np.abs(along))]
    first = first - (first @ along) * along
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(along, first)])


def _restricted(basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A lower triangular basis with positive diagonal of the same lattice, and the rotation into it."""
    sizes = np.linalg.norm(basis, axis=1)
    for order in permutations(range(3)):
        box = basis[list(order)]
        above = np.abs(box[np.triu_indices(3, 1)])
        if (above <= 1e-14 * sizes.max()).all():
            return np.tril(box) * np.sign(np.diag(box))[:, None], np.eye(3)
    if (
        np.linalg.det(basis) < 0
    ):  # -c spans the same lattice; a reflection would be another structure
        basis = basis * np.array([[1], [1], [-1]])
    q, r = np.linalg.qr(basis.T)
    signs = np.sign(np.diag(r))
    return np.tril((r * signs[:, None]).T), q * signs


def _with_small_tilts(box: np.ndarray) -> np.ndarray:
    """The same lattice with tilts of at most half an edge: fewer ghosts, and never refused by LAMMPS."""
    a, b, c = box
    b = b - np.round(b[0] / a[0]) * a
    c = c - np.round(c[1] / b[1]) * b
    c = c - np.round(c[0] / a[0]) * a
    return np.stack([a, b, c])
