"""Tables and plots of what bench/gpu.py measured, and tables of what bench/profile_gpu.py left beside it.

python bench/gpu_report.py GPU.json [FOLDER] [--readme] [--check]

makes them again; with --readme the README's tables, too, of which one sets all machines side by side that have a
folder with a gpu.json in bench/results. With --check nothing is written, and the exit status says whether the tables
are those of the file (0).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).resolve().parent))

from profile_gpu import kernels_text  # noqa: E402
from report import digits, fill_markers, filled, page_of, table  # noqa: E402

#: Competitors: label, colour, line.
SERIES = {
    "lammps": ("LAMMPS, mlff/student/kk", "tab:blue", "o-"),
    "library": ("mlff library", "tab:blue", "o:"),
    "eager": ("PyTorch eager", "tab:gray", "s-"),
    "script": ("TorchScript", "tab:brown", "s-"),
    "graph": ("PyTorch CUDA graph", "tab:orange", "s-"),
    "compile": ("torch.compile", "tab:red", "s-"),
    "compile-graph": ("torch.compile, CUDA graph", "tab:purple", "s-"),
    "snap": ("LAMMPS, SNAP/kk 2J = 8", "tab:green", "^-"),
    "lj": ("LAMMPS, LJ/kk", "black", "v-"),
}
#: neigh_modify and precision of the benzene whose neighbour lists are made when needed.
AS_NEEDED = ("every 20 delay 0 check yes", "single")
PYTORCH = ("eager", "script", "graph", "compile", "compile-graph")


def title_of(system: str) -> str:
    kind, number = system.rsplit("_", 1)
    if kind == "benzenes":
        return "benzene" if number == "1" else f"{int(number):,} benzenes"
    return f"{kind} of {int(number):,}"


def rate(row: dict | None) -> str:
    """katom-step/s."""
    return digits(1e-3 * row["atoms"] / row["wall"]) if row else "-"


def spread(row: dict) -> str:
    return f"{50 * (row['wall largest'] - row['wall least']) / row['wall']:.0f} %"


def series(results: dict, architecture: str = "painn") -> dict[str, dict[str, dict]]:
    """Competitor -> system -> row, in single precision and with the best kernels."""
    found: dict[str, dict[str, dict]] = {name: {} for name in SERIES}
    for row in results["library"]:
        same = (row["precision"], row["filters"], row["kernels"]) == ("single", "spline", "best")
        if row["architecture"] == architecture and same:
            found["library"][row["system"]] = row
    for row in results["lammps"]:
        if row["style"] != "mlff":
            found[row["style"]][row["system"]] = row
        elif (row["architecture"], row["precision"]) == (architecture, "single"):
            found["lammps"][row["system"]] = row
    for row in results["pytorch"]:
        if row["architecture"] == architecture:
            found[row["mode"]][row["system"]] = row
    return found


def systems_of(found: dict[str, dict[str, dict]]) -> list[str]:
    """By number of atoms, then name."""
    atoms = {system: row["atoms"] for rows in found.values() for system, row in rows.items()}
    return sorted(atoms, key=lambda system: (atoms[system], system))


# ---------------------------------------------------------------------------------------- tables


def speed_table(results: dict) -> str:
    """katom-step/s of everything that ran in single precision."""
    texts = []
    for architecture in ("painn", "mlff-distiller"):
        found = series(results, architecture)
        ours = set(found["lammps"]) | set(found["library"])
        rows = []
        for system in systems_of(found):
            if system not in ours or system.startswith("benzenes") and system not in (
                "benzenes_1", "benzenes_32", "benzenes_1024"
            ):  # fmt: skip
                continue
            by = {name: found[name].get(system) for name in SERIES}
            rows.append([title_of(system), *(rate(row) for row in by.values()), factor(by)])
        head = ["atoms", *(label for label, *_ in SERIES.values()), "library : best PyTorch"]
        if rows:
            texts.append(f"{architecture}, katom-step/s:\n\n{table(head, rows)}")
    return "\n\n".join(texts) + f"\n\n{where(results)}{left_out(results)}"


def factor(by: dict[str, dict | None]) -> str:
    times = [by[name]["wall"] for name in PYTORCH if by[name]]
    return f"{min(times) / by['library']['wall']:.1f}" if times and by["library"] else "-"


def benzene_table(results: dict) -> str:
    """What a molecule costs in one box of many."""
    found = series(results)
    rows = []
    for system in systems_of(found):
        if not system.startswith("benzenes"):
            continue
        cells = [system.rsplit("_", 1)[1]]
        for name in ("lammps", "library"):
            row, one = found[name].get(system), found[name].get("benzenes_1")
            if not row:
                cells += ["-"] * 4
                continue
            molecules = row["atoms"] / 12
            cells += [digits(1e3 * row["wall"]), digits(1e6 * row["wall"] / molecules)]
            cells += [f"{one['wall'] * molecules / row['wall']:.1f}" if one else "-", rate(row)]
        best = [found[mode][system]["wall"] for mode in PYTORCH if system in found[mode]]
        cells.append(digits(1e3 * min(best)) if best else "")
        rows.append(cells)
    head = ["benzenes"]
    for name in ("LAMMPS", "library"):
        head += [f"{name}: ms/step", "µs/molecule", "falls by", "katom-step/s"]
    return table([*head, "best PyTorch: ms"], rows)


def deviations(row: dict) -> list[str]:
    keys = ("energy_deviation", "force_deviation")
    return [f"{row[key]:.1e}" if key in row else "" for key in keys]


def library_table(results: dict) -> str:
    rows = [
        [
            row["architecture"],
            title_of(row["system"]),
            row["precision"],
            row["filters"],
            row["kernels"],
            rate(row),
            digits(1e3 * row["wall"]),
            spread(row),
            digits(row["bytes/atom"] / 1024),
            *deviations(row),
        ]
        for row in results["library"]
    ]
    head = ["architecture", "atoms", "precision", "filters", "kernels", "katom-step/s", "ms", "±"]
    return table([*head, "KiB/atom", "energy", "forces"], rows)


def lammps_table(results: dict) -> str:
    rows = [
        [
            row["style"],
            row["architecture"],
            title_of(row["system"]),
            row["precision"],
            rate(row),
            digits(1e3 * row["wall"]),
            spread(row),
            *(f"{100 * row['shares'].get(k, 0.0):.1f} %" for k in ("pair", "neigh", "comm")),
            *deviations(row),
        ]
        for row in results["lammps"]
    ]
    head = ["style", "architecture", "atoms", "precision", "katom-step/s", "ms/step", "±"]
    return table([*head, "Pair", "Neigh", "Comm", "energy", "forces"], rows)


def lists_table(results: dict) -> str:
    """A molecule that moves, by how neighbour lists are made."""
    rows = [
        [
            row["precision"],
            f"{row['skin']:g}",
            f"`{row['lists']}`",
            digits(1e3 * row["wall"]),
            spread(row),
            f"{row['lists made']:.1f} of {row['steps']:,}",
        ]
        for row in results["benzene"]
    ]
    head = ["precision", "skin, Å", "`neigh_modify`", "ms/step", "±", "steps with a new list"]
    return table(head, rows)


def pytorch_table(results: dict) -> str:
    rows = [
        [
            row["architecture"],
            title_of(row["system"]),
            SERIES[row["mode"]][0],
            rate(row),
            digits(1e3 * row["wall"]),
            spread(row),
            *deviations(row),
        ]
        for row in results["pytorch"]
        if "wall least" in row
    ]
    head = ["architecture", "atoms", "program", "katom-step/s", "ms", "±", "energy", "forces"]
    return table(head, rows)


def where(results: dict) -> str:
    """One line: what this was measured on."""
    m = results["machine"]
    clocks = m.get("SM clock under load") or m.get("highest SM clock", "-")
    return (
        f"{gpu_of(results)} (driver {m.get('driver', '-')}, SM clock {clocks} MHz, "
        f"power limit {m.get('power limit, W', '-')} W), {m['cpu']}, "
        f"PyTorch {m.get('torch', '-')}, LAMMPS {m['LAMMPS'] or '-'}; "
        f"commit {m['commit']}, {m['date'][:10]}."
    )


def left_out(results: dict) -> str:
    """What is missing, by reason."""
    reasons: dict[str, list[str]] = {}
    for what, why in results["skipped"].items():
        reasons.setdefault(why[:100].rstrip(), []).append(what)
    return "".join(f"\n\nLeft out, {why}: {', '.join(what)}." for why, what in reasons.items())


def figures(results: dict) -> dict[str, str]:
    """What the project aims at, as this run has it; without what did not run."""
    found = series(results)
    step = {system: row["wall"] for system, row in found["lammps"].items()}
    texts = {
        f"{title_of(system)}, katom-step/s": rate(found["lammps"].get(system))
        for system in ("box_46656", "box_1728", "benzenes_1024")
    }
    for label, rivals in (("torch.compile", ("compile", "compile-graph")), ("SNAP/kk", ("snap",))):
        times = [found[r]["box_46656"]["wall"] for r in rivals if "box_46656" in found[r]]
        if times and "box_46656" in step:
            speed_up = min(times) / step["box_46656"]
            texts[f"{title_of('box_46656')}, times {label}"] = f"{speed_up:.1f}"
    for row in results["benzene"]:
        if (row["lists"], row["precision"]) == AS_NEEDED:
            texts["one benzene, lists as needed, ms a step"] = digits(1e3 * row["wall"])
    if {"benzenes_1", "benzenes_32"} <= step.keys():
        falls = 32 * step["benzenes_1"] / step["benzenes_32"]
        texts["a benzene's cost falls from 1 to 32 in one box"] = f"{falls:.1f} times"
    for name, label in (("library", "library"), ("lammps", "LAMMPS")):
        row = max(found[name].values(), key=lambda row: row["atoms"], default=None)
        if row:
            texts[f"largest box that ran, {label}"] = (
                f"{row['atoms']:,} atoms, {rate(row)} katom-step/s"
            )
    return texts


def machines_table(results: dict) -> str:
    """The figures of this run beside those of the runs on other GPUs that are kept."""
    kept = ROOT / "bench" / "results"
    runs = {gpu_of(results): results}
    for path in [kept / "gpu.json", *sorted(kept.glob("*/gpu.json"))]:
        other = json.loads(path.read_text())
        runs.setdefault(gpu_of(other), other)  # an older run on the same GPU is not shown
    columns = [figures(run) for run in runs.values()]
    labels = list(dict.fromkeys(label for column in columns for label in column))
    rows = [[label, *(column.get(label, "-") for column in columns)] for label in labels]
    return table(["painn, single precision, steps in LAMMPS", *runs], rows)


def gpu_of(results: dict) -> str:
    return results["machine"].get("GPU", "no GPU")


TABLES = {
    "gpu-machines": machines_table,
    "gpu-speed": speed_table,
    "gpu-benzenes": benzene_table,
    "gpu-library": library_table,
    "gpu-lammps": lammps_table,
    "gpu-lists": lists_table,
    "gpu-pytorch": pytorch_table,
}

# ----------------------------------------------------------------------------------------- plots


def plot_lines(found: dict, kinds: tuple[str, ...], value, labels: dict, path: Path) -> None:
    """One line a competitor over the systems of these kinds; value: row -> y."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.4, 5.0))
    for name, (label, colour, style) in SERIES.items():
        rows = [r for s, r in found[name].items() if s.rsplit("_", 1)[0] in kinds]
        rows.sort(key=lambda row: row["atoms"])
        if rows:
            axes.plot(
                [row["atoms"] for row in rows],
                [value(row) for row in rows],
                style,
                color=colour,
                label=label,
                markersize=4,
            )
    axes.set(xscale="log", yscale="log", **labels)
    axes.grid(alpha=0.3, which="both")
    if axes.lines:
        axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def plot_molecules(found: dict, path: Path) -> None:
    """Bars: milliseconds of each competitor for one molecule."""
    from matplotlib import pyplot as plt

    systems = [s for s in systems_of(found) if s.startswith("molecule")]
    names = [name for name in SERIES if any(s in found[name] for s in systems)]
    figure, axes = plt.subplots(figsize=(9.0, 4.2))
    width = 0.8 / max(1, len(names))
    for k, name in enumerate(names):
        label, colour, _ = SERIES[name]
        heights = [1e3 * found[name].get(s, {}).get("wall", 0.0) for s in systems]
        places = [x + (k - (len(names) - 1) / 2) * width for x in range(len(systems))]
        hatch = "//" if name == "library" else None
        axes.bar(places, heights, width, label=label, color=colour, hatch=hatch, edgecolor="white")
    axes.set_xticks(range(len(systems)), [f"{s.rsplit('_', 1)[1]} atoms" for s in systems])
    axes.set(yscale="log", ylabel="ms a step or evaluation", title="One molecule, PaiNN")
    axes.grid(alpha=0.3, axis="y", which="both")
    if names:
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))  # beside the bars
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def plot_all(results: dict, folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    found = series(results)
    plot_lines(
        found,
        ("box", "molecule"),
        lambda row: 1e-3 * row["atoms"] / row["wall"],
        {
            "xlabel": "atoms",
            "ylabel": "katom-step/s",
            "title": "PaiNN F 128, L 3, single precision, one GPU",
        },
        folder / "gpu_speed.png",
    )
    plot_lines(
        found,
        ("benzenes",),
        lambda row: 1e6 * row["wall"] / (row["atoms"] / 12),
        {
            "xlabel": "atoms (12 a molecule)",
            "ylabel": "µs a molecule and step",
            "title": "Benzenes in one box",
        },
        folder / "gpu_benzenes.png",
    )
    plot_molecules(found, folder / "gpu_molecules.png")


# --------------------------------------------------------------------------------------- writing


def texts_of(results: dict, folder: Path) -> dict[str, str]:
    """All tables by the names of their markers in the README."""
    texts = {"gpu-machine": where(results)} | {name: make(results) for name, make in TABLES.items()}
    profiles = [json.loads(path.read_text()) for path in folder.glob("gpu_kernels_*.json")]
    profiles.sort(key=lambda profile: -sum(row["ns"] for row in profile["kernels"]))
    if profiles:
        texts["gpu-kernels"] = "\n\n".join(map(kernels_text, profiles))
    return texts


def write(results: dict, texts: dict[str, str], folder: Path, readme: bool) -> None:
    """Plots and gpu_tables.md to the folder; tables to standard output and, if wanted, the README."""
    plot_all(results, folder)
    (folder / "gpu_tables.md").write_text(page_of(texts))
    print(page_of(texts), end="")
    if readme:
        fill_markers(ROOT / "bench" / "README.md", texts)


def check(texts: dict[str, str], folder: Path, readme: bool) -> None:
    """Ends the program with a message if gpu_tables.md, or the README if wanted, holds other tables."""
    wanted = {folder / "gpu_tables.md": page_of(texts)}
    if readme:
        page = ROOT / "bench" / "README.md"
        wanted[page] = filled(page.read_text(), texts)
    for path, content in wanted.items():
        if path.read_text() != content:
            sys.exit(f"{path} does not hold the tables of the results; make them again")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    options = set(sys.argv[1:]) - set(words)
    if len(words) not in (1, 2) or not options <= {"--readme", "--check"}:
        sys.exit(__doc__)
    source = Path(words[0])
    target = Path(words[1]) if len(words) == 2 else source.parent
    measured = json.loads(source.read_text())
    tables = texts_of(measured, source.parent)
    if "--check" in options:
        check(tables, target, "--readme" in options)
    else:
        write(measured, tables, target, "--readme" in options)
