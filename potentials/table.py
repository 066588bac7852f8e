#!/usr/bin/env python3
"""Writes the tables of potentials/README.md from what the potential files say of themselves, and from speed.json.

python potentials/table.py            # rewrite the README
python potentials/table.py --check    # exit status 1 if it is out of date
"""

import json
import sys
from pathlib import Path

from mlff_student.potential import Potential

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
#: Of the time: of the CPU on a core, by the clock with a GPU.
UNITS = {"core": "CPU ", "gpu": ""}
COLUMNS = {
    "energy_mae_meV_per_atom": "energy MAE / meV/atom",
    "energy_rmse_meV_per_atom": "energy RMSE / meV/atom",
    "force_mae_meV_per_A": "force MAE / meV/Å",
    "force_rmse_meV_per_A": "force RMSE / meV/Å",
}


def main() -> int:
    """Rewrite or check the README; the exit status."""
    old = README.read_text(encoding="utf-8")
    potentials = [(f, Potential.read(f)) for f in sorted(HERE.glob("*/*.yaml")) if is_potential(f)]
    new = replace(old, "potentials", overview(potentials))
    measured = json.loads((HERE / "speed.json").read_text(encoding="utf-8"))
    new = replace(new, "speed", speed(measured))
    for name, members in committees(potentials).items():
        new = replace(new, name, errors(members))
        new = replace(new, f"speed of {name}", speed_of(list(members)[0], measured))
    if "--check" in sys.argv[1:]:
        return int(new != old)
    README.write_text(new, encoding="utf-8")
    return 0


def is_potential(file: Path) -> bool:
    """Whether the first line is LAMMPS's metadata comment; configurations lie beside potentials."""
    with open(file, encoding="utf-8") as stream:
        return stream.readline().startswith("# DATE:")


def replace(text: str, name: str, table: str) -> str:
    """The text with another table between the markers of this name."""
    begin, end = f"<!-- table {name} -->\n", "<!-- end -->"
    before, _, rest = text.partition(begin)
    _, marker, after = rest.partition(end)
    if not marker:
        raise SystemExit(f"{README}: has no lines {begin.strip()} and {end}; add them")
    return before + begin + table + end + after


def overview(potentials: list[tuple[Path, Potential]]) -> str:
    """One line for each potential."""
    heads = ["file", "elements", "network", "teacher", "frames for training / validation / test"]
    rows = []
    for file, p in potentials:
        data = p.provenance["data"]
        frames = (data[f"{part}_frames"] for part in ("training", "validation", "test"))
        rows.append(
            [
                f"[{file.name}]({file.relative_to(HERE)})",
                " ".join(p.elements),
                f"{p.architecture}, F {p.channels}, L {p.layers}, "
                f"K {p.number_of_radial_functions}, {p.cutoff:g} Å",
                p.provenance["teacher"],
                " / ".join(f"{n:,}" for n in frames),
                p.provenance["licence"],
            ]
        )
    return markdown([*heads, "licence"], rows)


def committees(potentials: list[tuple[Path, Potential]]) -> dict[str, dict[str, dict]]:
    """The tables of errors by name of the training and name of the file; most trainings gave one file."""
    found: dict[str, dict[str, dict]] = {}
    for file, potential in potentials:
        name = potential.provenance["name"]
        found.setdefault(name, {})[file.stem] = potential.provenance["errors"]
    return found


def errors(members: dict[str, dict]) -> str:
    """Errors on held-out frames, a line for each kind of molecule or pair of molecules.

    Of a committee each member's on all frames, and the smallest and largest on the frames of each kind.
    """
    tables = list(members.values())
    rows = []
    for name, row in tables[0].items():
        if not isinstance(row, dict):
            continue
        if name == "all" and len(members) > 1:
            rows += [[f"all: {file}", *_line([table["all"]])] for file, table in members.items()]
        else:
            rows.append([name.replace("+", " + "), *_line([table[name] for table in tables])])
    return markdown(["held-out frames of", "number", *COLUMNS.values()], rows)


def _line(rows: list[dict]) -> list[str]:
    """Number of frames and errors; the range if there are several rows."""
    numbers = [sorted(row[key] for row in rows) for key in COLUMNS]
    texts = [" – ".join(f"{n:.2f}" for n in dict.fromkeys([ns[0], ns[-1]])) for ns in numbers]
    return [str(rows[0]["frames"]), *texts]


def speed(measured: dict) -> str:
    """Time of a step with half its range over the rounds, and atoms per second, on a core and on a GPU."""
    return "\n".join(_speed(measured[place], unit) for place, unit in UNITS.items())


def _speed(measured: dict, unit: str) -> str:
    atoms = measured["atoms"]
    heads = ["", *(f"{what}, {n:,} atoms / {unit}ms a step" for what, n in atoms.items())]
    heads += [f"{what} / katom-step/{unit}s" for what in atoms]
    rows = []
    for name, times in measured["ms_per_step"].items():
        ms = [f"{t['median']:.3g} ± {(t['most'] - t['least']) / 2:.1g}" for t in (times[a] for a in atoms)]
        rows.append([name, *ms, *(_rate(n, times[a]["median"]) for a, n in atoms.items())])
    return markdown(heads, rows)


def _rate(atoms: int, ms: float) -> str:
    rate = atoms / ms
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def speed_of(potential: str, measured: dict) -> str:
    """Two sentences about one potential."""
    if any(potential not in part["ms_per_step"] for part in measured.values()):
        raise SystemExit(f"speed.json: has no {potential}; add it to POTENTIALS of speed.py and run that")
    said = []
    for place, unit in UNITS.items():
        part = measured[place]
        times = part["ms_per_step"][potential]
        said.append(", ".join(
            f"{what} of {n:,} atoms {times[what]['median']:.3g} {unit}ms a step "
            f"({_rate(n, times[what]['median'])} katom-step/{unit}s)"
            for what, n in part["atoms"].items()
        ))  # fmt: skip
    return f"**Speed** ([how](#speed)). On one core: {said[0]}. On one {measured['gpu']['machine']}: {said[1]}.\n"


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
