"""Writes what is benchmarked: two potentials with random weights and the structures.

    PYTHONPATH=python python bench/make_system.py FOLDER [--batches]

FOLDER receives painn.yaml, mlff-distiller.yaml and systems.txt (format: bench/systems.h). Four
elements at 0.1 atoms/Angstrom^3 on a cubic grid with each coordinate moved by up to 0.3 Angstrom;
molecules are the atoms nearest to a grid's centre. The weights mean nothing chemically: their
forces are made small, so that a short MD run stays where it is. With --batches also benzenes_N: N
benzenes, each turned at random, so far apart that none sees another.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests" / "fixtures")]

from generate import random_tensor  # noqa: E402
from mlff_student.potential import Potential, expected_shapes  # noqa: E402
from mlff_student.reference import evaluate, make_check  # noqa: E402

ELEMENTS = ["H", "C", "N", "O"]
DENSITY = 0.1  # atoms/Angstrom^3
JITTER = 0.3  # Angstrom
MOLECULES = (10, 12, 20, 50, 100)
BOXES = {216: 6, 1728: 12}  # atoms -> atoms along an edge
LARGEST_FORCE = 0.05  # eV/Angstrom, in the molecule of 100 atoms
ARCHITECTURES = ("painn", "mlff-distiller")
BATCHES = tuple(2**k for k in range(11))  # benzenes
BENZENE_RADII = {"C": 1.395, "H": 2.482}  # Angstrom, of the rings
BENZENE_SPACING = 12.0  # Angstrom
REPEATED = "box_1728"  # larger boxes are this one, repeated along each axis


@dataclass
class System:
    """A structure; `edge` is that of its cubic periodic cell, 0 for a molecule."""

    name: str
    elements: np.ndarray  #: [n] indices into ELEMENTS
    positions: np.ndarray  #: [n, 3] Angstrom
    edge: float

    @property
    def cell(self) -> np.ndarray | None:
        return np.eye(3) * self.edge if self.edge else None


def jittered_grid(along: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Elements [n], positions [n, 3] and the cell's edge of along^3 atoms."""
    spacing = DENSITY ** (-1 / 3)
    grid = np.stack(np.meshgrid(*[np.arange(along)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = (grid + 0.5) * spacing + rng.uniform(-JITTER, JITTER, (along**3, 3))
    return rng.integers(len(ELEMENTS), size=along**3), positions, along * spacing


def make_systems() -> list[System]:
    """All structures, smallest first; always the same."""
    rng = np.random.default_rng(3)
    elements, positions, edge = jittered_grid(7, rng)
    nearest = np.argsort(np.linalg.norm(positions - edge / 2, axis=1))
    systems = [
        System(f"molecule_{n}", elements[nearest[:n]], positions[nearest[:n]], 0.0)
        for n in MOLECULES
    ]
    for n, along in BOXES.items():
        systems.append(System(f"box_{n}", *jittered_grid(along, rng)))
    return systems


def make_batches() -> list[System]:
    """benzenes_1 to benzenes_1024, molecules on a cubic grid; always the same."""
    rng = np.random.default_rng(5)
    angles = np.arange(6) * np.pi / 3
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], axis=1)
    molecule = np.concatenate([radius * ring for radius in BENZENE_RADII.values()])
    elements = np.repeat([ELEMENTS.index(e) for e in BENZENE_RADII], 6)
    systems = []
    for n in BATCHES:
        along = int(np.ceil(n ** (1 / 3) - 1e-9))
        grid = np.stack(np.meshgrid(*[np.arange(along)] * 3, indexing="ij"), -1).reshape(-1, 3)
        rotations = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
        positions = molecule @ rotations + BENZENE_SPACING * grid[:n, None, :]
        systems.append(System(f"benzenes_{n}", np.tile(elements, n), positions.reshape(-1, 3), 0.0))
    return systems


def make_potential(architecture: str, molecule: System) -> Potential:
    """F 128, L 3, K 20, cutoff 5 Angstrom, with random weights."""
    rng = np.random.default_rng(4)
    p = Potential(architecture, 128, 3, 20, 5.0, ELEMENTS, {}, contributor="random weights")
    p.date = "2026-11-20"
    shapes = dict(expected_shapes(p))
    hidden = [64] if architecture == "painn" else [64, 32]
    for k, (inputs, outputs) in enumerate(zip([p.channels, *hidden], [*hidden, 1])):
        shapes |= {f"out.{k}.weight": (outputs, inputs), f"out.{k}.bias": (outputs,)}
    p.tensors = {key: random_tensor(p, key, shape, rng) for key, shape in shapes.items()}
    names = [ELEMENTS[k] for k in molecule.elements]
    largest = abs(evaluate(p, names, molecule.positions).forces).max()
    for key in (f"out.{len(hidden)}.weight", f"out.{len(hidden)}.bias"):
        p.tensors[key] = (p.tensors[key] * (LARGEST_FORCE / largest)).astype(np.float32)
    p.check = make_check(p)
    return p


def read_systems(folder: Path) -> list[System]:
    """The systems of FOLDER/systems.txt."""
    words = iter((folder / "systems.txt").read_text().split())
    systems = []
    for name in words:
        n, edge = int(next(words)), float(next(words))
        rows = np.array([[float(next(words)) for _ in range(4)] for _ in range(n)])
        systems.append(System(name, rows[:, 0].astype(int), rows[:, 1:], edge))
    return systems


def find_system(folder: Path, name: str) -> tuple[System, int]:
    """The system of that name and 1, or REPEATED and how often it is repeated along each axis."""
    systems = {system.name: system for system in read_systems(folder)}
    if name in systems:
        return systems[name], 1
    if name.startswith("box_") and REPEATED in systems:
        cells = int(name[4:]) / len(systems[REPEATED].elements)
        along = round(cells ** (1 / 3))
        if along**3 == cells:
            return systems[REPEATED], along
    raise ValueError(f"there is no system {name!r}, and it is no repetition of {REPEATED}")


def write_all(folder: Path, batches: bool = False) -> None:
    """Writes the potentials and systems.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    systems = make_systems() + (make_batches() if batches else [])
    with open(folder / "systems.txt", "w") as out:
        for system in systems:
            print(system.name, len(system.elements), f"{system.edge:.17g}", file=out)
            for element, x in zip(system.elements, system.positions):
                print(element, *(f"{value:.17g}" for value in x), file=out)
    molecule = next(system for system in systems if system.name == "molecule_100")
    for architecture in ARCHITECTURES:
        make_potential(architecture, molecule).write(folder / f"{architecture}.yaml")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--batches"]):
        sys.exit(__doc__)
    write_all(Path(sys.argv[1]), batches=len(sys.argv) == 3)
