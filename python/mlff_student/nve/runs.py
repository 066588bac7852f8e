"""Runs the suite's simulations in LAMMPS and reads what they recorded."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.io.lammpsdata import write_lammps_data

from ..md_run import MdError, lmp_command, run_lammps
from . import scripts
from .scripts import TIMESTEP, Student
from .statistics import mean_shadow_energy, shadow_energy
from .structures import Structure

#: fs; how the errors of the integrator grow is seen at these
TIMESTEPS = (0.125, 0.25, 0.5, 1.0)

#: fs; so short that what is left of the error is not the integrator's
BALANCE_TIMESTEP = 0.0625


@dataclass(frozen=True)
class Lengths:
    """How long a structure's runs are; ps, steps where the name says so."""

    squeeze: float
    equilibrate: float
    rounds: int  #: corrections of the temperature
    balance: float  #: at BALANCE_TIMESTEP
    scaling: float  #: at each time step of TIMESTEPS
    long: float
    reversal_steps: int
    pressure: float  #: NPT; 0: none
    after_pressure: float


QUICK = {
    "molecule": Lengths(0, 2.0, 3, 0.25, 1.0, 20.0, 1000, 0, 0),
    "bulk": Lengths(1.0, 0.75, 2, 0.05, 0.1, 1.0, 200, 0.5, 0.5),
}
FULL = {
    "molecule": Lengths(0, 10.0, 4, 1.0, 10.0, 100.0, 1000, 0, 0),
    # No more steps back than in QUICK: atoms of a liquid diverge so fast that rounding to FP32 grows from 1e-6 to
    # 5e-3 A between 200 and 1000 steps, whatever the potential.
    "bulk": Lengths(5.0, 10.0, 3, 0.1, 1.0, 100.0, 200, 20.0, 50.0),
}


@dataclass
class Recording:
    """A run at constant energy; arrays [n] in ps, K, eV."""

    folder: Path
    timestep: float  #: fs
    time: np.ndarray
    temperature: np.ndarray
    potential: np.ndarray
    kinetic: np.ndarray
    size: np.ndarray  #: radius of gyration, A
    momentum: np.ndarray  #: [n, 3] u A/ps
    angular_momentum: np.ndarray  #: [n, 3] u A^2/ps
    shadow_time: np.ndarray  #: [m]
    shadow: np.ndarray  #: [m] shadow energy less a constant, at each step or as means over intervals

    @property
    def total(self) -> np.ndarray:
        return self.potential + self.kinetic

    @property
    def length(self) -> float:
        return float(self.time[-1] - self.time[0])


@dataclass
class Results:
    """What one structure's runs gave. A run that LAMMPS stopped is in `failures` instead."""

    structure: Structure
    balance: Recording | None = None
    scaling: list[Recording] = field(default_factory=list)
    long: Recording | None = None
    after_pressure: Recording | None = None
    reversal: tuple[int, float, float] | None = None  #: steps, A travelled, A off after the way back
    failures: dict[str, str] = field(default_factory=dict)  #: run -> LAMMPS's message
    has_pressure: bool = False


class Runner:
    """Runs scripts in folders below `output`, with `lammps` in front and a progress bar each."""

    def __init__(self, output: Path, lammps: Sequence[str] = (), progress: bool = True):
        self.output, self.lammps, self.progress = output, lammps, progress

    def __call__(self, folder: Path, name: str, script: str, steps: int, title: str) -> None:
        """Writes folder/in.NAME and runs it. Raises MdError."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"in.{name}"
        file.write_text(script, encoding="utf-8")
        log = folder / f"log.{name}"
        run_lammps(file, steps, {}, log, self.progress, self.lammps, f"{title:<32}")


def lammps_command(text: str | None, suffix: str | None) -> list[str]:
    """The words of `lmp_command` with an accelerator suffix. kk needs Kokkos: on one GPU unless `text` says otherwise
    with -k. Raises MdError."""
    words = lmp_command(text)
    if suffix == "kk" and not {"-k", "-kokkos"} & set(words):
        words += ["-k", "on", "g", "1"]
    return words + (["-sf", suffix] if suffix else [])


def simulate(
    student: Student, structure: Structure, lengths: Lengths, run: Runner, seed: int = 20261
) -> Results:
    """All runs of one structure, in a folder of its name."""
    results = Results(structure, has_pressure=lengths.pressure > 0)
    folder = run.output / structure.name.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)

    def attempt(title: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except MdError as error:
            results.failures[title] = str(error)
        return title not in results.failures

    def prepare() -> None:
        _write_data(structure, folder / "system.data")
        squeeze, equilibrate = _steps(lengths.squeeze), _steps(lengths.equilibrate)
        script = scripts.preparation(student, structure, squeeze, equilibrate, lengths.rounds, seed)
        run(folder, "prepare", script, equilibrate, f"{structure.name}: equilibration")

    def balance() -> None:
        results.balance = _record(student, structure, folder / "balance", BALANCE_TIMESTEP, lengths.balance, 1,
                                  run, f"{structure.name}: {BALANCE_TIMESTEP:g} fs")  # fmt: skip

    def scaling(timestep: float) -> None:
        results.scaling.append(
            _record(student, structure, folder / f"{timestep:g}fs", timestep, lengths.scaling, 1, run,
                    f"{structure.name}: {timestep:g} fs")
        )  # fmt: skip

    def long() -> None:
        results.long = _record(student, structure, folder / "long", TIMESTEP, lengths.long, 20, run,
                               f"{structure.name}: {lengths.long:g} ps")  # fmt: skip

    def reverse() -> None:
        n = lengths.reversal_steps
        script = scripts.reversal(student, structure, n)
        run(folder / "reversal", "reversal", script, n, f"{structure.name}: there and back")
        row = np.loadtxt(folder / "reversal" / "reversal.csv", delimiter=",", skiprows=1)
        results.reversal = (n, float(row[0]), float(row[1]))

    def pressure() -> None:
        steps = _steps(lengths.pressure)
        script = scripts.constant_pressure(student, structure, steps, 2, seed)
        run(folder / "npt", "npt", script, steps, f"{structure.name}: NPT")

    def after() -> None:
        results.after_pressure = _record(student, structure, folder / "npt" / "after", TIMESTEP,
                                         lengths.after_pressure, 20, run, f"{structure.name}: after NPT")  # fmt: skip

    if attempt("equilibration", prepare):
        attempt(f"run at {BALANCE_TIMESTEP:g} fs", balance)
        for timestep in TIMESTEPS:
            attempt(f"run at {timestep:g} fs", lambda timestep=timestep: scaling(timestep))
        attempt("there and back", reverse)
        attempt("long run", long)
        if lengths.pressure and attempt("NPT", pressure):
            attempt("run after NPT", after)
    return results


def _steps(ps: float, timestep: float = TIMESTEP) -> int:
    return round(ps * 1000 / timestep)


def _record(student: Student, structure: Structure, folder: Path, timestep: float, ps: float, every: int,
            run: Runner, title: str) -> Recording:  # fmt: skip
    steps = _steps(ps, timestep)
    script = scripts.constant_energy(student, structure, timestep, steps, every, max(steps // 200, 1))
    run(folder, "nve", script, steps, title)
    return read_recording(folder, timestep, every)


def _write_data(structure: Structure, file: Path) -> None:
    """A LAMMPS data file, atom types in the order of structure.elements."""
    atoms = structure.atoms.copy()
    if not structure.is_bulk:
        atoms.center(vacuum=5.0)
    atoms.wrap()
    with open(file, "w", encoding="utf-8") as stream:
        write_lammps_data(stream, atoms, specorder=structure.elements, masses=True, atom_style="atomic")


def read_recording(folder: Path, timestep: float, every: int) -> Recording:
    """What a script of scripts.constant_energy left in its folder. Raises MdError for too few rows."""
    file = folder / "thermo.csv"
    with open(file, newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    if len(rows) < 10:
        raise MdError(f"{file}: {len(rows) - 1} rows; at least 9 are needed, give the run more steps")
    columns = dict(zip(rows[0], np.array(rows[1:], dtype=float).T))
    vector = lambda name: np.stack([columns[f"{name}_{x}"] for x in "xyz"], axis=1)  # noqa: E731
    potential, kinetic = columns["potential_energy"], columns["kinetic_energy"]
    time = columns["time"] - columns["time"][0]
    if every == 1:
        shadow = shadow_energy(potential - potential[0], kinetic, columns["force_square"], timestep / 1000)
        shadow_time = time[1:-1]
    else:
        step, change, square = np.loadtxt(folder / "means.txt").T
        shadow = mean_shadow_energy(change, square, timestep / 1000)
        shadow_time = (step - 0.5 * (every - 1)) * timestep / 1000
    return Recording(
        folder, timestep, time, columns["temperature"], potential, kinetic, columns["size"],
        vector("momentum"), vector("angular_momentum"), shadow_time, shadow,
    )  # fmt: skip
