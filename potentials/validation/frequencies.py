"""Harmonic frequencies of molecules, each relaxed with the potential that is examined."""

from __future__ import annotations

import tempfile

import numpy as np
from ase import Atoms, units
from ase.io import read
from ase.optimize import BFGS
from ase.vibrations import Vibrations
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from structures import FOLDER as STRUCTURES

STEP = 0.005  # Angstrom, of the central differences
LARGEST_FORCE = 5e-4  # eV/Angstrom, where relaxing ends


def measure(calculator, progress) -> dict:
    """Relaxed structure, energy, frequencies and normal modes of each molecule.

    Frequencies are in 1/cm, ascending, without translations and rotations; imaginary ones are negative. Modes
    [3n-6, 3n] are orthonormal in mass-weighted coordinates.
    """
    found = {}
    molecules = [a for a in read(STRUCTURES / "molecules.extxyz", ":") if a.info["role"] == "frequencies"]
    for atoms in progress(molecules, "frequencies"):
        name = atoms.info["name"]
        atoms = Atoms(atoms.symbols, atoms.positions)
        atoms.calc = calculator
        relaxed, frequencies, modes = minimum(atoms)
        found[name] = {
            "symbols": atoms.get_chemical_symbols(), "positions": atoms.positions.round(6).tolist(),
            "energy": float(atoms.get_potential_energy()), "relaxed": relaxed,
            "frequencies": frequencies.round(3).tolist(), "modes": modes.round(4).tolist(),
        }  # fmt: skip
    return found


def minimum(atoms: Atoms, attempts: int = 4) -> tuple[bool, np.ndarray, np.ndarray]:
    """Relaxes the atoms; returns whether that converged, and the `normal_modes`.

    A saddle point, such as a methyl group the wrong way round, is left along its mode and relaxed again.
    """
    for attempt in range(attempts):
        relaxed = bool(BFGS(atoms, logfile=None).run(fmax=LARGEST_FORCE, steps=1000))
        frequencies, modes = normal_modes(atoms)
        if frequencies[0] > 0 or attempt == attempts - 1:
            return relaxed, frequencies, modes
        step = modes[0].reshape(-1, 3) / np.sqrt(atoms.get_masses())[:, None]
        atoms.positions += 0.1 * step / np.abs(step).max()


def normal_modes(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies [3n-6] and modes [3n-6, 3n] at a minimum, by central differences of the forces."""
    with tempfile.TemporaryDirectory() as folder:
        vibrations = Vibrations(atoms, name=folder, delta=STEP)
        vibrations.run()
        hessian = vibrations.get_vibrations().get_hessian_2d()
    roots = np.sqrt(np.repeat(atoms.get_masses(), 3))
    inner = vibrational_basis(atoms)
    values, vectors = np.linalg.eigh(inner @ (hessian / np.outer(roots, roots)) @ inner.T)
    frequencies = np.sign(values) * np.sqrt(np.abs(values)) * units._hbar * 1e10 / np.sqrt(units._e * units._amu)
    return frequencies / units.invcm, vectors.T @ inner


def vibrational_basis(atoms: Atoms) -> np.ndarray:
    """[3n-6, 3n] orthonormal rows: mass-weighted displacements without translation and rotation."""
    roots = np.sqrt(atoms.get_masses())[:, None]
    centred = atoms.positions - atoms.get_center_of_mass()
    rigid = [np.ones_like(centred) * axis * roots for axis in np.eye(3)]
    rigid += [np.cross(axis, centred) * roots for axis in np.eye(3)]
    rigid = np.array(rigid).reshape(6, -1)
    _, sizes, rows = np.linalg.svd(rigid)
    return rows[np.count_nonzero(sizes > 1e-6 * sizes[0]) :]


def compare(student: dict, teacher: dict) -> dict:
    """Deviations of one molecule's frequencies (1/cm), matched by order and by overlap.

    Overlap: <mode of student | mode of teacher>^2 with the student's molecule turned onto the teacher's; the
    assignment is the one with the largest sum.
    """
    rotation, distance = superposition(student, teacher)
    n = len(teacher["symbols"])
    turned = (np.array(student["modes"]).reshape(-1, n, 3) @ rotation).reshape(-1, 3 * n)
    overlaps = (turned @ np.array(teacher["modes"]).T) ** 2
    rows, columns = linear_sum_assignment(-overlaps)
    mine, theirs = np.array(student["frequencies"]), np.array(teacher["frequencies"])
    by_order, by_overlap = mine - theirs, mine[rows] - theirs[columns]
    return {
        "by_order_mean": float(np.abs(by_order).mean()), "by_order_largest": _largest(by_order),
        "by_overlap_mean": float(np.abs(by_overlap).mean()), "by_overlap_largest": _largest(by_overlap),
        "mean_overlap": float(overlaps[rows, columns].mean()), "rmsd": distance,
        "imaginary": int((mine < 0).sum()), "relaxed": student["relaxed"],
    }  # fmt: skip


def superposition(student: dict, teacher: dict) -> tuple[np.ndarray, float]:
    """Rotation [3, 3] (row vectors times it) of the student's structure onto the teacher's, and what is left
    as root mean square distance (Angstrom). The one of the least mass-weighted squares (Kabsch's)."""
    masses = Atoms(teacher["symbols"]).get_masses()[:, None]
    centred = []
    for one in (student, teacher):
        positions = np.array(one["positions"])
        centred.append(positions - (masses * positions).sum(axis=0) / masses.sum())
    # The rotation of columns from the second to the first is that of rows from the first to the second.
    rotation = Rotation.align_vectors(*centred, weights=masses[:, 0])[0].as_matrix()
    rest = centred[0] @ rotation - centred[1]
    return rotation, float(np.sqrt((rest**2).sum(axis=1).mean()))


def _largest(deviations: np.ndarray) -> float:
    return float(deviations[np.argmax(np.abs(deviations))])
