"""The teacher's labels of structures that something else chose, by several processes."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
from ase import Atoms

from ..atomic_file import replaced_when_complete
from . import sampling
from .config import ConfigError, Teacher
from .frames import Frames
from .label import in_processes
from .starts import structures_of

SAVE_EVERY = 20.0  # s
Label = tuple[float, np.ndarray]  # energy (eV), forces [n, 3] (eV/Angstrom)


def label_given(
    frames: Frames,
    teacher: Teacher,
    path: Path,
    jobs: int,
    deadline: float,
    progress: bool = True,
) -> dict[int, Label | None] | None:
    """The label of each frame, None where the teacher fails; None for all if the deadline (of
    time.monotonic) came first. What was finished is kept in `path` and not computed again.
    """
    from tqdm import tqdm

    sampling.make_teacher(teacher)  # a wrong configuration is reported before processes start
    done = _load(path)
    left = [k for k in range(len(frames)) if k not in done]
    left.sort(key=lambda k: -frames.counts[k])  # the slow ones first, so that none is left alone
    saved = time.monotonic()
    with tqdm(total=len(frames), initial=len(done), unit="label", disable=not progress) as bar:
        structures = list(structures_of(frames))
        work = ((k, structures[k]) for k in left)
        for k, found in in_processes(_Labeller(teacher), work, jobs, deadline):
            done[k] = found
            bar.update(1)
            if time.monotonic() - saved > SAVE_EVERY:
                _save(path, done)
                saved = time.monotonic()
    _save(path, done)
    return done if len(done) == len(frames) else None


def labelled(frames: Frames, labels: dict[int, Label | None], force_limit: float) -> Frames:
    """The frames that have a label without a force above the limit, with it."""
    index = [
        k
        for k in range(len(frames))
        if (label := labels[k]) is not None and np.abs(label[1]).max() < force_limit
    ]
    if not index:
        raise ConfigError(
            f"teacher: none of {len(frames)} structures has labels and no force above "
            f"data.force_limit, {force_limit} eV/Angstrom; see whether the teacher fits them"
        )
    energies = np.array([labels[k][0] for k in index])
    forces = np.concatenate([labels[k][1] for k in index])
    return dataclasses.replace(frames.take(np.array(index)), energies=energies, forces=forces)


class _Labeller:
    """Labels a structure, in whatever process it is called in."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    def __call__(self, k: int, atoms: Atoms) -> tuple[int, Label | None]:
        from ase.calculators.calculator import CalculatorError

        atoms = atoms.copy()  # so that the calculator is forgotten
        atoms.calc = sampling.make_teacher(self.teacher)
        try:
            energy, forces = float(atoms.get_potential_energy()), atoms.get_forces()
        except (CalculatorError, RuntimeError):
            return k, None
        usable = np.isfinite(energy) and np.isfinite(forces).all()
        return k, (energy, forces) if usable else None


def _save(path: Path, done: dict[int, Label | None]) -> None:
    numbers = sorted(done)
    good = [k for k in numbers if done[k] is not None]
    forces = [done[k][1] for k in good]
    with replaced_when_complete(path, binary=True) as stream:
        np.savez_compressed(
            stream,
            failed=np.array([k for k in numbers if done[k] is None], int),
            good=np.array(good, int),
            energies=np.array([done[k][0] for k in good]),
            counts=np.array([len(f) for f in forces], int),
            forces=np.concatenate([np.zeros((0, 3)), *forces]),
        )


def _load(path: Path) -> dict[int, Label | None]:
    if not path.exists():
        return {}
    with np.load(path) as file:
        forces = np.split(file["forces"], np.cumsum(file["counts"])[:-1])
        done: dict[int, Label | None] = {int(k): None for k in file["failed"]}
        done |= {int(k): (float(e), f) for k, e, f in zip(file["good"], file["energies"], forces)}
    return done
