#!/usr/bin/env python3
"""Writes the tables of doc/nve.md from the verdicts of the runs that it shows.

python doc/nve/tables.py            # rewrite them
python doc/nve/tables.py --check    # exit status 1 if the page is not what the files say

doc/nve/results/ keeps verdicts.json of each run: of potentials that ship, in before/ of earlier potentials of the
same names, in others/ of potentials that do not ship.
"""

import json
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from mlff_student.potential import Potential

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "potentials"))

from pages import is_potential, markdown, replace  # noqa: E402

PAGE = HERE.with_suffix(".md")
RESULTS = HERE / "results"
BEFORE, OTHERS = RESULTS / "before", RESULTS / "others"
NAMES = ("chno-f64-1", "chno-f128")
PRECISIONS = ("double", "mixed", "single")
#: What the page calls structures; others by their own names.
STRUCTURES = {"water box": "64 waters"}
BALANCE, RATE = "energy balance at 0.0625 fs", "drift rate"
DRIFT, AFTER = "drift of the energy", "drift of the energy after NPT"
EXPONENT, FLUCTUATION = "exponent of fluctuation with time step", "fluctuation of the energy"
#: Label, name of the kept run, structure.
Row = tuple[str, str, str]
EPSILON: list[Row] = [
    ("10⁻⁸, as [chno-small](../examples/chno-small/README.md) was trained", "chno-small-full-benzene-mixed", "benzene"),
    ("10⁻⁴, the same weights", "others/epsilon-1e-4-mixed", "benzene"),
    ("10⁻², the same weights", "others/epsilon-1e-2-mixed", "benzene"),
]
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def main(arguments: list[str]) -> int:
    """Rewrite or check the page; the exit status."""
    old = PAGE.read_text(encoding="utf-8")
    new = replace(PAGE, old, tables())
    if arguments == ["--check"]:
        if new != old:
            print(f"{PAGE}: is not what {RESULTS} says; run doc/nve/tables.py", file=sys.stderr)
        return int(new != old)
    if arguments:
        raise SystemExit(f"{' '.join(arguments)}: --check or nothing expected")
    PAGE.write_text(new, encoding="utf-8")
    return 0


def tables() -> dict[str, str]:
    """All tables by the names of their markers."""
    rate = {"drift rate / kT/ns per degree of freedom": (RATE, lambda v: with_error(v, decimals=4))}
    in_large = {
        "run": (DRIFT, length),
        **rate,
        "drift / % of kinetic energy": (DRIFT, with_error),
        "exponent": (EXPONENT, with_error),
    }
    return {
        **{name: suite(name, with_lengths(quick_runs(name))) for name in NAMES},
        "full": suite("", full_runs()),
        "published": failures("others/published-mixed", "water box"),
        "turned force": failures("chno-f64-1-turned-force", "benzene"),
        "scaled force": failures("chno-f64-1-scaled-force", "benzene"),
        "epsilon": compared("`epsilon`", EPSILON, rate),
        "large box": compared("", large_runs(), in_large),
    }


def quick_runs(potential: str) -> list[Row]:
    """Of one potential, on both structures."""
    return [
        (f"{STRUCTURES.get(structure, structure)}, {precision}", f"{potential}-quick-{precision}", structure)
        for structure in ("benzene", "water box")
        for precision in PRECISIONS
    ]


def full_runs() -> list[Row]:
    """Of both potentials."""
    return [("chno-f64-1, 64 waters, mixed", "chno-f64-1-full-water-mixed", "water box")] + [
        (f"{name}, benzene, {precision}", f"{name}-full-benzene-{precision}", "benzene")
        for name in NAMES
        for precision in PRECISIONS
    ]


def large_runs() -> list[Row]:
    """Of the potentials before."""
    return [
        (f"*{name}* before, {precision}", f"before/{name}-10368-{precision}", "water-10368")
        for precision in ("mixed", "single")
        for name in reversed(NAMES)
    ]


def suite(head: str, rows: list[Row]) -> str:
    """The table of runs of the whole suite."""
    return compared(head, rows, criteria(rows))


def criteria(rows: list[Row]) -> dict[str, tuple[str, Callable]]:
    """The columns of such a table, as compared() takes them."""
    after = {length(v) for _, name, of in rows if (v := verdicts(name, of).get(AFTER))}
    return {
        "energy balance": (BALANCE, number),
        "exponent": (EXPONENT, with_error),
        "drift / % of kinetic energy": (DRIFT, with_error),
        "fluctuation / %": (FLUCTUATION, number),
        "reversibility / Å": ("reversibility", lambda v: number(v, digits=1)),
        f"drift after NPT, {' or '.join(sorted(after))} / %": (AFTER, with_error),
    }


def verdicts(name: str, structure: str) -> dict[str, dict]:
    """A kept run's verdicts on one structure by criterion. Raises SystemExit if the run is of another potential."""
    file = RESULTS / f"{name}.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    refuse_another(file, content)
    found = {v["criterion"]: v for v in content["verdicts"] if v["structure"] == structure}
    if not found:
        raise SystemExit(f"{file}: has no verdict on {structure}")
    return found


def refuse_another(file: Path, content: dict) -> None:
    """Raises SystemExit unless the kept run is of a potential that belongs into the file's folder."""
    ships = shipped(content["potential"])
    if file.parent == OTHERS:
        fits, said = ships is None, "ships; keep its run one folder above"
    elif file.parent == BEFORE:
        fits, said = ships not in (None, content["sha256"]), "is not one before; keep its run one folder above"
    else:
        fits, said = ships == content["sha256"], f"ships with sha256 {ships}; run the suite again"
    if not fits:
        raise SystemExit(f"{file}: {content['potential']} with sha256 {content['sha256']} {said}")


@cache
def shipped(name: str) -> str | None:
    """The hash of the content of the potential of this file's name that ships, if one does."""
    folders = (ROOT / "potentials", ROOT / "examples")
    files = [file for folder in folders for file in folder.glob(f"*/{name}") if is_potential(file)]
    return Potential.read(files[0]).sha256 if files else None


def compared(head: str, rows: list[Row], columns: dict[str, tuple[str, Callable]]) -> str:
    """A table with a row for each run and structure.

    columns: by their heads the criterion and how its verdict is written. What did not pass is marked, but not in runs
    of potentials before, when criteria were others.
    """
    lines = []
    for label, name, structure in rows:
        found = verdicts(name, structure)
        cell = written if name.startswith("before/") else marked
        cells = [cell(found[criterion], write) if criterion in found else "" for criterion, write in columns.values()]
        lines.append([label, *cells])
    return markdown([head, *columns], lines, "---:")


def marked(verdict: dict, write: Callable) -> str:
    """With "(fail)" or "(skipped)" behind what did not pass; not behind a drift rate that is skipped, as all are."""
    is_plain = verdict["verdict"] == "pass" or (verdict["criterion"] == RATE and verdict["verdict"] == "skipped")
    text = written(verdict, write)
    return text if is_plain else f"{text} ({verdict['verdict']})".strip()


def written(verdict: dict, write: Callable) -> str:
    """As `write` does it; nothing where no value was measured."""
    return "" if verdict["value"] is None else write(verdict)


def with_lengths(rows: list[Row]) -> list[Row]:
    """The same rows with the length of the run behind each label."""
    return [(f"{label}, {length(verdicts(name, of)[DRIFT])}", name, of) for label, name, of in rows]


def failures(name: str, structure: str) -> str:
    """A table of all criteria that a run fails."""
    failed = [v for v in verdicts(name, structure).values() if v["verdict"] == "fail"]
    return markdown(["fails", "measured", ""], [[v["criterion"], measured(v), v["reason"]] for v in failed], "---")


def measured(verdict: dict) -> str:
    """A value with its unit; nothing where there is none."""
    value = written(verdict, number if verdict["error"] is None else with_error)
    return value and f"{value} {verdict['unit']}".strip()


def length(verdict: dict) -> str:
    """How long the run of a drift was, such as "20 ps"."""
    return re.search(r"[\d.]+ ps$", verdict["unit"])[0]


def number(verdict: dict, digits: int = 2) -> str:
    """A value with so many digits: 7.6·10⁻⁷, 0.050, 57; above, all digits before the point."""
    mantissa, exponent = f"{verdict['value']:.{digits - 1}e}".split("e")
    power = int(exponent)
    if power < -2:
        return minus(f"{mantissa}·10{str(power).translate(SUPERSCRIPT)}")
    return minus(f"{verdict['value']:,.{max(digits - 1 - power, 0)}f}")


def with_error(verdict: dict, decimals: int = 2) -> str:
    """Value and standard error with one digit of the error and at least these decimals; none from 1 on."""
    value, error = verdict["value"], verdict["error"]
    if float(f"{error:.0e}") >= 1:
        return minus(f"{value:,.0f} ± {error:,.0f}")
    decimals = max(decimals, -int(f"{error:.0e}".split("e")[1]))
    return minus(f"{round(value, decimals) + 0.0:.{decimals}f} ± {error:.{decimals}f}")


def minus(text: str) -> str:
    """With the typographic sign."""
    return text.replace("-", "−")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
