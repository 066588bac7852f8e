"""Molecular dynamics of many structures at once with a committee of students, to find structures
that it has not learnt: those where its members disagree.

Molecules, clusters and periodic boxes run side by side, at one temperature each. Langevin dynamics
in the splitting BAOAB: B. Leimkuhler, C. Matthews, J. Chem. Phys. 138 (2013) 174102.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from ase import units
from ase.data import atomic_masses
from torch import Tensor

from .committee import Committee, disagreement, frame_numbers
from .config import Active
from .frames import Frames
from .neighbours import find_edges, first_atoms

SKIN = 0.8  # Angstrom


class TimeIsUp(Exception):
    """The time limit was reached."""


@dataclass
class Found:
    """A structure met on a trajectory."""

    trajectory: int  # index of its start
    step: int
    reason: str  # threshold: the committee disagrees; upper: just before it did much; random
    disagreement: float  # eV/Angstrom, see committee.py
    positions: np.ndarray  # [n, 3] Angstrom


@dataclass
class Exploration:
    """What some trajectories gave."""

    found: list[Found] = field(default_factory=list)
    disagreements: list[np.ndarray] = field(default_factory=list)  # of all, check after check
    ended: dict[str, int] = field(default_factory=lambda: {"threshold": 0, "upper": 0, "end": 0})
    steps: int = 0  # of all structures together
    seconds: float = 0.0


class Simulation:
    """S structures in motion; those that are not wanted any longer are taken out."""

    def __init__(
        self,
        committee: Committee,
        starts: Frames,
        temperatures: np.ndarray,  # [S] K
        members: list[int],  # whose mean force drives the atoms
        settings: Active,
        seed: int,
    ) -> None:
        device = committee.device
        self.committee, self.members, self.settings = committee, members, settings
        self.generator = torch.Generator(device).manual_seed(seed)
        self.counts, self.cells = starts.counts.astype(np.int64), starts.cells
        self.trajectory = np.arange(len(starts))
        to = {"device": device, "dtype": torch.float32}
        self.frame = torch.as_tensor(frame_numbers(starts), device=device)
        self.species = committee.species(starts.numbers)
        self.positions = torch.tensor(starts.positions, **to)  # a copy, which moves
        masses = torch.as_tensor(atomic_masses[starts.numbers]).to(**to)[:, None]
        energy = torch.as_tensor(units.kB * temperatures).to(**to)[self.frame, None]
        self.inverse_mass, self.thermal = 1 / masses, torch.sqrt(energy / masses)
        self.velocities = self.thermal * self._noise()
        self._list_edges()
        self.force = self._mean_force()

    def __len__(self) -> int:
        return len(self.counts)

    def step(self) -> None:
        """One time step."""
        h = self.settings.timestep * units.fs
        kept = math.exp(-self.settings.friction * self.settings.timestep)
        self.velocities += 0.5 * h * self.force * self.inverse_mass
        self.positions += 0.5 * h * self.velocities
        random = math.sqrt(1 - kept * kept) * self.thermal * self._noise()
        self.velocities = kept * self.velocities + random
        self.positions += 0.5 * h * self.velocities
        self.force = self._mean_force()
        self.velocities += 0.5 * h * self.force * self.inverse_mass

    def disagreement(self) -> np.ndarray:
        """Of the committee on each structure [S] (eV/Angstrom); infinite where it is no number."""
        forces = self.committee.forces(list(range(len(self.committee))), self._graph())
        found = disagreement(forces, self.frame, len(self)).cpu().numpy()
        return np.where(np.isfinite(found), found, np.inf)

    def structure(self, s: int) -> slice:
        """The atoms of a structure."""
        first = first_atoms(self.counts)
        return slice(int(first[s]), int(first[s + 1]))

    def keep(self, wanted: np.ndarray) -> None:
        """Take out all structures but those `wanted` [S] (bool)."""
        device = self.positions.device
        atoms = torch.as_tensor(np.repeat(wanted, self.counts), device=device)
        self.counts, self.cells = self.counts[wanted], self.cells[wanted]
        self.trajectory = self.trajectory[wanted]
        for name in ("species", "positions", "velocities", "force", "inverse_mass", "thermal"):
            setattr(self, name, getattr(self, name)[atoms])
        self.frame = torch.repeat_interleave(torch.as_tensor(self.counts, device=device))
        if len(self):
            self._list_edges()

    def _noise(self) -> Tensor:
        shape, device = self.positions.shape, self.positions.device
        return torch.randn(shape, generator=self.generator, device=device)

    def _mean_force(self) -> Tensor:
        return self.committee.forces(self.members, self._graph()).mean(dim=0)

    def _list_edges(self) -> None:
        """List the edges within the cutoff and a skin, and where the atoms are now."""
        reach = self.committee.cutoff + SKIN
        structure, pair, self.shift, _ = find_edges(
            self.positions, self.counts, self.cells, reach
        )
        first = torch.as_tensor(first_atoms(self.counts), device=self.positions.device)
        self.pair = pair + first[structure]
        self.listed = self.positions.clone()

    def _graph(self) -> tuple[Tensor, Tensor, Tensor]:
        """Species, edge_index and edge_vec of all edges within the cutoff."""
        moved = (self.positions - self.listed).square().sum(dim=1).max()
        if not float(moved) <= (0.5 * SKIN) ** 2:
            self._list_edges()
        vectors = self.positions[self.pair[0]] - self.positions[self.pair[1]] + self.shift
        near = vectors.square().sum(dim=1) < self.committee.cutoff**2
        return self.species, self.pair[:, near], vectors[near]


def explore(
    simulation: Simulation, threshold: float, upper: float, deadline: float = math.inf
) -> Exploration:
    """Run until all trajectories have ended or `length` steps are done.

    Every `check` steps the committee is asked. Above `threshold` (eV/Angstrom) a trajectory ends
    and gives its structure; above `upper` it ends and gives the structure of the check before, as
    the student may have made something unphysical since, or its start. Every trajectory also gives
    one structure at a random check, if it gets there. Raises TimeIsUp after `deadline` (of
    time.monotonic).
    """
    settings, result, begin = simulation.settings, Exploration(), time.monotonic()
    checks = settings.length // settings.check
    rng = np.random.default_rng(simulation.generator.initial_seed())
    random = rng.integers(1, checks + 1, len(simulation))  # of the trajectories
    before: dict[int, tuple[float, np.ndarray]] = {}
    for check in range(checks + 1):
        for _ in range(settings.check if check else 0):
            simulation.step()
            if time.monotonic() > deadline:
                raise TimeIsUp
        spread = simulation.disagreement()
        positions = simulation.positions.cpu().numpy()
        result.disagreements.append(spread[np.isfinite(spread)])
        result.steps += settings.check * len(simulation) if check else 0
        for s, t in enumerate(simulation.trajectory):
            now = float(spread[s]), positions[simulation.structure(s)].copy()
            step = check * settings.check
            reason = "upper" if now[0] > upper else "threshold" if now[0] > threshold else ""
            if reason:
                value, x = before.get(t, now) if reason == "upper" else now
                step -= settings.check if reason == "upper" and check else 0
                result.found.append(Found(int(t), step, reason, value, x))
                result.ended[reason] += 1
            elif random[t] == check:
                result.found.append(Found(int(t), step, "random", *now))
            before[t] = now
        simulation.keep(spread <= threshold)
        if not len(simulation):
            break
    result.ended["end"] = len(simulation)
    result.seconds = time.monotonic() - begin
    return result
