"""Whole MD steps in LAMMPS with KOKKOS: mlff/student/kk, and SNAP/kk and LJ/kk as yardsticks.

    python bench/lammps_kokkos.py FOLDER LMP PLUGIN [CASE ...]

FOLDER is what bench/make_system.py wrote and, in FOLDER/forces, bench_device. A CASE reads
STYLE/SYSTEM or mlff/ARCHITECTURE/SYSTEM/PRECISION, such as mlff/painn/box_46656/single or
lj/box_216. Runs are those of bench/lammps.py: NVE, skin 1 Angstrom, neighbour lists made anew every
10 steps, so little time that the atoms stay where they are. Boxes that are not in systems.txt are
made by LAMMPS's own `replicate`. Energy and forces of the first step are compared with those of the
library on the host in double precision.

All three styles see the same atoms within the same 5 Angstrom. SNAP has 2J = 8 and small random
coefficients, LJ a sigma of 2 Angstrom, which makes the boxes about as dense as LAMMPS's own
benchmark of a Lennard-Jones liquid with its 2.5 sigma.

In the environment MLFF_KOKKOS_START says how Kokkos is started ('on g 1'), MLFF_KOKKOS_LAUNCH what starts
LAMMPS ('mpirun -np 2'), MLFF_KOKKOS_PACKAGE what is added to -pk kokkos ('gpu/aware off').
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lammps import parse_runs, write_data  # noqa: E402
from make_system import ELEMENTS, find_system  # noqa: E402

TOLERANCE = 1e-4  # of the largest force, and eV/atom
CUTOFF = 5.0  # Angstrom
WARM_UP = 10  # steps
RUNS = 3  # the median of so many is reported
KELVIN = 30.0
TIMESTEP = 5e-5  # ps, at most
DURATION = 0.02  # ps, of all runs together: the potentials repel nothing, and atoms that meet explode
HOT = 300.0  # K; a run that gets there did not stay where it was
RATES = {"mlff": 5e6, "snap": 4e6, "lj": 1e8}  # atom-steps/s that the length of runs is guessed by
LATENCY = 2e-4  # s, the same for a step of few atoms
PACKAGE = {"snap": "newton on neigh half"}  # SNAP wants newton on
OTHER_PACKAGE = "newton off neigh full"
SNAP_2J = 8


@dataclass(frozen=True)
class Case:
    """One way to run a system; architecture and precision belong to mlff."""

    style: str
    system: str
    architecture: str = ""
    precision: str = ""

    @property
    def title(self) -> str:
        words = [self.style, self.architecture, self.system, self.precision]
        return "/".join(word for word in words if word)

    @staticmethod
    def parse(title: str) -> Case:
        words = title.split("/")
        if words[0] == "mlff" and len(words) == 4:
            return Case("mlff", words[2], words[1], words[3])
        if words[0] in ("snap", "lj") and len(words) == 2:
            return Case(*words)
        raise ValueError(f"{title!r} is no case; see bench/lammps_kokkos.py")


@dataclass
class Programs:
    """LAMMPS, and how its Kokkos is started."""

    lmp: Path
    plugin: Path
    start: str = "on g 1"  # on t 1: without a GPU
    launch: str = ""  # mpirun -np 2
    package: str = ""  # more of -pk kokkos

    def run(self, script: Path, timeout: float, package: str = OTHER_PACKAGE) -> str:
        """What LAMMPS prints. Raises RuntimeError if it stops, TimeoutExpired after so many seconds."""
        options = f"-k {self.start} -sf kk -pk kokkos {package} {self.package} -log none -in".split()
        done = subprocess.run(
            [*self.launch.split(), str(self.lmp), *options, str(script)],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            env={"OMP_NUM_THREADS": "1", "OMP_PROC_BIND": "false"} | os.environ,
        )
        if done.returncode:
            lines = [s for s in done.stdout.splitlines() if "ERROR" in s or "Signal: " in s]
            raise RuntimeError(f"LAMMPS stopped: {lines[0] if lines else done.stdout[-500:]}")
        return done.stdout


def number_of_bispectrum_components(twojmax: int) -> int:
    """j1 >= j2, |j1 - j2| <= j <= j1 + j2 in steps of two, j >= j1, all doubled."""
    return sum(
        j >= j1
        for j1 in range(twojmax + 1)
        for j2 in range(j1 + 1)
        for j in range(j1 - j2, min(twojmax, j1 + j2) + 1, 2)
    )


def write_snap(folder: Path) -> None:
    """snap.snapcoeff and snap.snapparam; the coefficients mean nothing and hardly push."""
    rng = np.random.default_rng(6)
    count = number_of_bispectrum_components(SNAP_2J) + 1
    lines = ["# random coefficients, for timing", f"{len(ELEMENTS)} {count}"]
    for element in ELEMENTS:
        values = np.append(0.0, 1e-9 * rng.normal(size=count - 1))
        lines += [f"{element} 0.5 1.0", *(f"{value:.12g}" for value in values)]
    (folder / "snap.snapcoeff").write_text("\n".join(lines) + "\n")
    settings = {"rcutfac": CUTOFF, "twojmax": SNAP_2J, "rfac0": 0.99363, "rmin0": 0.0}
    settings |= {"bzeroflag": 0, "quadraticflag": 0}
    text = "".join(f"{key} {value}\n" for key, value in settings.items())
    (folder / "snap.snapparam").write_text(text)


def interaction(case: Case, folder: Path, plugin: Path) -> str:
    elements = " ".join(ELEMENTS)
    if case.style == "snap":
        files = f"{folder / 'snap.snapcoeff'} {folder / 'snap.snapparam'}"
        return f"pair_style snap\npair_coeff * * {files} {elements}"
    if case.style == "lj":
        return f"pair_style lj/cut {CUTOFF}\npair_coeff * * 1.0e-5 2.0"
    return (
        f"plugin load {plugin}\npair_style mlff/student precision {case.precision}\n"
        f"pair_coeff * * {folder / f'{case.architecture}.yaml'} {elements}"
    )


def script(case: Case, folder: Path, plugin: Path, along: int, cell: int, steps: int) -> str:
    """A point for comparison, a warm-up, and RUNS runs."""
    stem = folder / case.title.replace("/", "_")
    replicate = f"replicate {along} {along} {along}" if along > 1 else ""
    timestep = min(TIMESTEP, DURATION / (WARM_UP + RUNS * steps))
    return f"""
units metal
atom_style atomic
read_data {stem}.data
{replicate}
{interaction(case, folder, plugin)}
neighbor 1.0 bin
neigh_modify every 10 delay 0 check no
velocity all create {KELVIN} 20261 mom yes rot yes dist gaussian
fix 1 all nve
timestep {timestep:.3g}
thermo_style custom step temp pe
thermo_modify format float %.15g norm no
thermo {1000 * (steps + WARM_UP)}
run 0
group cell id <= {cell}
write_dump cell custom {stem}.forces id fx fy fz modify sort id format float %.12g
run {WARM_UP}
""" + f"run {steps}\n" * RUNS


def thermo(output: str) -> list[tuple[float, float]]:
    """Temperature and potential energy of each line that LAMMPS printed."""
    lines = re.findall(
        r"^ *\d+ +([-+.\de]+|nan|-nan|inf) +([-+.\de]+|nan|-nan|inf) *$", output, re.M
    )
    return [(float(t), float(energy)) for t, energy in lines]


def deviations(case: Case, folder: Path, system_name: str, energy: float, copies: int) -> dict:
    """Energy (eV/atom) and forces (of the largest) of the first step against the host's.

    Raises RuntimeError beyond TOLERANCE.
    """
    expected = np.loadtxt(folder / "forces" / f"{case.architecture}_{system_name}.txt")
    dump = folder / f"{case.title.replace('/', '_')}.forces"
    forces = np.loadtxt(dump, skiprows=9, ndmin=2)[:, 1:]
    energy = abs(energy / copies - expected[0, 0]) / len(forces)
    force = float(np.abs(forces - expected[1:]).max() / np.abs(expected[1:]).max())
    if not (energy < TOLERANCE and force < TOLERANCE):
        raise RuntimeError(
            f"LAMMPS and the library disagree: {energy:.1e} eV/atom, forces {force:.1e}"
        )
    return {"energy_deviation": energy, "force_deviation": force}


def length(case: Case, atoms: int, seconds: float) -> int:
    """Steps of one run, whole tens, so that each has its share of neighbour lists."""
    guess = seconds / RUNS / (LATENCY + atoms / RATES[case.style])
    return int(min(1000, max(10, guess))) // 10 * 10


def run(case: Case, folder: Path, programs: Programs, seconds: float, timeout: float) -> dict:
    """Runs a case; RUNS runs take about this long together."""
    system, along = find_system(folder, case.system)
    cell = len(system.elements)
    stem = folder / case.title.replace("/", "_")
    write_data(stem.with_suffix(".data"), system)
    if case.style == "snap":
        write_snap(folder)
    path = folder / f"in.{stem.name}"
    steps = length(case, cell * along**3, seconds)
    path.write_text(script(case, folder, programs.plugin, along, cell, steps))
    output = programs.run(path, timeout, PACKAGE.get(case.style, OTHER_PACKAGE))
    states = thermo(output)
    if not states[-1][0] < HOT:
        raise RuntimeError(f"the atoms did not stay where they were: {states[-1][0]:.0f} K")
    answer = {}
    if case.style == "mlff":
        answer = deviations(case, folder, system.name, states[0][1], along**3)
    return asdict(case) | answer | summary(parse_runs(output)[-RUNS:])


def summary(runs: list[dict]) -> dict:
    """Of several runs the median, the least and the largest wall time of a step."""
    walls = [one["wall"] for one in runs]
    middle = min(runs, key=lambda one: abs(one["wall"] - median(walls)))
    return middle | {
        "wall": median(walls),
        "wall least": min(walls),
        "wall largest": max(walls),
    }


def main(folder: Path, programs: Programs, titles: list[str]) -> None:
    for title in titles:
        print(json.dumps(run(Case.parse(title), folder, programs, 1.0, 600.0)), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    settings = {
        name: os.environ.get(f"MLFF_KOKKOS_{name.upper()}", getattr(Programs, name))
        for name in ("start", "launch", "package")
    }
    main(
        Path(sys.argv[1]).absolute(),
        Programs(Path(sys.argv[2]), Path(sys.argv[3]), **settings),
        sys.argv[4:],
    )
