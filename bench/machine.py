"""What a benchmark ran on: processor, cores, GPU, compiler, versions."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What an instruction set of src/CMakeLists.txt needs, by the names of /proc/cpuinfo.
ISA_FLAGS = {
    "baseline": set(),
    "avx2": {"avx2", "fma"},
    "avx512": {"avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl"},
}


def _cpuinfo() -> dict[str, str]:
    text = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    return {
        k.strip(): v.strip()
        for k, v in (line.split(":", 1) for line in text.splitlines() if ":" in line)
    }


def instruction_sets() -> list[str]:
    """Those of ISA_FLAGS that this processor has, the best last."""
    flags = set(_cpuinfo().get("flags", "").split())
    return [isa for isa, needed in ISA_FLAGS.items() if needed <= flags]


def distinct_cores(number: int) -> list[int]:
    """Up to this many of the processors that this process may use, one of each core."""
    cores: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.setdefault(siblings.read_text().strip() if siblings.exists() else str(cpu), cpu)
    return list(cores.values())[:number]


def output_of(*command: str | Path) -> str:
    """First line that a command prints; empty if it cannot be run."""
    try:
        done = subprocess.run(
            [str(c) for c in command], capture_output=True, text=True, timeout=120
        )
    except OSError:
        return ""
    return (done.stdout.strip().splitlines() or [""])[0]


def describe(build: Path, torch_python: Path | None, lmp: Path | None) -> dict[str, object]:
    """The machine and the versions of what is measured."""
    info = _cpuinfo()
    cache = (build / "CMakeCache.txt").read_text()
    compiler = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache, re.M)
    flags = re.search(r"^CMAKE_CXX_FLAGS_RELEASE:\w+=(.*)$", cache, re.M)
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    lscpu = subprocess.run(
        ["lscpu"], capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}
    )
    caches = dict(re.findall(r"^(L\d\w?) cache:\s+(.*)$", lscpu.stdout, re.M))
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": output_of("git", "-C", ROOT, "describe", "--always", "--dirty"),
        "cpu": info.get("model name", platform.processor()),
        "family, model, stepping": [info.get(k) for k in ("cpu family", "model", "stepping")],
        "MHz": info.get("cpu MHz"),
        "caches": caches,
        "cores used": distinct_cores(2),
        "cores": os.cpu_count(),
        "hypervisor": "hypervisor" in info.get("flags", ""),
        "instruction sets": instruction_sets(),
        "flags": info.get("flags", ""),
        "memory": f"{int(memory[1]) / 2**20:.1f} GiB" if memory else "",
        "system": platform.platform(),
        "compiler": output_of(compiler[1], "--version") if compiler else "",
        "compiler flags": flags[1] if flags else "",
        "torch": (
            output_of(torch_python, "-c", "import torch; print(torch.__version__)")
            if torch_python
            else ""
        ),
        "LAMMPS": lmp_version(lmp) if lmp else "",
    }


#: What nvidia-smi says of a GPU; clocks are the present and the highest ones, in MHz.
GPU_QUERIES = {
    "GPU": "name",
    "GPU memory, MiB": "memory.total",
    "driver": "driver_version",
    "compute capability": "compute_cap",
    "SM clock": "clocks.sm",
    "memory clock": "clocks.mem",
    "highest SM clock": "clocks.max.sm",
    "highest memory clock": "clocks.max.mem",
    "power limit, W": "power.limit",
}


def query_gpu(queries: dict[str, str]) -> dict[str, str]:
    """Of the first GPU; empty without one."""
    answer = output_of(
        "nvidia-smi", f"--query-gpu={','.join(queries.values())}", "--format=csv,noheader,nounits"
    )
    values = [value.strip() for value in answer.split(",")]
    return dict(zip(queries, values)) if len(values) == len(queries) else {}


def describe_gpu(
    torch_python: Path | None, lmp: Path | None, commit: str = ""
) -> dict[str, object]:
    """The machine and the versions of what bench/gpu.py measures."""
    program = (
        "import torch; p = torch.cuda.get_device_properties(0); "
        "print(torch.__version__, torch.version.cuda, p.multi_processor_count, p.L2_cache_size)"
    )
    words = (output_of(torch_python, "-c", program) if torch_python else "").split()
    torch = dict(zip(("torch", "CUDA of PyTorch", "multiprocessors", "L2 cache, bytes"), words))
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit or output_of("git", "-C", ROOT, "describe", "--always", "--dirty"),
        **query_gpu(GPU_QUERIES),
        **torch,
        "cpu": _cpuinfo().get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "LAMMPS": lmp_version(lmp) if lmp else "",
    }


def lmp_version(lmp: Path) -> str:
    """The line of `lmp -help` that names the version."""
    done = subprocess.run([lmp, "-help"], capture_output=True, text=True)
    found = re.search(r"Simulator - (.*)", done.stdout)
    return found[1] if found else ""
