"""Labelled frames: the file they are kept in, and how they are dealt out to training and test."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_file import replaced_when_complete
from .config import ConfigError, Split

VERSION = 2  # 1: without `compact`, group_classes and group_parts; still read
POSITION_UNIT = 1e-5  # Angstrom; what compact files are rounded to
FORCE_UNIT = 1e-3  # eV/Angstrom; likewise, far below the errors of any student


@dataclass
class Frames:
    """M labelled structures with N atoms in all; atoms of frame k are offsets[k]:offsets[k+1]."""

    counts: np.ndarray  # [M] atoms in each frame
    numbers: np.ndarray  # [N] atomic numbers
    positions: np.ndarray  # [N, 3] Angstrom
    forces: np.ndarray  # [N, 3] eV/Angstrom
    energies: np.ndarray  # [M] eV
    cells: np.ndarray  # [M, 3, 3] Angstrom, rows; zero where the frame is not periodic
    groups: np.ndarray  # [M] index into group_names: the molecule
    trajectories: np.ndarray  # [M] frames of one number were made together
    group_names: list[str] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)  # teacher and sampling they came from
    group_classes: list[str] = field(default_factory=list)  # for tables of errors; "": none
    group_parts: list[str] = field(default_factory=list)  # train, validation, test or "": dealt out

    def __post_init__(self) -> None:
        blank = [""] * len(self.group_names)
        self.group_classes = self.group_classes or list(blank)
        self.group_parts = self.group_parts or list(blank)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def offsets(self) -> np.ndarray:
        """[M+1] first atom of each frame."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @property
    def largest_forces(self) -> np.ndarray:
        """[M] size of the largest component of each frame's forces (eV/Angstrom)."""
        return np.maximum.reduceat(np.abs(self.forces).max(axis=1), self.offsets[:-1])

    def take(self, index: np.ndarray) -> Frames:
        """The frames of these indices."""
        counts = self.counts[index]
        before = np.cumsum(counts) - counts
        atoms = np.arange(counts.sum()) + np.repeat(self.offsets[index] - before, counts)
        per_atom = ("numbers", "positions", "forces")
        arrays = {n: getattr(self, n)[atoms if n in per_atom else index] for n in _ARRAYS}
        return dataclasses.replace(self, **arrays)

    def hash(self) -> str:
        """SHA-256 over the arrays, to name this set of labels."""
        digest = hashlib.sha256()
        for name, dtype in _ARRAYS.items():
            digest.update(np.ascontiguousarray(getattr(self, name), dtype).tobytes())
        return digest.hexdigest()

    def save(self, path: Path, compact: bool = False) -> None:
        """Write a compressed .npz file: positions and forces as float32, energies as float64.

        `compact` rounds positions and forces to POSITION_UNIT and FORCE_UNIT: half the size.
        """
        arrays = {name: np.asarray(getattr(self, name), t) for name, t in _ARRAYS.items()}
        if not self.cells.any():
            del arrays["cells"]
        if compact:
            arrays["positions"] = _planes(self.positions, POSITION_UNIT)
            arrays["forces"] = _planes(self.forces, FORCE_UNIT)
        meta = {"version": VERSION} | {name: getattr(self, name) for name in _META}
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_when_complete(path, binary=True) as stream:
            np.savez_compressed(stream, meta=np.array(json.dumps(meta)), **arrays)

    @classmethod
    def load(cls, path: Path) -> Frames:
        """Read what `save` wrote."""
        try:
            with np.load(path, allow_pickle=False) as file:
                meta = json.loads(str(file["meta"]))
                arrays = {name: file[name] for name in _ARRAYS if name in file}
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file; make it with --label-only") from None
        except (OSError, KeyError, ValueError) as error:
            raise ConfigError(f"{path}: is not a file of labelled frames: {error}") from None
        if not 1 <= meta["version"] <= VERSION:
            raise ConfigError(f"{path}: version {meta['version']}, this program reads 1-{VERSION}")
        arrays.setdefault("cells", np.zeros((len(arrays["counts"]), 3, 3), np.float32))
        for name, unit in (("positions", POSITION_UNIT), ("forces", FORCE_UNIT)):
            if arrays[name].dtype == np.uint8:
                arrays[name] = _from_planes(arrays[name], unit)
        return cls(**arrays, **{name: meta[name] for name in _META if name in meta})


def _planes(array: np.ndarray, unit: float) -> np.ndarray:
    """Multiples of `unit` [N, 3] as the bytes of int32, byte by byte [4, 3N]: they compress well."""
    whole = np.rint(np.asarray(array, np.float64) / unit).astype("<i4")
    return np.ascontiguousarray(whole.reshape(-1, 1).view(np.uint8).T)


def _from_planes(planes: np.ndarray, unit: float) -> np.ndarray:
    """What `_planes` was given, rounded, as float32 [N, 3]."""
    whole = np.ascontiguousarray(planes.T).view("<i4")
    return (whole * unit).astype(np.float32).reshape(-1, 3)


_ARRAYS = {
    "counts": np.int32,
    "numbers": np.uint8,
    "positions": np.float32,
    "forces": np.float32,
    "energies": np.float64,
    "cells": np.float32,
    "groups": np.int16,
    "trajectories": np.int32,
}
_META = ("group_names", "recipe", "group_classes", "group_parts")


def collect(frames: list[tuple[Any, float, np.ndarray]], group: int, trajectory: int) -> Frames:
    """Frames from (ase.Atoms, energy, forces) of one molecule and one trajectory."""
    atoms = [frame[0] for frame in frames]
    periodic = [a.cell.array * a.pbc.all() for a in atoms]
    centred = [a.positions - a.positions.mean(axis=0) * (not a.pbc.any()) for a in atoms]
    stack = lambda rows, width: (
        np.concatenate(rows) if rows else np.zeros((0, *width))
    )  # noqa: E731
    return Frames(
        counts=np.array([len(a) for a in atoms], np.int32),
        numbers=stack([a.numbers for a in atoms], ()).astype(np.uint8),
        positions=stack(centred, (3,)).astype(np.float32),
        forces=stack([f[2] for f in frames], (3,)).astype(np.float32),
        energies=np.array([f[1] for f in frames], np.float64),
        cells=np.array(periodic, np.float32).reshape(-1, 3, 3),
        groups=np.full(len(atoms), group, np.int16),
        trajectories=np.full(len(atoms), trajectory, np.int32),
    )


def merge(
    parts: list[Frames], group_names: list[str], recipe: dict[str, Any], **more: Any
) -> Frames:
    """One set of frames out of several; `more`: group_classes and group_parts."""
    arrays = {name: np.concatenate([getattr(p, name) for p in parts]) for name in _ARRAYS}
    return Frames(**arrays, group_names=group_names, recipe=recipe, **more)


def split_frames(frames: Frames, split: Split, seed: int) -> dict[str, np.ndarray]:
    """Frame indices of "train", "validation" and "test", each sorted.

    Frames that belong together (by `split.by`) go the same way. Every molecule gives its share to
    each part, so a rare one is not missing by chance, unless the molecules themselves are dealt.
    Groups that name their part (`group_parts`) go there.
    """
    rng = np.random.default_rng(seed)
    unit = {
        "frame": np.arange(len(frames)),
        "trajectory": frames.trajectories,
        "molecule": frames.groups,
    }[split.by]
    held = [frames.group_names.index(n) for n in split.test_molecules if n in frames.group_names]
    assigned = np.array(frames.group_parts, "<U10")[frames.groups]
    assigned[np.isin(frames.groups, held)] = "test"
    reserved = assigned != ""
    strata = np.zeros(len(frames), int) if split.by == "molecule" else frames.groups
    part = np.full(len(frames), "train", dtype="<U10")
    for stratum in np.unique(strata[~reserved]):
        units = rng.permutation(np.unique(unit[(strata == stratum) & ~reserved]))
        test = round(split.test * len(units))
        validation = max(round(split.validation * len(units)), len(units) > 2)
        part[np.isin(unit, units[:test])] = "test"
        part[np.isin(unit, units[test : test + validation])] = "validation"
    part[reserved] = assigned[reserved]
    parts = {name: np.flatnonzero(part == name) for name in ("train", "validation", "test")}
    for name in ("train", "validation"):
        if not len(parts[name]):
            raise ConfigError(
                f"split: no frame is left for {name} out of {len(frames)}; add frames"
            )
    return parts
