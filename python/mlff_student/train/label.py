"""Labelling: run every sampler on every molecule with the teacher, in resumable pieces."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import sampling
from .config import Config, Molecule, Sampler
from .frames import Frames, collect, merge


@dataclass(frozen=True)
class Task:
    """A piece of the labelling that is done in one go: one trajectory, or one batch of frames."""

    group: str
    members: tuple[Molecule, ...]  # one, or the two of a contact
    sampler: Sampler
    temperature: float
    frames: int
    seed: int


def recipe(config: Config) -> dict[str, Any]:
    """What determines the labels: the teacher, the data section and the seed."""
    data = dataclasses.asdict(config.data)
    del data["file"]
    return {"teacher": dataclasses.asdict(config.teacher), "data": data, "seed": config.seed}


def recipe_hash(config: Config) -> str:
    """SHA-256 of the recipe."""
    return hashlib.sha256(json.dumps(recipe(config), sort_keys=True).encode()).hexdigest()


def tasks(config: Config) -> list[Task]:
    """All pieces of the labelling, in a fixed order, each with a seed of its own."""
    found = []
    for sampler in config.data.sampling:
        chosen = [
            m for m in config.data.molecules if m.name in sampler.molecules or not sampler.molecules
        ]
        if sampler.kind == "contact":
            for pair in itertools.combinations_with_replacement(chosen, 2):
                found += _pieces("+".join(m.name for m in pair), pair, sampler, 0.0, sampler.frames)
            continue
        temperatures = sampler.temperatures or [0.0]
        for molecule in chosen:
            total = sampler.frames * molecule.repeats
            for k, temperature in enumerate(temperatures):
                share = total * (k + 1) // len(temperatures) - total * k // len(temperatures)
                found += _pieces(molecule.name, (molecule,), sampler, temperature, share)
    seeds = np.random.SeedSequence(config.seed).generate_state(len(found), np.uint64)
    return [dataclasses.replace(task, seed=int(s)) for task, s in zip(found, seeds)]


def _pieces(
    group: str, members: tuple[Molecule, ...], sampler: Sampler, temperature: float, frames: int
) -> list[Task]:
    sizes = [sampler.run] * (frames // sampler.run)
    if frames % sampler.run:
        sizes.append(frames % sampler.run)
    return [Task(group, members, sampler, temperature, size, 0) for size in sizes]


def label(config: Config, progress: bool = True) -> Frames:
    """Make and store the labelled frames; pieces that an earlier call finished are reused.

    Frames with a force above data.force_limit are left out. Writes config.data_path.
    """
    from tqdm import tqdm

    folder = config.data_path.with_name(f"{config.data_path.stem}.parts") / recipe_hash(config)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    pieces = tasks(config)
    groups = list(dict.fromkeys(task.group for task in pieces))
    starts = _Starts(config)
    parts = []
    bar = tqdm(total=sum(t.frames for t in pieces), unit="frame", disable=not progress)
    for number, task in enumerate(pieces):
        bar.set_description(f"{task.group}, {task.sampler.kind}")
        path = folder / f"{number:05d}.npz"
        if not path.is_file():
            kept = [f for f in _frames(task, starts) if _usable(f, config.data.force_limit)]
            collect(kept, groups.index(task.group), number).save(path)
        parts.append(Frames.load(path))
        bar.update(task.frames)
    bar.close()
    frames = merge(parts, groups, recipe(config))
    frames.save(config.data_path)
    shutil.rmtree(folder.parent)
    return frames


class _Starts:
    """Relaxed starting structures, each made when it is first asked for."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.teacher = sampling.make_teacher(config.teacher)
        self.known: dict[str, Any] = {}
        self.known_modes: dict[str, Any] = {}

    def __getitem__(self, molecule: Molecule) -> Any:
        if molecule.name not in self.known:
            structure = sampling.make_structure(molecule, self.config.folder)
            relaxed = sampling.relax(structure, self.teacher, self.config.data.relax)
            self.known[molecule.name] = relaxed
        return self.known[molecule.name]

    def modes(self, molecule: Molecule) -> Any:
        """The normal modes of a molecule."""
        if molecule.name not in self.known_modes:
            self.known_modes[molecule.name] = sampling.normal_modes(self[molecule])
        return self.known_modes[molecule.name]


def _frames(task: Task, starts: _Starts) -> Iterator[sampling.Frame]:
    rng = np.random.default_rng(task.seed)
    first = starts[task.members[0]]
    sampler, frames = task.sampler, task.frames
    if sampler.kind == "md":
        return sampling.sample_md(first, sampler, task.temperature, frames, rng)
    if sampler.kind == "normal_modes":
        modes = starts.modes(task.members[0])
        return sampling.sample_normal_modes(first, modes, task.temperature, frames, rng)
    if sampler.kind == "rattle":
        return sampling.sample_rattle(first, sampler, frames, rng)
    if sampler.kind == "stretch":
        return sampling.sample_stretch(first, sampler, frames, rng)
    return sampling.sample_contact(first, starts[task.members[1]], sampler, frames, rng)


def _usable(frame: sampling.Frame, force_limit: float) -> bool:
    _, energy, forces = frame
    return bool(np.isfinite(energy) and np.abs(forces).max(initial=0.0) < force_limit)
