"""Torsion scans: everything relaxed but the dihedral angle."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.constraints import FixInternals
from ase.io import read
from ase.optimize import BFGS
from scipy.sparse.csgraph import connected_components

from bonds import bonded
from structures import FOLDER as STRUCTURES

#: Carbon atoms of the dihedral, from 0 as in structures/molecules.extxyz; angles in degrees.
SCANS = {
    "butane": {"atoms": (0, 1, 2, 3), "angles": np.arange(180.0, -1, -15)},
    "biphenyl": {"atoms": (2, 3, 4, 5), "angles": np.arange(0.0, 91, 10)},
}
LARGEST_FORCE = 0.005  # eV/Angstrom


def measure(calculator, progress) -> dict:
    """For each molecule: angles (degrees), relaxed energies (eV, above the lowest), whether all converged."""
    structures = {a.info["name"]: a for a in read(STRUCTURES / "molecules.extxyz", ":")}
    found = {}
    for name, scan in SCANS.items():
        energies, converged = [], True
        atoms = Atoms(structures[name].symbols, structures[name].positions)
        for angle in progress(scan["angles"], f"torsion of {name}"):
            atoms, good = constrained(atoms, scan["atoms"], float(angle), calculator)
            energies.append(atoms.get_potential_energy())
            converged &= good
        found[name] = {
            "angles": scan["angles"].tolist(), "converged": converged,
            "energies": (np.array(energies) - min(energies)).round(6).tolist(),
        }  # fmt: skip
    return found


def constrained(start: Atoms, dihedral: tuple[int, ...], angle: float, calculator) -> tuple[Atoms, bool]:
    """The structure relaxed at a dihedral angle (degrees), and whether that converged."""
    atoms = start.copy()
    atoms.set_constraint()
    atoms.set_dihedral(*dihedral, angle, indices=beyond(atoms, dihedral[1], dihedral[2]))
    atoms.set_constraint(FixInternals(dihedrals_deg=[[angle, list(dihedral)]]))
    atoms.calc = calculator
    good = bool(BFGS(atoms, logfile=None).run(fmax=LARGEST_FORCE, steps=300))
    return atoms, good


def beyond(atoms: Atoms, i: int, j: int) -> list[int]:
    """Atoms on j's side of the bond i-j."""
    bonds = bonded(atoms.numbers, atoms.positions, None)
    bonds[i, j] = bonds[j, i] = False
    _, part = connected_components(bonds)
    return np.flatnonzero(part == part[j]).tolist()


def compare(student: dict, teacher: dict) -> dict:
    """Largest and root mean square deviation of the energies (meV), and barriers of both."""
    deviation = 1e3 * (np.array(student["energies"]) - np.array(teacher["energies"]))
    return {
        "rms_meV": float(np.sqrt((deviation**2).mean())), "largest_meV": float(np.abs(deviation).max()),
        "barrier_meV": 1e3 * max(student["energies"]), "teacher_barrier_meV": 1e3 * max(teacher["energies"]),
        "minimum": student["angles"][int(np.argmin(student["energies"]))],
        "teacher_minimum": teacher["angles"][int(np.argmin(teacher["energies"]))],
        "converged": student["converged"],
    }  # fmt: skip
