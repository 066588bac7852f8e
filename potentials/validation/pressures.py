"""Pressure of liquids in configurations of the teacher's dynamics: what drives a wrong density."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from ase import Atoms, units
from ase.io import read

import teacher
from liquids import BOXES
from structures import FOLDER as STRUCTURES


def measure(calculator, progress) -> dict:
    """For each box: the virial's part of the pressure (bar) in the teacher's snapshots, and whose snapshots."""
    found = {}
    for box in BOXES:
        reference = snapshots(box)
        if reference is None:
            continue
        box_atoms = read(STRUCTURES / f"{box}.extxyz")
        pressures = []
        for positions in progress(reference["positions"], f"pressure of {box}"):
            atoms = Atoms(box_atoms.numbers, positions, cell=box_atoms.cell, pbc=True)
            atoms.calc = calculator
            pressures.append(virial_pressure(atoms))
        found[box] = {"pressures": np.round(pressures, 1).tolist(), "snapshots": fingerprint(reference)}
    return found


def virial_pressure(atoms: Atoms) -> float:
    """Without the kinetic energy's part, in bar."""
    return float(-np.trace(atoms.get_stress(voigt=False)) / 3 / units.bar)


def ideal_pressure(atoms: Atoms, temperature: float) -> float:
    """Of the kinetic energy at this temperature (K), in bar."""
    return len(atoms) * units.kB * temperature / atoms.get_volume() / units.bar


def snapshots(box: str) -> dict | None:
    """Positions [m, n, 3] and the teacher's pressures [m] (bar), or None if there are none."""
    dynamics = teacher.liquid(box)
    return dynamics["snapshots"] if dynamics else None


def fingerprint(reference: dict) -> str:
    """To tell these snapshots from others."""
    return hashlib.sha256(json.dumps(reference).encode()).hexdigest()[:16]


def compare(student: dict, reference: dict) -> dict:
    """Mean and standard deviation of the student's pressure minus the teacher's, in bar."""
    difference = np.array(student["pressures"]) - reference["pressures"]
    return {"mean": float(difference.mean()), "deviation": float(difference.std(ddof=1))}
