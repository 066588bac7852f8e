"""Frames on the training device, and batches of them that all have the same shape.

A batch holds as many frames as fit into fixed numbers of atoms and edges, one after the other, so
that a step is recorded and compiled once and little of it is spent on padding, whether frames have
three atoms or three hundred. Padding atoms belong to no frame; padding edges lie beyond the cutoff,
where PaiNN's filters are exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..units import SYMBOLS
from .config import ConfigError
from .frames import Frames
from .neighbours import find_edges, first_atoms


@dataclass
class Batch:
    """B frames, A atoms and E edges, padding included."""

    species: Tensor  # [A] int64
    frame: Tensor  # [A] int64: the atom's frame; B for padding
    positions: Tensor  # [A, 3] Angstrom
    forces: Tensor  # [A, 3] eV/Angstrom
    edges: Tensor  # [2, E] int64: neighbour, centre
    shifts: Tensor  # [E, 3] Angstrom, added to r_j - r_i
    counts: Tensor  # [B] atoms of each frame; 0 for an empty place
    energies: Tensor  # [B] eV, without atomic energies

    def graph(self) -> tuple[Tensor, Tensor, Tensor]:
        """Species [A], edge_index [2, E] and edge_vec [E, 3] as a network takes them."""
        j, i = self.edges[0], self.edges[1]
        vec = self.positions.index_select(0, j) - self.positions.index_select(0, i)
        return self.species, self.edges, vec + self.shifts


@dataclass(frozen=True)
class Size:
    """What a batch has room for."""

    frames: int
    atoms: int  # without the one that padding edges belong to
    edges: int


class Data:
    """M frames with N atoms and all their edges as tensors; `select` makes a batch of some.

    Frame M, atom N and the last edge stand for padding.
    """

    def __init__(
        self,
        frames: Frames,
        elements: list[str],
        atomic_energies: np.ndarray,
        cutoff: float,
        **to: object,  # device, and dtype of the floating-point tensors
    ) -> None:
        device = to.get("device")
        whole = lambda array: torch.as_tensor(array, dtype=torch.int64, device=device)  # noqa: E731
        real = lambda array: torch.as_tensor(array).to(**to)  # noqa: E731
        counts = frames.counts.astype(np.int64)
        positions = real(frames.positions)
        structure, pair, shifts, order = find_edges(positions, counts, frames.cells, cutoff)
        edges = torch.bincount(structure, minlength=len(frames)).cpu().numpy()
        first_edge = np.empty(len(frames), np.int64)
        first_edge[order] = first_atoms(edges[order])[:-1]
        residual = frames.energies - compositions(frames, elements) @ atomic_energies
        self.sizes = {"atoms": counts, "edges": edges}  # [M] each, for planning on the host
        self.counts, self.edge_counts = whole([*counts, 0]), whole([*edges, 0])
        self.first_atom = whole(first_atoms(counts))
        self.first_edge = whole([*first_edge, edges.sum()])
        self.species = whole([*species_rows(frames.numbers, elements), 0])
        zero = positions.new_zeros((1, 3))
        self.positions = torch.cat([positions, zero])
        self.forces = torch.cat([real(frames.forces), zero])
        self.energies = real([*residual, 0.0])
        self.pair = torch.nn.functional.pad(pair, (0, 1)).to(torch.int32)
        far = positions.new_tensor([[2 * cutoff, 0.0, 0.0]])
        self.shifts = torch.cat([shifts, far])

    def __len__(self) -> int:
        return len(self.counts) - 1

    def size(self, frames: float, index: np.ndarray) -> Size:
        """Room for this many frames of those of `index`, on average, and for the largest frame.

        There is more room for atoms than for edges, which take most of the time: a batch that
        happens to have many atoms can still be filled with edges.
        """
        share = {"atoms": 1.15 * frames, "edges": frames}
        room = {
            name: max(math.ceil(share[name] * number[index].mean()), int(number.max(initial=1)), 1)
            for name, number in self.sizes.items()
        }
        return Size(frames=2 * math.ceil(frames), **room)

    def plan(self, order: np.ndarray, size: Size) -> list[np.ndarray]:
        """The frames of `order`, one batch after the other, as many as fit in each."""
        total = {name: np.cumsum(number[order]) for name, number in self.sizes.items()}
        batches, start = [], 0
        while start < len(order):
            stop = start + size.frames
            for name, sums in total.items():
                before = sums[start - 1] if start else 0
                stop = min(stop, np.searchsorted(sums, before + getattr(size, name), "right"))
            batches.append(order[start : max(int(stop), start + 1)])
            start += len(batches[-1])
        return batches

    def fill(self, batches: list[np.ndarray], size: Size) -> Tensor:
        """The batches as rows of frames for `select` [batches, size.frames], on the device."""
        rows = np.full((len(batches), size.frames), len(self))
        for row, batch in zip(rows, batches):
            row[: len(batch)] = batch
        return torch.as_tensor(rows, device=self.counts.device)

    def select(self, index: Tensor, size: Size) -> Batch:
        """The batch of these frames [size.frames]; they fit, as `plan` saw to. No step of it waits
        for the device, and all shapes follow from `size`."""
        counts, M = self.counts.index_select(0, index), len(self.counts) - 1
        index_or_padding = torch.cat([index, index.new_full((1,), M)])
        place, local = _places(counts, size.atoms + 1)
        atom = self.first_atom.index_select(0, index_or_padding.index_select(0, place)) + local
        atom = atom.masked_fill(place >= size.frames, len(self.species) - 1)
        edge_place, local = _places(self.edge_counts.index_select(0, index), size.edges)
        edge = self.first_edge.index_select(0, index_or_padding.index_select(0, edge_place)) + local
        padding = edge_place >= size.frames
        edge = edge.masked_fill(padding, self.pair.shape[1] - 1)
        start = torch.nn.functional.pad(counts.cumsum(0) - counts, (0, 1))
        pair = self.pair.index_select(1, edge) + start.index_select(0, edge_place)
        return Batch(
            species=self.species.index_select(0, atom),
            frame=place,
            positions=self.positions.index_select(0, atom),
            forces=self.forces.index_select(0, atom),
            edges=pair.masked_fill(padding, size.atoms),
            shifts=self.shifts.index_select(0, edge),
            counts=counts,
            energies=self.energies.index_select(0, index),
        )

    def batches(self, index: np.ndarray, edges: int) -> Iterator[Batch]:
        """The frames of `index` in order, about this many edges at a time, without padding."""
        most = Size(len(index), int(self.sizes["atoms"][index].sum()), edges)
        for batch in self.plan(index, most):
            size = Size(len(batch), *(int(number[batch].sum()) for number in self.sizes.values()))
            yield self.select(torch.as_tensor(batch, device=self.counts.device), size)


def _places(counts: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """Frame of each of the slots, and the slot's number within it, when frames with these counts
    follow each other; slots that are left over are in frame B."""
    ends = counts.cumsum(0)
    slot = torch.arange(slots, device=counts.device)
    place = torch.searchsorted(ends, slot, right=True)
    starts = torch.nn.functional.pad(ends, (1, 0))
    return place, slot - starts.index_select(0, place)


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
