"""Several networks for the same thing: where they disagree, none of them is to be trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..networks import energies_and_forces, from_potential
from ..potential import Potential
from .batches import Data, species_rows
from .config import ConfigError
from .evaluate import EDGES
from .frames import Frames
from .step import sum_by_frame


class Committee:
    """K networks that know the same elements, in single precision on a device."""

    def __init__(self, files: list[Path], device: torch.device) -> None:
        self.potentials = [Potential.read(file) for file in files]
        first = self.potentials[0]
        for other in self.potentials[1:]:
            if (other.elements, other.cutoff) != (first.elements, first.cutoff):
                raise ConfigError(
                    f"{other.file}: has other elements or another cutoff than {first.file}; a "
                    "committee must agree on both"
                )
        self.elements, self.cutoff, self.device = first.elements, first.cutoff, device
        self.networks = [from_potential(p, torch.float32).to(device) for p in self.potentials]
        for network in self.networks:
            network.requires_grad_(False)

    def __len__(self) -> int:
        return len(self.networks)

    def forces(self, members: list[int], graph: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Forces of these members [members, N, 3] (eV/Angstrom); graph as networks.py has it."""
        return torch.stack([energies_and_forces(self.networks[k], *graph)[1] for k in members])

    def species(self, numbers: np.ndarray) -> Tensor:
        """Rows of the embedding [N] for atomic numbers."""
        return torch.as_tensor(species_rows(numbers, self.elements), device=self.device)

    def predict(self, frames: Frames) -> tuple[np.ndarray, np.ndarray]:
        """Deviation of each member's energies per atom from the labels [K, M] (eV) and its forces
        [K, N, 3] (eV/Angstrom)."""
        energies: list[list[np.ndarray]] = [[] for _ in self.networks]
        forces: list[list[np.ndarray]] = [[] for _ in self.networks]
        to = {"device": self.device, "dtype": torch.float32}
        known: np.ndarray | None = None
        for k, (network, potential) in enumerate(zip(self.networks, self.potentials)):
            atomic_energies = potential.tensor("atomic_energies")
            if known is None or not np.array_equal(atomic_energies, known):
                known = atomic_energies  # mostly the same for all members
                data = Data(frames, self.elements, known, self.cutoff, **to)
            for batch in data.batches(np.arange(len(frames)), EDGES[self.device.type]):
                atoms, force, _ = energies_and_forces(network, *batch.graph())
                deviation = sum_by_frame(atoms, batch) - batch.energies
                energies[k].append((deviation / batch.counts).cpu().numpy())
                forces[k].append(force[:-1].cpu().numpy())
        return (
            np.stack([np.concatenate(parts) for parts in energies]),
            np.stack([np.concatenate(parts) for parts in forces]),
        )


def disagreement(forces: Tensor, frame: Tensor, frames: int) -> Tensor:
    """Largest standard deviation over the members [frames] (eV/Angstrom) of an atom's force.

    forces [K, N, 3]; frame [N]: what frame an atom is in. The variance of a force is the mean
    square of its vector's distance from the mean over the members.
    """
    deviation = forces - forces.mean(dim=0)
    spread = deviation.square().sum(dim=2).mean(dim=0).sqrt()
    return torch.zeros(frames, dtype=spread.dtype, device=spread.device).scatter_reduce(
        0, frame, spread, "amax"
    )


def disagreement_on(forces: np.ndarray, frames: Frames) -> np.ndarray:
    """The same for predicted forces [K, N, 3] of these frames [M]."""
    frame = torch.as_tensor(frame_numbers(frames))
    return disagreement(torch.as_tensor(forces), frame, len(frames)).numpy()


def frame_numbers(frames: Frames) -> np.ndarray:
    """The frame of each atom [N]."""
    return np.repeat(np.arange(len(frames)), frames.counts)


def force_errors(forces: np.ndarray, frames: Frames) -> np.ndarray:
    """Largest deviation of an atom's force from its label in each frame, mean over the members
    [M] (eV/Angstrom); forces [K, N, 3]."""
    deviation = np.linalg.norm(forces - frames.forces, axis=2)  # [K, N]
    return np.maximum.reduceat(deviation, frames.offsets[:-1], axis=1).mean(axis=0)
