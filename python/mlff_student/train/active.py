"""Active learning: in each round a committee runs dynamics, the structures on which its members
disagree are labelled by the teacher, and it is trained on them as well.

The run folder holds, for rounds 1, 2, …:

- round_R: a training run (see fit.py); round_0 is the one before the first round, the same as
  `mlff-student train` makes;
- explored_R.npz, picked_R.npz, labels_R.npz: what the stages of a round have finished;
- frames_active_R.npz: the labelled frames that train; held_out_R.npz: those that only measure;
- record_R.json and record_R.png: what the round found and what training on it changed.

A stage whose file is there is not run again, so a run can be stopped anywhere.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import math
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..potential import Potential
from .active_record import BINS, write_record
from .active_starts import choose_starts
from .committee import Committee, disagreement_on
from .config import Config, ConfigError
from .fit import Fit, device_of, is_finished, potential_path
from .frame_sets import load_frames
from .frames import Frames, merge
from .label_given import label_given, labelled
from .neighbours import find_edges
from .student_md import Exploration, Simulation, TimeIsUp, explore


@dataclass
class Run:
    """A run of active learning: its configuration, folder and limits."""

    config: Config
    folder: Path
    jobs: int = 1
    deadline: float = math.inf  # of time.monotonic
    progress: bool = True

    def path(self, name: str, number: int, ending: str = "npz") -> Path:
        """A file of a round."""
        return self.folder / f"{name}_{number}.{ending}"

    def potentials(self, number: int) -> list[Path]:
        """The committee that a round ended with."""
        folder, members = self.folder / f"round_{number}", range(self.config.training.committee)
        return [potential_path(self.config, folder, k) for k in members]

    def committee(self, number: int) -> Committee:
        """The same, loaded."""
        return Committee(self.potentials(number), device_of(self.config.training.device))

    def seed(self, number: int, stage: int) -> int:
        """Seed of a stage of a round."""
        sequence = np.random.SeedSequence([self.config.seed, number, stage])
        return int(sequence.generate_state(1)[0])

    def say(self, text: str) -> None:
        """One line for the user."""
        from tqdm import tqdm

        tqdm.write(text)


def run(active: Run) -> bool:
    """All rounds, from where an earlier call stopped; whether they are finished."""
    if active.config.training.committee < 2:
        raise ConfigError(
            f"training.committee: {active.config.training.committee} network cannot disagree with "
            "itself; use at least 2, better 4"
        )
    active.folder.mkdir(parents=True, exist_ok=True)
    try:
        _train(active, 0)
        for number in range(1, active.config.active.rounds + 1):
            if not active.path("record", number, "json").exists():
                _round(active, number)
    except TimeIsUp:
        return False
    return True


def _round(active: Run, number: int) -> None:
    """One round, stage after stage. Raises TimeIsUp."""
    explored = _explore(active, number)
    picked = _pick(active, number, explored)
    _label(active, number, picked)
    _train(active, number)
    write_record(active, number)
    for name in ("explored", "labels"):
        active.path(name, number).unlink()
    record = json.loads(active.path("record", number, "json").read_text())
    before, after = record["held_out"]["before"], record["held_out"]["after"]
    active.say(
        f"round {number}: {record['labelled']} frames labelled; forces of those held out: "
        f"{before['force_mae_meV_per_A']:.0f} meV/Angstrom before, "
        f"{after['force_mae_meV_per_A']:.0f} after training on the others"
    )


# ------------------------------------------------------------------------------------- exploration


def _explore(active: Run, number: int) -> Frames:
    """Structures met by the committee in dynamics; their rows are in the recipe."""
    path, settings = active.path("explored", number), active.config.active
    known = Frames.load(path) if path.exists() else None
    if known is not None and known.recipe["batches_left"] == 0:
        return known
    committee = active.committee(number - 1)
    frames, parts, _ = load_frames(_with_active_frames(active, number - 1))
    starts, temperatures = choose_starts(
        frames.take(parts["train"]), active.config, active.seed(number, 0)
    )
    batches = _batches(starts, committee, settings.batch_edges)
    recipe = known.recipe if known else _new_recipe(active, committee, frames, parts["validation"])
    recipe["trajectories"] = len(starts)
    begin = len(batches) - recipe["batches_left"] if known else 0
    members = list(range(len(committee)))
    if settings.driver == "member":
        members = [(number - 1) % len(committee)]
    for k in range(begin, len(batches)):
        active.say(f"round {number}: dynamics, batch {k + 1} of {len(batches)}")
        index = batches[k]
        simulation = Simulation(
            committee, starts.take(index), temperatures[index], members, settings,
            active.seed(number, 100 + k),
        )  # fmt: skip
        result = explore(simulation, recipe["threshold"], recipe["upper"], active.deadline)
        recipe["batches_left"] = len(batches) - k - 1
        known = _add(known, starts, temperatures, index, result, recipe)
        known.save(path)
    active.say(f"round {number}: {len(known)} structures found; ends {recipe['ended']}")
    return known


def _new_recipe(
    active: Run, committee: Committee, frames: Frames, validation: np.ndarray
) -> dict[str, Any]:
    """What an exploration begins with: thresholds, and nothing found yet."""
    settings = active.config.active
    threshold = settings.threshold
    if threshold == 0:
        known = frames.take(validation)
        _, forces = committee.predict(known)
        threshold = float(np.quantile(disagreement_on(forces, known), settings.quantile))
    return {
        "threshold": threshold,
        "upper": settings.upper or 10 * threshold,
        "rows": [],
        "ended": {},
        "steps": 0,
        "seconds": 0.0,
        "disagreements": [0] * (len(BINS) + 1),
    }


def _batches(starts: Frames, committee: Committee, edges: int) -> list[np.ndarray]:
    """The starts in portions of about this many edges."""
    positions = torch.as_tensor(starts.positions).to(committee.device)
    structure, *_ = find_edges(positions, starts.counts, starts.cells, committee.cutoff)
    count = torch.bincount(structure, minlength=len(starts)).cpu().numpy()
    portion = np.cumsum(count) // edges
    return [np.flatnonzero(portion == p) for p in np.unique(portion)]


def _add(
    known: Frames | None,
    starts: Frames,
    temperatures: np.ndarray,
    index: np.ndarray,
    result: Exploration,
    recipe: dict[str, Any],
) -> Frames:
    """The structures known so far and those that a batch of trajectories gave."""
    recipe["ended"] = dict(Counter(recipe["ended"]) + Counter(result.ended))
    recipe["steps"] += result.steps
    recipe["seconds"] += result.seconds
    values = np.concatenate(result.disagreements)
    counts = np.bincount(np.digitize(values, BINS), minlength=len(BINS) + 1)
    recipe["disagreements"] = (np.array(recipe["disagreements"]) + counts).tolist()
    if not result.found and known is None:
        raise ConfigError("active: the trajectories gave no structure; use active.random above 0")
    recipe["rows"] += [
        {
            "trajectory": int(index[found.trajectory]),
            "temperature": float(temperatures[index[found.trajectory]]),
            "step": found.step,
            "reason": found.reason,
            "disagreement": found.disagreement,
        }
        for found in result.found
    ]
    parts = [known] if known else []
    if result.found:
        origin = starts.take(index[[found.trajectory for found in result.found]])
        positions = np.concatenate([found.positions for found in result.found])
        parts.append(dataclasses.replace(origin, positions=positions))
    return merge(parts, starts.group_names, recipe, group_classes=starts.group_classes)


# -------------------------------------------------------------------------- choosing and labelling


def _pick(active: Run, number: int, explored: Frames) -> Frames:
    """The structures to label: `random` of them by chance, then those of the largest disagreement,
    at most `per_molecule` of a molecule."""
    path, settings = active.path("picked", number), active.config.active
    if path.exists():
        return Frames.load(path)
    rng = np.random.default_rng(active.seed(number, 1))
    rows = explored.recipe["rows"]
    chance = [k for k in rng.permutation(len(rows)) if rows[k]["reason"] == "random"]
    chance = chance[: round(settings.random * settings.frames)]
    by_disagreement = sorted(range(len(rows)), key=lambda k: -rows[k]["disagreement"])
    taken: list[int] = []
    of_molecule: Counter = Counter()
    for k in [*chance, *by_disagreement]:
        group = int(explored.groups[k])
        if len(taken) < settings.frames and of_molecule[group] < settings.per_molecule:
            if k not in taken:
                taken.append(int(k))
                of_molecule[group] += 1
    by_chance = set(map(int, chance))
    picked = explored.take(np.array(taken))
    kept = [{**rows[k], "by_chance": k in by_chance} for k in taken]
    picked.recipe = {**explored.recipe, "rows": kept, "candidates": len(rows)}
    picked.trajectories = np.arange(len(picked), dtype=np.int32)
    picked.save(path)
    return picked


def _label(active: Run, number: int, picked: Frames) -> None:
    """Label what was picked; write the frames to train on and those that are held out."""
    config, path = active.config, active.path("frames_active", number)
    if path.exists():
        return
    active.say(f"round {number}: labelling {len(picked)} structures with {active.jobs} processes")
    labels = label_given(
        picked, config.teacher, active.path("labels", number), active.jobs, active.deadline,
        active.progress,
    )  # fmt: skip
    if labels is None:
        raise TimeIsUp
    recipe = {
        "teacher": dataclasses.asdict(config.teacher),
        "active": {**dataclasses.asdict(config.active), "pool": []},
        "round": number,
        "seed": config.seed,
        "committee": [Potential.read(file).sha256 for file in active.potentials(number - 1)],
    }
    frames = dataclasses.replace(labelled(picked, labels, config.data.force_limit), recipe=recipe)
    rng = np.random.default_rng(active.seed(number, 2))
    order = rng.permutation(len(frames))
    aside = max(1, round(config.active.held_out * len(frames)))
    if len(frames) <= aside:
        raise ConfigError(
            f"active.frames: {len(frames)} labelled frame in round {number}; allow for more"
        )
    frames.take(np.sort(order[:aside])).save(active.path("held_out", number))
    frames.take(np.sort(order[aside:])).save(path)


# ---------------------------------------------------------------------------------------- training


def _with_active_frames(active: Run, number: int) -> Config:
    """The configuration with the frames of all rounds up to this one."""
    rounds = range(1, number + 1)
    files = [str(active.path("frames_active", r).resolve()) for r in rounds]
    training = active.config.training
    training = dataclasses.replace(training, more_frames=[*training.more_frames, *files])
    return dataclasses.replace(active.config, training=training)


def _train(active: Run, number: int) -> None:
    """Train the committee of a round. Raises TimeIsUp."""
    folder = active.folder / f"round_{number}"
    if is_finished(folder):
        return
    config, settings = _with_active_frames(active, number), active.config.active
    start = None
    if number:
        if not settings.scratch:
            start = [Potential.read(file) for file in active.potentials(number - 1)]
        shorter = {"steps": settings.steps, "learning_rate": settings.learning_rate}
        training = dataclasses.replace(config.training, **shorter)
        config = dataclasses.replace(config, training=training)
    if time.monotonic() > active.deadline:
        raise TimeIsUp
    active.say(f"round {number}: training, {config.training.steps} steps")
    fit = Fit(config, folder, start=start)
    if not fit.run(active.deadline - time.monotonic(), active.progress):
        raise TimeIsUp
    del fit
    gc.collect()  # a run refers to itself; its memory on a GPU is needed
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if number:  # its checkpoint has no use any more
        (active.folder / f"round_{number - 1}" / "checkpoint.pt").unlink(missing_ok=True)
