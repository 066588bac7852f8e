#!/usr/bin/env python3
"""The teacher's short molecular dynamics of liquids: radial distributions and pressure.

python potentials/validation/liquid_teacher.py --scratch FOLDER --time-limit 3600

A step of 96 atoms takes seconds, so this stops when told to and continues from its checkpoints; then whatever there
is becomes teacher/liquid-NAME.json. NVT at 300 K and the experimental density by Langevin's equation. Hydrogen weighs
4 u, which allows a step of 1.5 fs and leaves every classical average over configurations as it is.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
from ase import units
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from scipy.stats import sem

from liquids import BOXES, TEMPERATURE, distributions
from mlff_student.atomic_file import replaced_when_complete
from pressures import ideal_pressure, virial_pressure
from results import store
from structures import FOLDER as STRUCTURES
from teacher import FOLDER, teacher

TIMESTEP = 1.5  # fs
FRICTION = 0.02  # 1/fs
HYDROGEN_MASS = 4.0  # u
SPACING = 4  # steps from frame to frame
BURST = 8  # steps before it is another liquid's turn
EQUILIBRATION_FS = 150.0  # left out of all averages


class Trajectory:
    """One liquid's dynamics, kept in a file of frames that it continues from."""

    def __init__(self, box: str, scratch: Path):
        self.box, self.file = box, scratch / f"{box}.npz"
        self.atoms = read(STRUCTURES / f"{box}.extxyz")
        masses = self.atoms.get_masses()
        self.atoms.set_masses(np.where(self.atoms.numbers == 1, HYDROGEN_MASS, masses))
        self.positions, self.pressures, self.temperatures = [], [], []
        random = np.random.default_rng(1)
        MaxwellBoltzmannDistribution(self.atoms, temperature_K=TEMPERATURE, rng=random)
        if self.file.exists():
            self._load()
        self.atoms.calc = teacher()

    def _load(self) -> None:
        with np.load(self.file) as stored:
            self.positions = list(stored["positions"])
            self.pressures = list(stored["pressures"])
            self.temperatures = list(stored["temperatures"])
            self.atoms.positions = stored["positions"][-1]
            self.atoms.set_momenta(stored["momenta"])

    def advance(self, steps: int) -> None:
        """Takes steps, keeps every SPACING-th frame, and stores everything."""
        random = np.random.RandomState(len(self.positions))
        dynamics = Langevin(
            self.atoms, TIMESTEP * units.fs, temperature_K=TEMPERATURE, friction=FRICTION / units.fs,
            fixcm=False, rng=random,
        )  # fmt: skip
        for _ in range(steps // SPACING):
            dynamics.run(SPACING)
            self.positions.append(self.atoms.positions.copy())
            self.pressures.append(virial_pressure(self.atoms))
            self.temperatures.append(self.atoms.get_temperature())
        with replaced_when_complete(self.file, binary=True) as stream:
            np.savez(
                stream, positions=self.positions, pressures=self.pressures, temperatures=self.temperatures,
                momenta=self.atoms.get_momenta(),
            )  # fmt: skip

    def summary(self) -> dict | None:
        """Averages after equilibration; None while there are too few frames."""
        first = int(EQUILIBRATION_FS / (TIMESTEP * SPACING))
        frames = np.array(self.positions[first:])
        if len(frames) < 10:
            return None
        virials = np.array(self.pressures[first:])
        pressures = virials + ideal_pressure(self.atoms, TEMPERATURE)
        blocks = [part.mean() for part in np.array_split(pressures, 5)]
        return {
            "box": self.box, "temperature_K": TEMPERATURE, "frames": len(frames),
            "length_ps": len(frames) * SPACING * TIMESTEP / 1000,
            "equilibration_ps": EQUILIBRATION_FS / 1000, "timestep_fs": TIMESTEP,
            "mean_temperature_K": float(np.mean(self.temperatures[first:])),
            "pressure_bar": float(pressures.mean()), "pressure_error_bar": float(sem(blocks)),
            "rdf": distributions(frames, self.atoms),
            "snapshots": {
                "positions": frames[:: len(frames) // 10].round(4).tolist(),
                "pressures": virials[:: len(frames) // 10].round(1).tolist(),
            },
        }  # fmt: skip


@click.command()
@click.option("--scratch", type=click.Path(path_type=Path), required=True, help="For checkpoints.")
@click.option("--box", "boxes", multiple=True, type=click.Choice(BOXES), help="Only this one.")
@click.option("--time-limit", default=3600.0, show_default=True, help="Seconds.")
def main(scratch: Path, boxes: tuple[str, ...], time_limit: float) -> None:
    """Continue the teacher's dynamics of the liquids and write their averages."""
    end = time.monotonic() + time_limit
    scratch.mkdir(parents=True, exist_ok=True)
    trajectories = [Trajectory(box, scratch) for box in boxes or BOXES]
    while time.monotonic() < end:
        min(trajectories, key=lambda one: len(one.positions)).advance(BURST)
    for trajectory in trajectories:
        if summary := trajectory.summary():
            store(FOLDER / f"liquid-{trajectory.box}.json", summary)


if __name__ == "__main__":
    main()
