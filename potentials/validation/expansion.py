#!/usr/bin/env python3
"""Pressure of water as it expands: where a potential's density at 1 atm lies, and where its teacher's.

python potentials/validation/expansion.py POTENTIAL    # makes the configurations in structures/, minutes

Configurations are snapshots of NVT dynamics at 300 K with a student; teacher and students are measured on the same.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from ase.io import read, write
from scipy.stats import sem

import dynamics
from mlff_student.lammps_session import find_potential
from pressures import ideal_pressure, virial_pressure

STRUCTURES = Path(__file__).resolve().parent / "structures"
CONFIGURATIONS = STRUCTURES / "expanded-water.extxyz"
BOX = "water-32"
DENSITIES = (0.997, 0.9, 0.8, 0.7, 0.6)  # g/cm3
TEMPERATURE = 300.0  # K
TIMESTEP, EQUILIBRATION, SPACING, SNAPSHOTS = 1.0, 6.0, 1.0, 8  # fs; ps; ps; of each density


def measure(calculator, progress) -> dict:
    """For each density: pressures (bar) of its configurations, with the kinetic energy's part at 300 K."""
    found = {f"{density:g}": [] for density in DENSITIES}
    for atoms in progress(read(CONFIGURATIONS, ":"), "expansion of water"):
        atoms.calc = calculator
        pressure = virial_pressure(atoms) + ideal_pressure(atoms, TEMPERATURE)
        found[f"{atoms.info['density']:g}"].append(round(pressure, 1))
    return found


def compare(student: dict, teacher: dict) -> list[dict]:
    """For each density both mean pressures, and the mean difference with its standard error, in bar."""
    rows = []
    for density, theirs in teacher.items():
        difference = np.array(student[density]) - theirs
        rows.append({
            "density": float(density), "student": float(np.mean(student[density])), "teacher": float(np.mean(theirs)),
            "difference": float(difference.mean()), "error": float(sem(difference)),
        })  # fmt: skip
    return rows


def expanded(state: dynamics.State, size: int, edges: np.ndarray) -> dynamics.State:
    """The same molecules of `size` atoms, each as it is, their first atoms scaled with the box."""
    molecules = state.positions.reshape(-1, size, 3)
    first = molecules[:, :1]
    arms = molecules - first
    arms -= np.round(arms / state.edges) * state.edges
    return replace(state, positions=(first * (edges / state.edges) + arms).reshape(-1, 3), edges=edges)


@click.command()
@click.argument("potential")
def main(potential: str) -> None:
    """Make the configurations by dynamics with POTENTIAL."""
    box = read(STRUCTURES / f"{BOX}.extxyz")
    engine = dynamics.Engine(find_potential(potential), "", "mixed", TIMESTEP)
    state = dynamics.start(
        box.numbers, box.get_positions(wrap=True), box.cell.lengths(), True, TEMPERATURE, 1
    )
    every = round(1000 * SPACING / TIMESTEP)
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        for k, density in enumerate(DENSITIES):
            edges = box.cell.lengths() * (box.info["density"] / density) ** (1 / 3)
            state = expanded(state, len(box) // box.info["molecules"], edges)
            steps = round(EQUILIBRATION / SPACING + SNAPSHOTS) * every
            run = dynamics.run(engine, state, Path(folder), TEMPERATURE, steps, every, 1 + k)
            if run.end is None:
                raise click.ClickException(run.error)
            state = run.end
            for positions in run.frames[-SNAPSHOTS:]:
                atoms = box.copy()
                atoms.set_cell(edges)
                atoms.positions = positions
                atoms.info["density"] = density
                kept.append(atoms)
    write(CONFIGURATIONS, kept)


if __name__ == "__main__":
    main()
