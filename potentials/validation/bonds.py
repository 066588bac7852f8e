"""Bonds by distance: which there are at first, and whether a trajectory breaks one or forms another."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols, covalent_radii

#: A bond at first, a broken bond, and a new one, in sums of covalent radii (Cordero et al., Dalton Trans. 2008,
#: 2832). That the last two lie far apart keeps vibrations and hydrogen bonds from counting.
BONDED, BROKEN, FORMED = 1.25, 1.6, 1.15


def bonded(numbers: np.ndarray, positions: np.ndarray, edges: np.ndarray | None) -> np.ndarray:
    """[n, n] whether two atoms share a bond; edges [3] of a periodic box, or None."""
    close = _distances(positions, edges) < BONDED * _sums(numbers)
    np.fill_diagonal(close, False)
    return close


def first_change(
    numbers: np.ndarray, frames: np.ndarray, edges: np.ndarray | None, bonds: np.ndarray
) -> tuple[int, str] | None:
    """Index of the first frame in which a bond is broken or formed, or a coordinate is not a number, and what.

    numbers: [n]; frames: [M, n, 3]; edges: [M, 3] of a periodic box, or None; bonds: [n, n] those at first.
    """
    sums = _sums(numbers)
    apart = ~bonds
    np.fill_diagonal(apart, False)
    for k, frame in enumerate(frames):
        if not np.isfinite(frame).all():
            return k, "a position is not a number"
        distances = _distances(frame, None if edges is None else edges[k])
        broken = np.argwhere(np.triu(bonds & (distances > BROKEN * sums)))
        formed = np.argwhere(np.triu(apart & (distances < FORMED * sums)))
        for pairs, word in ((broken, "broken"), (formed, "formed")):
            if len(pairs):
                i, j = pairs[0]
                names = "-".join(f"{chemical_symbols[numbers[a]]}{a + 1}" for a in (i, j))
                return k, f"bond {names} {word} ({distances[i, j]:.2f} Å)"
    return None


def to_closest_images(vectors: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The vectors [..., 3] to the closest images in an orthorhombic box with these edges [3]."""
    return vectors - np.round(vectors / edges) * edges


def _sums(numbers: np.ndarray) -> np.ndarray:
    radii = covalent_radii[numbers]
    return np.add.outer(radii, radii)


def _distances(positions: np.ndarray, edges: np.ndarray | None) -> np.ndarray:
    """[n, n]; of the closest images in an orthorhombic box."""
    vectors = positions[:, None] - positions
    if edges is not None:
        vectors = to_closest_images(vectors, edges)
    return np.linalg.norm(vectors, axis=-1)
