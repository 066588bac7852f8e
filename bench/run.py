"""Measures everything side by side on this machine, and writes JSON, plots and tables.

Builds what it needs in build/bench. In every round each case is measured once, with the programs
that are compared one right after the other, so that a disturbance meets all of them; reported are
medians over the rounds. bench/README.md says what the columns mean.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
from tqdm import tqdm

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
sys.path.insert(0, str(BENCH))

import lammps  # noqa: E402  (bench/lammps.py)
import report  # noqa: E402
from machine import describe, instruction_sets  # noqa: E402
from programs import PyTorch, google_benchmark, write_forces  # noqa: E402

SYSTEMS = ["molecule_12", "molecule_20", "molecule_50", "molecule_100", "box_216", "box_1728"]
THREADS = (1, 2)


@dataclass
class Plan:
    """What is measured, and for how long."""

    rounds: int = 5
    other_rounds: int = 3  # of instruction sets, kernels and LAMMPS
    seconds: float = 0.3  # a measurement of bench_network takes at least this long
    systems: dict[str, list[str]] = field(
        default_factory=lambda: {"painn": SYSTEMS, "mlff-distiller": ["molecule_20", "box_216"]}
    )
    isas: list[str] = field(default_factory=instruction_sets)
    kernel_seconds: float = 0.03
    lammps_seconds: float = 1.0
    quick: bool = False

    def cases(self) -> list[tuple[str, str, int]]:
        """Architecture, system, threads."""
        return [(a, s, t) for a, systems in self.systems.items() for s in systems for t in THREADS]


QUICK = Plan(
    rounds=3,
    other_rounds=1,
    seconds=0.1,
    systems={"painn": ["molecule_20", "box_216"]},
    isas=instruction_sets()[-1:],
    kernel_seconds=0.01,
    lammps_seconds=0.3,
    quick=True,
)


class Samples:
    """What the rounds gave, by case; a case is a tuple of (key, value) pairs."""

    def __init__(self) -> None:
        self.of: dict[tuple, list[dict]] = defaultdict(list)

    def add(self, case: dict, sample: dict) -> None:
        self.of[tuple(case.items())].append(sample)

    def rows(self) -> list[dict]:
        """Each case with the median, least and largest of every number."""
        return [dict(case) | self.summary(samples) for case, samples in self.of.items()]

    @staticmethod
    def summary(samples: list[dict]) -> dict:
        result = {}
        for key, first in samples[0].items():
            values = [sample[key] for sample in samples]
            if isinstance(first, dict):
                result[key] = {
                    name: statistics.median(v.get(name, 0.0) for v in values) for name in first
                }
            else:
                result[key] = statistics.median(values)
                result[f"{key} least"], result[f"{key} largest"] = min(values), max(values)
        return result | {"rounds": len(samples)}


class Session:
    """One run of everything."""

    def __init__(
        self, plan: Plan, build: Path, torch_python: Path | None, lammps_python: Path | None
    ):
        self.plan, self.build, self.systems = plan, build, build / "systems"
        self.torch_python, self.lammps_python = torch_python, lammps_python
        self.network, self.sets, self.kernels, self.lammps = (Samples() for _ in range(4))
        self.agreement: list[dict] = []
        self.skipped: dict[str, str] = {}
        self.workers: list[PyTorch] = []
        beside = lammps_python.parent if lammps_python else Path()
        mpirun = beside / "mpirun"
        self.programs = lammps.Programs(
            beside / "lmp",
            build / "src" / "mlffstudentplugin.so",
            mpirun if mpirun.exists() else None,
        )

    def compile(self) -> None:
        """Builds the benchmarks and, if there is a LAMMPS, the plugin; writes the systems."""
        options = ["-DMLFF_BENCH=ON", "-DCMAKE_BUILD_TYPE=Release"]
        options.append(f"-DMLFF_PLUGIN={'ON' if self.lammps_python else 'OFF'}")
        options.append(f"-DPython_EXECUTABLE={self.lammps_python or sys.executable}")
        targets = ["bench_network", *(f"bench_kernels_{isa}" for isa in self.plan.isas)]
        targets += ["mlffstudentplugin"] if self.lammps_python else []
        self.build.mkdir(parents=True, exist_ok=True)
        with open(self.build / "build.log", "w") as log:
            for command in (
                ["cmake", "-S", str(ROOT), "-B", str(self.build), *options],
                [
                    "cmake",
                    "--build",
                    str(self.build),
                    "-j",
                    str(os.cpu_count()),
                    "--target",
                    *targets,
                ],
                [sys.executable, str(BENCH / "make_system.py"), str(self.systems)],
            ):
                if subprocess.run(command, stdout=log, stderr=log).returncode:
                    raise click.ClickException(
                        f"{' '.join(command)} failed; see {self.build}/build.log"
                    )
        write_forces(self.program("network"), self.systems)

    def program(self, name: str) -> Path:
        return self.build / "bench" / f"bench_{name}"

    def prepare_pytorch(self) -> None:
        """Starts PyTorch for each number of threads; compiles, compares energies and forces."""
        if not self.torch_python:
            return
        self.workers = [
            PyTorch(self.torch_python, self.systems, t, self.build / "inductor") for t in THREADS
        ]
        with ThreadPoolExecutor() as pool:
            answers = [answer for some in pool.map(self.prepare, self.workers) for answer in some]
        for answer in answers:
            if "error" in answer:
                self.skipped[f"{answer['case']}, {answer['threads']} threads"] = answer["error"]
            else:
                self.agreement.append(answer)

    def prepare(self, worker: PyTorch) -> list[dict]:
        titles = [f"{a}/{s}" for a, systems in self.plan.systems.items() for s in systems]
        return [worker.ask(f"{title}/{mode}") for title in titles for mode in ("eager", "compile")]

    def measure(self) -> None:
        """All rounds."""
        for number in tqdm(range(self.plan.rounds), desc="rounds", unit="round"):
            for case in self.plan.cases():
                self.measure_network(*case)
            if number < self.plan.other_rounds:
                self.measure_instruction_sets()
                self.measure_kernels()
                self.measure_lammps()

    def measure_network(self, architecture: str, system: str, threads: int) -> None:
        """Ours, eager and compiled, one after the other."""
        isa = instruction_sets()[-1]
        pattern = f"^{architecture}/{system}/single/spline/{isa}/{threads}/"
        case = {"architecture": architecture, "system": system, "threads": threads}
        row = google_benchmark(
            self.program("network"), self.systems, pattern, self.plan.seconds, cores=threads
        )[0]
        sample = {"wall": row["wall"], "cpu": row["cpu"], "bytes/atom": row["bytes/atom"]}
        self.network.add(case | {"program": "mlff"}, sample)
        for worker in self.workers:
            if worker.threads != threads:
                continue
            for mode in ("eager", "compile"):
                title = f"{architecture}/{system}/{mode}"
                if f"{title}, {threads} threads" in self.skipped:
                    continue
                answer = worker.ask(title)
                if "error" in answer:
                    raise RuntimeError(f"{title}: {answer['error']}")
                self.network.add(case | {"program": mode}, {k: answer[k] for k in ("wall", "cpu")})

    def measure_instruction_sets(self) -> None:
        """One box on one core in every precision, with both kinds of filters."""
        pattern = f"^painn/box_216/.*/({'|'.join(self.plan.isas)})/1/"
        for row in google_benchmark(
            self.program("network"), self.systems, pattern, self.plan.seconds / 2
        ):
            _, system, precision, filters, isa = row["name"].split("/")[:5]
            case = {"system": system, "precision": precision, "filters": filters, "isa": isa}
            self.sets.add(case, {key: row[key] for key in ("wall", "cpu", "bytes/atom")})

    def measure_kernels(self) -> None:
        for isa in self.plan.isas:
            program = self.program(f"kernels_{isa}")
            rows = google_benchmark(program, self.systems, ".", self.plan.kernel_seconds)
            peaks = {
                r["name"].split("/")[1]: r["flop/s"] for r in rows if r["name"].startswith("peak/")
            }
            for row in rows:
                sample = {k: row[k] for k in ("wall", "cpu", "flop/s", "ns/atom") if k in row}
                if "flop/s" in row:
                    precision = "single" if "/single" in row["name"] else "double"
                    sample["of peak"] = row["flop/s"] / peaks[precision]
                self.kernels.add({"isa": isa, "name": row["name"]}, sample)

    def measure_lammps(self) -> None:
        if not self.lammps_python:
            return
        for case in lammps.cases(self.programs.mpirun is not None, self.plan.quick):
            seconds, rate = self.plan.lammps_seconds, 10000.0 * case.cores
            sample = lammps.run(case, self.systems, self.programs, seconds, rate)
            self.lammps.add(
                asdict(case), {k: sample[k] for k in ("wall", "cpu", "atoms", "steps", "shares")}
            )

    def describe(self) -> dict[str, object]:
        """The machine, and the commit that was just built."""
        return describe(
            self.build, self.torch_python, self.programs.lmp if self.lammps_python else None
        )

    def results(self, machine: dict[str, object]) -> dict:
        return {
            "machine": machine,
            "plan": asdict(self.plan),
            "skipped": self.skipped,
            "agreement": self.agreement,
            "network": self.network.rows(),
            "instruction sets": self.sets.rows(),
            "kernels": self.kernels.rows(),
            "lammps": self.lammps.rows(),
        }


def find_python(given: Path | None, module: str) -> Path | None:
    """A Python that has a module: the given one, this one, that of .venv, or that on the PATH."""
    on_path = shutil.which("python3")
    candidates = (
        [given]
        if given
        else [Path(sys.executable), ROOT / ".venv/bin/python", on_path and Path(on_path)]
    )
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    for python in candidates:
        if (
            python
            and python.exists()
            and subprocess.run([python, "-P", "-c", probe]).returncode == 0
        ):
            return python.absolute()
    if given:
        raise click.ClickException(f"{given} has no module {module}")
    return None


@click.command(help=__doc__)
@click.option(
    "--quick", is_flag=True, help="Fewer systems and rounds, three minutes; changes no README."
)
@click.option(
    "-o",
    "--output",
    type=Path,
    default=ROOT / "build" / "bench-results",
    help="Folder for the results.",
)
@click.option("--build", type=Path, default=ROOT / "build" / "bench", help="Build folder.")
@click.option("--torch-python", type=Path, help="Python that has PyTorch. [default: found]")
@click.option(
    "--lammps-python", type=Path, help="Python that has LAMMPS and MPICH. [default: found]"
)
@click.option(
    "--readme/--no-readme",
    default=None,
    help="Write the tables to the READMEs. [default: unless --quick]",
)
def main(quick, output, build, torch_python, lammps_python, readme) -> None:
    begin = time.time()
    session = Session(
        QUICK if quick else Plan(),
        build.absolute(),
        find_python(torch_python, "torch"),
        find_python(lammps_python, "lammps"),
    )
    for module, python in (("PyTorch", session.torch_python), ("LAMMPS", session.lammps_python)):
        if not python:
            session.skipped[module] = "not found; name a Python that has it"
            click.echo(f"{module} was not found and is left out; see --help", err=True)
    load = os.getloadavg()[0]
    if load > 0.5:
        click.echo(
            f"this machine is busy (load average {load:.1f}): the numbers will show that", err=True
        )
    click.echo("building", err=True)
    session.compile()
    machine = session.describe() | {"load average before": load}
    click.echo("compiling PyTorch's networks, comparing energies and forces", err=True)
    session.prepare_pytorch()
    session.measure()
    for worker in session.workers:
        worker.close()
    results = session.results(machine) | {"minutes": (time.time() - begin) / 60}
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, output, readme if readme is not None else not quick)


if __name__ == "__main__":
    main()
