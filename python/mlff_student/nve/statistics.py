"""Drift of a time series with an error that allows for correlation, and the energy that Verlet conserves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import units

#: (eV/Angstrom)^2/u in eV/ps^2: |F|^2/m as LAMMPS's units metal give it, as a product of force and acceleration.
FORCE_SQUARE = (1000.0 * units.fs) ** 2

#: Shapes of the noise that the error of a drift allows for: variance of a step of a random walk from one
#: block to the next over that of the noise of one block.
_WALKS = (0.0, *np.geomspace(1e-4, 1e3, 15))


@dataclass(frozen=True)
class Trend:
    """A straight line through a time series."""

    slope: float  #: per unit of time
    error: float  #: standard error of the slope; NaN if there are too few values to tell
    middle: float  #: the line's value at the mean time


def trend(time: np.ndarray, values: np.ndarray, blocks: int = 32) -> Trend:
    """Linear regression of values [n] on time [n] with correlated residuals.

    The values are averaged over at most `blocks` blocks. What the line leaves of them is modelled as
    independent noise, into which the averages turn all that correlates for less than a block, plus a random
    walk: energy that is lost and gained step by step, as an integrator does at rough places of a potential.
    For each ratio of the two the slope is that of generalised least squares, and its weight the restricted
    likelihood, which allows for the fitted line (Harville, J. Am. Stat. Assoc. 72, 320, 1977). Slope and
    error are averages over the ratios, so that no single choice of one decides. The error is on the safe side
    for independent values and for correlation over several blocks, and right for a random walk.
    """
    time, values = np.asarray(time, dtype=float), np.asarray(values, dtype=float)
    number = min(blocks, len(time))
    t = np.array([part.mean() for part in np.array_split(time, number)])
    # Centred first, so that the slope keeps its digits whatever the zero of energy is.
    zero = values.mean()
    y = np.array([part.mean() for part in np.array_split(values - zero, number)])
    t = t - t.mean()
    line = float(np.sum(t * y) / np.sum(t * t)) if number > 1 else float("nan")
    residuals = y - y.mean() - line * t
    if number < 6 or np.abs(residuals).max() <= 1e-14 * max(np.abs(values).max(), 1e-300):
        return Trend(line, float("nan") if number < 6 else 0.0, zero)
    fits = np.array([_generalised(t, y, walk) for walk in _WALKS])
    weights = np.exp(fits[:, 2] - fits[:, 2].max())
    weights /= weights.sum()
    return Trend(float(weights @ fits[:, 0]), float(weights @ fits[:, 1]), zero)


def _generalised(t: np.ndarray, y: np.ndarray, walk: float) -> tuple:
    """Slope, its standard error and the restricted log-likelihood for one shape of the covariance."""
    n = len(t)
    steps = np.minimum(np.arange(n)[:, None], np.arange(n))
    covariance = np.eye(n) + walk * steps
    factor = np.linalg.cholesky(covariance)
    design = np.linalg.solve(factor, np.stack([np.ones(n), t / t.max()], axis=1))
    data = np.linalg.solve(factor, y)
    normal = design.T @ design
    coefficients = np.linalg.solve(normal, design.T @ data)
    variance = float(np.sum((data - design @ coefficients) ** 2)) / (n - 2)
    likelihood = -0.5 * (n - 2) * np.log(variance) - np.log(np.diag(factor)).sum()
    likelihood -= 0.5 * np.linalg.slogdet(normal)[1]
    error = np.sqrt(variance * np.linalg.inv(normal)[1, 1])
    return coefficients[1] / t.max(), error / t.max(), likelihood


def shadow_energy(
    potential: np.ndarray, kinetic: np.ndarray, force_square: np.ndarray, timestep: float
) -> np.ndarray:
    """[n - 2] the energy that velocity Verlet conserves up to the fourth power of its time step, in eV.

    H + dt^2 (v.V''.v / 12 - F.F/m / 24), where v.V''.v = d^2V/dt^2 + F.F/m and the second derivative is a
    difference of neighbouring steps (Engle, Skeel, Drees, J. Comput. Phys. 206, 432, 2005).

    potential, kinetic: [n] eV at consecutive steps; force_square: [n] sum of |F|^2/m, (eV/A)^2/u; timestep: ps.
    """
    curvature = potential[2:] - 2.0 * potential[1:-1] + potential[:-2]
    work = timestep**2 * FORCE_SQUARE * force_square[1:-1]
    return potential[1:-1] + kinetic[1:-1] + curvature / 12.0 + work / 24.0


def mean_shadow_energy(
    total: np.ndarray, force_square: np.ndarray, timestep: float
) -> np.ndarray:
    """[n] shadow energy from means of the total energy and of |F|^2/m over windows of consecutive steps.

    The second derivative's mean is what the first one changes by, over the window's length: it cancels
    between neighbouring windows and is left out.
    """
    return total + timestep**2 * FORCE_SQUARE * force_square / 24.0


def exponent(timesteps: np.ndarray, fluctuations: np.ndarray) -> tuple[float, float]:
    """Power of the time step with which fluctuations grow, and its standard error: a line through logarithms."""
    x, y = np.log(timesteps), np.log(fluctuations)
    x = x - x.mean()
    slope = float(np.sum(x * y) / np.sum(x * x))
    residuals = y - y.mean() - slope * x
    freedom = len(x) - 2
    error = np.sqrt(np.sum(residuals**2) / freedom / np.sum(x * x)) if freedom else float("nan")
    return slope, float(error)
