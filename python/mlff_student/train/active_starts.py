"""Structures that trajectories of active learning start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .config import Config, ConfigError
from .frames import Frames, collect, merge


def choose_starts(known: Frames, config: Config, seed: int) -> tuple[Frames, np.ndarray]:
    """Starts of all trajectories of a round, and their temperatures (K).

    known: the training frames; those with small forces and the structures of the files in
    active.pool are what is chosen from. Every molecule has its turn before one comes again, and
    comes at another temperature then.
    """
    settings = config.active
    trained = np.unique(known.groups)
    held = {name for group, name in enumerate(known.group_names) if group not in trained}
    pool = [_calmer_half(known), *(_read_pool(config.folder / f, held) for f in settings.pool)]
    names = list(dict.fromkeys(name for frames in pool for name in frames.group_names))
    classes: dict[str, str] = {}
    for frames in pool:
        classes |= {n: c for n, c in zip(frames.group_names, frames.group_classes) if c}
        table = np.array([names.index(name) for name in frames.group_names], np.int16)
        frames.groups = table[frames.groups]
    every = merge(pool, names, {}, group_classes=[classes.get(name, "") for name in names])
    rng = np.random.default_rng(seed)
    periodic = every.cells.any(axis=(1, 2))
    free = _in_turn(every.groups, np.flatnonzero(~periodic), settings.trajectories, rng)
    boxes = _in_turn(every.groups, np.flatnonzero(periodic), settings.periodic_trajectories, rng)
    index = np.array([*free, *boxes], int)
    if not len(index):
        raise ConfigError(
            "active.trajectories, active.periodic_trajectories: there is nothing to start from"
        )
    temperatures = [
        *_temperatures(every.groups[free], settings.temperatures),
        *_temperatures(every.groups[boxes], settings.periodic_temperatures),
    ]
    return every.take(index), np.array(temperatures)


def _calmer_half(frames: Frames) -> Frames:
    """Of each molecule the frames whose largest force is not above the median."""
    largest = frames.largest_forces
    chosen = []
    for group in np.unique(frames.groups):
        index = np.flatnonzero(frames.groups == group)
        chosen.append(index[largest[index] <= np.median(largest[index])])
    return frames.take(np.sort(np.concatenate(chosen)))


def _read_pool(path: Path, held_out: set[str]) -> Frames:
    """Structures of a file that ASE reads. A structure's molecule is its `name` in the file, or
    the file's; structures of one name are one molecule."""
    from ase.io import read

    try:
        structures = read(path, index=":")
    except OSError as error:
        raise ConfigError(f"active.pool: {path}: cannot be read: {error.strerror}") from None
    names = [str(atoms.info.get("name", path.stem)) for atoms in structures]
    if held := sorted(set(names) & held_out):
        raise ConfigError(
            f"active.pool: {path}: {', '.join(held)} held out of training; take it out"
        )
    groups = list(dict.fromkeys(names))
    classes = {n: str(atoms.info.get("class", "")) for n, atoms in zip(names, structures)}
    frames = [collect([(atoms, 0.0, np.zeros((len(atoms), 3)))], groups.index(n), 0)
              for n, atoms in zip(names, structures)]  # fmt: skip
    return merge(frames, groups, {}, group_classes=[classes[n] for n in groups])


def _in_turn(
    groups: np.ndarray, index: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """`count` of these frames, molecule after molecule in a random order, again and again."""
    if not len(index):
        return np.zeros(0, int)
    members = [rng.permutation(index[groups[index] == g]) for g in np.unique(groups[index])]
    order = rng.permutation(len(members))
    laps = -(-count // len(order))
    chosen = [members[m][lap % len(members[m])] for lap in range(laps) for m in order]
    return np.array(chosen[:count], int)


def _temperatures(groups: np.ndarray, known: list[float]) -> list[float]:
    """A temperature for each trajectory; a molecule has them in turn, as its frames come."""
    turns: dict[int, int] = {}
    found = []
    for group in groups:
        turn = turns.setdefault(int(group), len(turns))
        found.append(known[turn % len(known)])
        turns[int(group)] += 1
    return found
