"""Errors of a network on labelled frames, in all and for each molecule."""

from __future__ import annotations

import numpy as np
from torch import nn

from .batches import Data
from .config import Training
from .step import frame_losses, residuals, sum_by_frame

EDGES = {"cpu": 10_000, "cuda": 200_000}  # at a time


def deviations(
    network: nn.Module, data: Data, index: np.ndarray, settings: Training
) -> dict[str, np.ndarray]:
    """For each frame of `index`: loss, deviation of the energy per atom (eV), sums of |dF| and
    dF^2 over the components of all forces, and their number."""
    found: dict[str, list[np.ndarray]] = {}
    for batch in data.batches(index, EDGES[data.positions.device.type]):
        energy, force = residuals(network, batch, False)
        rows = {
            "loss": frame_losses(energy, force, batch, settings),
            "energy": energy,
            "absolute": sum_by_frame(force.abs().sum(dim=1), batch),
            "square": sum_by_frame(force.square().sum(dim=1), batch),
            "components": 3 * batch.counts,
        }
        for name, tensor in rows.items():
            found.setdefault(name, []).append(tensor.detach().cpu().double().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def errors(
    found: dict[str, np.ndarray], chosen: np.ndarray | slice = slice(None)
) -> dict[str, float]:
    """Mean absolute and root mean square errors: energy in meV/atom, forces in meV/Angstrom."""
    energy = found["energy"][chosen]
    components = found["components"][chosen].sum()
    return {
        "frames": len(energy),
        "energy_mae_meV_per_atom": 1e3 * float(np.abs(energy).mean()),
        "energy_rmse_meV_per_atom": 1e3 * float(np.sqrt((energy**2).mean())),
        "force_mae_meV_per_A": 1e3 * float(found["absolute"][chosen].sum() / components),
        "force_rmse_meV_per_A": 1e3 * float(np.sqrt(found["square"][chosen].sum() / components)),
    }


def errors_by_molecule(
    found: dict[str, np.ndarray], groups: np.ndarray, names: list[str]
) -> dict[str, dict[str, float]]:
    """`errors` of all frames ("all") and of each molecule; groups [frames]: index into names."""
    table = {"all": errors(found)}
    for group in np.unique(groups):
        table[names[group]] = errors(found, groups == group)
    return table
