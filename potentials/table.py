#!/usr/bin/env python3
"""Writes the tables of three READMEs: this folder's, the repository's and that of the example chno-small.

python potentials/table.py            # rewrite them
python potentials/table.py --check    # exit status 1 if one is out of date
python potentials/table.py --help     # change nothing

The numbers are those of the potential files, of speed.json, and of what validation/ stored of these very files.
"""

import hashlib
import json
import sys
from pathlib import Path

import click

from mlff_student.potential import Potential

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "validation")]

import report  # noqa: E402
from pages import is_potential, markdown, replace  # noqa: E402

#: Not among the potentials: an example of training.
EXAMPLE = HERE.parent / "examples" / "chno-small" / "chno-small.yaml"
COMMITTEE = "chno-f64"
#: What each is for, by the name of its file.
PURPOSES = {
    "chno-f128": "the most accurate",
    "chno-f64-1": "the fastest",
    **{f"{COMMITTEE}-{k}": "with the other three: where *chno-f64-1* can be trusted" for k in (2, 3, 4)},
}
#: Of the time: of the CPU on a core, by the clock with a GPU.
UNITS = {"core": "CPU ", "gpu": ""}
#: Tests of validation/stability.py by the end of their names: what they ask, and for how many ps.
STABILITY = {
    "300K": ("whole for 1 ns at 300 K, constant volume", 1000.0),
    "600K": ("whole for 100 ps at 600 K, constant volume", 100.0),
    "NPT": ("density kept for 200 ps at 1 atm", 200.0),
}
NAMES = {"C12C3C4C1C1C2C3C41": "cubane", "CON=O": "methyl nitrite", "N=C=O": "isocyanic acid"}
COLUMNS = {
    "energy_mae_meV_per_atom": "energy MAE / meV/atom",
    "energy_rmse_meV_per_atom": "energy RMSE / meV/atom",
    "force_mae_meV_per_A": "force MAE / meV/Å",
    "force_rmse_meV_per_A": "force RMSE / meV/Å",
}


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit status 1 if one is out of date.")
def main(check: bool) -> None:
    """Rewrite the tables of three READMEs: of potentials/, of the repository and of examples/chno-small/."""
    shipped = [(file, Potential.read(file)) for file in sorted(HERE.glob("*/*.yaml")) if is_potential(file)]
    measured = json.loads((HERE / "speed.json").read_text(encoding="utf-8"))
    of_all = {"potentials": overview(shipped, measured), "speed": speed(measured)}
    for name, members in committees(shipped).items():
        first = next(file for file, _ in shipped if file.stem == next(iter(members)))
        of_all[name] = errors(members)
        of_all[f"speed of {name}"] = speed_of(first.stem, measured)
        of_all[f"worst of {name}"] = worst(first)
        of_all[f"failures of {name}"] = failures(first)
    pages = {
        HERE / "README.md": of_all,
        HERE.parent / "README.md": {"potentials": in_short(shipped, measured)},
        EXAMPLE.with_name("README.md"): {EXAMPLE.stem: errors({"": Potential.read(EXAMPLE).provenance["errors"]})},
    }
    old = {page: page.read_text(encoding="utf-8") for page in pages}
    new = {page: replace(page, old[page], tables) for page, tables in pages.items()}
    if check:
        sys.exit(int(new != old))
    for page, text in new.items():
        page.write_text(text, encoding="utf-8")


def stored(file: Path, subject: str) -> dict | None:
    """What validation/results/ holds of a potential and a subject, if anything. Refuses results of another file."""
    path = HERE / "validation" / "results" / file.stem / f"{subject}.json"
    if not path.exists():
        return None
    result = json.loads(path.read_text(encoding="utf-8"))
    if result["of"]["sha256"] != sha256(file):
        raise SystemExit(f"{path}: is of {result['of']}, but {file} has {sha256(file)}; measure it again")
    return result


def sha256(file: Path) -> str:
    """The first digits of a file's hash, as validation/ and chno/disagreement.py store it."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def failures(file: Path) -> str:
    """What a potential misses by the page that validation/report.py makes of its results, a line for each subject."""
    folder = HERE / "validation" / "results" / file.stem
    subjects = sorted(path.stem for path in folder.glob("*.json"))
    if not subjects:
        return f"{file.name} was not validated.\n"
    for subject in subjects:
        stored(file, subject)
    page = report.fill({file.stem: folder}, None)
    found = report.by_subject(page.failures[file.stem] + page.unfinished[file.stem])
    if not found:
        return f"**{file.name}** meets all [criteria](../doc/validation.md#where-they-fail) that were measured.\n"
    lines = [f"- {subject}: {'; '.join(texts)}\n" for subject, texts in found.items()]
    return f"**{file.name} fails** these [criteria](../doc/validation.md#where-they-fail):\n\n" + "".join(lines)


def survivors(file: Path) -> list[str]:
    """For each kind of STABILITY how many molecules and liquids came through, "-" where that is not known."""
    result = stored(file, "stability") or {"tests": []}
    return [_survivors(result["tests"], kind, ps) for kind, (_, ps) in STABILITY.items()]


def _survivors(tests: list[dict], kind: str, ps: float) -> str:
    """Such as "20/20 molecules, 6/6 liquids"; "-" unless all tests of the kind are over."""
    chosen = [test for test in tests if test["test"].endswith(f"-{kind}")]
    over = [t["required_ps"] >= ps and (t["ps"] >= t["required_ps"] - 1e-6 or not t["survivors"]) for t in chosen]
    if not chosen or not all(over):
        return "-"
    texts = []
    for what, of_molecules in (("molecules", True), ("liquids", False)):
        some = [test for test in chosen if test["test"].startswith("molecules-") == of_molecules]
        if some:
            texts.append(f"{sum(t['survivors'] for t in some)}/{sum(t['fragments'] for t in some)} {what}")
    return ", ".join(texts)


def overview(potentials: list[tuple[Path, Potential]], measured: dict) -> str:
    """Two tables with a line for each potential: what to choose by, and what it is made from."""
    heads = ["file", "elements", "network", "parameters", "teacher", "frames for training / validation / test"]
    rows = []
    for file, p in potentials:
        data = p.provenance["data"]
        frames = (data[f"{part}_frames"] for part in ("training", "validation", "test"))
        rows.append(
            [
                _link(file, HERE),
                " ".join(p.elements),
                f"{p.architecture}, F {p.channels}, L {p.layers}, "
                f"K {p.number_of_radial_functions}, {p.cutoff:g} Å",
                f"{parameters(p):,}",
                p.provenance["teacher"],
                " / ".join(f"{n:,}" for n in frames),
            ]
        )
    return to_choose_by(potentials, measured) + "\n" + markdown(heads, rows)


def to_choose_by(potentials: list[tuple[Path, Potential]], measured: dict) -> str:
    """What to choose by: purpose, errors, speed, survivors and licence of each potential."""
    heads = ["file", "for", *_errors_heads(), *_speed_heads(measured), *(h for h, _ in STABILITY.values()), "licence"]
    rows = [
        [
            _link(file, HERE), purpose(file), *_errors(p.provenance["errors"]["all"]),
            *_times(_same_size(file, p, measured), measured), *survivors(file), p.provenance["licence"],
        ]
        for file, p in potentials
    ]  # fmt: skip
    return markdown(heads, rows)


def in_short(potentials: list[tuple[Path, Potential]], measured: dict) -> str:
    """The repository's short table: one line for each potential to run with, one for the committee."""
    heads = ["potential", "for", *_errors_heads(), *_speed_heads(measured), STABILITY["300K"][0]]
    rows = [
        [
            _link(file, HERE.parent), purpose(file), *_errors(p.provenance["errors"]["all"]),
            *_times(file.stem, measured), survivors(file)[0],
        ]
        for file, p in potentials if file.stem in measured["core"]["ms_per_step"]
    ]  # fmt: skip
    mean = json.loads((HERE / "chno" / "disagreement.json").read_text(encoding="utf-8"))
    members = {file.stem: sha256(file) for file, _ in potentials}
    if any(members.get(one["name"]) != one["sha256"] for one in mean["members"]):
        raise SystemExit("chno/disagreement.json: is not of the committee that ships; run chno/disagreement.py")
    names = [one["name"] for one in mean["members"]]
    rows.append(
        [
            f"`{names[0]}.yaml` … `{names[-1]}.yaml`", "where all four disagree, trust none; errors are their mean's",
            *_errors(mean["errors_of_mean"]), *[f"{len(names)} times *{names[0]}*"] * 3, "-",
        ]
    )  # fmt: skip
    return markdown(heads, rows)


def purpose(file: Path) -> str:
    """What a potential is for. Raises SystemExit if PURPOSES does not say."""
    if file.stem not in PURPOSES:
        raise SystemExit(f"{file}: PURPOSES does not say what it is for; add it")
    return PURPOSES[file.stem]


def parameters(potential: Potential) -> int:
    """Numbers that are fitted; those of the radial functions are given."""
    return sum(t.size for name, t in potential.tensors.items() if not name.startswith("radial."))


def worst(file: Path, count: int = 3) -> str:
    """A sentence on the molecules with the largest force MAE, and the one with the largest energy MAE."""
    result = stored(file, "errors")
    if result is None:
        return "Errors for each molecule were not measured.\n"
    alone = {name: m for name, m in result["molecules"].items() if m["class"] not in ("contacts", "clusters")}
    ranked = sorted(alone, key=lambda name: -alone[name]["force_mae_meV_per_A"])[:count]
    forces = ", ".join(f"{_called(name)} {alone[name]['force_mae_meV_per_A']:.0f}" for name in ranked)
    odd = max(alone, key=lambda name: alone[name]["energy_mae_meV_per_atom"])
    return (
        f"**Worst molecules** of {file.name}: force MAE {forces} meV/Å; "
        f"energy MAE {_called(odd)} {alone[odd]['energy_mae_meV_per_atom']:.0f} meV/atom.\n"
    )


def _called(name: str) -> str:
    return NAMES.get(name, name)


def _link(file: Path, folder: Path) -> str:
    return f"[{file.name}]({file.relative_to(folder)})"


def _errors_heads() -> list[str]:
    return ["held-out force MAE / meV/Å", "energy MAE / meV/atom"]


def _errors(row: dict) -> list[str]:
    return [f"{row['force_mae_meV_per_A']:.1f}", f"{row['energy_mae_meV_per_atom']:.2f}"]


def _speed_heads(measured: dict) -> list[str]:
    """Both systems on a core, and the largest on a GPU."""
    core, gpu, largest = measured["core"]["atoms"], measured["gpu"], _largest(measured)
    heads = [f"ms a step on a core: {what}, {n:,} atoms" for what, n in core.items()]
    return [*heads, f"on one {gpu['machine'].split()[-1]}: {largest}, {gpu['atoms'][largest]:,} atoms"]


def _largest(measured: dict) -> str:
    """The system with the most atoms on a GPU."""
    atoms = measured["gpu"]["atoms"]
    return max(atoms, key=lambda what: atoms[what])


def _times(name: str, measured: dict) -> list[str]:
    """In the order of _speed_heads."""
    core, gpu = measured["core"], measured["gpu"]["ms_per_step"][name]
    times = [core["ms_per_step"][name][what] for what in core["atoms"]] + [gpu[_largest(measured)]]
    return [f"{t['median']:.3g}" for t in times]


def _same_size(file: Path, potential: Potential, measured: dict) -> str:
    """The potential whose speed was measured: this one, or the first of its committee."""
    name = file.stem if file.stem in measured["core"]["ms_per_step"] else f"{potential.provenance['name']}-1"
    if name not in measured["core"]["ms_per_step"]:
        raise SystemExit(f"speed.json: has no {file.stem}; add it to POTENTIALS of speed.py and run that")
    return name


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


if __name__ == "__main__":
    main()
