"""Labelling: run every sampler on every molecule with the teacher, in resumable pieces.

The pieces can be made by several processes, in several calls and on several machines: whatever files of
pieces are in the folder of the recipe count.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from . import sampling
from .config import Config, ConfigError, Molecule
from .frames import Frames, collect, merge
from .plan import Task, recipe, recipe_hash, tasks
from .starts import load_starts, make_starts, save_starts


def label(
    config: Config,
    progress: bool = True,
    jobs: int = 1,
    time_limit: float = math.inf,
    collect_only: bool = False,
) -> Frames | None:
    """Make and store the labelled frames; pieces that an earlier call finished are reused.

    Frames with a force above data.force_limit are left out. Writes config.data_path. `jobs` processes
    share the pieces. None, and nothing but pieces written, where time_limit (s) ends first. With
    collect_only, the pieces that are there are stored, and kept.
    """
    pieces, folder = tasks(config), parts_folder(config)
    if not pieces:
        raise ConfigError("data.sampling: asks for no frame; add samplers, or the file of frames")
    groups = list(dict.fromkeys(task.group for task in pieces))
    folder.mkdir(parents=True, exist_ok=True)
    if not collect_only:
        _make_pieces(config, pieces, groups, progress, jobs, time.monotonic() + time_limit)
    bundle(folder, config.data.compact)
    done = finished(folder)
    if collect_only and not done:
        raise ConfigError(f"{folder}: no piece is finished; label without --collect-only")
    if len(done) < len(pieces) and not collect_only:
        return None
    described = {task.group: task for task in pieces}
    frames = merge(
        [_in_order(folder)],
        groups,
        recipe(config) | {"pieces": f"{len(done)} of {len(pieces)}"},
        group_classes=[described[g].group_class for g in groups],
        group_parts=[described[g].part for g in groups],
    )
    frames.save(config.data_path, config.data.compact)
    if not collect_only:
        shutil.rmtree(folder.parent)
        starts_path(config).unlink(missing_ok=True)
    return frames


def _make_pieces(
    config: Config, pieces: list[Task], groups: list[str], progress: bool, jobs: int, end: float
) -> None:
    """Make the pieces that are not in the folder yet, until time.monotonic() is `end`."""
    from tqdm import tqdm

    starts = prepare(config, progress, jobs)
    done = finished(parts_folder(config))
    order = np.random.default_rng(config.seed).permutation(len(pieces))  # any beginning is a sample
    left = [int(k) for k in order if k not in done]
    numbers = {group: index for index, group in enumerate(groups)}
    work = (
        (k, pieces[k], starts.get(k, []) if pieces[k].has_start else None, numbers[pieces[k].group])
        for k in left
    )
    worker = _Worker(config, parts_folder(config))
    bar = tqdm(total=len(pieces), initial=len(done), unit="piece", disable=not progress)
    for _ in in_processes(worker, work, jobs, end):
        bar.update(1)
    bar.close()


def prepare(config: Config, progress: bool = True, jobs: int = 1) -> dict[int, list[Atoms]]:
    """The structures that need no teacher, for each piece that has them; kept in a file."""
    from tqdm import tqdm

    path, identity = starts_path(config), recipe_hash(config)
    known = load_starts(path, identity)
    if known is None:
        wanted = [(k, task) for k, task in enumerate(tasks(config)) if task.has_start]
        known = {}
        bar = tqdm(total=len(wanted), unit="start", disable=not progress)
        for number, structures in in_processes(_make_starts, iter(wanted), jobs, math.inf):
            known[number] = structures
            bar.update(1)
        bar.close()
        if known:
            known = dict(sorted(known.items()))
            save_starts(known, path, identity)
            known = load_starts(path, identity)
    return known


def starts_path(config: Config) -> Path:
    """Where the structures that need no teacher are kept."""
    return config.data_path.with_name(f"{config.data_path.stem}.starts.npz")


def parts_folder(config: Config) -> Path:
    """Where the pieces of a recipe are kept."""
    return config.data_path.with_name(f"{config.data_path.stem}.parts") / recipe_hash(config)[:16]


def finished(folder: Path) -> set[int]:
    """Numbers of the pieces in a folder."""
    return {n for path in folder.glob("*.npz") for n in Frames.load(path).recipe["pieces"]}


def bundle(folder: Path, compact: bool) -> None:
    """Put the single pieces of a folder together into one file, named by its content."""
    single = sorted(folder.glob("piece-*.npz"))
    if not single:
        return
    parts = [Frames.load(path) for path in single]
    numbers = sorted(n for part in parts for n in part.recipe["pieces"])
    frames = merge(parts, [], {"pieces": numbers})
    name = hashlib.sha256(f"{frames.hash()} {numbers}".encode()).hexdigest()[:16]
    frames.save(folder / f"bundle-{name}.npz", compact)
    for path in single:
        path.unlink()


def _in_order(folder: Path) -> Frames:
    """Frames of all pieces in the order of their numbers; of pieces made twice, one."""
    parts, seen = [], set()
    for path in sorted(folder.glob("*.npz")):
        frames = Frames.load(path)
        parts.append(frames.take(np.flatnonzero(~np.isin(frames.trajectories, list(seen)))))
        seen |= set(frames.recipe["pieces"])
    frames = merge(parts, [], {})
    return frames.take(np.argsort(frames.trajectories, kind="stable"))


def in_processes(worker: Any, work: Iterable[tuple], jobs: int, end: float) -> Iterator[Any]:
    """worker(*item) for the items until time.monotonic() is `end`, in no fixed order."""
    timed = _Timed(worker, end)
    if jobs == 1:
        results = map(timed, work)
        yield from itertools.takewhile(lambda result: result != _LATE, results)
        return
    with _one_thread_each(), multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for result in pool.imap_unordered(timed, work):
            if result != _LATE:
                yield result


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that begin meanwhile use one thread: they share the cores."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


_LATE = "late"


class _Timed:
    """A worker that does nothing after a time."""

    def __init__(self, worker: Any, end: float) -> None:
        self.worker, self.end = worker, end

    def __call__(self, item: tuple) -> Any:
        return _LATE if time.monotonic() > self.end else self.worker(*item)


def _make_starts(number: int, task: Task) -> tuple[int, list[Atoms]]:
    return number, make_starts(task)


class _Worker:
    """Makes pieces and writes them to the folder."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.starts = _Starts(config)

    def __call__(self, number: int, task: Task, starts: list[Atoms] | None, group: int) -> int:
        made = self._frames(task, starts)
        kept = [frame for frame in made if _usable(frame, self.config.data.force_limit)]
        frames = collect(kept, group, number)
        frames.recipe = {"pieces": [number]}
        frames.save(self.folder / f"piece-{number:06d}.npz", self.config.data.compact)
        return number

    def _frames(self, task: Task, starts: list[Atoms] | None) -> Iterator[sampling.Frame]:
        """Labelled frames of a task, from the force field's structures where it has them."""
        rng = np.random.default_rng(task.seed)
        sampler, frames = task.sampler, task.frames
        if sampler.kind in ("md", "normal_modes"):
            first = self._first(task, starts)
            if sampler.kind == "md":
                yield from sampling.sample_md(first, sampler, task.temperature, frames, rng)
                return
            modes = (
                self.starts.modes(task.members[0])
                if starts is None
                else sampling.normal_modes(first)
            )
            geometries = sampling.along_modes(first, modes, task.temperature, frames, rng)
        elif starts is not None:
            geometries = starts
        elif sampler.kind == "rattle":
            geometries = sampling.rattled(self._first(task, None), sampler, frames, rng)
        elif sampler.kind == "stretch":
            geometries = sampling.stretched(self._first(task, None), sampler, frames, rng)
        else:
            pair = [self.starts[molecule] for molecule in task.members]
            geometries = sampling.in_contact(*pair, sampler, frames, rng)
        teacher = sampling.make_teacher(self.config.teacher)
        for atoms in geometries:
            yield from sampling.labelled(atoms, teacher, sampler, task.temperature, rng)

    def _first(self, task: Task, starts: list[Atoms] | None) -> Atoms:
        if starts is None:
            return self.starts[task.members[0]]
        first = starts[0].copy()
        first.calc = sampling.make_teacher(self.config.teacher)
        return first


class _Starts:
    """Relaxed structures of molecules without SMILES, each made when it is first asked for."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.known: dict[str, Any] = {}
        self.known_modes: dict[str, Any] = {}

    def __getitem__(self, molecule: Molecule) -> Atoms:
        if molecule.name not in self.known:
            structure = sampling.make_structure(molecule, self.config.folder)
            teacher = sampling.make_teacher(self.config.teacher)
            self.known[molecule.name] = sampling.relax(structure, teacher, self.config.data.relax)
        return self.known[molecule.name]

    def modes(self, molecule: Molecule) -> Any:
        """The normal modes of a molecule."""
        if molecule.name not in self.known_modes:
            self.known_modes[molecule.name] = sampling.normal_modes(self[molecule])
        return self.known_modes[molecule.name]


def _usable(frame: sampling.Frame, force_limit: float) -> bool:
    _, energy, forces = frame
    return bool(np.isfinite(energy) and np.abs(forces).max(initial=0.0) < force_limit)
