"""Structures that need no teacher: what samplers start from, made with a force field and kept in a file.

For md and normal_modes that is the structure of the molecule; for the other samplers, the geometries to
label. They are made ahead of the labels, so that labelling elsewhere needs no RDKit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms

from . import sampling
from .frames import Frames, collect, merge
from .plan import Task

EQUILIBRATION, SPACING = 200, 60  # steps of 2 fs with the force field
LIQUID_EQUILIBRATION, LIQUID_SPACING = 400, 100


def make_starts(task: Task) -> list[Atoms]:
    """The structures of a task whose molecules all have SMILES."""
    from . import force_field

    rng = np.random.default_rng([task.seed, 1])
    made = [force_field.conformer(m.smiles, int(rng.integers(2**31))) for m in task.members]
    molecules, structures = zip(*made)
    frames, sampler = task.frames, task.sampler
    if sampler.kind == "rattle":
        return list(sampling.rattled(structures[0], sampler, frames, rng))
    if sampler.kind == "stretch":
        return list(sampling.stretched(structures[0], sampler, frames, rng))
    if sampler.kind == "contact":
        return list(sampling.in_contact(*structures, sampler, frames, rng))
    if sampler.kind == "force_field" and task.temperature == 0:
        smiles, seeds = task.members[0].smiles, rng.integers(2**31, size=frames - 1)
        return [structures[0], *(force_field.conformer(smiles, int(s))[1] for s in seeds)]
    if sampler.kind == "force_field":
        slope = force_field.gradient(list(molecules))
        return _dynamics(structures[0], slope, task, EQUILIBRATION, SPACING, rng)
    if sampler.kind == "cluster":
        slope = force_field.gradient(list(molecules))
        return _dynamics(_packed(structures, rng), slope, task, EQUILIBRATION, SPACING, rng)
    if sampler.kind == "liquid":
        box = force_field.lattice(list(structures), rng.uniform(*sampler.range), rng)
        slope = force_field.periodic_gradient(list(molecules), box.cell[0, 0])
        return _dynamics(box, slope, task, LIQUID_EQUILIBRATION, LIQUID_SPACING, rng)
    return [structures[0]]


def _packed(structures: tuple[Atoms, ...], rng: np.random.Generator) -> Atoms:
    """The molecules side by side, each in contact with those before it."""
    cluster = sampling.turned(structures[0], rng)
    for structure in structures[1:]:
        cluster.positions -= cluster.positions.mean(axis=0)
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        cluster = sampling.touching(cluster, sampling.turned(structure, rng), direction, 0.9)
    return cluster


def _dynamics(
    start: Atoms,
    slope: object,
    task: Task,
    equilibration: int,
    spacing: int,
    rng: np.random.Generator,
) -> list[Atoms]:
    """Frames of the force field's dynamics at the task's temperature."""
    from . import force_field

    positions = start.positions
    if len(task.members) > 1:
        positions = force_field.minimise(positions, slope, 200)
    steps = force_field.dynamics(positions, slope, task.temperature, equilibration, spacing, rng)
    return [sampling.moved(start, p) for p in itertools.islice(steps, task.frames)]


def save_starts(starts: dict[int, list[Atoms]], path: Path, identity: str) -> None:
    """Write the structures of the tasks of these numbers as a compact file of frames without labels."""
    parts = [
        collect([(atoms, 0.0, np.zeros((len(atoms), 3))) for atoms in structures], 0, number)
        for number, structures in starts.items()
    ]
    merge(parts, ["start"], {"identity": identity}).save(path, compact=True)


def load_starts(path: Path, identity: str) -> dict[int, list[Atoms]] | None:
    """What `save_starts` wrote, or None where there is no such file of this identity."""
    if not path.is_file():
        return None
    frames = Frames.load(path)
    if frames.recipe.get("identity") != identity:
        return None
    found: dict[int, list[Atoms]] = {}
    for k, atoms in enumerate(structures_of(frames)):
        found.setdefault(int(frames.trajectories[k]), []).append(atoms)
    return found


def structures_of(frames: Frames) -> Iterator[Atoms]:
    """The frames as ase.Atoms."""
    offsets = frames.offsets
    for k in range(len(frames)):
        part = slice(offsets[k], offsets[k + 1])
        cell = frames.cells[k]
        yield Atoms(frames.numbers[part], frames.positions[part], cell=cell, pbc=bool(cell.any()))
