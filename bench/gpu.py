"""Measures everything side by side on this machine's GPU, and writes JSON, plots and tables.

The library alone, whole MD steps in LAMMPS with KOKKOS, PyTorch in all its modes, and SNAP/kk and
LJ/kk in the same LAMMPS. Nothing is timed whose energy and forces are wrong. What is missing on the
machine is left out, and the output says so. gpu.json is written anew after each measurement, so
that a run that was cut short leaves what it has; --resume goes on from there. bench/README.md says
what the columns mean.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from tqdm import tqdm

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
sys.path.insert(0, str(BENCH))

import gpu_report  # noqa: E402
import lammps_benzene  # noqa: E402
import lammps_kokkos  # noqa: E402
from lammps_kokkos import Case  # noqa: E402
from machine import describe_gpu, query_gpu  # noqa: E402
from make_system import BATCHES, MOLECULES  # noqa: E402
from programs import Worker, pytorch_command  # noqa: E402

BENZENES = [f"benzenes_{n}" for n in BATCHES]
MOLECULE_NAMES = [f"molecule_{n}" for n in MOLECULES if n != 12]  # as many as benzene has
BOXES = [f"box_{n}" for n in (216, 1728, 13824, 46656, 373248)]
CELL = 1728  # atoms of the box that larger ones repeat
#: Bytes an atom that LAMMPS keeps on the GPU beside the network, its neighbour list above all.
LAMMPS_BYTES = 1500
PARTS = ("library", "lammps", "benzene", "pytorch")  # of the results
PYTORCH_MODES = ("eager", "script", "graph", "compile", "compile-graph")


@dataclass
class Plan:
    """What is measured, the most wanted first."""

    library: list[str]  #: cases of bench_device
    lammps: list[str]  #: cases of bench/lammps_kokkos.py
    benzene: list[str]  #: titles of bench/lammps_benzene.py
    pytorch: list[str]  #: ARCHITECTURE/SYSTEM, each in all modes
    compiled: list[str]  #: those of them that are compiled, which takes a minute
    largest: bool  #: whether the largest box that fits is searched
    seconds: float = 1.5  #: of a LAMMPS case's runs


def full_plan() -> Plan:
    systems = [*BENZENES, *MOLECULE_NAMES, *BOXES]
    library = [f"painn/{s}/single/spline/best" for s in systems]
    library += [
        f"painn/{s}/{settings}"
        for s in ("benzenes_1", "box_1728", "box_46656")
        for settings in (
            "single/exact/best",
            "single/spline/portable",
            "mixed/spline/best",
            "double/spline/best",
            "double/exact/best",
        )
    ]
    distiller = ("benzenes_1", "molecule_20", "box_1728", "box_46656")
    library += [f"mlff-distiller/{s}/single/spline/best" for s in distiller]
    lammps = [f"mlff/painn/{s}/single" for s in [*BOXES, *BENZENES, *MOLECULE_NAMES]]
    yardsticks = ("benzenes_1", "box_216", "box_1728", "box_46656", "box_373248")
    lammps += [f"{style}/{s}" for s in yardsticks for style in ("snap", "lj")]
    lammps += ["lj/benzenes_32", "lj/benzenes_1024"]
    lammps += [
        f"mlff/painn/{s}/{p}" for s in ("box_1728", "box_46656") for p in ("mixed", "double")
    ]
    lammps += [f"mlff/mlff-distiller/{s}/single" for s in ("benzenes_1", "box_1728", "box_46656")]
    pytorch = ["box_46656", "box_1728", "benzenes_1", "box_216", *MOLECULE_NAMES]
    pytorch += ["benzenes_32", "benzenes_1024"]
    both = [f"painn/{s}" for s in pytorch]
    both += [f"mlff-distiller/{s}" for s in ("box_1728", "box_46656", "molecule_20")]
    benzene = [case.title for case in lammps_benzene.CASES]
    return Plan(library, lammps, benzene, both, compiled=both, largest=True)


def quick_plan() -> Plan:
    return Plan(
        library=[f"painn/{s}/single/spline/best" for s in ("benzenes_1", "box_216", "box_13824")],
        lammps=[
            "mlff/painn/box_216/single",
            "mlff/painn/box_13824/single",
            "lj/box_216",
            "snap/box_216",
        ],
        benzene=[lammps_benzene.AS_NEEDED.title],
        pytorch=["painn/box_216"],
        compiled=["painn/box_216"],
        largest=False,
        seconds=0.3,
    )


def library_case(title: str) -> dict[str, str]:
    names = ("architecture", "system", "precision", "filters", "kernels")
    return dict(zip(names, title.split("/"), strict=True))


def pytorch_case(title: str) -> dict[str, str]:
    return dict(zip(("architecture", "system", "mode"), title.split("/"), strict=True))


class Session:
    """One run of everything."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        output: Path,
        bench_device: Path,
        torch_python: Path | None,
        programs: lammps_kokkos.Programs | None,
        deadline: float,
        cpu: bool,
    ) -> None:
        self.plan, self.folder, self.output = plan, folder, output
        self.systems = folder / "systems"
        self.bench_device, self.torch_python, self.programs = bench_device, torch_python, programs
        self.deadline, self.cpu = deadline, cpu
        self.begin = time.time()
        self.results: dict = {"skipped": {}} | {part: [] for part in PARTS}
        self.progress = tqdm(
            total=len(plan.library)
            + (len(plan.lammps) + len(plan.benzene) if programs else 0)
            + (len(plan.pytorch) if torch_python else 0),
            unit="case",
        )

    # --------------------------------------------------------------------------- bookkeeping

    def save(self) -> None:
        self.results["minutes"] = (time.time() - self.begin) / 60
        self.output.mkdir(parents=True, exist_ok=True)
        path = self.output / "gpu.json"
        path.with_suffix(".new").write_text(json.dumps(self.results, indent=1) + "\n")
        path.with_suffix(".new").replace(path)

    def skip(self, what: str, why: str) -> None:
        self.results["skipped"][what] = why = why.rstrip(". ")
        self.progress.write(f"left out: {what}: {why}", file=sys.stderr)

    def add(self, part: str, row: dict) -> None:
        self.results[part].append(row)
        self.save()

    def resume(self) -> None:
        """Takes over what an earlier run on this machine has measured."""
        path = self.output / "gpu.json"
        if not path.exists():
            return
        found, machine = json.loads(path.read_text()), self.results["machine"]
        for key in ("GPU", "driver", "commit"):
            if found["machine"].get(key) != machine.get(key):
                raise click.ClickException(
                    f"{path} is of {key} {found['machine'].get(key)!r}, and this is"
                    f" {machine.get(key)!r}; leave out --resume to begin anew"
                )
        self.results |= {part: found[part] for part in ("machine", *PARTS)}
        self.begin -= 60 * found["minutes"]

    def known(self, part: str, **case: str) -> bool:
        """Whether a case was measured before."""
        return any(case.items() <= row.items() for row in self.results[part])

    def late(self, what: str) -> bool:
        """Whether the time is up; then `what` is left out."""
        if time.time() < self.deadline:
            return False
        self.skip(what, "no time left")
        return True

    # ------------------------------------------------------------------------------- library

    def measure_library(self) -> None:
        worker = self.start_library()
        for title in self.plan.library:
            self.progress.set_description(title)
            if self.known("library", **library_case(title)) or self.late(f"library {title}"):
                continue
            try:
                self.add_library(title, worker.ask(title))
                self.results["machine"] |= query_gpu({"SM clock under load": "clocks.sm"})
            except RuntimeError as error:  # it crashed
                self.skip(f"library {title}", str(error))
                worker = self.start_library()
            self.progress.update()
        worker.close()

    def start_library(self) -> Worker:
        command = [str(self.bench_device), str(self.systems)]
        return Worker(command, {"OMP_PROC_BIND": "false"}, self.folder / "bench_device.log")

    def add_library(self, title: str, answer: dict) -> bool:
        if "error" in answer:
            self.skip(f"library {title}", answer["error"])
            return False
        answer.pop("case")
        self.add("library", library_case(title) | answer)
        return True

    # -------------------------------------------------------------------------------- LAMMPS

    def measure_lammps(self) -> None:
        for title in self.plan.lammps if self.programs else []:
            self.progress.set_description(title)
            self.run_lammps(Case.parse(title))
            self.progress.update()

    def measure_benzene(self) -> None:
        wanted = self.plan.benzene if self.programs else []
        for case in (c for c in lammps_benzene.CASES if c.title in wanted):
            self.progress.set_description(case.title)
            self.run_program(
                "benzene", case, lambda timeout: lammps_benzene.run(case, self.programs, timeout)
            )
            self.progress.update()

    def run_lammps(self, case: Case) -> bool:
        return self.run_program(
            "lammps",
            case,
            lambda timeout: lammps_kokkos.run(
                case, self.systems, self.programs, self.plan.seconds, timeout
            ),
        )

    def run_program(self, part: str, case, run: Callable[[float], dict]) -> bool:
        """Adds what `run` gives of a case in the time that is left; whether it is known then."""
        what = f"LAMMPS {case.title}"
        if self.known(part, **asdict(case)):
            return True
        if self.late(what):
            return False
        timeout = max(10.0, min(300.0, self.deadline + 30.0 - time.time()))
        try:
            row = run(timeout)
        except subprocess.TimeoutExpired:
            self.skip(what, "it took too long")
        except (RuntimeError, OSError, ValueError) as error:
            self.skip(what, " ".join(str(error).split()))
        else:
            self.add(part, row)
            return True
        return False

    # ------------------------------------------------------------------------------- PyTorch

    def start_pytorch(self, log: str = "pytorch.log", **environment: str) -> Worker:
        environment["TORCHINDUCTOR_CACHE_DIR"] = str(self.folder / "inductor")
        device = str(os.cpu_count()) if self.cpu else "cuda"
        command = pytorch_command(self.torch_python, self.systems, device)
        return Worker(command, environment, self.folder / log)

    def compile_pytorch(self) -> None:
        """Compiles all at once, a process each; what they find is kept on the disk."""
        if not (self.torch_python and self.plan.compiled):
            return
        self.progress.set_description("compiling PyTorch's networks")

        def compile_one(title: str) -> None:
            worker = self.start_pytorch("compile.log", TORCHINDUCTOR_COMPILE_THREADS="2")
            try:
                worker.ask(f"{title}/compile")  # errors are seen when it is measured
            except RuntimeError:
                pass
            worker.close()

        wanted = [
            system
            for system in self.plan.compiled
            if not self.known("pytorch", **pytorch_case(f"{system}/compile"))
        ]
        with ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 2) - 2)) as pool:
            list(pool.map(compile_one, wanted))

    def measure_pytorch(self) -> None:
        if not self.torch_python:
            return
        worker = self.start_pytorch()
        for system in self.plan.pytorch:
            for mode in PYTORCH_MODES:
                if mode.startswith("compile") and system not in self.plan.compiled:
                    continue
                title = f"{system}/{mode}"
                self.progress.set_description(title)
                if self.known("pytorch", **pytorch_case(title)) or self.late(f"PyTorch {title}"):
                    continue
                try:
                    self.add_pytorch(title, worker.ask(title), worker)
                except RuntimeError as error:
                    self.skip(f"PyTorch {title}", str(error))
                    worker = self.start_pytorch()
            self.progress.update()
        worker.close()

    def add_pytorch(self, title: str, prepared: dict, worker: Worker) -> None:
        """Measures a prepared case."""
        answer = prepared if "error" in prepared else prepared | worker.ask(title)
        if "error" in answer:
            self.skip(f"PyTorch {title}", answer["error"].splitlines()[0].split(". ")[0][:300])
            return
        answer.pop("case")
        self.add("pytorch", pytorch_case(title) | answer)

    # ------------------------------------------------------------------------- the largest box

    def measure_largest(self) -> None:
        """The largest box that fits, in the library and in LAMMPS."""
        if not self.plan.largest:
            return
        memory = query_gpu({"free": "memory.free"})
        known = [row for row in self.results["library"] if row["system"] == BOXES[-1]]
        if not (memory and known):
            self.skip("largest box", "the GPU's free memory or the need of an atom is unknown")
            return
        atoms = float(memory["free"]) * 2**20 / known[0]["bytes/atom"]
        along = self.largest_in_library(int((1.02 * atoms / CELL) ** (1 / 3)))
        if self.programs:
            need = known[0]["bytes/atom"] + LAMMPS_BYTES
            guess = int((float(memory["free"]) * 2**20 / need / CELL) ** (1 / 3))
            self.largest_in_lammps(min(along or guess, guess))

    def largest_in_library(self, along: int) -> int:
        """How often the cell is repeated along each axis; 0: never."""
        for n in range(along, max(0, along - 3), -1):
            title = f"painn/box_{CELL * n**3}/single/spline/best"
            self.progress.set_description(title)
            if self.late(f"library {title}"):
                return 0
            worker = self.start_library()  # each with all of the memory
            try:
                if self.known("library", **library_case(title)):
                    return n
                if self.add_library(title, worker.ask(title)):
                    return n
            except RuntimeError as error:
                self.skip(f"library {title}", str(error))
            finally:
                worker.close()
        return 0

    def largest_in_lammps(self, along: int) -> None:
        for n in range(along, max(0, along - 3), -1):
            case = Case("mlff", f"box_{CELL * n**3}", "painn", "single")
            self.progress.set_description(case.title)
            if self.run_lammps(case):
                return

    # --------------------------------------------------------------------------------- all of it

    def run(self) -> dict:
        command = [sys.executable, str(BENCH / "make_system.py"), str(self.systems), "--batches"]
        subprocess.run(command, check=True)
        self.save()
        self.measure_library()
        self.measure_lammps()
        self.measure_benzene()
        self.compile_pytorch()
        self.measure_pytorch()
        self.measure_largest()
        self.progress.close()
        self.save()
        return self.results


def build(folder: Path, source: Path | None, lammps_build: Path | None) -> dict[str, Path]:
    """Builds bench_device and, for a LAMMPS that was built there, the plugin; their paths."""
    options = [f"-DMLFF_PLUGIN={'ON' if source else 'OFF'}"]
    if source:
        options += [f"-DLAMMPS_SOURCE_DIR={source}", f"-DLAMMPS_BUILD_DIR={lammps_build}"]
    options += ["-DMLFF_BENCH=ON", "-DMLFF_KOKKOS=ON", "-DCMAKE_BUILD_TYPE=Release"]
    targets = ["bench_device", *(["mlffstudentplugin"] if source else [])]
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), *options]
    compile_ = ["cmake", "--build", str(folder), "-j", str(os.cpu_count()), "--target", *targets]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "build.log", "w") as log:
        for command in (configure, compile_):
            if subprocess.run(command, stdout=log, stderr=log).returncode:
                raise click.ClickException(f"{' '.join(command)} failed; see {folder}/build.log")
    paths = {"bench_device": folder / "bench" / "bench_device"}
    return paths | ({"plugin": folder / "src" / "mlffstudentplugin.so"} if source else {})


def has_module(python: Path, module: str) -> bool:
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-P", "-c", probe]).returncode == 0


def find_program(given: Path | None, name: str, beside: Path | None = None) -> Path | None:
    """The given one, that of LAMMPS's build folder, or that on the PATH."""
    if given and not given.is_file():
        raise click.ClickException(f"{given} does not exist")
    if given:
        return given.absolute()
    if beside and (beside / name).is_file():
        return (beside / name).absolute()
    found = shutil.which(name)
    return Path(found) if found else None


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A few cases, to see that it works; changes no README.")
@click.option("--lammps", type=Path, help="The program lmp. [default: found]")
@click.option("--plugin", type=Path, help="mlffstudentplugin.so for it. [default: built]")
@click.option("--bench-device", type=Path, help="The program bench_device. [default: built]")
@click.option("--lammps-source", type=Path, help="Source tree of LAMMPS, to build with.")
@click.option("--lammps-build", type=Path, help="Build folder of that LAMMPS.")
@click.option("--torch-python", type=Path, help="Python that has PyTorch. [default: this one]")
@click.option(
    "-o", "--output", type=Path, help="Folder for the results. [default: bench/results, or build]"
)
@click.option(
    "--build", "build_folder", type=Path, default=ROOT / "build" / "bench-gpu", help="Build folder."
)
@click.option("--minutes", type=float, default=60.0, help="What does not fit is left out.")
@click.option("--resume", is_flag=True, help="Measure only what gpu.json in the output lacks.")
@click.option("--commit", default="", help="What was built, where git cannot say.")
@click.option("--cpu", is_flag=True, help="Without a GPU, to try this program; times mean nothing.")
@click.option(
    "--readme/--no-readme",
    default=None,
    help="Write the tables to the README. [default: unless --quick]",
)
def main(
    quick,
    lammps,
    plugin,
    bench_device,
    lammps_source,
    lammps_build,
    torch_python,
    output,
    build_folder,
    minutes,
    resume,
    commit,
    cpu,
    readme,
) -> None:
    deadline = time.time() + 60.0 * minutes
    if bool(lammps_source) != bool(lammps_build):
        raise click.ClickException("--lammps-source and --lammps-build belong together")
    lmp = find_program(lammps, "lmp", lammps_build)
    if not bench_device or (lmp and lammps_source and not plugin):
        click.echo("building", err=True)
        built = build(build_folder.absolute(), lammps_source, lammps_build)
        bench_device, plugin = bench_device or built["bench_device"], plugin or built.get("plugin")
    torch_python = find_program(torch_python, sys.executable)
    torch_python = torch_python if has_module(torch_python, "torch") else None
    programs = None
    if lmp and plugin:
        start = "on t 1" if cpu else "on g 1"
        programs = lammps_kokkos.Programs(lmp, plugin.absolute(), start)
    output = output or (ROOT / "build" / "bench-results" if quick else BENCH / "results")
    machine = describe_gpu(torch_python, lmp if programs else None, commit)
    if "GPU" not in machine and not cpu:
        raise click.ClickException("nvidia-smi names no GPU; --cpu tries this program without one")
    with tempfile.TemporaryDirectory(prefix="mlff-bench-") as folder:
        session = Session(
            quick_plan() if quick else full_plan(),
            Path(folder),
            output,
            bench_device.absolute(),
            torch_python,
            programs,
            deadline,
            cpu,
        )
        session.results = {"machine": machine, "plan": asdict(session.plan)} | session.results
        if resume:
            session.resume()
        if not programs:
            session.skip("LAMMPS", "lmp or the plugin was not found; see --help")
        if not torch_python:
            session.skip("PyTorch", "not found; name a Python that has it")
        results = session.run()
    tables = gpu_report.texts_of(results, output)
    gpu_report.write(results, tables, output, readme if readme is not None else not quick)


if __name__ == "__main__":
    main()
