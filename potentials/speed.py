#!/usr/bin/env python3
"""Measures the speed of the potentials that ship, in LAMMPS on one core of this machine or on a GPU, for README.md.

python potentials/speed.py                                                    # a minute; one core
python potentials/speed.py --gpu 'lmp -k on g 1 -sf kk -pk kokkos newton off neigh full'
python potentials/table.py                                                    # then the README

Each writes its part of potentials/speed.json: whole MD steps, neighbour lists included, in mixed precision. CPU time
on a core, since unlike wall time it is little changed by what else the machine does; wall time on a GPU. Every
potential is measured once a round, and the median over the rounds is kept. The atoms stay where they are, since not
every potential holds a liquid together; neighbour lists are made anew every 10 steps all the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

import click
from ase import Atoms
from ase.build import molecule
from ase.io import read, write

from mlff_student.md_run import MdError, lmp_command

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "speed.json"
#: One of each committee: the others have the same size.
POTENTIALS = ("chno-f128", "chno-f64-1")
ROUNDS, WARM_UP = 3, 20
ELEMENTS = ("H", "C", "O")
SCRIPT = """
units metal
atom_style atomic
read_data {data}
replicate {copies} {copies} {copies}
pair_style mlff/student precision mixed
pair_coeff * * {potential} {elements}
neighbor 1.0 bin
neigh_modify every 10 delay 0 check no
thermo 1000000
run {warm_up}
run {steps}
"""


@dataclass(frozen=True)
class System:
    """What is measured: a box, repeated in each direction, for so many steps."""

    atoms: Atoms
    steps: int
    copies: int = 1

    @property
    def size(self) -> int:
        """Atoms in all."""
        return len(self.atoms) * self.copies**3


def systems(on_gpu: bool) -> dict[str, System]:
    """A molecule far from its images, and a liquid; on a GPU also much of the liquid."""
    benzene = molecule("C6H6", vacuum=15.0, pbc=True)
    water = read(HERE / "validation" / "structures" / "water-64.extxyz")
    if on_gpu:
        large = System(water, 100, copies=6)
        return {"benzene": System(benzene, 5000), "water": System(water, 5000), "large box of water": large}
    return {"benzene": System(benzene, 2000), "water": System(water, 200)}


def milliseconds(lammps: list[str], on_gpu: bool, potential: Path, system: System, folder: Path) -> float:
    """Time of a step, of the CPU or with a GPU by the clock. Raises RuntimeError if LAMMPS does not end well."""
    write(folder / "data", system.atoms, format="lammps-data", specorder=list(ELEMENTS), masses=True)
    script = SCRIPT.format(
        data="data", potential=potential, elements=" ".join(ELEMENTS), warm_up=WARM_UP, steps=system.steps,
        copies=system.copies,
    )  # fmt: skip
    (folder / "in").write_text(script)
    # OMP_NUM_THREADS also makes LAMMPS report the CPU use.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*lammps, "-in", "in", "-log", "none"], capture_output=True, text=True, env=environment, cwd=folder
    )
    loops = re.findall(r"^Loop time of (\S+)", done.stdout, re.M)
    uses = re.findall(r"^([\d.]+)% CPU use", done.stdout, re.M)
    if done.returncode or len(uses) < 2:
        raise RuntimeError(f"LAMMPS stopped with {potential}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return 1e3 * float(loops[-1]) / system.steps * (1 if on_gpu else float(uses[-1]) / 100)


def processor() -> str:
    """What the system says of the processor."""
    info = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", Path("/proc/cpuinfo").read_text().split("\n\n")[0], re.M))
    isa = next((isa for isa in ("avx512f", "avx2") if isa in info.get("flags", "").split()), "")
    return f"{info.get('model name')} (family {info.get('cpu family')}, model {info.get('model')}), {isa}"


def graphics_processor() -> str:
    """The first GPU's name. Raises click.ClickException if NVIDIA's driver knows none."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        raise click.ClickException("--gpu: nvidia-smi names no GPU; run this where there is one") from None


def measure(lammps: list[str], on_gpu: bool) -> dict:
    """A part of speed.json."""
    machine, chosen = graphics_processor() if on_gpu else processor(), systems(on_gpu)
    found: dict[str, dict[str, list[float]]] = {p: {name: [] for name in chosen} for p in POTENTIALS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for potential, times in found.items():
                file = next(HERE.glob(f"*/{potential}.yaml"))
                for name, system in chosen.items():
                    times[name].append(milliseconds(lammps, on_gpu, file, system, Path(folder)))
    return {
        "machine": machine, "date": date.today().isoformat(), "rounds": ROUNDS, "precision": "mixed",
        "atoms": {name: system.size for name, system in chosen.items()},
        "ms_per_step": {
            potential: {
                name: {"median": round(median(ms), 4), "least": round(min(ms), 4), "most": round(max(ms), 4)}
                for name, ms in times.items()
            }
            for potential, times in found.items()
        },
    }  # fmt: skip


@click.command()
@click.option("--gpu", metavar="COMMAND", help="Measure on a GPU with a LAMMPS that is started so [on one core].")
def main(gpu: str | None) -> None:
    """Measure all, and write speed.json's part."""
    try:
        lammps = lmp_command(gpu)
    except MdError as error:
        raise click.ClickException(str(error)) from None
    stored = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    stored["gpu" if gpu else "core"] = measure(lammps, bool(gpu))
    RESULTS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
