"""What the suite simulates: molecules in empty space and periodic boxes of liquid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.collections import g2
from ase.units import _amu

from ..evaluate import FrameError, read_frames

#: Name -> formula in ASE's g2 collection.
MOLECULES = {
    "benzene": "C6H6", "water": "H2O", "methane": "CH4", "ammonia": "NH3", "methanol": "CH3OH",
    "ethanol": "CH3CH2OH", "acetonitrile": "CH3CN", "acetone": "CH3COCH3", "ethylene": "C2H4",
    "ethane": "C2H6",
}  # fmt: skip

#: Name -> g/cm3 at 300 K (CRC Handbook of Chemistry and Physics); methane is a supercritical fluid.
DENSITIES = {"water": 0.997, "benzene": 0.872, "methanol": 0.786, "ethanol": 0.785,
             "acetonitrile": 0.776, "acetone": 0.784, "methane": 0.2}  # fmt: skip

#: Atoms that a box has at least.
BOX_ATOMS = 192

#: A box of liquid starts with edges longer by this factor, where molecules do not overlap.
EXPANSION = 1.3
#: Random orientations of which a molecule takes the one farthest from its neighbours.
_TURNS = 30


class StructureRefused(Exception):
    """A structure that the suite cannot simulate; the text says why and what can be."""


@dataclass(frozen=True)
class Structure:
    """Something to simulate."""

    name: str
    atoms: Atoms
    edges: np.ndarray | None = None  #: [3] Angstrom; a liquid's box is to be squeezed into these

    @property
    def is_bulk(self) -> bool:
        return bool(self.atoms.pbc.all())

    @property
    def elements(self) -> list[str]:
        """In the order of LAMMPS's atom types."""
        return sorted(set(self.atoms.symbols))

    @property
    def constraints(self) -> int:
        """Degrees of freedom that stay empty: translation, and rotation in empty space."""
        if self.is_bulk:
            return 3
        return 5 if _is_linear(self.atoms) else 6

    @property
    def degrees_of_freedom(self) -> int:
        return 3 * len(self.atoms) - self.constraints


def find(text: str) -> Structure:
    """A structure by name ("benzene", "box:water") or from the first frame of a file.

    Raises StructureRefused.
    """
    kind, _, name = text.rpartition(":")
    if kind == "box" and name in DENSITIES:
        return liquid(name)
    if not kind and text in MOLECULES:
        return Structure(text, molecule(MOLECULES[text]))
    if not kind and text in g2.names:
        return Structure(text, molecule(text))
    if not Path(text).is_file():
        raise StructureRefused(
            f"{text}: no such file, and no structure has this name; known are the molecules "
            f"{', '.join(MOLECULES)}, those of ASE's collection g2 such as CH3CHO, and the liquids "
            f"{', '.join(f'box:{known}' for known in DENSITIES)}"
        )
    try:
        atoms = next(iter(read_frames(text)), None)
    except FrameError as error:
        raise StructureRefused(str(error)) from None
    if atoms is None:
        raise StructureRefused(f"{text}: holds no structure")
    if atoms.pbc.any() and not atoms.pbc.all():
        raise StructureRefused(
            f"{text}: periodic in some directions only ({atoms.pbc.tolist()}); give a molecule without a "
            "cell, or a box that is periodic in all three"
        )
    return Structure(Path(text).stem, atoms)


def defaults(elements: list[str]) -> list[Structure]:
    """The first molecule and the first liquid of the tables that these elements can make.

    Raises StructureRefused if there is no such molecule.
    """
    possible = {name: molecule(formula) for name, formula in MOLECULES.items()}
    possible = {name: atoms for name, atoms in possible.items() if set(atoms.symbols) <= set(elements)}
    if not possible:
        raise StructureRefused(
            f"none of the molecules {', '.join(MOLECULES)} can be made of {' '.join(elements)}; "
            "give a STRUCTURE"
        )
    first = next(iter(possible))
    boxes = [liquid(name) for name in DENSITIES if name in possible][:1]
    return [Structure(first, possible[first]), *boxes]


def liquid(name: str, seed: int = 1) -> Structure:
    """A cubic box of at least BOX_ATOMS atoms: molecules on a grid, turned at random, farther apart than in the end."""
    single = molecule(MOLECULES[name])
    number = int(np.ceil(BOX_ATOMS / len(single)))
    volume = number * single.get_masses().sum() * _amu * 1e27 / DENSITIES[name]  # kg to g, m3 to A3
    edge = volume ** (1 / 3)
    sites = int(np.ceil(number ** (1 / 3)))
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(sites)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen = grid[np.sort(random.permutation(len(grid))[:number])]
    long = EXPANSION * edge
    centred = single.positions - single.get_center_of_mass()
    placed = np.zeros((0, 3))
    for site in chosen:
        turned = [centred @ _rotation(random).T + (site + 0.5) * long / sites for _ in range(_TURNS)]
        placed = np.vstack([placed, max(turned, key=lambda atoms: _closest(atoms, placed, long))])
    box = Atoms(list(single.symbols) * number, placed, cell=[long] * 3, pbc=True)
    return Structure(f"{name} box", box, np.full(3, edge))


def _closest(atoms: np.ndarray, others: np.ndarray, edge: float) -> float:
    """Smallest distance between two sets of positions [n, 3] in a periodic cube."""
    apart = atoms[:, None] - others
    apart -= edge * np.round(apart / edge)
    return float(np.sqrt((apart**2).sum(axis=-1)).min(initial=edge))


def _rotation(random: np.random.Generator) -> np.ndarray:
    """[3, 3] a random orientation: of a normal matrix's QR factors, with the signs made unique."""
    q, r = np.linalg.qr(random.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def _is_linear(atoms: Atoms) -> bool:
    moments = np.sort(atoms.get_moments_of_inertia())
    return bool(moments[0] < 1e-3 * moments[-1])
