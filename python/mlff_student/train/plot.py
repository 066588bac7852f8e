"""The learning curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plot_learning_curve(history: list[dict[str, Any]], path: Path) -> bool:
    """Losses, force error and learning rate against the step; False where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    steps = [entry["step"] for entry in history]
    figure = Figure(figsize=(7, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    top.semilogy(steps, [entry["train_loss"] for entry in history], label="training")
    top.semilogy(
        steps, [entry["validation_loss"] for entry in history], label="validation (averaged)"
    )
    top.set_ylabel("loss")
    top.legend()
    bottom.semilogy(steps, [entry["force_mae_meV_per_A"] for entry in history])
    bottom.set_ylabel("validation force MAE (meV/Å)")
    bottom.set_xlabel("step")
    rate = bottom.twinx()
    rate.semilogy(steps, [entry["learning_rate"] for entry in history], color="0.7", zorder=0)
    rate.set_ylabel("learning rate", color="0.5")
    figure.savefig(path, dpi=120)
    return True
