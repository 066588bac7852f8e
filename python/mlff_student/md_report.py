"""Runs an NVE simulation in LAMMPS and reports how well it conserves energy.

    python -m mlff_student.md_report SCRIPT [--steps N] [--potential FILE] [--output FOLDER]

The script (as examples/benzene/in.nve) takes the LAMMPS variables ``steps``, ``output`` and ``potential``,
uses units ``metal`` and writes ``thermo.csv`` into the output folder with the columns of ``Thermo``.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import yaml

from mlff_student.md_run import MdError, run_lammps
from mlff_student.nve.statistics import trend


@dataclass
class Thermo:
    """A trajectory's thermodynamic data; arrays [n] in ps, K and eV."""

    time: np.ndarray
    temperature: np.ndarray
    potential_energy: np.ndarray
    kinetic_energy: np.ndarray
    total_energy: np.ndarray


@dataclass
class Conservation:
    """How well a run conserved energy. Percentages are of the *mean kinetic energy*: against the total
    energy, with its arbitrary zero, any drift looks small."""

    length_ps: float
    mean_kinetic_energy_eV: float
    drift_percent: float
    """change of the total energy over the whole run, by a straight line"""
    drift_error_percent: float
    """standard error of it: with few vibrations, energy that wanders between them looks like drift"""
    standard_deviation_percent: float
    """of the total energy, the drift included"""
    drift_kT_per_ns_per_degree_of_freedom: float
    temperature_mean_K: float
    temperature_std_K: float
    speed_ns_per_day: float | None = None


def read_thermo(file: Path) -> Thermo:
    """Reads a CSV file with a header. Raises MdError for a missing column or fewer than three rows."""
    with open(file, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if len(rows) < 3:
        raise MdError(
            f"{file}: {len(rows)} rows, at least 3 are needed to tell a drift; run more steps"
        )
    columns = {}
    for name in Thermo.__dataclass_fields__:
        if name not in rows[0]:
            raise MdError(f"{file}: no column '{name}'; it has {', '.join(rows[0])}")
        columns[name] = np.array([float(row[name]) for row in rows])
    return Thermo(**columns)


def conservation(thermo: Thermo) -> Conservation:
    """Drift and fluctuation of the total energy against the mean kinetic energy."""
    length = float(thermo.time[-1] - thermo.time[0])
    kinetic = float(thermo.kinetic_energy.mean())
    line = trend(thermo.time, thermo.total_energy)
    return Conservation(
        length_ps=length,
        mean_kinetic_energy_eV=kinetic,
        drift_percent=100 * line.slope * length / kinetic,
        drift_error_percent=100 * line.error * length / kinetic,
        standard_deviation_percent=100 * float(thermo.total_energy.std()) / kinetic,
        # The kinetic energy is kT/2 per degree of freedom.
        drift_kT_per_ns_per_degree_of_freedom=1000 * line.slope / (2 * kinetic),
        temperature_mean_K=float(thermo.temperature.mean()),
        temperature_std_K=float(thermo.temperature.std()),
    )


def plot(thermo: Thermo, file: Path) -> None:
    """Draws the energies, the total energy's deviation and the temperature over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (energies, total, temperature) = pyplot.subplots(
        3, 1, sharex=True, figsize=(8, 8), layout="constrained"
    )
    lowest = thermo.potential_energy.min()
    thin = {"linewidth": 0.6}
    energies.plot(thermo.time, thermo.potential_energy - lowest, label="potential", **thin)
    energies.plot(thermo.time, thermo.kinetic_energy, label="kinetic", **thin)
    energies.plot(thermo.time, thermo.total_energy - lowest, label="total", color="black")
    energies.set_ylabel("energy above the lowest\npotential energy / eV")
    energies.legend(loc="lower right", ncols=3)
    deviation = thermo.total_energy - thermo.total_energy.mean()
    total.plot(thermo.time, 100 * deviation / thermo.kinetic_energy.mean(), color="black", **thin)
    total.set_ylabel("total energy's deviation /\n% of mean kinetic energy")
    temperature.plot(thermo.time, thermo.temperature, color="tab:red", **thin)
    temperature.axhline(thermo.temperature.mean(), color="black", linestyle="dashed")
    temperature.set_ylabel("temperature / K")
    temperature.set_xlabel("time / ps")
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


def summary(result: Conservation) -> str:
    """The result as a table for people."""
    speed = "" if result.speed_ns_per_day is None else f"{result.speed_ns_per_day:.3g} ns/day"
    lines = [
        ("length", f"{result.length_ps:g} ps"),
        (
            "drift of the total energy",
            f"{result.drift_percent:+.4f} ± {result.drift_error_percent:.4f} % "
            "of the mean kinetic energy",
        ),
        (
            "its standard deviation",
            f"{result.standard_deviation_percent:.4f} % of the mean kinetic energy",
        ),
        (
            "drift",
            f"{result.drift_kT_per_ns_per_degree_of_freedom:+.1e} kT/ns per degree of freedom",
        ),
        ("temperature", f"{result.temperature_mean_K:.1f} ± {result.temperature_std_K:.1f} K"),
        ("speed", speed),
    ]
    return "\n".join(f"  {label:<26} {value}" for label, value in lines if value)


@click.command()
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--steps", default=200000, show_default=True, help="Steps of the NVE run.")
@click.option("--potential", help="Potential file, instead of the script's own.")
@click.option("--output", type=click.Path(path_type=Path), help="Default: output/ beside SCRIPT.")
def main(script: Path, steps: int, potential: str | None, output: Path | None) -> None:
    """Run the NVE simulation of SCRIPT in LAMMPS and report how well it conserves energy."""
    output = (output or script.parent / "output").absolute()
    output.mkdir(parents=True, exist_ok=True)
    variables = {"steps": str(steps), "output": str(output)}
    if potential:
        given = Path(potential)
        variables["potential"] = str(given.absolute()) if given.exists() else potential
    try:
        speed = run_lammps(script, steps, variables, output / "log.lammps")
        thermo = read_thermo(output / "thermo.csv")
    except MdError as error:
        raise click.ClickException(str(error)) from error
    result = conservation(thermo)
    result.speed_ns_per_day = speed
    plot(thermo, output / "energy.png")
    (output / "summary.yaml").write_text(yaml.safe_dump(asdict(result), sort_keys=False))
    click.echo(summary(result))
    click.echo(f"  {'files':<26} {output}/")
    for file in sorted(output.iterdir()):
        click.echo(f"  {'':<26}   {file.name}")


if __name__ == "__main__":
    main()
