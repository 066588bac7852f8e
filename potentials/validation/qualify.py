#!/usr/bin/env python3
"""Validates a potential from beginning to end and decides: qualify.sh runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click

import report
from mlff_student.lammps_session import PRECISIONS, find_potential
from mlff_student.potential import Potential, PotentialError
from results import folder_for, origin, store
from stability import POSITIVE

HERE = Path(__file__).resolve().parent
ELEMENTS = "HCNO"  #: of the molecules and liquids that are measured
PASSED, FAILED, UNUSABLE = 0, 1, 2


class Unusable(Exception):
    """The potential could not be measured; the text says why."""


def run(*words: str | Path, allowed: tuple[int, ...] = (0,)) -> None:
    """Runs a Python program. Raises Unusable if it ends with another exit status than those allowed."""
    status = subprocess.run([sys.executable, *map(str, words)], check=False).returncode
    if status not in allowed:
        raise Unusable(f"{' '.join(map(str, words))}\nended with status {status}; what it printed says why")


def measure(potential: Path, config: Path, output: Path, engine: list[str], dynamics: list[str], jobs: list[str],
            scale: float) -> None:  # fmt: skip
    """All results of a potential, into `output`. What is there, as long as asked for, is not measured again.

    engine: options that the NVE suite, validate.py and stability.py know; dynamics: that the last two know; jobs: that
    the last knows. Raises Unusable.
    """
    of_potential = (potential, "--output", output)
    run(HERE / "errors.py", potential, config, "--output", output)
    if not (output / "nve.json").exists():
        run("-m", "mlff_student", "nve", potential, "-o", output / "nve", *engine, allowed=(PASSED, FAILED))
        verdicts = json.loads((output / "nve" / "verdicts.json").read_text())
        store(output / "nve.json", {"of": origin(potential)} | verdicts)
    shortened = ("--scale", str(scale))
    run(HERE / "validate.py", *of_potential, *engine, *dynamics, *shortened)
    run(HERE / "stability.py", *of_potential, *engine, *dynamics, *shortened, *jobs)


def usable(name: str) -> Path:
    """The potential's file. Raises Unusable, or PotentialError if it is damaged."""
    file = find_potential(name)
    missing = sorted(set(ELEMENTS) - set(Potential.read(file).elements))
    if missing:
        raise Unusable(
            f"{file}: has no {', '.join(missing)}; the validation's molecules are made of {', '.join(ELEMENTS)}. "
            "mlff-student nve and errors.py take potentials of any elements"
        )
    return file


def options(**values) -> list[str]:
    """Words of a command line, without what is None."""
    return [word for name, value in values.items() if value is not None for word in (f"--{name}", str(value))]


class WithExample(click.Command):
    """A command whose usage, in its help and in errors, ends with an example."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_usage(ctx, formatter)
        formatter.write(f"Example: {ctx.command_path} my.yaml config.yaml --scale 0.001  # a quick look\n")


@click.command(cls=WithExample)
@click.argument("potential")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Folder [validation-NAME].")
@click.option("--scale", type=POSITIVE, default=1.0, show_default=True, help="Shortens the long dynamics.")
@click.option("--timestep", type=POSITIVE, help="Of the long dynamics, fs [0.5].")
@click.option("--precision", type=click.Choice(PRECISIONS), help="Of all dynamics [mixed].")
@click.option("--lammps", metavar="COMMAND", help="How LAMMPS is started, as in 'lmp -k on g 1 -sf kk'.")
@click.option("--jobs", type=click.IntRange(1), help="Tests of the long dynamics at a time [1].")
@click.option("--gpus", type=click.IntRange(0), help="Spread the jobs over so many [0].")
def main(potential, config, output, scale, timestep, precision, lammps, jobs, gpus):
    """Measure POTENTIAL, which was trained by CONFIG, and decide whether it qualifies.

    FOLDER gets the results and validation.md, a page of them with figures. Exit status: 0 if no criterion failed, 1 if
    one did, 2 if something could not be measured.
    """
    try:
        file = usable(potential)
        output = folder_for(file, output or Path(f"validation-{file.stem}"))
        measure(
            file, config, output, options(lammps=lammps, precision=precision), options(timestep=timestep),
            options(jobs=jobs, gpus=gpus), scale,
        )  # fmt: skip
        students = report.students_in([output])
    except (Unusable, PotentialError, click.ClickException) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(UNUSABLE)
    page = report.fill(students, output / report.PAGE.name)
    page.file.write_text(report.text_of(page))
    sys.exit(decide(page, scale))


def decide(page: report.Page, scale: float) -> int:
    """Prints what failed; returns the exit status. Runs that `scale` shortened are no failures of the potential."""
    (name,) = page.students
    failures = page.failures[name] + (page.unfinished[name] if scale >= 1 else [])
    for failure in failures:
        click.echo(f"failed: {failure}")
    verdict = f"FAILED in {len(failures)} respect{'s' * (len(failures) > 1)}" if failures else "no criterion failed"
    shortened = f" in dynamics of {100 * scale:g} % of the length that qualifies" if scale < 1 else ""
    click.echo(f"{name}: {verdict}{shortened}\n{page.file}")
    return FAILED if failures else PASSED


if __name__ == "__main__":
    main(prog_name=str(Path(sys.argv[0]).with_suffix(".sh")))
