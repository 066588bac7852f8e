"""Molecular dynamics with a student in LAMMPS, in segments that can be continued."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import units
from ase.data import atomic_masses, chemical_symbols

from mlff_student.atomic_file import replaced_when_complete
from mlff_student.md_run import MdError, lmp_command

VELOCITY = 1000 * units.fs  # ASE's unit of velocity from LAMMPS's Angstrom/ps
DAMPING = 0.2  # ps, of Langevin's thermostat
BAROSTAT = 1.0  # ps
TETHER = 0.05  # eV/Angstrom^2; at 300 K its atom stays within 2 Angstrom
COLUMNS = ("time", "temperature", "pressure", "density", "energy")  # of Segment.thermo


class DynamicsError(RuntimeError):
    """LAMMPS could not be started, or ended without an error of its own."""


class LammpsKilled(DynamicsError):
    """LAMMPS aborted or was killed while it ran, by itself or from outside: its frames may tell.

    On a GPU this is how a box that explodes ends, and under NVIDIA's MPS all that share this GPU end with it.
    """

    def __init__(self, message: str, segment: Segment):
        super().__init__(message)
        self.segment = segment  #: what it wrote until then


@dataclass(frozen=True)
class Engine:
    """How LAMMPS is run."""

    potential: Path
    lammps: str = ""  #: command; default: the lmp of this Python environment
    precision: str = "mixed"
    timestep: float = 0.5  #: fs
    gpu: str = ""  #: the only one that LAMMPS sees, by its name for CUDA; empty: all that this process sees

    def command(self) -> list[str]:
        """The command that starts LAMMPS. Raises DynamicsError if there is no such program."""
        try:
            return lmp_command(self.lammps)
        except MdError as error:
            raise DynamicsError(f"{error} (as in --lammps 'lmp -k on g 1 -sf kk')") from None

    def environment(self) -> dict[str, str]:
        """The environment that LAMMPS runs in."""
        chosen = {"CUDA_VISIBLE_DEVICES": self.gpu} if self.gpu else {}
        return {"OMP_NUM_THREADS": "1", **os.environ, **chosen}


def gpus(count: int) -> list[str]:
    """Names for CUDA of the first GPUs that this process may use. Raises DynamicsError if it may use fewer."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(k) for k in range(count)] if visible is None else [n for n in visible.split(",") if n]
    if len(names) < count:
        raise DynamicsError(f"{count} GPUs are asked for, CUDA_VISIBLE_DEVICES={visible} names {len(names)}")
    return names[:count]


@dataclass(frozen=True)
class State:
    """Atoms on their way."""

    numbers: np.ndarray  #: [N] atomic numbers
    positions: np.ndarray  #: [N, 3] Angstrom
    velocities: np.ndarray  #: [N, 3] Angstrom/ps
    edges: np.ndarray  #: [3] of the box, whose corner is the origin, Angstrom
    periodic: bool
    tethered: np.ndarray  #: [n] indices of atoms that a weak spring holds where they are when a run begins

    def take(self, atoms: np.ndarray) -> State:
        """Only these atoms (indices, in this order)."""
        kept = np.isin(self.tethered, atoms)
        place = {old: new for new, old in enumerate(atoms)}
        return replace(
            self,
            numbers=self.numbers[atoms],
            positions=self.positions[atoms],
            velocities=self.velocities[atoms],
            tethered=np.array([place[a] for a in self.tethered[kept]], dtype=int),
        )

    def save(self, file: Path) -> None:
        """Writes an .npz file, whole or not at all."""
        with replaced_when_complete(file, binary=True) as stream:
            np.savez(stream, **vars(self))

    @classmethod
    def load(cls, file: Path) -> State:
        """Reads what `save` wrote."""
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return cls(**{**arrays, "periodic": bool(arrays["periodic"])})


@dataclass(frozen=True)
class Segment:
    """What one run of LAMMPS gave."""

    times: np.ndarray  #: [M] ps from its start
    frames: np.ndarray  #: [M, N, 3] Angstrom; in periodic boxes atoms are wrapped
    edges: np.ndarray  #: [M, 3]
    thermo: dict[str, np.ndarray]  #: [M] time (ps), temperature (K), pressure (bar), density (g/cm3), energy (eV)
    end: State | None  #: None if LAMMPS stopped early
    error: str  #: LAMMPS's message then, else empty


def start(numbers, positions, edges, periodic: bool, temperature: float, seed: int, tethered=()) -> State:
    """A state with velocities of Maxwell and Boltzmann."""
    numbers, tethered = np.asarray(numbers), np.asarray(tethered, dtype=int)
    scale = np.sqrt(units.kB * temperature / atomic_masses[numbers]) * VELOCITY
    velocities = np.random.default_rng(seed).standard_normal((len(numbers), 3)) * scale[:, None]
    edges = np.asarray(edges, dtype=float)
    return State(numbers, np.asarray(positions, dtype=float), velocities, edges, periodic, tethered)


def run(
    engine: Engine, state: State, folder: Path, temperature: float, steps: int, every: int, seed: int,
    npt: bool = False,
) -> Segment:  # fmt: skip
    """Runs NVT, or NPT at 1 atm, by Langevin's equation; a frame every `every` steps.

    folder: for LAMMPS's files, which are overwritten. Raises DynamicsError if LAMMPS does not begin to run, LammpsKilled
    if something else than an error of its own ends it then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("frames.dump", "thermo.txt", "end.dump", "log.lammps"):
        (folder / name).unlink(missing_ok=True)
    _write_data(state, folder / "start.data")
    (folder / "in.lammps").write_text(_script(engine, state, temperature, steps, every, seed, npt))
    command = [*engine.command(), "-in", "in.lammps", "-log", "log.lammps"]
    try:
        done = subprocess.run(
            command, cwd=folder, text=True, env=engine.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except OSError as problem:
        raise DynamicsError(f"LAMMPS cannot be started by {command[0]!r}: {problem.strerror}") from None
    error = _error(done.stdout) if done.returncode else ""
    problem = f"LAMMPS ended with status {done.returncode} in {folder}:\n{error or done.stdout[-1000:]}"
    if done.returncode and not (folder / "frames.dump").exists():
        raise DynamicsError(problem)
    frames, edges = (part[1:] for part in _read_dump(folder / "frames.dump", len(state.numbers)))
    thermo = _read_thermo(folder / "thermo.txt")
    count = min(len(frames), len(thermo["time"]))
    end = None
    if not done.returncode:
        (folder / "frames.dump").unlink()
        last, box = _read_dump(folder / "end.dump", len(state.numbers))
        end = replace(state, positions=last[0, :, :3], velocities=last[0, :, 3:], edges=box[0])
    segment = Segment(
        thermo["time"][:count], frames[:count], edges[:count],
        {name: column[:count] for name, column in thermo.items()}, end,
        error,
    )  # fmt: skip
    if done.returncode and not error:
        raise LammpsKilled(problem, segment)
    return segment


def _script(engine: Engine, state: State, temperature: float, steps: int, every: int, seed: int, npt: bool) -> str:
    elements = sorted(set(state.numbers.tolist()))
    symbols = " ".join(chemical_symbols[z] for z in elements)
    lines = [
        "units metal",
        "atom_style atomic",
        "atom_modify map array",
        f"boundary {'p p p' if state.periodic else 'f f f'}",
        "read_data start.data",
        *([f'plugin load """{Path(plugin).absolute()}"""'] if (plugin := os.environ.get("MLFF_PLUGIN")) else []),
        f"pair_style mlff/student precision {engine.precision}",
        f'pair_coeff * * """{Path(engine.potential).absolute()}""" {symbols}',
        *(f"mass {k} {atomic_masses[z]}" for k, z in enumerate(elements, start=1)),
        "neighbor 2.0 bin",
        "neigh_modify delay 0 every 10 check yes",
        f"timestep {engine.timestep / 1000}",
    ]
    if npt:
        lines.append(f"fix integrate all nph iso 1.01325 1.01325 {BAROSTAT}")
    else:
        lines.append("fix integrate all nve")
    lines.append(f"fix bath all langevin {temperature} {temperature} {DAMPING} {seed}")
    if len(state.tethered):
        ids = " ".join(str(i + 1) for i in state.tethered)
        lines += [f"group tethered id {ids}", f"fix tether tethered spring/self {TETHER}"]
    columns = "$(step*dt) $(temp) $(press) $(density) $(pe)"
    lines += [
        f"dump frames all custom {every} frames.dump id x y z",
        "dump_modify frames sort id format float %.4f flush yes",
        "thermo_style custom step temp pe press density",
        f"thermo {every}",
        f'fix record all print {every} "{columns}" file thermo.txt screen no title "{" ".join(COLUMNS)}"',
        f"run {steps}",
        "write_dump all custom end.dump id x y z vx vy vz modify sort id format float %.15g",
    ]
    return "\n".join(lines) + "\n"


def _write_data(state: State, file: Path) -> None:
    """A data file for atom_style atomic."""
    elements = sorted(set(state.numbers.tolist()))
    types = {z: k for k, z in enumerate(elements, start=1)}
    lines = ["atoms on their way", "", f"{len(state.numbers)} atoms", f"{len(elements)} atom types"]
    lines += [f"0 {edge:.15g} {axis}lo {axis}hi" for edge, axis in zip(state.edges, "xyz")]
    lines += ["", "Atoms # atomic", ""]
    for i, (number, r) in enumerate(zip(state.numbers, state.positions), start=1):
        lines.append(f"{i} {types[number]} {r[0]:.15g} {r[1]:.15g} {r[2]:.15g}")
    lines += ["", "Velocities", ""]
    for i, v in enumerate(state.velocities, start=1):
        lines.append(f"{i} {v[0]:.15g} {v[1]:.15g} {v[2]:.15g}")
    file.write_text("\n".join(lines) + "\n")


def _read_dump(file: Path, atoms: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns after the id of each whole frame [M, N, columns], and the boxes' edges [M, 3]."""
    *lines, _ = file.read_text().split("\n")  # the last line is empty, or cut short where LAMMPS was killed
    size = atoms + 9
    frames, edges = [], []
    for first in range(0, len(lines) - size + 1, size):
        bounds = np.array([line.split()[:2] for line in lines[first + 5 : first + 8]], dtype=float)
        rows = " ".join(lines[first + 9 : first + size]).split()
        values = np.array(rows, dtype=float).reshape(atoms, -1)[:, 1:]
        values[:, :3] -= bounds[:, 0]  # a changing box keeps its middle, not its corner
        frames.append(values)
        edges.append(bounds[:, 1] - bounds[:, 0])
    return np.array(frames or np.empty((0, atoms, 3))), np.array(edges).reshape(-1, 3)


def _read_thermo(file: Path) -> dict[str, np.ndarray]:
    """Columns by name, without the row of step 0 and without a last line that is cut short."""
    lines = file.read_text().splitlines()[2:] if file.exists() else []
    rows = [line.split() for line in lines]
    values = np.array([row for row in rows if len(row) == len(COLUMNS)], dtype=float).reshape(-1, len(COLUMNS))
    return dict(zip(COLUMNS, values.T))


def _error(output: str) -> str:
    """LAMMPS's error message, empty if there is none: then something else ended it."""
    found = re.search(r"^ERROR.*", output, re.MULTILINE)
    return found.group(0).strip() if found else ""
