"""What the runs at each time step gave: the numbers behind the exponent, for programs."""

from __future__ import annotations

import math

from .criteria import drift, drift_rate
from .runs import Recording, Results


def by_time_step(results: Results) -> list[dict]:
    """One row for each run of a structure that differs in its time step, shortest first; what is no number is None."""
    runs = ([results.balance] if results.balance else []) + results.scaling
    return [_row(results.structure.name, run) for run in sorted(runs, key=lambda run: run.timestep)]


def _row(structure: str, run: Recording) -> dict:
    """Fluctuations of the total and of the shadow energy (doc/nve.md), and the drift of the latter."""
    line = drift(run)
    rate = drift_rate(run, line)
    numbers = {
        "timestep_fs": run.timestep,
        "length_ps": run.length,
        "mean_kinetic_energy_eV": run.kinetic.mean(),
        "std_total_energy_eV": run.total.std(),
        "std_shadow_energy_eV": run.shadow.std(),
        "drift_eV_per_ps": line.slope,
        "drift_error_eV_per_ps": line.error,
        "drift_kT_per_ns_per_degree_of_freedom": rate.slope,
        "drift_error_kT_per_ns_per_degree_of_freedom": rate.error,
    }
    return {"structure": structure} | {
        name: float(value) if math.isfinite(value) else None for name, value in numbers.items()
    }
