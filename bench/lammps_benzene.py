"""Molecular dynamics of one benzene molecule with a potential that ships, as users run it.

    python bench/lammps_benzene.py LMP PLUGIN

Here atoms move, unlike in bench/lammps_kokkos.py, and neighbour lists are made by several settings:
in so small a system a list, and the question whether one is needed, cost more than a step. NVE with
0.5 fs at some 300 K, in the box of examples/benzene, where the molecule turns and flies freely.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lammps import BENZENE_DATA, ROOT, parse_runs  # noqa: E402
from lammps_kokkos import RUNS, Programs, summary, thermo  # noqa: E402

POTENTIAL = ROOT / "potentials" / "chno" / "chno-f128.yaml"
WARM_UP = 2000  # steps
STEPS = 3000  # of each of RUNS runs
KELVIN = (150.0, 600.0)  # beyond, something went wrong


@dataclass(frozen=True)
class Case:
    """skin: Angstrom; lists: what neigh_modify says."""

    skin: float
    lists: str
    precision: str = "single"

    @property
    def title(self) -> str:
        return f"benzene, {self.precision}, skin {self.skin:g}, {self.lists}"


AS_NEEDED = Case(2.0, "every 20 delay 0 check yes")
CASES = [
    AS_NEEDED,
    replace(AS_NEEDED, precision="mixed"),
    Case(2.0, "every 10 delay 0 check yes"),
    Case(2.0, "every 1 delay 0 check yes"),
    Case(1.0, "every 10 delay 0 check no"),
    Case(2.0, "every 1000000 delay 0 check no"),
]


def script(case: Case, plugin: Path) -> str:
    runs = f"run {STEPS}\n" * RUNS
    return f"""
plugin load {plugin}
units metal
atom_style atomic
atom_modify map yes
read_data {BENZENE_DATA}
pair_style mlff/student precision {case.precision}
pair_coeff * * {POTENTIAL} C H
neighbor {case.skin} bin
neigh_modify {case.lists}
velocity all create 600 20261 mom no rot no dist gaussian
fix 1 all nve
timestep 0.0005
thermo_style custom step temp etotal
thermo {WARM_UP + RUNS * STEPS}
run {WARM_UP}
{runs}"""


def lists_made(output: str) -> tuple[list[int], list[int]]:
    """Of each run: neighbour lists, and those of them that may have come too late."""
    made = re.findall(r"^Neighbor list builds = (\d+)", output, re.M)
    late = re.findall(r"^Dangerous builds (?:= (\d+)|not checked)", output, re.M)
    return [int(n) for n in made], [int(n or 0) for n in late]


def run(case: Case, programs: Programs, timeout: float) -> dict:
    """Runs a case. Raises RuntimeError if LAMMPS stops, or the molecule did not stay one."""
    with tempfile.TemporaryDirectory(prefix="mlff-benzene-") as folder:
        path = Path(folder) / "in.benzene"
        path.write_text(script(case, programs.plugin))
        output = programs.run(path, timeout)
    kelvin = thermo(output)[-1][0]
    if not KELVIN[0] < kelvin < KELVIN[1]:
        raise RuntimeError(f"the molecule has {kelvin:.0f} K at the end")
    made, late = lists_made(output)
    if any(late):
        raise RuntimeError(f"{sum(late)} neighbour lists may have come too late")
    counts = {"lists made": sum(made[-RUNS:]) / RUNS, "kelvin": kelvin}
    return asdict(case) | summary(parse_runs(output)[-RUNS:]) | counts


def main(programs: Programs) -> None:
    for case in CASES:
        print(json.dumps(run(case, programs, 600.0)), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    start = os.environ.get("MLFF_KOKKOS_START", "on g 1")
    main(Programs(Path(sys.argv[1]), Path(sys.argv[2]).absolute(), start))
