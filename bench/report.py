"""Tables and plots of what bench/run.py measured.

python bench/report.py RESULTS.json [FOLDER]     # tables and plots again; changes no README
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {"mlff": "mlff", "eager": "PyTorch eager", "compile": "torch.compile"}


def atoms_of(system: str) -> int:
    return 12 if system == "benzene" else int(system.rsplit("_", 1)[1])


def title_of(system: str) -> str:
    return "benzene" if system == "benzene" else f"{system.split('_')[0]} of {atoms_of(system):,}"


def katom_steps(row: dict, key: str = "wall") -> float:
    """katom-step/s by the median of `key`."""
    return 1e-3 * atoms_of(row["system"]) / row[key]


def digits(x: float) -> str:
    """Three significant digits."""
    return f"{x:.3g}" if x < 100 else f"{x:,.0f}"


def spread(row: dict) -> str:
    """Half the range of the wall times over their median; nothing for a single round."""
    if row["rounds"] == 1:
        return ""
    return f"{50 * (row['wall largest'] - row['wall least']) / row['wall']:.0f} %"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# ---------------------------------------------------------------------------------------- tables


def network_rows(results: dict) -> dict[tuple, dict[str, dict]]:
    """(architecture, system, threads) -> program -> row."""
    found: dict[tuple, dict[str, dict]] = {}
    for row in results["network"]:
        found.setdefault((row["architecture"], row["system"], row["threads"]), {})[
            row["program"]
        ] = row
    return found


def speed_table(results: dict) -> str:
    """For README.md: PaiNN in katom-step/s on one / two threads, one row a system."""
    by = network_rows(results)
    systems = dict.fromkeys(system for architecture, system, _ in by if architecture == "painn")
    threads = sorted({t for *_, t in by})
    rows = []
    for system in systems:
        some = [by["painn", system, t] for t in threads]
        rates = [
            " / ".join(digits(katom_steps(one[p])) if p in one else "-" for one in some)
            for p in PROGRAMS
        ]
        factors = [
            f"{one['compile']['wall'] / one['mlff']['wall']:.1f}" if "compile" in one else "-"
            for one in some
        ]
        rows.append([title_of(system), *rates, " / ".join(factors)])
    head = ["atoms", *PROGRAMS.values(), "mlff : compile"]
    return f"{table(head, rows)}\n\n{where(results)}"


def network_table(results: dict) -> str:
    rows = []
    for (architecture, system, threads), by in network_rows(results).items():
        for program, row in by.items():
            rows.append(
                [
                    architecture,
                    title_of(system),
                    str(threads),
                    PROGRAMS[program],
                    digits(katom_steps(row)),
                    digits(1e3 * row["wall"]),
                    spread(row),
                    digits(1e3 * row["cpu"]),
                    digits(katom_steps(row, "cpu")),
                    digits(row["bytes/atom"] / 1024) if "bytes/atom" in row else "",
                ]
            )
    head = [
        "architecture",
        "atoms",
        "threads",
        "program",
        "katom-step/s",
        "wall ms",
        "±",
        "CPU ms",
        "katom-step/CPU s",
        "KiB/atom",
    ]
    text = table(head, rows)
    agreement = results["agreement"]
    if agreement:
        energy, force = (
            max(a[k] for a in agreement) for k in ("energy_deviation", "force_deviation")
        )
        text += (
            f"\n\nLargest deviation of PyTorch from mlff in this run: {energy:.1e} eV/atom, "
            f"{force:.1e} of the largest force."
        )
    return text + "".join(
        f"\n\nLeft out: {what}: {why}." for what, why in results["skipped"].items()
    )


def sets_table(results: dict) -> str:
    rows = [
        [
            row["isa"],
            row["precision"],
            row["filters"],
            digits(katom_steps(row)),
            spread(row),
            digits(1e3 * row["cpu"]),
            digits(row["bytes/atom"] / 1024),
        ]
        for row in results["instruction sets"]
    ]
    head = ["instruction set", "precision", "filters", "katom-step/s", "±", "CPU ms", "KiB/atom"]
    return table(head, sorted(rows))


def dense_table(results: dict) -> str:
    """Ours beside Eigen, by instruction set, precision and shape."""
    by = {(row["isa"], row["name"]): row for row in results["kernels"]}
    rows = []
    for (isa, name), row in by.items():
        kind, precision, *shape = name.split("/")
        if kind == "peak":
            rows.append([isa, precision, "peak", digits(1e-9 * row["flop/s"]), "", "", "", ""])
        if kind == "ours":
            eigen = by[isa, name.replace("ours", "eigen", 1)]
            rows.append(
                [
                    isa,
                    precision,
                    f"{shape[0]} → {shape[1]}, {shape[2]} rows",
                    digits(1e-9 * row["flop/s"]),
                    f"{100 * row['of peak']:.0f} %",
                    digits(1e-9 * eigen["flop/s"]),
                    f"{100 * eigen['of peak']:.0f} %",
                    f"{row['flop/s'] / eigen['flop/s']:.2f}",
                ]
            )
    head = [
        "instruction set",
        "precision",
        "dense layer",
        "GFLOP/s",
        "of peak",
        "Eigen GFLOP/s",
        "of peak",
        "mlff : Eigen",
    ]
    return table(head, rows)


def message_table(results: dict) -> str:
    rows = []
    for row in results["kernels"]:
        if "ns/atom" not in row:
            continue
        kernel, system, precision = row["name"].split("/")
        flops = (
            [digits(1e-9 * row["flop/s"]), f"{100 * row['of peak']:.0f} %"]
            if "flop/s" in row
            else ["", ""]
        )
        rows.append(
            [row["isa"], precision, kernel, title_of(system), digits(row["ns/atom"]), *flops]
        )
    head = ["instruction set", "precision", "kernel", "atoms", "ns/atom", "GFLOP/s", "of peak"]
    return table(head, rows)


def lammps_table(results: dict) -> str:
    rows = [
        [
            title_of(row["system"]),
            row["precision"],
            f"{row['ranks']} × {row['threads']}",
            digits(katom_steps(row)),
            digits(1e3 * row["wall"]),
            spread(row),
            digits(1e3 * row["cpu"]),
            f"{100 * row['shares']['pair']:.1f} %",
            f"{100 * row['shares']['neigh']:.1f} %",
            f"{100 * row['shares']['comm']:.1f} %",
        ]
        for row in results["lammps"]
    ]
    head = [
        "atoms",
        "precision",
        "ranks × threads",
        "katom-step/s",
        "ms/step",
        "±",
        "CPU ms/step",
        "Pair",
        "Neigh",
        "Comm",
    ]
    return table(head, rows)


def where(results: dict) -> str:
    """One line: what this was measured on."""
    m = results["machine"]
    family, model, _ = m["family, model, stepping"]
    return (
        f"{m['cpu']} (family {family}, model {model}, "
        f"{'virtual, ' if m['hypervisor'] else ''}{m['instruction sets'][-1]}), {m['compiler']}, "
        f"PyTorch {m['torch'] or '-'}, LAMMPS {m['LAMMPS'] or '-'}; "
        f"commit {m['commit']}, {m['date'][:10]}."
    )


# ----------------------------------------------------------------------------------------- plots


def plot_speed(results: dict, path: Path) -> None:
    """katom-step/s by number of atoms, PaiNN."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.4))
    colours = dict(zip(PROGRAMS, ("tab:blue", "tab:gray", "tab:orange")))
    for program, label in PROGRAMS.items():
        for threads, style in ((1, "o--"), (2, "s-")):
            rows = [
                row
                for row in results["network"]
                if (row["architecture"], row["program"], row["threads"])
                == ("painn", program, threads)
            ]
            if not rows:
                continue
            rates = [katom_steps(row) for row in rows]
            limits = [
                [r - katom_steps(row, "wall largest") for r, row in zip(rates, rows)],
                [katom_steps(row, "wall least") - r for r, row in zip(rates, rows)],
            ]
            axes.errorbar(
                [atoms_of(row["system"]) for row in rows],
                rates,
                limits,
                fmt=style,
                capsize=2,
                color=colours[program],
                label=f"{label}, {threads} thread{'s'[: threads - 1]}",
            )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="atoms",
        ylabel="katom-step/s",
        title="Energy and forces, PaiNN F 128, L 3, single precision",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def plot_sets(results: dict, path: Path) -> None:
    """Bars: instruction sets, precisions, filters."""
    from matplotlib import pyplot as plt

    rows = results["instruction sets"]
    isas = list(dict.fromkeys(row["isa"] for row in rows))
    kinds = [(p, f) for f in ("spline", "exact") for p in ("single", "mixed", "double")]
    figure, axes = plt.subplots(figsize=(6.4, 4.0))
    width = 0.8 / len(isas)
    for k, isa in enumerate(isas):
        rates = [
            next(
                katom_steps(r)
                for r in rows
                if (r["isa"], r["precision"], r["filters"]) == (isa, *kind)
            )
            for kind in kinds
        ]
        axes.bar(
            [x + (k - (len(isas) - 1) / 2) * width for x in range(len(kinds))],
            rates,
            width,
            label=isa,
        )
    axes.set_xticks(range(len(kinds)), [f"{p}\n{f}" for p, f in kinds])
    axes.set(ylabel="katom-step/s", title="PaiNN, 216 atoms, one core")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


# --------------------------------------------------------------------------------------- writing

TABLES = {
    "network": network_table,
    "instruction-sets": sets_table,
    "dense": dense_table,
    "messages": message_table,
    "lammps": lammps_table,
}


def filled(content: str, texts: dict[str, str]) -> str:
    """The content with these texts between <!-- bench:NAME --> and <!-- /bench:NAME -->."""
    for name, text in texts.items():
        section = re.compile(f"(<!-- bench:{name} -->\n).*?(<!-- /bench:{name} -->)", re.S)
        content = section.sub(lambda found: f"{found[1]}{text}\n{found[2]}", content)
    return content


def fill_markers(path: Path, texts: dict[str, str]) -> None:
    path.write_text(filled(path.read_text(), texts))


def page_of(texts: dict[str, str]) -> str:
    """A file of all tables, below their names."""
    return "\n\n".join(f"## {name}\n\n{text}" for name, text in texts.items()) + "\n"


def write(results: dict, folder: Path, readmes: bool) -> None:
    """Plots and tables.md to the folder; tables to standard output and, if wanted, the READMEs."""
    import matplotlib

    matplotlib.use("Agg")
    texts = {"machine": where(results), "speed": speed_table(results)}
    texts |= {name: make(results) for name, make in TABLES.items()}
    plot_speed(results, folder / "speed.png")
    plot_sets(results, folder / "instruction_sets.png")
    (folder / "tables.md").write_text(page_of(texts))
    print(page_of(texts), end="")
    if readmes:
        for path in (ROOT / "README.md", ROOT / "bench" / "README.md"):
            fill_markers(path, texts)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    source = Path(sys.argv[1])
    write(
        json.loads(source.read_text()),
        Path(sys.argv[2]) if len(sys.argv) == 3 else source.parent,
        False,
    )
