"""Frames from the teacher's dynamics, and displaced geometries for the teacher to label.

`sample_md` and `labelled` yield (structure, energy, forces): an ase.Atoms, eV, [n, 3] eV/Angstrom. The
other samplers yield structures. Everything random comes from the generator that is passed in.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import covalent_radii, vdw_radii

from .config import ConfigError, Molecule, Sampler, Teacher

Frame = tuple[Atoms, float, np.ndarray]


def make_teacher(teacher: Teacher) -> Any:
    """The ASE calculator that the configuration names."""
    module, _, name = teacher.calculator.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)(**teacher.arguments)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"teacher.calculator: {teacher.calculator!r} cannot be imported ({error}); give the "
            "import path of an ASE calculator's class, as in tblite.ase.TBLite, and install its "
            "package"
        ) from None
    except TypeError as error:
        raise ConfigError(f"teacher.arguments: {teacher.arguments}: {error}") from None


def make_structure(molecule: Molecule, folder: Path) -> Atoms:
    """The starting structure: a file if there is one of that name, else ASE's g2 collection."""
    from ase.build import molecule as build
    from ase.collections import g2
    from ase.io import read

    path = folder / molecule.structure
    if path.is_file():
        return read(path)
    if molecule.structure in g2.names:
        return build(molecule.structure)
    raise ConfigError(
        f"data.molecules: {molecule.name}: {molecule.structure!r} is neither a file in {folder} "
        "nor a name in ase.collections.g2"
    )


def relax(atoms: Atoms, calculator: Any, fmax: float) -> Atoms:
    """The structure relaxed with the teacher until no force is above fmax (eV/Angstrom)."""
    from ase.optimize import BFGS

    atoms = atoms.copy()
    atoms.calc = calculator
    if fmax > 0 and len(atoms) > 1:
        BFGS(atoms, logfile=None).run(fmax=fmax, steps=500)
    return atoms


def sample_md(
    start: Atoms, sampler: Sampler, temperature: float, frames: int, rng: np.random.Generator
) -> Iterator[Frame]:
    """Langevin dynamics from the relaxed structure; one frame every `spacing` steps."""
    atoms = _with_calculator(start)
    dynamics = _langevin(atoms, sampler, temperature, rng)
    dynamics.run(sampler.equilibration)
    for _ in range(frames):
        dynamics.run(sampler.spacing)
        yield _labelled(atoms)


def normal_modes(start: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Curvatures [m] (eV/(Angstrom^2 u)) and displacements [m, n, 3] (1/sqrt(u)) of the teacher's
    normal modes, without translations and rotations."""
    masses = np.repeat(start.get_masses(), 3)
    hessian = _hessian(start) / np.sqrt(np.outer(masses, masses))
    curvature, modes = np.linalg.eigh(hessian)
    stiff = curvature > 1e-2
    displacements = modes[:, stiff].T / np.sqrt(masses)
    return curvature[stiff], displacements.reshape(-1, len(start), 3)


def along_modes(
    start: Atoms,
    modes: tuple[np.ndarray, np.ndarray],
    temperature: float,
    frames: int,
    rng: np.random.Generator,
) -> Iterator[Atoms]:
    """Classical harmonic displacements at a temperature, along `normal_modes`."""
    curvature, displacements = modes
    scale = np.sqrt(units.kB * temperature / curvature)
    for _ in range(frames):
        amplitudes = rng.normal(size=scale.size) * scale
        shift = np.tensordot(amplitudes, displacements, 1)
        yield moved(start, start.positions + shift)


def labelled(
    start: Atoms, calculator: Any, sampler: Sampler, temperature: float, rng: np.random.Generator
) -> Iterator[Frame]:
    """The teacher's label of a structure, after sampler.relaxation steps of BFGS and sampler.steps of
    dynamics, or none where the teacher does not converge."""
    from ase.calculators.calculator import CalculatorError
    from ase.optimize import BFGS

    atoms = start.copy()
    atoms.calc = calculator
    try:
        if sampler.relaxation:
            BFGS(atoms, logfile=None).run(fmax=0.01, steps=sampler.relaxation)
        if sampler.steps:
            _langevin(atoms, sampler, temperature, rng).run(sampler.steps)
        yield _labelled(atoms)
    except (CalculatorError, RuntimeError):
        return


def rattled(
    start: Atoms, sampler: Sampler, frames: int, rng: np.random.Generator
) -> Iterator[Atoms]:
    """Gaussian displacements of every atom, standard deviation drawn from `range` (Angstrom)."""
    for _ in range(frames):
        sigma = rng.uniform(*sampler.range)
        yield moved(start, start.positions + rng.normal(0, sigma, (len(start), 3)))


def stretched(
    start: Atoms, sampler: Sampler, frames: int, rng: np.random.Generator
) -> Iterator[Atoms]:
    """One bond stretched or shortened by a factor from `range`, on top of a small rattle."""
    pairs = _bonds(start)
    for _ in range(frames if len(pairs) else 0):
        i, j = pairs[rng.integers(len(pairs))]
        positions = start.positions + rng.normal(0, 0.03, (len(start), 3))
        shifted = _fragment(len(start), pairs, int(i), int(j))
        positions[shifted] += (rng.uniform(*sampler.range) - 1) * (positions[j] - positions[i])
        yield moved(start, positions)


def in_contact(
    first: Atoms, second: Atoms, sampler: Sampler, frames: int, rng: np.random.Generator
) -> Iterator[Atoms]:
    """Two molecules in random orientation, the closest pair of atoms at a factor from `range` times
    the sum of their van der Waals radii."""
    for _ in range(frames):
        pair = [turned(atoms, rng) for atoms in (first, second)]
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        yield touching(*pair, direction, rng.uniform(*sampler.range))


def touching(first: Atoms, second: Atoms, direction: np.ndarray, factor: float) -> Atoms:
    """Both molecules, the second one moved along a direction until the closest atoms are at `factor`
    times the sum of their van der Waals radii."""
    touch = factor * np.add.outer(vdw_radii[first.numbers], vdw_radii[second.numbers])
    low, high = 0.0, 30.0
    for _ in range(40):  # bisection on the separation
        middle = 0.5 * (low + high)
        delta = second.positions + middle * direction - first.positions[:, None]
        close = (np.linalg.norm(delta, axis=2) < touch).any()
        low, high = (middle, high) if close else (low, middle)
    both = first + second
    both.positions[len(first) :] += high * direction
    return both


def _langevin(atoms: Atoms, sampler: Sampler, temperature: float, rng: np.random.Generator) -> Any:
    """Langevin dynamics of the structure, with velocities of that temperature to begin with."""
    from ase.md.langevin import Langevin

    random = np.random.RandomState(rng.integers(2**31))
    scale = np.sqrt(units.kB * temperature * atoms.get_masses())  # Maxwell-Boltzmann
    atoms.set_momenta(random.standard_normal((len(atoms), 3)) * scale[:, None])
    return Langevin(
        atoms,
        sampler.timestep * units.fs,
        temperature_K=temperature,
        friction=sampler.friction / units.fs,
        fixcm=False,
        rng=random,
    )


def _with_calculator(start: Atoms) -> Atoms:
    atoms = start.copy()
    atoms.calc = start.calc
    return atoms


def _labelled(atoms: Atoms) -> Frame:
    return atoms.copy(), float(atoms.get_potential_energy()), atoms.get_forces()


def moved(start: Atoms, positions: np.ndarray) -> Atoms:
    """The structure at new positions, without a calculator."""
    atoms = start.copy()
    atoms.positions = positions
    return atoms


def _hessian(start: Atoms, step: float = 0.01) -> np.ndarray:
    """Second derivatives of the energy [3n, 3n] (eV/Angstrom^2) by central differences."""
    atoms = _with_calculator(start)
    rows = []
    for index in range(3 * len(atoms)):
        sides = []
        for sign in (1, -1):
            shifted = start.positions.copy()
            shifted.flat[index] += sign * step
            atoms.positions = shifted
            sides.append(atoms.get_forces().ravel())
        rows.append((sides[1] - sides[0]) / (2 * step))
    hessian = np.array(rows)
    return 0.5 * (hessian + hessian.T)


def _bonds(atoms: Atoms) -> np.ndarray:
    """Directed bonded pairs [b, 2]: closer than 1.2 times the sum of the covalent radii."""
    radii = covalent_radii[atoms.numbers]
    bonded = atoms.get_all_distances() < 1.2 * np.add.outer(radii, radii)
    np.fill_diagonal(bonded, False)
    return np.argwhere(bonded)


def _fragment(n: int, bonds: np.ndarray, i: int, j: int) -> list[int]:
    """The atoms on j's side of the bond i-j, or j alone where the bond is part of a ring."""
    found, border = {j}, [j]
    while border:
        a = border.pop()
        for p, q in bonds:
            if p == a and q not in found and (p, q) != (j, i):
                found.add(int(q))
                border.append(int(q))
    return [j] if i in found or len(found) == n else sorted(found)


def turned(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """A copy about its centre in a random orientation, slightly rattled."""
    from scipy.spatial.transform import Rotation

    copy = atoms.copy()
    centred = atoms.positions - atoms.positions.mean(axis=0)
    copy.positions = centred @ Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    copy.positions += rng.normal(0, 0.03, centred.shape)
    return copy
