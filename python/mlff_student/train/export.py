"""The trained network as a potential file that says where it comes from and how good it is."""

from __future__ import annotations

import collections
import datetime
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..networks import from_potential, to_potential
from ..potential import CheckStructure, Potential
from ..reference import evaluate, make_check
from ..units import SYMBOLS
from .batches import Data, compositions
from .evaluate import deviations, errors_by_molecule
from .frames import Frames

if TYPE_CHECKING:
    from .fit import Fit


def export(fit: Fit, member: int = 0) -> Path:
    """Write a member's best averaged weights so far, provenance and check structure; the path."""
    config = fit.config
    potential = to_potential(
        fit.best_network(member),
        date=datetime.date.today().isoformat(),
        contributor=config.output.contributor,
        citation=config.output.citation,
    )
    potential.provenance = _provenance(fit, member, potential)
    potential.check = _check_structure(fit, potential)
    path = fit.potential_path(member)
    potential.write(path)
    return path


def _provenance(fit: Fit, member: int, potential: Potential) -> dict[str, Any]:
    config, history = fit.config, fit.histories[member]
    criterion = fit.criterion(member)
    best = history[criterion.index(min(criterion))]
    recipe = json.dumps(fit.frames.recipe, sort_keys=True).encode()
    teacher = fit.frames.recipe.get("teacher", {})
    training = config.training
    return {
        "name": config.name,
        "teacher": teacher.get("name") or teacher.get("calculator", "unknown"),
        "teacher_arguments": dict(teacher.get("arguments", {})),
        "data": {
            "molecules": _molecules(fit.frames),
            "training_frames": len(fit.parts["train"]),
            "validation_frames": len(fit.parts["validation"]),
            "test_frames": len(fit.parts["test"]),
            "split_by": config.split.by,
            "recipe_sha256": hashlib.sha256(recipe).hexdigest(),
            "labels_sha256": fit.frames.hash(),
        },
        "errors": {"of": "test frames, double precision", **_test_errors(fit, potential)},
        "training": {
            "steps": fit.done,
            "best_step": best["step"],
            "batch_size": training.batch_size,
            "energy_weight": training.energy_weight,
            "force_weight": training.force_weight,
            "ema": training.ema,
            "criterion": training.criterion,
            "precision": training.precision,
            "seed": config.seed,
            "member": f"{member + 1} of {len(fit.networks)}",
            "seconds": round(fit.seconds),
            **fit.machine,
        },
        "licence": config.output.licence,
        "date": datetime.date.today().isoformat(),
    }


def _test_errors(fit: Fit, potential: Potential) -> dict[str, Any]:
    """Errors of the exported file on the test frames (validation frames where there are none), for
    each class of molecules or, without classes, each molecule."""
    network = from_potential(potential).to(fit.device)
    chosen = fit.parts["test"] if len(fit.parts["test"]) else fit.parts["validation"]
    if not hasattr(fit, "test_data"):
        to = {"device": fit.device, "dtype": torch.float64}
        held_out = fit.frames.take(chosen)
        cutoff = fit.config.network.cutoff
        fit.test_data = Data(held_out, fit.elements, fit.atomic_energies, cutoff, **to)
    index = np.arange(len(chosen))
    found = deviations(network, fit.test_data, index, fit.config.training)
    frames = fit.frames
    labels = [c or name for c, name in zip(frames.group_classes, frames.group_names)]
    classes = list(dict.fromkeys(labels))
    rows = np.array([classes.index(label) for label in labels])[frames.groups[chosen]]
    table = errors_by_molecule(found, rows, classes)
    return {
        label: {name: round(value, 4) for name, value in row.items()}
        for label, row in table.items()
    }


def _molecules(frames: Frames) -> str:
    """The names of the groups, or how many there are of each class."""
    counts = collections.Counter(frames.group_classes)
    if counts[""]:
        return ", ".join(frames.group_names)
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


def _check_structure(fit: Fit, potential: Potential) -> CheckStructure:
    """The calmest labelled frame with every element, so that rounding errors measured on it are
    those of a simulation; a cluster made up if there is no such frame."""
    frames = fit.frames
    counts = compositions(frames, fit.elements)
    complete = np.flatnonzero((counts > 0).all(axis=1) & ~frames.cells.any(axis=(1, 2)))
    if not len(complete):
        return make_check(potential)
    frame = frames.take(complete[[np.argmin(frames.largest_forces[complete])]])
    elements = [SYMBOLS[n - 1] for n in frame.numbers]
    positions = np.round(frame.positions.astype(np.float64), 4)
    result = evaluate(potential, elements, positions)
    return CheckStructure(elements, positions, None, result.energy, result.forces)
