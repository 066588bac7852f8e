#!/usr/bin/env python3
"""Writes the tables of potentials/README.md from what the potential files say of themselves.

python potentials/table.py            # rewrite the README
python potentials/table.py --check    # exit status 1 if it is out of date
"""

import sys
from pathlib import Path

from mlff_student.potential import Potential

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
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
    for file, potential in potentials:
        new = replace(new, file.stem, errors(potential.provenance["errors"]))
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


def errors(table: dict) -> str:
    """Errors on held-out frames, a line for each kind of molecule or pair of molecules."""
    rows = []
    for name, row in table.items():
        if isinstance(row, dict):
            numbers = [f"{row[key]:.2f}" for key in COLUMNS]
            rows.append([name.replace("+", " + "), str(row["frames"]), *numbers])
    return markdown(["held-out frames of", "number", *COLUMNS.values()], rows)


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
