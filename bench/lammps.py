"""Whole MD steps in LAMMPS: NVE of the benchmark's systems, neighbour lists included.

    python bench/lammps.py FOLDER LMP PLUGIN [MPIRUN]

FOLDER is what bench/make_system.py wrote. The potentials with random weights bind nothing, so their
atoms are given little time to go anywhere (30 K, steps of 0.05 fs). What a step costs is that of a
real run all the same: skin 1 Angstrom, neighbour lists made anew every 10 steps, wanted or not.
Benzene runs with the potential that ships, from 300 K in steps of 0.5 fs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).resolve().parent))

from make_system import ELEMENTS, System, read_systems  # noqa: E402

MASSES = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999}
BENZENE_POTENTIAL = ROOT / "examples" / "chno-small" / "chno-small.yaml"
BENZENE_DATA = ROOT / "examples" / "benzene" / "benzene.data"
WARM_UP = 10  # steps
MARGIN = 20.0  # Angstrom around a molecule


@dataclass(frozen=True)
class Case:
    """One way to run a system; `system` is a name of systems.txt or "benzene"."""

    system: str
    precision: str = "single"
    ranks: int = 1
    threads: int = 1

    @property
    def cores(self) -> int:
        return self.ranks * self.threads


@dataclass
class Programs:
    lmp: Path
    plugin: Path
    mpirun: Path | None = None


def write_data(path: Path, system: System) -> None:
    """A data file whose types are ELEMENTS."""
    low, high = np.zeros(3), np.full(3, system.edge)
    if not system.edge:
        low, high = system.positions.min(axis=0) - MARGIN, system.positions.max(axis=0) + MARGIN
    lines = [system.name, "", f"{len(system.elements)} atoms", f"{len(ELEMENTS)} atom types"]
    lines += [f"{low[d]:.17g} {high[d]:.17g} {x}lo {x}hi" for d, x in enumerate("xyz")]
    lines += ["", "Masses", ""] + [f"{k + 1} {MASSES[e]}" for k, e in enumerate(ELEMENTS)]
    lines += ["", "Atoms # atomic", ""]
    for k, (element, x) in enumerate(zip(system.elements, system.positions)):
        lines.append(f"{k + 1} {element + 1} {x[0]:.17g} {x[1]:.17g} {x[2]:.17g}")
    path.write_text("\n".join(lines) + "\n")


def script(
    case: Case, data: Path, potential: Path, elements: list[str], plugin: Path, steps: int
) -> str:
    """An NVE run; threads are the pair style's own."""
    kelvin, picoseconds = (300, 0.0005) if case.system == "benzene" else (30, 0.00005)
    return f"""
plugin load {plugin}
units metal
atom_style atomic
read_data {data}
pair_style mlff/student precision {case.precision} threads {case.threads}
pair_coeff * * {potential} {' '.join(elements)}
neighbor 1.0 bin
neigh_modify every 10 delay 0 check no
velocity all create {kelvin} 20261 mom yes rot yes dist gaussian
fix 1 all nve
timestep {picoseconds}
thermo {max(steps, WARM_UP)}
run {WARM_UP}
run {steps}
"""


def parse(output: str) -> dict[str, float]:
    """The last run's seconds of wall and CPU time a step, and shares of the wall time."""
    return parse_runs(output)[-1]


def parse_runs(output: str) -> list[dict[str, float]]:
    """The same of each run."""
    runs = [parse_run(text) for text in re.split(r"^(?=Loop time of )", output, flags=re.M)[1:]]
    if not runs:
        raise RuntimeError(f"LAMMPS printed no timings:\n{output[-2000:]}")
    return runs


def parse_run(output: str) -> dict[str, float]:
    loop = re.match(r"Loop time of (\S+) on (\d+) procs for (\d+) steps with (\d+) atoms", output)
    use = re.search(r"^([\d.]+)% CPU use with (\d+) MPI tasks x (\d+|no) OpenMP", output, re.M)
    if not (loop and use):
        raise RuntimeError(f"LAMMPS printed no timings:\n{output[-2000:]}")
    seconds, steps, atoms = float(loop[1]), int(loop[3]), int(loop[4])
    shares = {
        name.lower(): float(share) / 100
        for name, share in re.findall(
            r"^(Pair|Neigh|Comm|Modify|Output|Other) .*\|\s*([\d.]+)\s*$", output, re.M
        )
    }
    percent, ranks = use[1], use[2]  # a mean over the ranks, each with all of its threads
    cpu = seconds * int(ranks) * float(percent) / 100
    return {
        "wall": seconds / max(steps, 1),
        "cpu": cpu / max(steps, 1),
        "atoms": atoms,
        "steps": steps,
        "shares": shares,
    }


def run(case: Case, folder: Path, programs: Programs, seconds: float, rate: float) -> dict:
    """Runs a case for about this long, given its expected rate in atom-steps per second."""
    if case.system == "benzene":
        data, potential, elements, atoms = BENZENE_DATA, BENZENE_POTENTIAL, ["C", "H"], 12
    else:
        system = next(s for s in read_systems(folder) if s.name == case.system)
        data, potential, elements = folder / f"{system.name}.data", folder / "painn.yaml", ELEMENTS
        write_data(data, system)
        atoms = len(system.elements)
    steps = int(min(1000, max(20, seconds * rate / atoms))) // 10 * 10
    path = folder / f"in.{case.system}"
    path.write_text(script(case, data, potential, elements, programs.plugin, steps))
    command = [str(programs.lmp), "-in", str(path), "-log", "none"]
    if case.ranks > 1:
        command = [str(programs.mpirun), "-np", str(case.ranks), *command]
    # OMP_NUM_THREADS also makes LAMMPS report the CPU use of all threads.
    done = subprocess.run(
        command,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(case.threads)},
    )
    if done.returncode:
        raise RuntimeError(f"LAMMPS stopped in {case}:\n{done.stdout[-2000:]}")
    return asdict(case) | parse(done.stdout)


def cases(mpi: bool, quick: bool) -> list[Case]:
    """Every system in single precision, one box in the others; 1 or 2 ranks, or 2 threads."""
    systems = ["molecule_20", "molecule_100", "box_216", "box_1728"]
    if BENZENE_POTENTIAL.exists():
        systems.insert(0, "benzene")
    layouts = [(1, 1), (2, 1), (1, 2)] if mpi else [(1, 1), (1, 2)]
    if quick:
        systems = [s for s in systems if s in ("benzene", "box_216")]
    found = [Case(s, "single", *layout) for s in systems for layout in layouts]
    return found + [Case("box_216", p, *layout) for p in ("mixed", "double") for layout in layouts]


def main(folder: Path, programs: Programs) -> None:
    for case in cases(programs.mpirun is not None, quick=False):
        print(json.dumps(run(case, folder, programs, 1.0, 10000.0 * case.cores)), flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Programs(*(Path(argument) for argument in sys.argv[2:])))
