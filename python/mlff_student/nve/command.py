"""mlff-student nve: whether a student conserves what it must."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path

import click

from ..atomic_file import replaced_when_complete
from ..lammps_session import PRECISIONS, find_potential
from ..md_run import MdError
from ..potential import Potential, PotentialError
from . import baseline as baselines
from .criteria import FAIL, Verdict, judge
from .report import write_report
from .runs import FULL, QUICK, Lengths, Results, Runner, lammps_command, simulate
from .scripts import Student
from .structures import Structure, StructureRefused, defaults, find
from .time_steps import by_time_step

FAILED, PASSED = 1, 0
#: Exit status if nothing could be measured: no such file, a damaged one, no LAMMPS.
UNUSABLE = 2


def run_suite(
    student: Student, structures: list[Structure], lengths: dict[str, Lengths], run: Runner
) -> tuple[list[Results], list[Verdict]]:
    """All runs and verdicts of some structures."""
    results = [
        simulate(student, structure, lengths["bulk" if structure.is_bulk else "molecule"], run)
        for structure in structures
    ]
    return results, [row for each in results for row in judge(each, student.precision)]


def table(verdicts: list[Verdict]) -> str:
    """The verdicts as text in columns."""
    cells = [("structure", "criterion", "value", "limit", "unit", "verdict")]
    for row in verdicts:
        value = "" if row.value is None else f"{row.value:.3g}" + (f" ± {row.error:.1g}" if row.error else "")
        limit = "" if row.limit is None else f"{row.limit:.2g}"
        cells.append((row.structure, row.criterion, value, limit, row.unit, row.verdict.upper() if
                      row.verdict == FAIL else row.verdict))  # fmt: skip
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    lines = ["  ".join(f"{text:<{width}}" for text, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join(
        line + (f"\n    {row.reason}" if row and row.reason else "") for line, row in zip(lines, [None, *verdicts])
    )


def _structures(texts: tuple[str, ...], potential: Potential) -> list[Structure]:
    """Those that are named, else the defaults; each name once. Raises StructureRefused."""
    found = [find(text) for text in texts] if texts else defaults(list(potential.elements))
    for structure in found:
        unknown = sorted(set(structure.elements) - set(potential.elements))
        if unknown:
            raise StructureRefused(
                f"{structure.name}: the potential has no {', '.join(unknown)}; it has {' '.join(potential.elements)}"
            )
        if len(structure.atoms) < 2:
            raise StructureRefused(f"{structure.name}: a single atom conserves everything; give a molecule or a box")
    names = [structure.name for structure in found]
    for name in names:
        if names.count(name) > 1:
            raise StructureRefused(f"{name}: given twice; results are kept by name, so rename one of the files")
    return found


def _lengths(full: bool, length: float | None) -> dict[str, Lengths]:
    chosen = FULL if full else QUICK
    return {kind: replace(each, long=length) if length else each for kind, each in chosen.items()}


@click.command("nve")
@click.argument("file", metavar="FILE.yaml")
@click.argument("structures", metavar="[STRUCTURE]...", nargs=-1)
@click.option("--precision", type=click.Choice(PRECISIONS), default="mixed", show_default=True)
@click.option("--suffix", help="Accelerator suffix of LAMMPS; kk: the device backend.")
@click.option(
    "--quick/--full", "quick", default=True,
    help="Minutes on two cores, or hours.  [default: quick]",
)  # fmt: skip
@click.option("--length", type=click.FloatRange(min=0.2), metavar="PS", help="Of the long run, instead.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER",
              help="[default: nve-NAME-PRECISION]")  # fmt: skip
@click.option("--baseline", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json",
              help="Compare with it.  [default: nve_baseline_NAME_PRECISION.json beside the potential, if there]")  # fmt: skip
@click.option("--write-baseline", is_flag=True, help="Write the baseline instead of comparing with it.")
@click.option("--lammps", metavar="COMMAND", help="How LAMMPS is started, such as 'mpirun -np 4 lmp -k on g 4'.")
@click.option("--include", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="LAMMPS commands in front of each run at constant energy.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")
def command(file, structures, precision, suffix, quick, length, output, baseline, write_baseline, lammps,
            include, as_json):  # fmt: skip
    """Run the potential FILE.yaml at constant energy in LAMMPS and decide whether it may be trusted.

    STRUCTURE: a molecule (benzene, water, ... or a name of ASE's collection g2), a box of liquid (box:water,
    box:benzene, ...), or a file that ASE reads, periodic in all directions or in none. Without any: a molecule
    and a liquid that the potential's elements can make, whatever it was trained for.

    FOLDER gets report.html, verdicts.json, and for each run its script, log, data and trajectory.

    Exit status: 0 if no criterion failed, 1 if one did, 2 if nothing could be measured.
    """
    try:
        path = find_potential(file)
        potential = Potential.read(path)
        chosen = _structures(structures, potential)
        start = lammps_command(lammps, suffix)
        commands = include.read_text(encoding="utf-8") if include else ""
        output = (output or Path(f"nve-{path.stem}-{precision}")).absolute()
        output.mkdir(parents=True, exist_ok=True)
    except (PotentialError, StructureRefused, MdError, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(UNUSABLE)
    heading = {
        "potential": path.name,
        "sha256": potential.sha256,
        "precision": precision,
        "suffix": suffix,
        "mode": "quick" if quick else "full",
        "length": length,
        "threads": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    stored = baseline or baselines.default_file(path, precision)
    compared = not write_baseline and _is_comparable(stored, heading, required=baseline is not None)
    run = Runner(output, start)
    results, verdicts = run_suite(Student(path, precision, commands), chosen, _lengths(not quick, length), run)
    if not any(each.balance or each.scaling or each.long for each in results):
        _give_up(results)
    try:
        if write_baseline:
            baselines.write(stored, heading, verdicts)
        elif compared:
            verdicts += baselines.compare(stored, heading, verdicts)
        content = _finish(output, heading, results, verdicts)
    except (baselines.BaselineError, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(UNUSABLE)
    click.echo(json.dumps(content, indent=1) if as_json else _summary(content, verdicts, output))
    sys.exit(PASSED if content["passed"] else FAILED)


def _is_comparable(file: Path, heading: dict, required: bool) -> bool:
    """Whether there is a baseline for such a run; tells before the run why not, and ends the program if required."""
    if not required and not file.exists():
        return False
    try:
        problem = baselines.misfit(file, heading)
    except baselines.BaselineError as error:
        problem, required = str(error), True  # a damaged file
    if problem:
        click.echo(f"{'Error' if required else 'Not compared with the baseline'}: {problem}", err=True)
        if required:
            sys.exit(UNUSABLE)
    return not problem


#: What stands in LAMMPS's message if the installation, not the potential, lets no run begin -> what to do.
OBSTACLES = {
    "pair style|Unrecognized":
        "LAMMPS does not know the pair style: run `pip install .` in the source folder, or name the plugin's file in "
        "the environment variable MLFF_PLUGIN",
    "-kokkos on|suffix .* without|GPUs are requested|GetDeviceCount|nvalid command-line argument":
        "this LAMMPS cannot be started this way: leave --suffix out, or name by --lammps one that has its package: for "
        "--suffix kk one that is built with KOKKOS, for a GPU unless --lammps says '-k on' without 'g 1'",
}  # fmt: skip


def _give_up(results: list[Results]) -> None:
    """Ends the program if an obstacle kept LAMMPS from running: that is no verdict on a potential."""
    messages = [message for each in results for message in each.failures.values()]
    for pattern, advice in OBSTACLES.items():
        for message in messages:
            if re.search(pattern, message):
                click.echo(f"Error: {message}\n{advice}", err=True)
                sys.exit(UNUSABLE)


def _finish(output: Path, heading: dict, results: list[Results], verdicts: list[Verdict]) -> dict:
    """Writes report.html and verdicts.json; returns what is in the latter."""
    content = heading | {
        "passed": not any(row.verdict == FAIL for row in verdicts),
        "trajectories": [
            str((run.folder / "trajectory.lammpstrj").relative_to(output))
            for each in results for run in (each.long, each.after_pressure) if run is not None
        ],
        "time_steps": [row for each in results for row in by_time_step(each)],
        "verdicts": [asdict(row) for row in verdicts],
    }  # fmt: skip
    with replaced_when_complete(output / "verdicts.json") as stream:
        stream.write(json.dumps(content, indent=1) + "\n")
    write_report(output / "report.html", content, results, verdicts)
    return content


def _summary(content: dict, verdicts: list[Verdict], output: Path) -> str:
    failed = [f"{row.structure}: {row.criterion}" for row in verdicts if row.verdict == FAIL]
    result = "FAILED: " + "; ".join(failed) if failed else "no criterion failed"
    return f"{table(verdicts)}\n{content['potential']} ({content['precision']}): {result}\n{output / 'report.html'}"
