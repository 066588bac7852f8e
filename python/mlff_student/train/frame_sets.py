"""The frames of a training run: the file that the teacher labelled first, and what came later."""

from __future__ import annotations

import numpy as np

from .config import Config
from .frames import Frames, merge, split_frames


def load_frames(config: Config) -> tuple[Frames, dict[str, np.ndarray], int]:
    """All frames, the indices of "train", "validation" and "test", and how many frames come from
    the first file.

    The first file is split as if it were alone, so that frames stay where they are when others
    join. A later frame of a molecule that is held out of training altogether goes where most frames
    of that molecule are; any other to the part that its file names for the molecule, or it trains.
    """
    first = Frames.load(config.data_path)
    parts = split_frames(first, config.split, config.seed)
    held_out = _held_out(first, parts)
    names, classes, files = list(first.group_names), list(first.group_classes), [first]
    indices = {name: [index] for name, index in parts.items()}
    for file in config.training.more_frames:
        more = Frames.load(config.folder / file)
        new = [k for k, name in enumerate(more.group_names) if name not in names]
        names += [more.group_names[k] for k in new]
        classes += [more.group_classes[k] for k in new]
        begin = sum(len(f) for f in files)
        groups = np.array([names.index(name) for name in more.group_names], int)[more.groups]
        named = dict(zip(more.group_names, more.group_parts))
        of_group = [held_out.get(name) or named.get(name) or "train" for name in names]
        part = np.array(of_group)[groups]
        for name in indices:
            indices[name].append(begin + np.flatnonzero(part == name))
        more.groups = groups.astype(more.groups.dtype)
        more.trajectories = more.trajectories + 1 + files[-1].trajectories.max(initial=0)
        files.append(more)
    recipe = dict(first.recipe)
    if len(files) > 1:
        recipe["more"] = [more.recipe for more in files[1:]]
    frames = merge(files, names, recipe, group_classes=classes)
    return frames, {name: np.concatenate(part) for name, part in indices.items()}, len(first)


def _held_out(frames: Frames, parts: dict[str, np.ndarray]) -> dict[str, str]:
    """Part of each molecule none of whose frames is for training."""
    found = {}
    for group in np.unique(frames.groups):
        share = {name: int((frames.groups[index] == group).sum()) for name, index in parts.items()}
        if not share["train"]:
            found[frames.group_names[group]] = max(share, key=share.get)
    return found
