"""Choose molecules, relax them with the teacher, and write config.yaml of their normal modes. Needs RDKit and tblite.

    python make_modes.py [--jobs N]

Molecules: those of molecules.smi that train, and hand-written ones of candidates.txt, of the classes whose held-out
errors missed (MISSED); a few of each other class. Writes structures/*.xyz and config.yaml.

Nothing held out is chosen: no molecule that is for validation or test, and none that shares a tautomer with such a one
or differs from it in stereochemistry alone, by InChI (mobile hydrogen, no stereo layers) or by RDKit's canonical
tautomer. Structures are relaxed here because labelling does not relax conformers of SMILES.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.io import write
from rdkit import Chem, RDLogger
from rdkit.Chem import rdmolops
from rdkit.Chem.MolStandardize import rdMolStandardize

from mlff_student.train import force_field, sampling
from mlff_student.train.config import Teacher, load_config
from mlff_student.train.frame_sets import load_frames

HERE = Path(__file__).resolve().parent
CHNO = HERE.parent
sys.path.insert(0, str(CHNO))

import make_molecules  # noqa: E402

SEED = 20261122
MISSED = {  # class: short name
    "azides_diazo_isocyanates": "azides",
    "nitro_nitroso_N-oxides": "nitro",
    "ureas_carbamates_imides": "ureas",
}
FRAMES = {"azides": 6, "nitro": 3, "ureas": 3}  # of normal modes, of a small molecule
TEMPERATURES = (300, 600, 1000)
SMALL = 10  # heavy atoms: modes at all temperatures; larger ones at one, since each asks for a Hessian
OTHERS = 4  # molecules of each other class for normal modes
DYNAMICS = {"azides": 22, "nitro": 18, "ureas": 12}  # molecules for dynamics; of each other class, one
MD_ATOMS = (6, 10)
TINY = 5  # heavy atoms
FMAX = 0.008  # eV/Angstrom, below data.relax, so that labelling relaxes no further
RELAXED = 0.02  # eV/Angstrom; above FMAX, since relaxing may run out of steps near it, and labelling goes on from there
TEACHER = Teacher(
    "tblite.ase.TBLite", {"method": "GFN2-xTB", "accuracy": 1.0, "verbosity": 0}, "GFN2-xTB (tblite 0.8)"
)
ARGUMENTS = ", ".join(f"{key}: {value}" for key, value in TEACHER.arguments.items())
NOT_TEXT = {"y", "yes", "n", "no", "true", "false", "on", "off", "null"}  # in YAML, without quotes
HEADER = f"""\
# Normal modes and dynamics with the teacher throughout, mostly of classes whose held-out errors missed.
# Written by make_modes.py.
name: chno-modes
seed: {SEED}
teacher:
  calculator: {TEACHER.calculator}
  arguments: {{{ARGUMENTS}}}
  name: {TEACHER.name}
data:
  file: frames.npz
  compact: true"""


@dataclass(frozen=True)
class Molecule:
    """A molecule that may train."""

    smiles: str
    name: str
    kind: str
    heavy_atoms: int
    is_new: bool = False  #: of candidates.txt


def names_of(smiles: str) -> set[str]:
    """Names of a molecule that its tautomers and stereoisomers share."""
    molecule = Chem.MolFromSmiles(smiles)
    rdmolops.RemoveStereochemistry(molecule)
    enumerator = rdMolStandardize.TautomerEnumerator()
    enumerator.SetMaxTautomers(200)
    tautomer = enumerator.Canonicalize(molecule)
    names = {Chem.MolToInchi(molecule, options="/SNon"), Chem.MolToInchi(tautomer, options="/SNon")}
    return names | {Chem.MolToSmiles(tautomer, isomericSmiles=False)}


def listed() -> tuple[list[Molecule], set[str]]:
    """Molecules of molecules.smi that train, and names_of all that may not."""
    frames, parts, _ = load_frames(load_config(CHNO / "config-f128-active.yaml"))
    part_of: dict[str, set[str]] = {}
    for part, index in parts.items():
        for group in np.unique(frames.groups[index]):
            part_of.setdefault(frames.group_names[group], set()).add(part)
    free, forbidden = [], set()
    for line in (CHNO / "molecules.smi").read_text().splitlines():
        smiles, name, kind, *part = line.split()
        if part == ["test"] or part_of.get(name, {"train"}) != {"train"}:
            forbidden |= names_of(smiles)
        else:
            free.append(Molecule(smiles, name, kind, make_molecules.heavy_atoms(smiles)))
    lines = (CHNO / "heldout.smi").read_text().splitlines()
    return free, forbidden.union(*(names_of(line.split()[0]) for line in lines if line[0] != "#"))


def candidates(known: set[str], forbidden: set[str]) -> list[Molecule]:
    """Molecules of candidates.txt that may train; says why others are left out."""
    lines = (HERE / "candidates.txt").read_text().splitlines()
    found, known = [], set(known)
    for word in (w for line in lines if not line.startswith("#") for w in line.split()):
        smiles = make_molecules.canonical(word)
        if not smiles or smiles in known:
            print("left out:", word, "listed already" if smiles else "does not belong here")
        elif names_of(smiles) & forbidden:
            print("left out:", smiles, "held out, or its tautomer or stereoisomer")
        elif (kind := make_molecules.class_of(smiles)) not in MISSED:
            print("left out:", smiles, f"class {kind}")
        elif not make_molecules.has_geometry(smiles):
            print("left out:", smiles, "no geometry by RDKit")
        else:
            known.add(smiles)
            found.append(Molecule(smiles, smiles, kind, make_molecules.heavy_atoms(smiles), True))
    return found


def others(free: list[Molecule], rng: random.Random) -> list[Molecule]:
    """OTHERS small molecules of each other class, the first of them of a size for dynamics."""
    found = []
    for kind in sorted({m.kind for m in free} - set(MISSED)):
        fitting = [m for m in free if m.kind == kind and 4 <= m.heavy_atoms <= SMALL and m.name == m.smiles]
        first = rng.choice([m for m in fitting if m.heavy_atoms >= MD_ATOMS[0]])
        found += [first, *rng.sample([m for m in fitting if m is not first], OTHERS - 1)]
    return found


def relaxed(smiles: str) -> Atoms | str:
    """The structure of a SMILES relaxed with the teacher, or what went wrong."""
    try:
        molecule, atoms = force_field.conformer(smiles, SEED)
        atoms = sampling.relax(atoms, sampling.make_teacher(TEACHER), FMAX)
        force = np.abs(atoms.get_forces()).max()
    except Exception as error:  # noqa: BLE001  any failure leaves the molecule out, with its reason
        return str(error).splitlines()[0]
    radii = covalent_radii[atoms.numbers]
    near = atoms.get_all_distances() < 1.3 * np.add.outer(radii, radii)
    np.fill_diagonal(near, False)
    if (near != Chem.GetAdjacencyMatrix(molecule).astype(bool)).any():
        return "other bonds than in the SMILES after relaxation"
    if force > RELAXED:
        return f"not relaxed, {force:.2f} eV/Angstrom left"
    atoms.calc = None
    return atoms


def make_structures(chosen: list[Molecule], jobs: int) -> dict[Molecule, str]:
    """Relaxed structures of the molecules that have one, as files by their paths from here.

    A file that is there is kept if it is of this molecule: a changed list gives its number to another one.
    """
    (HERE / "structures").mkdir(exist_ok=True)
    file_of = {m: f"structures/{k:03d}.xyz" for k, m in enumerate(chosen)}
    missing = [m for m, file in file_of.items() if not is_of(HERE / file, m)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for molecule, found in zip(missing, pool.imap(relaxed, [m.smiles for m in missing])):
            if isinstance(found, str):
                print("left out:", molecule.smiles, found)
                del file_of[molecule]
            else:
                write(HERE / file_of[molecule], found, format="xyz", fmt="%16.9f", comment=molecule.name)
    return file_of


def is_of(path: Path, molecule: Molecule) -> bool:
    """Whether the file is there and its comment, the second line, names the molecule."""
    return path.exists() and path.read_text().splitlines()[1:2] == [molecule.name]


def config(file_of: dict[Molecule, str], rng: random.Random) -> str:
    """The text of config.yaml. A sampler added at the end leaves the pieces of those before as they are."""
    lines = [HEADER, "  molecules:"]
    for m, file in file_of.items():
        part = ", part: train" if m.is_new else ""
        lines.append(f"  - {{name: {quoted(m.name)}, structure: {file}, group: {m.kind}{part}}}")
    lines.append("  sampling:")
    by_class = {short: [m for m in file_of if m.kind == kind] for kind, short in MISSED.items()}
    rest = [m for m in file_of if m.kind not in MISSED]
    every = f"[{', '.join(map(str, TEMPERATURES))}]"
    for short, molecules in by_class.items():
        small = [m for m in molecules if m.heavy_atoms <= SMALL]
        comment = f"modes of {short}, up to {SMALL} heavy atoms"
        lines += sampler(comment, "normal_modes", FRAMES[short], every, small)
        large = [m for m in molecules if m.heavy_atoms > SMALL]
        rng.shuffle(large)
        for k, temperature in enumerate(TEMPERATURES):
            frames = max(FRAMES[short] // 2, 2)
            lines += sampler(f"larger {short}", "normal_modes", frames, f"[{temperature}]", large[k::3])
    lines += sampler("modes of other classes", "normal_modes", 3, every, rest)
    in_motion = for_dynamics(by_class, rest, rng)
    lines += sampler("dynamics with the teacher throughout", "md", 12, every, in_motion,
                     ", equilibration: 200, spacing: 20")  # fmt: skip
    tiny = [m for m in file_of if m.is_new and m.heavy_atoms <= TINY]
    comment = f"the same of new molecules of up to {TINY} heavy atoms, as the recipe has it of all others"
    return "\n".join(lines + sampler(comment, "md", 6, every, tiny, ", equilibration: 100, spacing: 20")) + "\n"


def for_dynamics(by_class: dict[str, list[Molecule]], rest: list[Molecule], rng: random.Random) -> list[Molecule]:
    """Molecules of MD_ATOMS heavy atoms: DYNAMICS of the missed classes, the first of each other class."""

    def fitting(molecules: list[Molecule]) -> list[Molecule]:
        return [m for m in molecules if MD_ATOMS[0] <= m.heavy_atoms <= MD_ATOMS[1]]

    found = []
    for short, count in DYNAMICS.items():
        molecules = fitting(by_class[short])
        found += rng.sample(molecules, min(count, len(molecules)))
    for kind in sorted({m.kind for m in rest}):
        left = [m for m in rest if m.kind == kind]
        if not fitting(left):
            raise SystemExit(f"{kind}: nothing for dynamics, since no molecule of {MD_ATOMS[0]} to {MD_ATOMS[1]} heavy "
                             f"atoms is left, only {', '.join(m.name for m in left)}; raise OTHERS")  # fmt: skip
        found.append(fitting(left)[0])
    return found


def sampler(
    comment: str, kind: str, frames: int, temperatures: str, molecules: list[Molecule], more: str = ""
) -> list[str]:
    """Lines of one sampler."""
    rows, row = [], "    molecules: ["
    for name in (quoted(name) for name in sorted(m.name for m in molecules)):
        if len(row) + len(name) > 108:
            rows.append(row.rstrip())
            row = "      "
        row += f"{name}, "
    rows.append(row.rstrip(", ") + "]}")
    head = f"  - {{kind: {kind}, frames: {frames}, temperatures: {temperatures}{more},"
    return [f"  # {comment}: {len(molecules)} molecules", head, *rows]


def quoted(name: str) -> str:
    """A name as YAML: in quotes unless it is a plain word that YAML 1.1 and 1.2 take as text."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name) and name.lower() not in NOT_TEXT
    return name if plain else json.dumps(name)


def main() -> None:
    """Write the structures and the configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes [2]")
    jobs = parser.parse_args().jobs
    RDLogger.DisableLog("rdApp.*")
    free, forbidden = listed()
    new = candidates({m.smiles for m in free}, forbidden)
    rng = random.Random(SEED)
    chosen = [m for m in free if m.kind in MISSED] + new + others(free, rng)
    chosen = [m for m in chosen if not names_of(m.smiles) & forbidden]
    (HERE / "config.yaml").write_text(config(make_structures(chosen, jobs), rng))


if __name__ == "__main__":
    main()
