"""The verdicts: what a run must conserve, how it is measured, and how much may be lacking."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import units

from .runs import BALANCE_TIMESTEP, TIMESTEPS, Recording, Results
from .scripts import TEMPERATURE
from .statistics import Trend, exponent, trend

# Limits; doc/nve.md says why.
BALANCE = 4e-5  #: of the standard deviation of the potential energy
DRIFT_PERCENT = 0.1  #: of the mean kinetic energy, over a run, or over 100 ps of a longer one
FLUCTUATION_PERCENT = 0.5  #: of the mean kinetic energy, for 30 degrees of freedom and more
EXPONENT, EXPONENT_TOLERANCE = 2.0, 0.3
TEMPERATURE_TOLERANCE = 20.0  #: K
#: kT/ns per degree of freedom; judged only where the error is below half of it
DRIFT_RATE = {"double": 1e-5, "mixed": 1e-4, "single": 1e-3}
#: relative to the root mean square of what the atoms carry
MOMENTUM = {"double": 1e-9, "mixed": 1e-9, "single": 1e-4}
ANGULAR_MOMENTUM = {"double": 1e-9, "mixed": 1e-4, "single": 1e-4}
#: Angstrom; what rounding becomes on the way depends on how chaotic the structure is
REVERSIBILITY = {"double": 1e-4, "mixed": 1e-3, "single": 1e-3}

PASS, FAIL, SKIPPED = "pass", "fail", "skipped"


@dataclass(frozen=True)
class Verdict:
    """One criterion for one structure."""

    structure: str
    criterion: str
    verdict: str  #: pass, fail or skipped
    value: float | None = None
    error: float | None = None
    limit: float | None = None
    unit: str = ""
    reason: str = ""


def judge(results: Results, precision: str) -> list[Verdict]:
    """All verdicts on one structure."""
    name = results.structure.name
    rows = [
        Verdict(name, f"{run} ends", FAIL, reason=_message(text)) for run, text in results.failures.items()
    ]
    if not results.failures:
        rows.append(Verdict(name, "all runs end", PASS))
    rows += _balance(results)
    rows += _scaling(results)
    rows += _reversibility(results, precision)
    for recording, where in ((results.long, ""), (results.after_pressure, " after NPT")):
        if recording is not None:
            rows += _run(results, recording, where, precision)
    if not results.has_pressure:
        rows.append(_skip(results, "energy after NPT", "a molecule in empty space has no pressure"))
    return rows


def _balance(results: Results) -> list[Verdict]:
    """Energy that comes from nowhere at the shortest time step, where Verlet's own error is negligible."""
    criterion = f"energy balance at {BALANCE_TIMESTEP:g} fs"
    recording = results.balance
    if recording is None:
        return [_skip(results, criterion, _MISSING)]
    value = float(recording.shadow.std() / recording.potential.std())
    return [_compare(results, criterion, value, BALANCE, "of the potential energy's std")]


def _scaling(results: Results) -> list[Verdict]:
    """Rough places make the exponent too small. Higher powers of the longest time step make it too large, and its
    error as well, as the points then lie on no straight line: that fails only beyond twice the error."""
    criterion = "exponent of fluctuation with time step"
    if len(results.scaling) < len(TIMESTEPS):
        return [_skip(results, criterion, _MISSING)]
    value, error = fluctuation_exponent(results.scaling)
    is_large_enough = value >= EXPONENT - EXPONENT_TOLERANCE
    verdict = _verdict_on(value - EXPONENT - EXPONENT_TOLERANCE, error) if is_large_enough else FAIL
    reason = f"{EXPONENT:g} ± {EXPONENT_TOLERANCE:g} expected"
    if verdict == SKIPPED:
        reason += f"; {_IN_DOUBT}"
    return [Verdict(results.structure.name, criterion, verdict, value, error, EXPONENT_TOLERANCE, "", reason)]


def _verdict_on(excess: float, error: float) -> str:
    """Of what exceeds a limit by `excess`: skipped if twice the error covers that, for then nothing is known."""
    if excess <= 0:
        return PASS
    return SKIPPED if excess <= 2 * error else FAIL


def _reversibility(results: Results, precision: str) -> list[Verdict]:
    if results.reversal is None:
        return [_skip(results, "reversibility", _MISSING)]
    steps, there, back = results.reversal
    return [_compare(results, "reversibility", back, REVERSIBILITY[precision], "Å",
                     f"{steps:,} steps there and back; an atom was up to {there:.2g} Å away")]  # fmt: skip


def _run(results: Results, run: Recording, where: str, precision: str) -> list[Verdict]:
    """Criteria of one run at constant energy."""
    kinetic = float(run.kinetic.mean())
    line = drift(run)
    percent = 100 * run.length / kinetic
    freedom = results.structure.degrees_of_freedom
    # A few stiff bonds fluctuate as in a large molecule, against a kinetic energy that is smaller.
    fluctuation = FLUCTUATION_PERCENT * max(1.0, 30 / freedom)
    rows = [
        _drift_over_run(results, f"drift of the energy{where}", line.slope * percent, line.error * percent,
                        run.length),
        _drift_rate(results, f"drift rate{where}", run, line, precision),
        _compare(results, f"fluctuation of the energy{where}", 100 * float(run.total.std()) / kinetic,
                 fluctuation, "% of the kinetic energy"),
        _temperature(results, f"temperature{where}", run),
        _compare(results, f"momentum{where}", _largest_change(run.momentum) / _momentum_scale(results, run),
                 MOMENTUM[precision], "relative"),
    ]  # fmt: skip
    if results.structure.is_bulk:
        rows.append(_skip(results, f"angular momentum{where}", "not conserved in a periodic box"))
    else:
        size = np.sqrt(np.mean(np.sum(_centred(results.structure.atoms) ** 2, axis=1)))
        scale = _momentum_scale(results, run) * size
        value = _largest_change(run.angular_momentum) / scale
        rows.append(_compare(results, "angular momentum", value, ANGULAR_MOMENTUM[precision], "relative"))
    return rows


def _drift_over_run(results: Results, criterion: str, value: float, error: float, length: float) -> Verdict:
    """Fails beyond the limit unless twice the error covers the excess: then nothing is known."""
    name = results.structure.name
    limit = DRIFT_PERCENT * max(1.0, length / 100.0)
    unit = f"% of the kinetic energy in {length:g} ps"
    arguments = (value, error, limit, unit)
    if not np.isfinite(value + error):
        return Verdict(name, criterion, FAIL, None, None, limit, unit, "not a number")
    verdict = _verdict_on(abs(value) - limit, error)
    return Verdict(name, criterion, verdict, *arguments, f"{_IN_DOUBT}; run longer" if verdict == SKIPPED else "")


def _drift_rate(results: Results, criterion: str, run: Recording, line: Trend, precision: str) -> Verdict:
    """Judged only where it can be: a short run of a small system knows its drift no better than it wanders."""
    limit = DRIFT_RATE[precision]
    rate = drift_rate(run, line)
    name, unit = results.structure.name, "kT/ns per degree of freedom"
    if not np.isfinite(rate.slope + rate.error):
        return Verdict(name, criterion, FAIL, None, None, limit, unit, "not a number")
    arguments = (rate.slope, rate.error, limit, unit)
    if rate.error > limit / 2:
        return Verdict(name, criterion, SKIPPED, *arguments, "the error is above half of the limit; run longer (--length)")
    return Verdict(name, criterion, PASS if abs(rate.slope) <= limit else FAIL, *arguments)


def _temperature(results: Results, criterion: str, run: Recording) -> Verdict:
    """A pair of molecules in empty space may part, which takes its heat and is no fault of the potential."""
    mean = float(run.temperature.mean())
    row = _verdict(results, criterion, abs(mean - TEMPERATURE) <= TEMPERATURE_TOLERANCE, mean,
                   error_of_mean(run.temperature), TEMPERATURE_TOLERANCE, "K",
                   f"{TEMPERATURE:g} ± {TEMPERATURE_TOLERANCE:g} expected")  # fmt: skip
    parted = not results.structure.is_bulk and run.size[-1] > 2 * run.size[0]
    if row.verdict == FAIL and parted and mean < TEMPERATURE:
        sizes = f"radius of gyration {run.size[0]:.3g} Å, then {run.size[-1]:.3g} Å"
        return replace(row, verdict=SKIPPED, reason=f"its parts flew apart, which cools them: {sizes}")
    return row


# ------------------------------------------------------------------------------------ quantities


def drift(run: Recording) -> Trend:
    """Of the shadow energy, in eV/ps."""
    return trend(run.shadow_time, run.shadow)


def drift_rate(run: Recording, line: Trend) -> Trend:
    """In kT/ns per degree of freedom: the kinetic energy is kT/2 for each of them."""
    unit = 1000.0 / (2.0 * float(run.kinetic.mean()))
    return Trend(line.slope * unit, line.error * unit, line.middle)


def fluctuation_exponent(scaling: list[Recording]) -> tuple[float, float]:
    """Power of the time step with which the standard deviation of the total energy grows."""
    return exponent(
        np.array([run.timestep for run in scaling]), np.array([run.total.std() for run in scaling])
    )


def error_of_mean(values: np.ndarray, blocks: int = 10) -> float:
    """Standard error of a mean from block averages."""
    means = [part.mean() for part in np.array_split(values, blocks)]
    return float(np.std(means, ddof=1) / np.sqrt(blocks))


def _largest_change(vectors: np.ndarray) -> float:
    return float(np.linalg.norm(vectors - vectors[0], axis=1).max())


def _momentum_scale(results: Results, run: Recording) -> float:
    """sqrt(2 K M), u A/ps: what the total momentum would be if all atoms moved one way."""
    energy = float(run.kinetic.mean()) * (1000.0 * units.fs) ** 2  # eV in u A^2/ps^2
    return float(np.sqrt(2.0 * energy * results.structure.atoms.get_masses().sum()))


def _centred(atoms) -> np.ndarray:
    return atoms.positions - atoms.get_center_of_mass()


# ------------------------------------------------------------------------------------ rows

_MISSING = "a run that it needs did not end"
_IN_DOUBT = "beyond the limit by less than twice the error"


def _message(text: str) -> str:
    """The line with LAMMPS's error, else the last one."""
    lines = text.splitlines()
    return next((line for line in lines if line.startswith("ERROR")), lines[-1])


def _skip(results: Results, criterion: str, reason: str) -> Verdict:
    return Verdict(results.structure.name, criterion, SKIPPED, reason=reason)


def _verdict(results: Results, criterion: str, passed: bool, value: float, error: float | None, limit: float,
             unit: str, reason: str = "") -> Verdict:  # fmt: skip
    name = results.structure.name
    return Verdict(name, criterion, PASS if passed else FAIL, float(value), error, limit, unit, reason)


def _compare(results: Results, criterion: str, value: float, limit: float, unit: str, reason: str = "") -> Verdict:
    return _verdict(results, criterion, bool(value <= limit), value, None, limit, unit, reason)
