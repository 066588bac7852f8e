"""Interaction energies of two rigid molecules at varied distance.

Geometries are those of the S22 set (Jurecka et al., Phys. Chem. Chem. Phys. 8, 1985, 2006), the second molecule moved.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.collections import s22

DISTANCES = np.concatenate([np.arange(-0.6, 1.0, 0.1), np.arange(1.0, 5.01, 0.25)])  # Angstrom, from S22's
CURVES = {
    "water dimer": "Water_dimer",
    "benzene dimer, parallel displaced": "Benzene_dimer_parallel_displaced",
    "benzene dimer, T-shaped": "Benzene_dimer_T-shaped",
}


def measure(calculator, progress) -> dict:
    """For each dimer: separations (Angstrom) and interaction energies (eV).

    The separation is that of the oxygen atoms, of the benzenes' centres (T), or of their planes (parallel).
    """
    found = {}
    for name, key in CURVES.items():
        first, second, direction, separation = pair(key)
        apart = sum(_energy(one, calculator) for one in (first, second))
        energies = []
        for shift in progress(DISTANCES, name):
            moved = second.copy()
            moved.positions += shift * direction
            energies.append(_energy(first + moved, calculator) - apart)
        found[name] = {
            "separations": (separation + DISTANCES).round(4).tolist(),
            "energies": np.round(energies, 6).tolist(),
        }
    return found


def pair(key: str) -> tuple[Atoms, Atoms, np.ndarray, float]:
    """The two molecules, the unit vector along which the second one moves, and their separation."""
    dimer = s22[key]
    half = len(dimer) // 2
    first, second = dimer[:half], dimer[half:]
    if key == "Water_dimer":
        vector = second.positions[second.numbers == 8][0] - first.positions[first.numbers == 8][0]
        return first, second, vector / np.linalg.norm(vector), float(np.linalg.norm(vector))
    vector = second.positions.mean(axis=0) - first.positions.mean(axis=0)
    direction = vector / np.linalg.norm(vector)
    if "parallel" in key:
        direction = np.linalg.svd(first.positions - first.positions.mean(axis=0))[2][2]
        direction = direction * np.sign(direction @ vector)
    return first, second, direction, float(vector @ direction)


def _energy(atoms: Atoms, calculator) -> float:
    atoms = Atoms(atoms.symbols, atoms.positions)
    atoms.calc = calculator
    return float(atoms.get_potential_energy())


def compare(student: dict, teacher: dict) -> dict:
    """Depth (meV) and place (Angstrom) of the well, largest deviation where the teacher's energy is below 0.3 eV."""
    mine, theirs = np.array(student["energies"]), np.array(teacher["energies"])
    seen = theirs < 0.3
    deviation = 1e3 * (mine - theirs)[seen]
    return {
        "depth_meV": -1e3 * float(mine.min()), "teacher_depth_meV": -1e3 * float(theirs.min()),
        "minimum": student["separations"][int(mine.argmin())],
        "teacher_minimum": teacher["separations"][int(theirs.argmin())],
        "rms_meV": float(np.sqrt((deviation**2).mean())), "largest_meV": float(np.abs(deviation).max()),
    }  # fmt: skip
