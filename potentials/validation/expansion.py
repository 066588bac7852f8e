#!/usr/bin/env python3
"""Pressure of liquids as they expand: where a potential's density at 1 atm lies, and where its teacher's.

python potentials/validation/expansion.py POTENTIAL    # makes the configurations that structures/ lacks; half an hour

Configurations are snapshots of NVT dynamics at 300 K with a student; teacher and students are measured on the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from ase import Atoms, units
from ase.io import read, write
from scipy.stats import sem
from tqdm import tqdm

import dynamics
from bonds import to_closest_images
from mlff_student.lammps_session import find_potential
from pressures import ideal_pressure, virial_pressure
from structures import FOLDER as STRUCTURES


@dataclass(frozen=True)
class Liquid:
    """What is measured of a liquid."""

    box: str  #: in structures/
    densities: tuple[float, ...]  #: g/cm3, the first is the experiment's
    snapshots: int  #: of each density


LIQUIDS = {
    "water": Liquid("water-32", (0.997, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4), 8),
    "methanol": Liquid("methanol-16", (0.787, 0.7, 0.6, 0.5, 0.4, 0.3), 16),
    "ethanol": Liquid("ethanol-11", (0.785, 0.7, 0.6, 0.5, 0.4, 0.3), 16),
}
TEMPERATURE = 300.0  # K
TIMESTEP, EQUILIBRATION, SPACING = 1.0, 6.0, 1.0  # fs; ps; ps


def configurations(name: str) -> Path:
    """The file of a liquid's configurations."""
    return STRUCTURES / f"expanded-{name}.extxyz"


def measure(calculator, progress) -> dict:
    """For each liquid and density: pressures (bar) of its configurations at 300 K, of atoms and of molecules."""
    return {name: measure_liquid(name, calculator, progress) for name in LIQUIDS}


def measure_liquid(name: str, calculator, progress) -> dict:
    """{density: {"atoms": [pressure of each configuration], "molecules": [the same]}}, in bar."""
    found = {f"{density:g}": {"atoms": [], "molecules": []} for density in LIQUIDS[name].densities}
    for atoms in progress(read(configurations(name), ":"), f"expansion of {name}"):
        atoms.calc = calculator
        pressure = virial_pressure(atoms) + ideal_pressure(atoms, TEMPERATURE)
        one = found[f"{atoms.info['density']:g}"]
        one["atoms"].append(round(pressure, 1))
        one["molecules"].append(round(pressure - inner_pressure(atoms), 1))
    return found


def inner_pressure(atoms: Atoms) -> float:
    """What motion and forces within molecules add to the pressure at 300 K: zero on average, yet most of its scatter.

    Without it the pressure is that of a box whose molecules keep their shapes when its volume changes, in bar: the
    molecular virial (Allen and Tildesley, Computer Simulation of Liquids, section 2.4). The average is zero only in
    the potential's own ensemble.
    """
    molecules = atoms.info["molecules"]
    arms = from_first(atoms.positions, len(atoms) // molecules, atoms.cell.lengths())
    masses = atoms.get_masses().reshape(molecules, -1, 1)
    arms -= (masses * arms).sum(axis=1, keepdims=True) / masses.sum(axis=1, keepdims=True)
    virial = np.sum(arms * atoms.get_forces().reshape(arms.shape)) / (3 * atoms.get_volume()) / units.bar
    return float(virial) + (1 - molecules / len(atoms)) * ideal_pressure(atoms, TEMPERATURE)


def from_first(positions: np.ndarray, size: int, edges: np.ndarray) -> np.ndarray:
    """Vectors [M, size, 3] from each molecule's first atom to its atoms, across the faces of the box."""
    molecules = positions.reshape(-1, size, 3)
    return to_closest_images(molecules - molecules[:, :1], edges)


def compare(student: dict, teacher: dict) -> list[dict]:
    """For each density of a liquid, in bar: both pressures and their difference, of molecules, each with its mean and
    standard error; and both means of atoms' pressures."""
    rows = []
    for density, reference in teacher.items():
        mine, theirs = (np.array(one["molecules"]) for one in (student[density], reference))
        rows.append({
            "density": float(density), "student": mean_and_error(mine), "teacher": mean_and_error(theirs),
            "difference": mean_and_error(mine - theirs), "student_atoms": float(np.mean(student[density]["atoms"])),
            "teacher_atoms": float(np.mean(reference["atoms"])),
        })  # fmt: skip
    return rows


def expands_to(found: dict) -> str | None:
    """The lowest density down to which a liquid's pressure is positive by more than two standard errors, from the
    first density on; None if it is not even there."""
    lowest = None
    for density, sign in signs(found).items():
        if sign <= 0:
            break
        lowest = density
    return lowest


def contracts_at(found: dict) -> list[str]:
    """The densities where the pressure is negative by more than two standard errors."""
    return [density for density, sign in signs(found).items() if sign < 0]


def signs(found: dict) -> dict[str, int]:
    """Of the pressure of molecules at each density: 1, -1, or 0 if it is within two standard errors of zero."""
    means = {density: mean_and_error(pressures["molecules"]) for density, pressures in found.items()}
    return {density: int(np.sign(mean)) * (abs(mean) > 2 * error) for density, (mean, error) in means.items()}


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    return float(np.mean(values)), float(sem(values))


def expanded(state: dynamics.State, size: int, edges: np.ndarray) -> dynamics.State:
    """The same molecules of `size` atoms, each as it is, their first atoms scaled with the box."""
    arms = from_first(state.positions, size, state.edges)
    first = state.positions[::size, None]
    return replace(state, positions=(first * (edges / state.edges) + arms).reshape(-1, 3), edges=edges)


def make(engine: dynamics.Engine, liquid: Liquid) -> list[Atoms]:
    """Snapshots of dynamics at each density, one after the other."""
    box = read(STRUCTURES / f"{liquid.box}.extxyz")
    state = dynamics.start(
        box.numbers, box.get_positions(wrap=True), box.cell.lengths(), True, TEMPERATURE, 1
    )
    every = round(1000 * SPACING / TIMESTEP)
    steps = round(EQUILIBRATION / SPACING + liquid.snapshots) * every
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        for k, density in enumerate(tqdm(liquid.densities, desc=liquid.box)):
            edges = box.cell.lengths() * (box.info["density"] / density) ** (1 / 3)
            state = expanded(state, len(box) // box.info["molecules"], edges)
            run = dynamics.run(engine, state, Path(folder), TEMPERATURE, steps, every, 1 + k)
            if run.end is None:
                raise dynamics.DynamicsError(f"{liquid.box} at {density:g} g/cm3: {run.error}")
            state = run.end
            for positions in run.frames[-liquid.snapshots :]:
                atoms = box.copy()
                atoms.set_cell(edges)
                atoms.positions = positions
                atoms.info["density"] = density
                kept.append(atoms)
    return kept


@click.command()
@click.argument("potential")
def main(potential: str) -> None:
    """Make the configurations that are missing by dynamics with POTENTIAL."""
    engine = dynamics.Engine(find_potential(potential), "", "mixed", TIMESTEP)
    for name, liquid in LIQUIDS.items():
        if not configurations(name).exists():
            try:
                write(configurations(name), make(engine, liquid))
            except dynamics.DynamicsError as error:
                raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
