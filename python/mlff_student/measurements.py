"""What `mlff-student check` measures of a potential, in eV and Angstrom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase.neighborlist import primitive_neighbor_list

from .lammps_box import StructureError
from .lammps_session import LammpsError, Result, Session
from .potential import Potential
from .units import SYMBOLS

SHAKE = 0.05  # Angstrom, about what atoms move at room temperature


@dataclass(frozen=True)
class Structure:
    """Atoms in Angstrom."""

    elements: list[str]
    positions: np.ndarray  #: [N, 3]
    cell: np.ndarray | None = None  #: [3, 3] rows
    pbc: tuple[bool, ...] = (False, False, False)
    name: str = "check structure"

    @classmethod
    def from_atoms(cls, atoms, name: str) -> Structure:
        """ASE's Atoms."""
        symbols = [SYMBOLS[z - 1] for z in atoms.numbers]
        return cls(symbols, atoms.positions, atoms.cell.array, tuple(atoms.pbc), name)

    def evaluate(self, session: Session) -> Result:
        try:
            return session.evaluate(self.elements, self.positions, self.cell, self.pbc)
        except (StructureError, LammpsError) as error:
            raise type(error)(f"{self.name}: {error}") from None

    def moved(self, positions: np.ndarray) -> Structure:
        return replace(self, positions=positions)

    def shaken(self) -> Structure:
        """The same with each coordinate moved by up to SHAKE, always alike."""
        moves = np.random.default_rng(0).uniform(-SHAKE, SHAKE, np.shape(self.positions))
        return self.moved(self.positions + moves)

    def in_empty_space(self) -> Structure:
        """The same atoms without periodicity."""
        return replace(self, cell=None, pbc=(False, False, False))


def check_structure(potential: Potential) -> Structure:
    """A file's own check structure."""
    check, length = potential.check, potential.length_in_angstrom
    cell = None if check.cell is None else check.cell * length
    return Structure(check.elements, check.positions * length, cell, (cell is not None,) * 3)


def relative_deviation(values: np.ndarray, expected: np.ndarray) -> float:
    """Largest deviation over the root mean square of what is expected (at least 1e-3 eV/Angstrom)."""
    return float(np.abs(values - expected).max(initial=0.0) / _scale(expected))


def _scale(expected: np.ndarray) -> float:
    return max(float(np.sqrt(np.mean(np.square(expected)))) if np.size(expected) else 0.0, 1e-3)


# ------------------------------------------------------------------------------------ smoothness


def energy_jump_at_cutoff(session: Session, structure: Structure, within: float = 1e-9) -> float:
    """Largest change of the energy as one more atom crosses the cutoff of the outermost atom.

    The atom stands on the line from the centre through the outermost atom, at cutoff (1 -/+ within); it takes
    each of the potential's elements in turn. In empty space.
    """
    structure = structure.in_empty_space()
    outward = structure.positions - structure.positions.mean(axis=0)
    distances = np.linalg.norm(outward, axis=1)
    outermost = int(np.argmax(distances))
    direction = (
        outward[outermost] / distances[outermost] if distances[outermost] > 0 else np.eye(3)[0]
    )
    jumps = []
    for element in session.potential.elements:
        energies = []
        for r in (session.cutoff * (1 - within), session.cutoff * (1 + within)):
            atom = structure.positions[outermost] + r * direction
            one_more = replace(
                structure,
                elements=[*structure.elements, element],
                positions=np.vstack([structure.positions, atom]),
            )
            energies.append(one_more.evaluate(session).energy)
        jumps.append(abs(energies[0] - energies[1]))
    return max(jumps)


def orientation_dependence(session: Session, structure: Structure, rotations: int = 12) -> float:
    """Largest difference between the energies of a structure rotated in empty space, about (1, 2, 3)."""
    structure = structure.in_empty_space()
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
    cross = np.cross(np.eye(3), axis)
    energies = []
    for angle in 2 * np.pi * np.arange(rotations) / rotations:
        rotation = np.cos(angle) * np.eye(3) + np.sin(angle) * cross
        rotation += (1 - np.cos(angle)) * np.outer(axis, axis)
        energies.append(structure.moved(structure.positions @ rotation).evaluate(session).energy)
    return float(np.ptp(energies))


# ------------------------------------------------------------------------------------ forces


#: Displacements by which differences are taken (Angstrom), each half of the one before.
_STEPS = 2e-3 * 0.5 ** np.arange(9)
#: Differences are good enough if they are known to this, relative to the forces' rms.
_CONVERGED = 1e-9


def deviation_from_differences(
    session: Session, structure: Structure, largest_number: int = 60
) -> float | None:
    """Largest deviation of a force from central differences of the energy, over the forces' rms.

    Of large structures only `largest_number` coordinates are displaced, chosen at random with a fixed seed.
    Displacements that move a neighbour across the cutoff are left out: there a network is not smooth enough
    for differences of high order, as its second derivative jumps. None if no coordinate is left.
    """
    forces = structure.evaluate(session).forces
    crosses = _crossings(structure, session.cutoff, _STEPS[0])
    coordinates = np.random.default_rng(0).permutation(np.flatnonzero(~crosses.ravel()))
    deviations = []
    for atom, axis in zip(*np.divmod(coordinates[:largest_number], 3)):
        slope = _slope(session, structure, atom, axis, _CONVERGED * _scale(forces))
        deviations.append(abs(slope + forces[atom, axis]))
    return max(deviations) / _scale(forces) if deviations else None


def _slope(session: Session, structure: Structure, atom: int, axis: int, tolerance: float) -> float:
    """dE/dx of one coordinate by central differences, extrapolated to a vanishing step (Ridders 1982).

    The step is halved until two extrapolations agree within `tolerance`; else the ones that agree best count,
    between truncation at large steps and rounding at small ones.
    """
    best, error, row = np.nan, np.inf, []
    for step in _STEPS:
        energies = []
        for displacement in (step, -step):
            positions = structure.positions.copy()
            positions[atom, axis] += displacement
            energies.append(structure.moved(positions).evaluate(session).atomic_energies)
        # atom by atom, which keeps more digits than the difference of the sums
        previous, row = row, [(energies[0] - energies[1]).sum() / (2 * step)]
        for order, coarser in enumerate(previous, start=1):
            row.append((4**order * row[-1] - coarser) / (4**order - 1))
            estimate = max(abs(row[-1] - row[-2]), abs(row[-1] - coarser))
            if estimate < error:
                best, error = row[-1], estimate
        if error <= tolerance:
            break
    return float(best)


def _crossings(structure: Structure, cutoff: float, distance: float) -> np.ndarray:
    """[N, 3] whether displacing a coordinate by up to `distance` takes a neighbour across the cutoff."""
    cell = np.zeros((3, 3)) if structure.cell is None else structure.cell
    centre, vectors = primitive_neighbor_list(
        "iD", structure.pbc, cell, structure.positions, cutoff + 2 * distance
    )
    r = np.linalg.norm(vectors, axis=1, keepdims=True)
    reach = distance * np.abs(vectors) / r + distance**2 / cutoff
    crosses = np.zeros(structure.positions.shape, dtype=bool)
    np.logical_or.at(crosses, centre, np.abs(r - cutoff) <= reach)
    return crosses


# ------------------------------------------------------------------------------------ precision


def precision_deviation(
    one: Session, other: Session, structures: list[Structure]
) -> tuple[float, float, float]:
    """Deviation of one session's results from another's: largest over the structures, as they are and
    shaken, of energy per atom (eV), largest force over rms force, rms of the forces' deviation over rms force.

    The rms force is that of the shaken structure: at rest forces all but vanish, and what counts is what atoms
    feel in motion.
    """
    energies, largest, rms = [], [], []
    for structure in structures:
        at_rest, shaken = ((s.evaluate(one), s.evaluate(other)) for s in (structure, structure.shaken()))
        scale = _scale(shaken[1].forces)
        for result, expected in (at_rest, shaken):
            energies.append(abs(result.energy - expected.energy) / len(structure.elements))
            deviations = result.forces - expected.forces
            largest.append(np.abs(deviations).max(initial=0.0) / scale)
            rms.append(np.sqrt(np.mean(deviations**2)) / scale)
    return max(energies), float(max(largest)), float(max(rms))
