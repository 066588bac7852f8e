"""Frames as tensors of fixed shape on the training device, so that a batch is a few index_selects.

Every frame is padded to A atoms and E edges. Padding atoms are not counted in the loss; padding
edges lie beyond the cutoff, where PaiNN's filters are exactly zero.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from ..reference import find_edges
from ..units import SYMBOLS
from .config import ConfigError
from .frames import Frames


@dataclass
class Batch:
    """B frames with A atoms and E edges each; `edges` count within the frame."""

    species: Tensor  # [B, A] int64
    present: Tensor  # [B, A] 1 for atoms, 0 for padding
    positions: Tensor  # [B, A, 3] Angstrom
    edges: Tensor  # [B, 2, E] int64: neighbour, centre
    shifts: Tensor  # [B, E, 3] Angstrom, added to r_j - r_i
    energies: Tensor  # [B] eV, without atomic energies
    forces: Tensor  # [B, A, 3] eV/Angstrom

    def select(self, index: Tensor) -> Batch:
        """The frames of these indices."""
        return Batch(*(getattr(self, f.name).index_select(0, index) for f in fields(self)))

    def graph(self) -> tuple[Tensor, Tensor, Tensor]:
        """Species [BA], edge_index [2, BE] and edge_vec [BE, 3] as a network takes them."""
        frames, atoms = self.species.shape
        first = torch.arange(frames, device=self.species.device) * atoms
        edge_index = (self.edges + first[:, None, None]).transpose(0, 1).reshape(2, -1)
        positions = self.positions.reshape(-1, 3)
        j, i = edge_index[0], edge_index[1]
        vec = positions.index_select(0, j) - positions.index_select(0, i)
        return self.species.reshape(-1), edge_index, vec + self.shifts.reshape(-1, 3)


def species_rows(numbers: np.ndarray, elements: list[str]) -> np.ndarray:
    """Row of the embedding for each atomic number."""
    symbols = [SYMBOLS[n - 1] for n in np.unique(numbers)]
    if unknown := [s for s in symbols if s not in elements]:
        raise ConfigError(
            f"data: {', '.join(unknown)} not among the elements {', '.join(elements)}"
        )
    table = np.full(len(SYMBOLS) + 1, -1)
    for row, symbol in enumerate(elements):
        table[SYMBOLS.index(symbol) + 1] = row
    return table[numbers]


def fit_atomic_energies(frames: Frames, index: np.ndarray, elements: list[str]) -> np.ndarray:
    """Energy of each element [Z] (eV) by least squares over the frames of these indices."""
    counts = compositions(frames, elements)[index]
    return np.linalg.lstsq(counts, frames.energies[index], rcond=None)[0]


def compositions(frames: Frames, elements: list[str]) -> np.ndarray:
    """Number of atoms of each element in each frame [M, Z]."""
    rows = species_rows(frames.numbers, elements)
    frame = np.repeat(np.arange(len(frames)), frames.counts)
    counts = np.zeros((len(frames), len(elements)))
    np.add.at(counts, (frame, rows), 1)
    return counts


def make_batch(
    frames: Frames, elements: list[str], atomic_energies: np.ndarray, cutoff: float, **to: object
) -> Batch:
    """All frames as one padded batch; `to` holds device and dtype of the floating-point tensors."""
    M, A = len(frames), int(frames.counts.max())
    offsets = frames.offsets
    slot = np.arange(len(frames.numbers)) - np.repeat(offsets[:-1], frames.counts)
    place = (np.repeat(np.arange(M), frames.counts), slot)
    species, present = np.zeros((M, A), np.int64), np.zeros((M, A))
    positions, forces = np.zeros((M, A, 3)), np.zeros((M, A, 3))
    species[place] = species_rows(frames.numbers, elements)
    present[place] = 1
    positions[place], forces[place] = frames.positions, frames.forces
    edges, shifts = _padded_edges(frames, cutoff)
    residual = frames.energies - compositions(frames, elements) @ atomic_energies

    def real(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array).to(**to)

    def whole(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array).to(device=to.get("device"))

    return Batch(
        whole(species), real(present), real(positions), whole(edges), real(shifts),
        real(residual), real(forces),
    )  # fmt: skip


def _padded_edges(frames: Frames, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges [M, 2, E] within the frames and the shifts [M, E, 3] of periodic images."""
    found, offsets = [], frames.offsets
    for k in range(len(frames)):
        positions = frames.positions[offsets[k] : offsets[k + 1]].astype(np.float64)
        cell = frames.cells[k].astype(np.float64) if frames.cells[k].any() else None
        edges = find_edges(positions, cell, cutoff)
        pair = np.stack([edges.neighbour, edges.centre])
        found.append((pair, edges.vectors - (positions[pair[0]] - positions[pair[1]])))
    most = max(1, max(pair.shape[1] for pair, _ in found))
    edges = np.zeros((len(found), 2, most), np.int64)
    shifts = np.zeros((len(found), most, 3))
    shifts[:, :, 0] = 2 * cutoff  # padding: an edge from atom 0 to itself, beyond the cutoff
    for k, (pair, shift) in enumerate(found):
        edges[k, :, : pair.shape[1]] = pair
        shifts[k, : pair.shape[1]] = shift
    return edges, shifts
