"""The trained network as a potential file that says where it comes from and how good it is."""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..networks import from_potential, to_potential
from ..potential import Potential
from ..reference import make_check
from .batches import make_batch
from .evaluate import deviations, errors_by_molecule

if TYPE_CHECKING:
    from .fit import Fit


def export(fit: Fit) -> Path:
    """Write the best averaged weights so far with provenance and check structure; the path."""
    config = fit.config
    potential = to_potential(
        fit.best_network(),
        date=datetime.date.today().isoformat(),
        contributor=config.output.contributor,
        citation=config.output.citation,
    )
    potential.provenance = _provenance(fit, potential)
    potential.check = make_check(potential)
    path = fit.folder / (config.output.file or f"{config.name}.yaml")
    potential.write(path)
    return path


def _provenance(fit: Fit, potential: Potential) -> dict[str, Any]:
    config, history = fit.config, fit.history
    criterion = fit.criterion()
    best = history[criterion.index(min(criterion))]
    recipe = json.dumps(fit.frames.recipe, sort_keys=True).encode()
    teacher = fit.frames.recipe.get("teacher", {})
    training = config.training
    return {
        "name": config.name,
        "teacher": teacher.get("name") or teacher.get("calculator", "unknown"),
        "teacher_arguments": dict(teacher.get("arguments", {})),
        "data": {
            "molecules": ", ".join(fit.frames.group_names),
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
            "seconds": round(fit.seconds),
            "device": _device_name(fit.device),
            "torch": str(torch.__version__),
        },
        "licence": config.output.licence,
        "date": datetime.date.today().isoformat(),
    }


def _test_errors(fit: Fit, potential: Potential) -> dict[str, Any]:
    """Errors of the exported file on the test frames (validation frames where there are none)."""
    network = from_potential(potential).to(fit.device)
    chosen = fit.parts["test"] if len(fit.parts["test"]) else fit.parts["validation"]
    if not hasattr(fit, "test_data"):
        to = {"device": fit.device, "dtype": torch.float64}
        held_out = fit.frames.take(chosen)
        cutoff = fit.config.network.cutoff
        fit.test_data = make_batch(held_out, fit.elements, fit.atomic_energies, cutoff, **to)
    index = torch.arange(len(chosen)).numpy()
    found = deviations(network, fit.test_data, index, fit.config.training)
    table = errors_by_molecule(found, fit.frames.groups[chosen], fit.frames.group_names)
    return {
        molecule: {name: round(value, 4) for name, value in row.items()}
        for molecule, row in table.items()
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
