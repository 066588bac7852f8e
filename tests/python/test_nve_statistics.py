"""The suite's statistics on series whose drift, noise and shadow energy are known."""

from __future__ import annotations

import numpy as np
import pytest

from mlff_student.nve.statistics import FORCE_SQUARE, exponent, mean_shadow_energy, shadow_energy, trend

TIME = np.linspace(0.0, 1.0, 2000)


def independent(random):
    return random.normal(size=len(TIME))


def wandering(random):
    return np.cumsum(random.normal(size=len(TIME)))


def correlated(random):
    """An autoregressive series that forgets itself in 30 values."""
    values, keep = np.zeros(len(TIME)), np.exp(-1 / 30)
    for k in range(1, len(values)):
        values[k] = keep * values[k - 1] + random.normal()
    return values


def test_a_line_is_found_exactly_whatever_the_zero_of_energy_is():
    line = trend(TIME, -6.0e5 + 3e-4 * TIME)
    assert line.slope == pytest.approx(3e-4, rel=1e-6)
    assert line.error < 1e-9


@pytest.mark.parametrize("noise", [independent, correlated, wandering])
def test_error_covers_the_drift(noise):
    """Nine in ten runs lie within twice their error; the usual regression knows this of the first alone."""
    random = np.random.default_rng(4)
    lines = [trend(TIME, 3.0 * TIME + noise(random)) for _ in range(100)]
    deviations = np.array([line.slope - 3.0 for line in lines])
    errors = np.array([line.error for line in lines])
    assert np.mean(np.abs(deviations) < 2 * errors) >= 0.85
    assert abs(deviations.mean()) < 4 * deviations.std() / 10
    assert errors.mean() < 8 * deviations.std()  # an error that covers everything would say nothing


def test_error_of_independent_values_is_close_to_that_of_the_usual_regression():
    random = np.random.default_rng(5)
    errors = [trend(TIME, independent(random)).error for _ in range(50)]
    usual = 1 / np.sqrt(np.sum((TIME - TIME.mean()) ** 2))
    assert usual < np.mean(errors) < 2.5 * usual


def test_error_shrinks_with_the_length_of_the_run():
    random = np.random.default_rng(6)
    short = np.mean([trend(TIME[:500], independent(random)[:500]).error for _ in range(40)])
    long = np.mean([trend(TIME, independent(random)).error for _ in range(40)])
    assert short / long == pytest.approx(4**1.5, rel=0.3)


def test_too_few_values_have_no_error():
    assert np.isnan(trend(np.arange(5.0), np.array([0.0, 1, 0, 1, 0])).error)


def oscillator(timestep: float, steps: int = 4000, frequency: float = 0.5) -> dict[str, np.ndarray]:
    """Velocity Verlet of two oscillators coupled by x^4, of masses 1 and 3 u; ps, Angstrom, eV."""
    mass, spring = np.array([1.0, 3.0]), np.array([1.0, 3.0]) * (frequency * 1000) ** 2 / FORCE_SQUARE
    energy = lambda x: 0.5 * spring @ x**2 + 0.3 * spring[0] * (x[0] - x[1]) ** 4  # noqa: E731

    def force(x):
        pull = 1.2 * spring[0] * (x[0] - x[1]) ** 3
        return -spring * x - np.array([pull, -pull])

    x, v = np.array([0.4, -0.2]), np.array([60.0, 90.0])
    f = force(x)
    rows = []
    for _ in range(steps):
        rows.append((energy(x), 0.5 * mass @ v**2 / FORCE_SQUARE, np.sum(f * f / mass)))
        v = v + 0.5 * timestep * f / mass * FORCE_SQUARE
        x = x + timestep * v
        f = force(x)
        v = v + 0.5 * timestep * f / mass * FORCE_SQUARE
    return dict(zip(("potential", "kinetic", "force_square"), np.array(rows).T))


def test_shadow_energy_is_conserved_two_orders_better():
    """The total energy's fluctuation falls by 4 and the shadow energy's by 16 as the time step is halved."""
    total, shadow, steps = [], [], [0.0002, 0.0001, 0.00005]
    for timestep in steps:
        run = oscillator(timestep, round(0.4 / timestep))
        total.append((run["potential"] + run["kinetic"]).std())
        shadow.append(shadow_energy(**run, timestep=timestep).std())
    assert exponent(np.array(steps), np.array(total))[0] == pytest.approx(2.0, abs=0.05)
    assert exponent(np.array(steps), np.array(shadow))[0] == pytest.approx(4.0, abs=0.1)
    assert shadow[-1] < 1e-3 * total[-1]


def test_means_over_windows_approach_the_mean_shadow_energy():
    """What is left out of them falls with the length of a window."""
    run, timestep = oscillator(0.0005, 40002), 0.0005
    shadow, deviations = shadow_energy(**run, timestep=timestep), {}
    for width in (40, 4000):
        means = [values[1:-1].reshape(-1, width).mean(axis=1)
                 for values in (run["potential"] + run["kinetic"], run["force_square"])]  # fmt: skip
        windows = mean_shadow_energy(*means, timestep)
        deviations[width] = np.std(windows - shadow.reshape(-1, width).mean(axis=1))
    assert deviations[4000] < deviations[40] / 30
    assert deviations[4000] < 1e-2 * (run["potential"] + run["kinetic"]).std()


def test_exponent_and_its_error():
    steps = np.array([0.125, 0.25, 0.5, 1.0])
    value, error = exponent(steps, 3 * steps**2)
    assert value == pytest.approx(2.0) and error == pytest.approx(0.0, abs=1e-12)
    _, error = exponent(steps, 3 * steps**2 * np.array([1.0, 1.2, 0.9, 1.0]))
    assert 0.01 < error < 0.2
