"""The learning rate, and when to stop: functions of the step and of the evaluations so far."""

from __future__ import annotations

import math

from .config import Training


def learning_rate(step: int, settings: Training, validation: list[float]) -> float:
    """Rate of step 0, 1, …: linear warm-up, then cosine, or reduced on each plateau.

    validation: the criterion's values at the evaluations before this step.
    """
    top, bottom = settings.learning_rate, settings.final_learning_rate
    if step < settings.warmup:
        return top * (step + 1) / settings.warmup
    if settings.schedule == "cosine":
        progress = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
        return bottom + 0.5 * (top - bottom) * (1 + math.cos(math.pi * min(1.0, progress)))
    return max(bottom, top * settings.plateau_factor ** plateaus(validation, settings))


def average_share(step: int, settings: Training) -> float:
    """Part of the newest weights in the moving average: 1 - ema, but more in the first steps, so
    that the random initial weights are soon forgotten."""
    return max(1.0 - settings.ema, 9.0 / (step + 10.0))


def plateaus(validation: list[float], settings: Training) -> int:
    """How often `plateau_patience` evaluations in a row brought no new lowest value."""
    best, waited, count = math.inf, 0, 0
    for value in validation:
        waited = 0 if value < best else waited + 1
        best = min(best, value)
        if waited >= settings.plateau_patience:
            waited, count = 0, count + 1
    return count


def should_stop(validation: list[float], settings: Training) -> bool:
    """Whether the last `patience` evaluations brought no new lowest value."""
    if settings.patience <= 0 or len(validation) <= settings.patience:
        return False
    lowest = min(range(len(validation)), key=validation.__getitem__)
    return len(validation) - 1 - lowest >= settings.patience
