"""Where a step's time goes on the GPU: Nsight Compute on one evaluation, a table row per kernel.

    python bench/profile_gpu.py BENCH_DEVICE [CASE ...] [-o FOLDER]

runs `ncu` on `bench_device --profile` and writes FOLDER/gpu_kernels_SYSTEM.json, of which
bench/gpu_report.py makes tables. A CASE reads as in bench/bench_device.cpp. The clocks are left
alone; caches are not flushed between kernels, as in a real step. Times under the profiler are a
little above those without.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
sys.path.insert(0, str(BENCH))

from machine import GPU_QUERIES, output_of, query_gpu  # noqa: E402
from report import digits, table  # noqa: E402

TIME = "gpu__time_duration.sum"
INSTRUCTIONS = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum"
#: Our names of what is asked of ncu. Utilisation is in percent of what the unit can sustain.
METRICS = {
    "ns": TIME,
    "DRAM bytes": "dram__bytes.sum",
    "DRAM": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "L2": "lts__throughput.avg.pct_of_peak_sustained_elapsed",
    "L1": "l1tex__throughput.avg.pct_of_peak_sustained_elapsed",
    "tensor": "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed",
    "FP32": "sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained_elapsed",
    "FP64": "sm__pipe_fp64_cycles_active.avg.pct_of_peak_sustained_elapsed",
    "issue": "sm__inst_issued.avg.pct_of_peak_sustained_elapsed",
    "occupancy": "sm__warps_active.avg.pct_of_peak_sustained_active",
    "occupancy limit": "sm__maximum_warps_per_active_cycle_pct",
    "registers": "launch__registers_per_thread",
    "shared bytes": "launch__shared_mem_per_block",
    "blocks": "launch__grid_size",
    "threads": "launch__block_size",
    "local bytes": "l1tex__t_bytes_pipe_lsu_mem_local_op_ld.sum",
    "fadd": INSTRUCTIONS.format("fadd"),
    "fmul": INSTRUCTIONS.format("fmul"),
    "ffma": INSTRUCTIONS.format("ffma"),
    "dadd": INSTRUCTIONS.format("dadd"),
    "dmul": INSTRUCTIONS.format("dmul"),
    "dfma": INSTRUCTIONS.format("dfma"),
    "tensor ops fp16": "sm__ops_path_tensor_src_fp16.sum",
    "tensor ops tf32": "sm__ops_path_tensor_src_tf32_dst_fp32.sum",
    "tensor ops bf16": "sm__ops_path_tensor_src_bf16_dst_fp32.sum",
    "tensor ops fp64": "sm__ops_path_tensor_src_fp64.sum",
}
#: Factors of the units that ncu writes.
UNITS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0, "second": 1e9, "msecond": 1e6, "usecond": 1e3}
UNITS |= {"nsecond": 1.0, "byte": 1.0, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9}
#: Read as the mean over a kernel's launches weighted with their time; the rest are sums.
MEANS = ("DRAM", "L2", "L1", "tensor", "FP32", "FP64", "issue", "occupancy", "occupancy limit")
SAME = ("registers", "shared bytes", "blocks", "threads")  # of the longest launch

USUAL = ("painn", "single", "spline", "best")  #: of a case's words, left out of file names
SYSTEMS = ("box_46656", "box_1728", "benzenes_1024", "benzenes_32", "benzenes_1")
CASES = tuple(f"painn/{system}/single/spline/best" for system in SYSTEMS)

GENERIC = ("for_each", "for_rows", "for_channels")


@dataclass
class Launch:
    kernel: str
    values: dict[str, float]


def available(ncu: str) -> set[str]:
    """Names of the metrics that this GPU has, without .sum and the like."""
    done = subprocess.run([ncu, "--query-metrics"], capture_output=True, text=True)
    return {line.split()[0] for line in done.stdout.splitlines() if line.split()}


def wanted(known: set[str]) -> dict[str, str]:
    """Those of METRICS that the GPU has; launch__ ones are always there."""
    return {
        name: metric
        for name, metric in METRICS.items()
        if not known or metric.startswith("launch__") or metric.split(".")[0] in known
    }


def short_name(kernel: str) -> str:
    """The function's own name without arguments.

    Those written for CUDA end in _kernel; ncu leaves out what all names begin with, also the half of
    a namespace. Kernels of Kokkos are lambdas, which have none; the function around one stands in,
    unless it is one of GENERIC, which only passes it on.
    """
    if own := re.match(r"[^(]*?\b(\w+_kernel)\b", kernel.replace("(anonymous namespace)", "")):
        return own[1]
    names = re.findall(
        r"\b(?:device|cuda)::(?:<unnamed>::|\(anonymous namespace\)::)?(\w+)", kernel
    )
    names = [name for name in names if name not in GENERIC]
    return names[0] if names else re.split(r"[<(]", kernel.removeprefix("void "))[0]


def read_csv(text: str) -> list[Launch]:
    """What `ncu --csv --page raw` prints: a line of names, one of units, one a launch."""
    lines = text.splitlines()
    first = next((k for k, line in enumerate(lines) if line.startswith('"ID"')), None)
    if first is None:
        raise click.ClickException(f"ncu printed no table:\n{text[-2000:]}")
    rows = list(csv.DictReader(io.StringIO("\n".join(lines[first:]))))
    units, rows = rows[0], rows[1:]
    launches = []
    for row in rows:
        values = {}
        for name, metric in METRICS.items():
            try:
                number = float(row[metric].replace(",", ""))
            except (KeyError, ValueError, AttributeError):
                continue
            values[name] = number * UNITS.get(units[metric].split("/")[0], 1.0)
        launches.append(Launch(row["Kernel Name"], values))
    return launches


def by_kernel(launches: Iterable[Launch]) -> list[dict]:
    """Launches of one kernel together, the longest in all first."""
    groups: dict[str, list[dict]] = {}
    for launch in launches:
        groups.setdefault(launch.kernel, []).append(launch.values)
    rows = []
    for kernel, values in groups.items():
        row: dict = {"kernel": short_name(kernel), "full name": kernel, "launches": len(values)}
        times = [v["ns"] for v in values]
        longest = values[times.index(max(times))]
        for name in {name: None for v in values for name in v}:
            numbers = [v.get(name, 0.0) for v in values]
            if name in MEANS:
                row[name] = sum(t * x for t, x in zip(times, numbers)) / sum(times)
            else:
                row[name] = longest.get(name, 0.0) if name in SAME else sum(numbers)
        rows.append(row)
    return sorted(rows, key=lambda row: -row["ns"])


def flops(row: dict, letter: str) -> float:
    return sum(factor * row.get(f"{letter}{op}", 0.0) for op, factor in
               (("add", 1), ("mul", 1), ("fma", 2)))  # fmt: skip


def kernel_table(rows: list[dict]) -> str:
    total = sum(row["ns"] for row in rows)
    lines = []
    for row in rows:
        tensor = sum(value for name, value in row.items() if name.startswith("tensor ops"))
        lines.append(
            [
                f"`{row['kernel']}`",
                str(row["launches"]),
                digits(1e-3 * row["ns"]),
                f"{100 * row['ns'] / total:.1f} %",
                digits(row.get("DRAM bytes", 0.0) / row["ns"]),
                *(f"{row[n]:.0f} %" if n in row else "" for n in ("DRAM", "L2", "L1")),
                digits(1e-3 * (flops(row, "f") + flops(row, "d")) / row["ns"]),
                digits(1e-3 * tensor / row["ns"]),
                *(
                    f"{row[n]:.0f} %" if n in row else ""
                    for n in ("FP32", "FP64", "tensor", "issue")
                ),
                *(f"{row[n]:.0f} %" if n in row else "" for n in ("occupancy", "occupancy limit")),
                f"{row.get('registers', 0):.0f}",
            ]
        )
    lines.append(["all", str(sum(r["launches"] for r in rows)), digits(1e-3 * total)] + [""] * 13)
    head = ["kernel", "launches", "µs", "of all", "DRAM GB/s", "DRAM", "L2", "L1", "TFLOP/s"]
    head += ["tensor TFLOP/s", "FP32", "FP64", "tensor", "issue", "occupancy", "at most"]
    return table([*head, "registers"], lines)


def kernels_text(results: dict) -> str:
    """A heading, and the table."""
    machine = results["machine"]
    head = f"`{results['case']}` on {machine.get('GPU', '-')}, commit {machine['commit']}:"
    return f"{head}\n\n{kernel_table(results['kernels'])}"


def profile(ncu: str, bench_device: Path, systems: Path, case: str) -> list[Launch]:
    metrics = wanted(available(ncu))
    command = [ncu, "--profile-from-start", "off", "--clock-control", "none"]
    command += ["--cache-control", "none", "--csv", "--page", "raw", "--print-units", "base"]
    command += ["--metrics", ",".join(metrics.values())]
    command += [str(bench_device), str(systems), "--profile", case]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"ncu failed:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return read_csv(done.stdout)


@click.command(help=__doc__)
@click.argument("bench_device", type=click.Path(exists=True, path_type=Path))
@click.argument("cases", metavar="[CASE]...", nargs=-1)
@click.option("-o", "--output", type=Path, default=ROOT / "build" / "bench-results")
@click.option("--ncu", help="The program ncu. [default: found]")
@click.option("--commit", default="", help="What was built, where git cannot say.")
def main(bench_device, cases, output, ncu, commit) -> None:
    ncu = ncu or shutil.which("ncu")
    if not ncu:
        raise click.ClickException("ncu (Nsight Compute) was not found; name it with --ncu")
    machine = query_gpu(GPU_QUERIES)
    machine["commit"] = commit or output_of("git", "-C", ROOT, "describe", "--always", "--dirty")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mlff-profile-") as folder:
        systems = Path(folder) / "systems"
        subprocess.run(
            [sys.executable, str(BENCH / "make_system.py"), str(systems), "--batches"], check=True
        )
        for case in cases or CASES:
            rows = by_kernel(profile(ncu, bench_device.absolute(), systems, case))
            results = {"case": case, "machine": machine, "kernels": rows}
            name = "_".join(part for part in case.split("/") if part not in USUAL)
            (output / f"gpu_kernels_{name}.json").write_text(json.dumps(results, indent=1) + "\n")
            print(kernels_text(results), flush=True)


if __name__ == "__main__":
    main()
