"""Geometries from the force field MMFF94: conformers, dynamics, clusters and periodic liquids.

A cheap stand-in for the teacher where only positions are wanted. Energies in eV, lengths in Angstrom.
MMFF94: T. A. Halgren, J. Comput. Chem. 17, 490 (1996). Needs RDKit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from ase import Atoms, units

from .config import ConfigError

KCAL = units.kcal / units.mol  # eV
MASS = 12.0  # u, of every atom: positions are distributed as with the true masses, in longer steps
TIMESTEP = 2.0 * units.fs
FRICTION = 0.02 / units.fs
CUTOFF = 9.0  # Angstrom, between molecules of a liquid
SKIN = 1.0  # Angstrom

Gradient = Callable[[np.ndarray], np.ndarray]  # positions [n, 3] to dE/dx [n, 3] (eV/Angstrom)


def conformer(smiles: str, seed: int) -> tuple[object, Atoms]:
    """A random conformer (ETKDG), minimised: RDKit's molecule and the structure."""
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise ConfigError(f"data.smiles: {smiles!r} is not a SMILES that RDKit understands")
    molecule = Chem.AddHs(molecule)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed, parameters.maxIterations = seed % 2**31, 200
    known = rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule)
    if not known or rdDistGeom.EmbedMolecule(molecule, parameters) != 0:
        reason = "RDKit finds no conformer" if known else "MMFF94 lacks parameters for it"
        raise ConfigError(f"data.smiles: {smiles}: {reason}; leave it out")
    rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=1000)
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    return molecule, Atoms(numbers, molecule.GetConformer().GetPositions())


def gradient(molecules: list[object]) -> Gradient:
    """MMFF94 of some molecules in vacuum, in the order of their atoms."""
    from rdkit.Chem import rdForceFieldHelpers

    combined, properties = _combined(molecules)
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(
        combined, properties, ignoreInterfragInteractions=False
    )

    def evaluate(positions: np.ndarray) -> np.ndarray:
        field.Initialize()  # else CalcGrad uses the distances of its last call
        return KCAL * np.array(field.CalcGrad(positions.ravel().tolist())).reshape(-1, 3)

    return evaluate


def _combined(molecules: list[object]) -> tuple[object, object]:
    """The molecules as one of RDKit's, and its MMFF94 properties."""
    from rdkit import Chem
    from rdkit.Chem import rdForceFieldHelpers

    combined = molecules[0]
    for molecule in molecules[1:]:
        combined = Chem.CombineMols(combined, molecule)
    Chem.SanitizeMol(combined)
    return combined, rdForceFieldHelpers.MMFFGetMoleculeProperties(combined)


def minimise(
    positions: np.ndarray, slope: Gradient, steps: int, longest: float = 0.05
) -> np.ndarray:
    """Steepest descent with steps of at most `longest`: takes overlaps away, no more."""
    positions = positions.copy()
    for _ in range(steps):
        step = -0.005 * slope(positions)
        length = np.linalg.norm(step, axis=1, keepdims=True)
        positions += step * np.minimum(1.0, longest / np.maximum(length, 1e-12))
    return positions


def dynamics(
    positions: np.ndarray,
    slope: Gradient,
    temperature: float,
    equilibration: int,
    spacing: int,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Positions [n, 3] every `spacing` steps of Langevin dynamics (BAOAB), without end.

    B. Leimkuhler and C. Matthews, Appl. Math. Res. Express 2013, 34.
    """
    positions = positions.copy()
    thermal = np.sqrt(units.kB * temperature / MASS)
    decay = np.exp(-FRICTION * TIMESTEP)
    velocity = thermal * rng.standard_normal(positions.shape)
    force = -slope(positions)
    step = 0
    while True:
        velocity += 0.5 * TIMESTEP * force / MASS
        positions += 0.5 * TIMESTEP * velocity
        velocity = decay * velocity
        velocity += thermal * np.sqrt(1 - decay**2) * rng.standard_normal(positions.shape)
        positions += 0.5 * TIMESTEP * velocity
        force = -slope(positions)
        velocity += 0.5 * TIMESTEP * force / MASS
        step += 1
        if step > equilibration and (step - equilibration) % spacing == 0:
            yield positions.copy()


def lattice(members: list[Atoms], density: float, rng: np.random.Generator) -> Atoms:
    """The molecules in random orientation on the points of a cubic grid, periodic, at a density (g/cm^3)."""
    from scipy.spatial.transform import Rotation

    mass = sum(atoms.get_masses().sum() for atoms in members)
    length = (mass / units._Nav / density * 1e24) ** (1 / 3)
    points = int(np.ceil(len(members) ** (1 / 3)))
    grid = np.stack(np.meshgrid(*3 * [np.arange(points)], indexing="ij"), -1).reshape(-1, 3)
    chosen = rng.permutation(grid)[: len(members)] * (length / points)
    box = Atoms(cell=[length] * 3, pbc=True)
    for atoms, centre in zip(members, chosen):
        turned = atoms.copy()
        rotation = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
        turned.positions = (atoms.positions - atoms.positions.mean(axis=0)) @ rotation + centre
        box += turned
    return box


def periodic_gradient(molecules: list[object], length: float) -> Gradient:
    """MMFF94 of molecules in a cubic box with edge `length`: bonded terms from RDKit, between molecules
    (and their images) the buffered 14-7 potential and charges, whose force ends at CUTOFF."""
    sizes = [molecule.GetNumAtoms() for molecule in molecules]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    inner = [gradient([molecule]) for molecule in molecules]
    pairs = _Pairs(molecules, length)

    def evaluate(positions: np.ndarray) -> np.ndarray:
        found = pairs(positions)
        for k, slope in enumerate(inner):
            part = slice(offsets[k], offsets[k + 1])
            found[part] += slope(positions[part])
        return found

    return evaluate


class _Pairs:
    """Gradient of the interaction between molecules in a periodic cubic box."""

    def __init__(self, molecules: list[object], length: float) -> None:
        self.length = length
        self.molecule = np.repeat(np.arange(len(molecules)), [m.GetNumAtoms() for m in molecules])
        self.radius, self.depth, self.charges = _parameters(molecules)
        self.listed_at: np.ndarray | None = None

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        if self.listed_at is None or np.abs(positions - self.listed_at).max() > 0.25 * SKIN:
            self._list(positions)
        i, j = self.i, self.j
        vector = positions[j] - positions[i] + self.shift
        r = np.sqrt((vector**2).sum(axis=1))
        near = r < CUTOFF
        i, j, vector, r = i[near], j[near], vector[near], r[near]
        radius, depth = self.radius[i, j], self.depth[i, j]
        slope = _buffered_14_7(r, radius, depth)
        slope += (
            332.0716
            * self.charges[i]
            * self.charges[j]
            * (1 / (CUTOFF + 0.05) ** 2 - 1 / (r + 0.05) ** 2)
        )
        along = (KCAL * slope / r)[:, None] * vector
        n = len(positions)
        columns = [
            np.bincount(j, along[:, c], n) - np.bincount(i, along[:, c], n) for c in range(3)
        ]
        return np.stack(columns, axis=1)

    def _list(self, positions: np.ndarray) -> None:
        """Pairs i < j, or an atom and its own image, closer than CUTOFF + SKIN."""
        reach = CUTOFF + SKIN
        most = int(np.ceil(reach / self.length + 0.5))
        steps = np.arange(-most, most + 1)
        images = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
        delta = positions[None] - positions[:, None]
        base = -self.length * np.rint(delta / self.length)
        found = []
        for image in images:
            shift = base + self.length * image
            near = ((delta + shift) ** 2).sum(axis=2) < reach**2
            apart = (self.molecule[:, None] != self.molecule) | np.any(shift != 0, axis=2)
            i, j = np.nonzero(near & apart & np.triu(np.ones_like(near), 1))
            found.append((i, j, shift[i, j]))
        self.i, self.j, self.shift = (np.concatenate(parts) for parts in zip(*found))
        self.listed_at = positions.copy()


def _buffered_14_7(r: np.ndarray, radius: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """dE/dr (kcal/mol/Angstrom) of MMFF94's van der Waals energy."""
    rho = r / radius
    rho6 = rho**6
    first = (1.07 / (rho + 0.07)) ** 7
    second = 1.12 / (rho6 * rho + 0.12)
    slope = -7 * first / (rho + 0.07) * (second - 2) - first * second * 7 * rho6 / (
        rho6 * rho + 0.12
    )
    return depth / radius * slope


def _parameters(molecules: list[object]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radii R* [n, n] (Angstrom), depths [n, n] (kcal/mol) and charges [n] of all atoms."""
    combined, properties = _combined(molecules)
    n = combined.GetNumAtoms()
    charges = np.array([properties.GetMMFFPartialCharge(i) for i in range(n)])
    kinds = np.array([properties.GetMMFFAtomType(i) for i in range(n)])
    radius, depth = np.zeros((n, n)), np.zeros((n, n))
    known: dict[tuple[int, int], tuple[float, float]] = {}
    for i in range(n):
        for j in range(n):
            key = (kinds[i], kinds[j])
            if key not in known:
                known[key] = properties.GetMMFFVdWParams(i, j)[2:]
            radius[i, j], depth[i, j] = known[key]
    return radius, depth, charges
