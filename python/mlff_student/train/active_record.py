"""What a round of active learning found, and what training on it changed: JSON and plots."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .committee import disagreement_on, force_errors
from .fit import best_entry
from .frames import Frames

if TYPE_CHECKING:
    from .active import Run

BINS = np.logspace(-3, 2, 101)  # eV/Angstrom, of the histogram of disagreements


def write_record(active: Run, number: int) -> None:
    """record_R.json and record_R.png of a round whose training is finished."""
    picked = Frames.load(active.path("picked", number))
    training = Frames.load(active.path("frames_active", number))
    held_out = Frames.load(active.path("held_out", number))
    found, rows = picked.recipe, picked.recipe["rows"]
    rounds = {"before": number - 1, "after": number}
    committees = {when: active.committee(r) for when, r in rounds.items()}
    on_training = {when: c.predict(training) for when, c in committees.items()}
    on_held_out = {when: c.predict(held_out) for when, c in committees.items()}
    record: dict[str, Any] = {
        "round": number,
        "threshold_eV_per_A": found["threshold"],
        "upper_eV_per_A": found["upper"],
        "trajectories": found["trajectories"],
        "ended": found["ended"],
        "share_ended_early": 1 - found["ended"].get("end", 0) / found["trajectories"],
        "steps_of_all_trajectories": found["steps"],
        "seconds_of_dynamics": round(found["seconds"], 1),
        "candidates": found["candidates"],
        "picked": len(picked),
        "picked_by_reason": Counter(row["reason"] for row in rows),
        "picked_by_chance": sum(row["by_chance"] for row in rows),
        "picked_of_molecules": len(np.unique(picked.groups)),
        "picked_of_class": _classes(picked),
        "labelled": len(training) + len(held_out),
        "disagreement_quantiles_eV_per_A": _quantiles(found["disagreements"]),
        "held_out": {when: errors_of(*made, held_out) for when, made in on_held_out.items()},
        "trained_on": {when: errors_of(*made, training) for when, made in on_training.items()},
        "validation": {
            when: _validation(active.folder / f"round_{r}") for when, r in rounds.items()
        },
        "disagreements": found["disagreements"],
    }
    points = {
        "trained on": _points(on_training["before"][1], training),
        "held out": _points(on_held_out["before"][1], held_out),
    }
    record["rank_correlation"] = _rank_correlation(*np.hstack(list(points.values())))
    after = _points(on_held_out["after"][1], held_out)
    _plot(record, points, after, active.path("record", number, "png"))
    active.path("record", number, "json").write_text(json.dumps(record, indent=1))


def errors_of(energies: np.ndarray, forces: np.ndarray, frames: Frames) -> dict[str, float]:
    """Errors of what Committee.predict found on labelled frames, means over the members; see
    _points for the last."""
    deviation = 1e3 * (forces - frames.forces)
    largest = 1e3 * force_errors(forces, frames)
    return {
        "frames": len(frames),
        "energy_mae_meV_per_atom": 1e3 * float(np.abs(energies).mean()),
        "force_mae_meV_per_A": float(np.abs(deviation).mean()),
        "force_rmse_meV_per_A": float(np.sqrt(np.square(deviation).mean())),
        "median_largest_force_error_meV_per_A": float(np.median(largest)),
    }


def _points(forces: np.ndarray, frames: Frames) -> np.ndarray:
    """Disagreement on each frame and its largest deviation of an atom's force [2, M] (eV/A)."""
    return np.stack([disagreement_on(forces, frames), force_errors(forces, frames)])


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Spearman's, of disagreement and error: whether the one tells the other."""
    from scipy.stats import spearmanr

    return round(float(spearmanr(x, y).statistic), 3) if len(x) > 2 else None


def _classes(frames: Frames) -> dict[str, int]:
    names = [frames.group_classes[g] or "other" for g in frames.groups]
    return dict(Counter(names))


def _quantiles(counts: list[int]) -> dict[str, float]:
    """Quantiles of a histogram: the upper ends of the bins they lie in (the last has none)."""
    share = np.cumsum(counts) / max(1, sum(counts))
    ends = [*BINS, BINS[-1]]
    return {str(q): float(ends[int(np.searchsorted(share, q))]) for q in (0.1, 0.5, 0.9, 0.99)}


def _validation(folder: Path) -> dict[str, float]:
    entry = best_entry(folder)
    return {name: entry[name] for name in ("energy_mae_meV_per_atom", "force_mae_meV_per_A")}


def _plot(
    record: dict[str, Any], points: dict[str, np.ndarray], after: np.ndarray, path: Path
) -> None:
    """Disagreement along the trajectories; error against disagreement; error before and after."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.stairs(record["disagreements"][1:-1], BINS, fill=True, color="0.7")
    for name, style in (("threshold", "--"), ("upper", ":")):
        left.axvline(record[f"{name}_eV_per_A"], color="C3", ls=style, label=name)
    left.set(xscale="log", xlabel="disagreement (eV/Å)", ylabel="structures asked about")
    left.set_title(f"{record['trajectories']} trajectories, {record['labelled']} frames labelled")
    left.legend()
    for (name, values), mark in zip(points.items(), ".x"):
        middle.loglog(*values, mark, ms=4, label=name)
    ends = [min(v.min() for v in points.values()), max(v.max() for v in points.values())]
    middle.loglog(ends, ends, color="0.5", lw=1)
    middle.set(xlabel="disagreement (eV/Å)", ylabel="largest force error (eV/Å)")
    middle.set_title("labelled frames, before training on them")
    middle.legend()
    errors = {"before": points["held out"][1], "after": after[1]}
    edges = np.logspace(*(np.log10([np.min(list(errors.values())) * 0.9,
                                    np.max(list(errors.values())) * 1.1])), 25)  # fmt: skip
    for name, values in errors.items():
        right.hist(values, edges, alpha=0.6, label=f"{name}, median {np.median(values):.2f}")
    right.set(xscale="log", xlabel="largest force error (eV/Å)", ylabel="frames")
    right.set_title("labelled frames that were held out")
    right.legend()
    figure.savefig(path, dpi=110)
