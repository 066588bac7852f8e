"""An ASE calculator that computes with the C++ code, through LAMMPS."""

from __future__ import annotations

import os

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from .lammps_session import Result, Session


class MLFFStudent(Calculator):
    """A student network for ASE.

    >>> from mlff_student.ase import MLFFStudent
    >>> atoms.calc = MLFFStudent("benzene.yaml")
    >>> atoms.get_potential_energy()

    potential: file, or the name of a potential that ships. precision: double, mixed or single. filters: exact
    or spline (default: exact in double precision, else spline). threads: of OpenMP.

    Units are eV and Angstrom whatever the file's are. Stress (Voigt order, positive under tension) exists for
    structures that are periodic in some direction and have a cell with a volume; `stresses` are the atoms'
    parts, which sum to it. Cells of any orientation are allowed: Session says how.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]

    def __init__(
        self,
        potential: str | os.PathLike,
        precision: str = "double",
        filters: str | None = None,
        threads: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.session = Session(potential, precision, filters, threads)

    def calculate(
        self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = results_for(self.atoms, evaluate(self.session, self.atoms))


def evaluate(session: Session, atoms) -> Result:
    """The session's result for ASE's Atoms."""
    return session.evaluate(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def results_for(atoms, result: Result) -> dict:
    """ASE's names for a result; stress only where `atoms` are periodic in some direction of a full cell."""
    results = {
        "energy": result.energy,
        "free_energy": result.energy,
        "energies": result.atomic_energies,
        "forces": result.forces,
    }
    if atoms.pbc.any() and atoms.cell.rank == 3:
        volume = atoms.cell.volume
        results["stress"] = full_3x3_to_voigt_6_stress(result.stress(volume))
        stresses = [full_3x3_to_voigt_6_stress(s) for s in result.atomic_stresses(volume)]
        results["stresses"] = np.array(stresses).reshape(-1, 6)
    return results
