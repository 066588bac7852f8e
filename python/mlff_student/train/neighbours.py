"""Edges of many structures at once, on the device where their positions are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

LARGEST = 2**23  # candidate pairs looked at in one go


def first_atoms(counts: np.ndarray) -> np.ndarray:
    """First atom of each of S structures with these numbers of atoms, and their sum: [S+1]."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def images(cell: np.ndarray, cutoff: float) -> tuple[int, int, int]:
    """How many periodic images to either side an edge from the nearest one can reach; a cell of
    zeros is not periodic."""
    if not cell.any():
        return (0, 0, 0)
    heights = 1.0 / np.linalg.norm(_inverse(cell), axis=0)
    a, b, c = (int(n) for n in np.floor(cutoff / heights + 0.5))
    return a, b, c


def _inverse(cell: np.ndarray) -> np.ndarray:
    """Inverse of a cell; zeros where it is not periodic."""
    return np.linalg.inv(cell.astype(np.float64)) if cell.any() else np.zeros((3, 3))


def find_edges(
    positions: Tensor, counts: np.ndarray, cells: np.ndarray, cutoff: float
) -> tuple[Tensor, Tensor, Tensor, np.ndarray]:
    """All edges with r < cutoff within each structure, to every periodic image.

    positions [N, 3] of S structures one after the other; counts [S]; cells [S, 3, 3]. Returns
    structure [E], pair [2, E] (neighbour j and centre i, counted within the structure) and shift
    [E, 3], to be added to r_j - r_i, grouped by structure (though not in their order), and the
    structures in the order in which their edges come [S].
    """
    reach = [images(cell, cutoff) for cell in cells]
    order = np.array(sorted(range(len(counts)), key=lambda s: (reach[s], counts[s], s)), np.int64)
    found = [_search(positions, counts, cells, part, reach[part[0]], cutoff)
             for part in _parts(order, counts, reach)]  # fmt: skip
    structure, pair, shift = zip(*found)
    return torch.cat(structure), torch.cat(pair, dim=1), torch.cat(shift), order


def _parts(order: np.ndarray, counts: np.ndarray, reach: list[tuple[int, int, int]]) -> list:
    """`order` in runs of equal reach that have at most LARGEST candidate pairs each."""
    parts: list[list[int]] = []
    for s in order:
        shells = np.prod([2 * n + 1 for n in reach[s]])
        size = int(counts[s]) ** 2 * int(shells)  # of the largest so far, as counts ascend
        if parts and reach[parts[-1][0]] == reach[s] and (len(parts[-1]) + 1) * size <= LARGEST:
            parts[-1].append(int(s))
        else:
            parts.append([int(s)])
    return [np.array(part) for part in parts]


def _search(
    positions: Tensor,
    counts: np.ndarray,
    cells: np.ndarray,
    part: np.ndarray,
    reach: tuple[int, int, int],
    cutoff: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """structure, pair and shift of the structures `part`, which have this reach."""
    first, counts, cells = first_atoms(counts)[part], counts[part], cells[part]
    to = {"device": positions.device, "dtype": positions.dtype}
    most = int(counts.max())
    slot = np.minimum(np.arange(most), counts[:, None] - 1)
    x = positions[torch.as_tensor(first[:, None] + slot, device=positions.device)]  # [S, A, 3]
    atoms = torch.as_tensor(np.arange(most) < counts[:, None], device=positions.device)  # [S, A]
    cell = torch.as_tensor(cells).to(**to)
    difference = x[:, None, :, :] - x[:, :, None, :]  # [S, i, j, 3]
    turns = torch.zeros_like(difference)
    if cells.any():
        inverse = torch.as_tensor(np.array([_inverse(c) for c in cells])).to(**to)
        turns = -torch.round(torch.einsum("sijk,skl->sijl", difference, inverse))
    ranges = [torch.arange(-n, n + 1, **to) for n in reach]
    image = torch.cartesian_prod(*ranges)  # [R, 3]
    shift = torch.einsum("sijrk,skl->sijrl", turns[:, :, :, None, :] + image, cell)
    r2 = (difference[:, :, :, None, :] + shift).square().sum(dim=4)
    near = (r2 < cutoff * cutoff) & (atoms[:, :, None] & atoms[:, None, :])[..., None]
    near &= ~(torch.eye(most, dtype=torch.bool, device=positions.device)[:, :, None]
              & (image == 0).all(dim=1))  # fmt: skip
    s, i, j, r = near.nonzero(as_tuple=True)
    structure = torch.as_tensor(part, device=positions.device)[s]
    return structure, torch.stack([j, i]), shift[s, i, j, r]
