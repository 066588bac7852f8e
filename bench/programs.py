"""Starts the programs that are measured, each on fixed cores, and reads what they print."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from machine import distinct_cores

BENCH = Path(__file__).resolve().parent


def on_cores(number: int) -> list[str]:
    """What to put before a command so that it runs on the first so many cores."""
    return ["taskset", "-c", ",".join(map(str, distinct_cores(number)))]


def google_benchmark(
    program: Path, systems: Path, pattern: str, seconds: float, cores: int = 1
) -> list[dict]:
    """Runs those benchmarks of a program whose names match; its JSON, times in seconds."""
    command = [*on_cores(cores), str(program), f"--systems={systems}", "--benchmark_format=json"]
    command += [f"--benchmark_filter={pattern}", f"--benchmark_min_time={seconds}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{program.name} failed:\n{done.stderr[-2000:]}")
    rows = json.loads(done.stdout)["benchmarks"]
    units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    for row in rows:
        row["wall"], row["cpu"] = (
            row[key] * units[row["time_unit"]] for key in ("real_time", "cpu_time")
        )
    return rows


def write_forces(program: Path, systems: Path) -> None:
    """Energies and forces that PyTorch's are compared with, to SYSTEMS/forces."""
    (systems / "forces").mkdir(exist_ok=True)
    command = [str(program), f"--systems={systems}", f"--forces={systems / 'forces'}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Worker:
    """A running program that answers each line with one line of JSON; idle between."""

    def __init__(
        self, command: list[str], environment: dict[str, str], log: Path | None = None
    ) -> None:
        self.name = " ".join(Path(word).name for word in command)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(log, "a") if log else subprocess.DEVNULL,
            text=True,
            env=os.environ | environment,
        )

    def ask(self, line: str) -> dict:
        """An "error" in the answer says what failed."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended at {line}; run it alone to see why")
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class PyTorch(Worker):
    """bench/pytorch.py on the CPU: prepares a case when it is first asked for, then measures it."""

    def __init__(self, python: Path, systems: Path, threads: int, cache: Path) -> None:
        self.threads = threads
        super().__init__(
            [*on_cores(threads), *pytorch_command(python, systems, str(threads))],
            {"OMP_NUM_THREADS": str(threads), "TORCHINDUCTOR_CACHE_DIR": str(cache)},
        )


def pytorch_command(python: Path, systems: Path, device: str) -> list[str]:
    return [str(python), str(BENCH / "pytorch.py"), str(systems), device]
