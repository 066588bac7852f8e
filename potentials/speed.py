#!/usr/bin/env python3
"""Measures the speed of the potentials that ship, in LAMMPS on one core of this machine, for README.md.

python potentials/speed.py     # a minute; writes potentials/speed.json
python potentials/table.py     # then the README

CPU time of whole MD steps, neighbour lists included, in mixed precision: unlike wall time it is little changed by
what else the machine does. Every potential is measured once a round, and the median over the rounds is kept. The
atoms stay where they are, since not every potential holds a liquid together; neighbour lists are made anew every 10
steps all the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from datetime import date
from pathlib import Path
from statistics import median

from ase import Atoms
from ase.build import molecule
from ase.io import read, write

from mlff_student.md_run import lmp_program

HERE = Path(__file__).resolve().parent
#: One of each committee: the others have the same size.
POTENTIALS = ("chno-f128", "chno-f64-1", "chno-small")
ROUNDS, WARM_UP = 3, 20
STEPS = {"benzene": 2000, "water": 200}
ELEMENTS = ("H", "C", "O")
SCRIPT = """
units metal
atom_style atomic
read_data {data}
pair_style mlff/student precision mixed
pair_coeff * * {potential} {elements}
neighbor 1.0 bin
neigh_modify every 10 delay 0 check no
thermo 1000000
run {warm_up}
run {steps}
"""


def structures() -> dict[str, Atoms]:
    """A molecule of 12 atoms far from its images, and a liquid of 192."""
    benzene = molecule("C6H6", vacuum=15.0, pbc=True)
    return {"benzene": benzene, "water": read(HERE / "validation" / "structures" / "water-64.extxyz")}


def milliseconds(potential: Path, name: str, atoms: Atoms, folder: Path) -> float:
    """CPU time of a step. Raises RuntimeError if LAMMPS does not end well."""
    data = folder / f"{name}.data"
    write(data, atoms, format="lammps-data", specorder=list(ELEMENTS), masses=True)
    script = SCRIPT.format(
        data=data, potential=potential, elements=" ".join(ELEMENTS), warm_up=WARM_UP, steps=STEPS[name],
    )  # fmt: skip
    file = folder / f"in.{name}"
    file.write_text(script)
    # OMP_NUM_THREADS also makes LAMMPS report the CPU use.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [lmp_program(), "-in", file, "-log", "none"], capture_output=True, text=True, env=environment, cwd=folder
    )
    loops = re.findall(r"^Loop time of (\S+)", done.stdout, re.M)
    uses = re.findall(r"^([\d.]+)% CPU use", done.stdout, re.M)
    if done.returncode or len(uses) < 2:
        raise RuntimeError(f"LAMMPS stopped with {potential}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return 1e3 * float(loops[-1]) * float(uses[-1]) / 100 / STEPS[name]


def processor() -> str:
    """What the system says of the processor."""
    info = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", Path("/proc/cpuinfo").read_text().split("\n\n")[0], re.M))
    isa = next((isa for isa in ("avx512f", "avx2") if isa in info.get("flags", "").split()), "")
    return f"{info.get('model name')} (family {info.get('cpu family')}, model {info.get('model')}), {isa}"


def main() -> None:
    """Measure all, and write speed.json."""
    found: dict[str, dict[str, list[float]]] = {p: {name: [] for name in STEPS} for p in POTENTIALS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for potential, times in found.items():
                file = next(HERE.glob(f"*/{potential}.yaml"))
                for name, atoms in structures().items():
                    times[name].append(milliseconds(file, name, atoms, Path(folder)))
    result = {
        "machine": processor(), "date": date.today().isoformat(), "rounds": ROUNDS, "precision": "mixed",
        "atoms": {name: len(atoms) for name, atoms in structures().items()},
        "cpu_ms_per_step": {
            potential: {
                name: {"median": round(median(ms), 4), "least": round(min(ms), 4), "most": round(max(ms), 4)}
                for name, ms in times.items()
            }
            for potential, times in found.items()
        },
    }  # fmt: skip
    (HERE / "speed.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
