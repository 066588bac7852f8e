#!/usr/bin/env python3
"""Writes a page and its figures from what validate.py, stability.py, errors.py and qualify.py measured.

python potentials/validation/report.py                # doc/validation.md, of the potentials in results/
python potentials/validation/report.py FOLDER [...]   # FOLDER/validation.md, of other potentials

Each folder holds one potential's results; the teacher's are in teacher/. Nothing on the page is written by hand
but the criteria below: what a potential misses is listed as a failure.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure

import dimers
import expansion
import frequencies
import liquids
import pressures
import structures
import teacher
import torsions
from results import RESULTS

rcParams["svg.hashsalt"] = "validation"  # the same results make the same file

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "doc" / "validation.md"  # of the potentials that ship

#: What a potential must reach; where it does not, the page says that it fails.
CRITERIA = {
    "frequency_mean": (20.0, "mean deviation of a molecule's frequencies", "1/cm"),
    "torsion_rms": (15.0, "rms deviation of a torsion's energies", "meV"),
    "well_depth": (0.15, "relative deviation of a dimer's well depth", ""),
    "rdf": (0.10, "mean deviation of g(r)", ""),
    "pressure": (1000.0, "mean deviation of the pressure", "bar"),
    "force_mae": (40.0, "force MAE on held-out frames", "meV/Å"),
    "energy_mae": (3.0, "energy MAE on held-out frames", "meV/atom"),
}


@dataclass(frozen=True)
class Failure:
    """What a potential misses: in which subject, where in it, and what was found; the limit, if there is one."""

    subject: str
    where: str
    found: str
    unit: str = ""
    limit: float | None = None

    def __str__(self) -> str:
        limit = "" if self.limit is None else f", at most {self.limit:g}"
        return f"{self.subject}, {self.where}: {self.found} {self.unit}".rstrip() + limit

    def subject_text(self) -> str:
        """The subject with its limit."""
        if self.limit is None:
            return self.subject
        limit = f"{self.limit:g} {self.unit}".rstrip()
        return f"{self.subject} (at most {limit})"

    def found_text(self) -> str:
        """What is told of a subject: the place and the number, or behind a colon what is none."""
        return f"{self.where} {self.found}" if self.limit is not None else f"{self.where}: {self.found}"


def by_subject(failures: Sequence[Failure]) -> dict[str, list[str]]:
    """What was found, by the subjects with their limits."""
    found: dict[str, list[str]] = {}
    for failure in failures:
        found.setdefault(failure.subject_text(), []).append(failure.found_text())
    return found


class Page:
    """Lines of the page, and the failures that were met on the way; `unfinished`: runs shorter than they should be.

    Figures go beside `file`; without it there are none.
    """

    def __init__(self, students: dict[str, Path], file: Path | None):
        self.students, self.file = students, file
        self.lines: list[str] = []
        self.failures: dict[str, list[Failure]] = {name: [] for name in students}
        self.unfinished: dict[str, list[Failure]] = {name: [] for name in students}

    def add(self, *lines: str) -> None:
        """Appends lines."""
        self.lines += lines

    def table(self, heads: list[str], rows: list[list[str]]) -> None:
        """Appends a table and an empty line."""
        self.add(*(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows]), "")

    def judge(self, student: str, criterion: str, value: float, of: str) -> str:
        """Notes a failure if the value is above its criterion; returns a mark for the table."""
        limit, what, unit = CRITERIA[criterion]
        if value <= limit:
            return ""
        self.failures[student].append(Failure(what, of, f"{value:.3g}", unit, limit))
        return " ✗"

    def results(self, subject: str) -> dict[str, dict]:
        """The students' results of a subject, of those that have it."""
        files = {name: folder / f"{subject}.json" for name, folder in self.students.items()}
        return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def load_teacher(subject: str) -> dict:
    """The teacher's results."""
    return json.loads((teacher.FOLDER / f"{subject}.json").read_text())[subject]


# --------------------------------------------------------------------------------- subjects


def write_frequencies(page: Page) -> None:
    """Harmonic frequencies: a table a student, and one figure."""
    theirs = load_teacher("frequencies")
    results = page.results("frequencies")
    page.add(
        "## Harmonic frequencies", "",
        "Ten held-out molecules, each relaxed with its own potential; central differences of the forces with a step "
        f"of {frequencies.STEP} Å. Deviations from the teacher's frequencies in 1/cm, with the modes matched by their "
        "order, and by their overlap (assignment with the largest sum of squares).", "",
    )  # fmt: skip
    figure, axes = _axes(len(results))
    for (name, result), axis in zip(results.items(), axes):
        rows = []
        for molecule, reference in theirs.items():
            mine = result["frequencies"][molecule]
            c = frequencies.compare(mine, reference)
            mark = page.judge(name, "frequency_mean", c["by_order_mean"], molecule)
            state = [] if c["relaxed"] else ["not relaxed"]
            state += [f"{c['imaginary']} imaginary"] if c["imaginary"] else []
            if state:
                page.failures[name].append(Failure("harmonic frequencies", molecule, ", ".join(state)))
            rows.append(
                [
                    molecule, f"{c['by_order_mean']:.1f}{mark}", f"{c['by_order_largest']:+.1f}",
                    f"{c['by_overlap_mean']:.1f}", f"{c['by_overlap_largest']:+.1f}", f"{c['mean_overlap']:.3f}",
                    f"{c['rmsd']:.3f}", ", ".join(state),
                ]
            )  # fmt: skip
            difference = np.array(mine["frequencies"]) - reference["frequencies"]
            axis.plot(reference["frequencies"], difference, ".", label=molecule)
        page.add(f"### {name}", "")
        page.table(
            ["molecule", "by order: mean", "largest", "by overlap: mean", "largest", "mean overlap",
             "distance of the structures / Å", ""], rows,
        )  # fmt: skip
        axis.axhline(0, color="black", linewidth=0.6)
        axis.set(title=name, xlabel="teacher's frequency / cm⁻¹", ylabel="student - teacher / cm⁻¹")
        axis.legend(fontsize=6, ncols=2)
    _save(page, figure, "frequencies", "Deviation of each frequency, by order", results)


def write_torsions(page: Page) -> None:
    """Torsion scans."""
    theirs, results = load_teacher("torsions"), page.results("torsions")
    page.add(
        "## Torsions", "", "The dihedral angle is held, everything else relaxed with the potential itself. Energies "
        "are above each potential's own lowest.", "",
    )  # fmt: skip
    figure, _ = _energies("torsions", theirs, results, "angles", "dihedral angle / °")
    rows = []
    for molecule, reference in theirs.items():
        for name, result in results.items():
            c = torsions.compare(result["torsions"][molecule], reference)
            mark = page.judge(name, "torsion_rms", c["rms_meV"], molecule)
            if not c["converged"]:
                page.failures[name].append(Failure("torsion", molecule, "not all angles could be relaxed"))
            rows.append(
                [
                    molecule, name, f"{c['rms_meV']:.1f}{mark}", f"{c['largest_meV']:.1f}",
                    f"{c['barrier_meV']:.0f} / {c['teacher_barrier_meV']:.0f}",
                    f"{c['minimum']:g} / {c['teacher_minimum']:g}", "" if c["converged"] else "not all converged",
                ]
            )  # fmt: skip
    page.table(
        ["molecule", "student", "rms / meV", "largest deviation", "highest energy: student / teacher",
         "angle of the lowest: student / teacher", ""], rows,
    )  # fmt: skip
    _save(page, figure, "torsions", "Relaxed torsion scans", results)


def write_dimers(page: Page) -> None:
    """Dimer curves."""
    theirs, results = load_teacher("dimers"), page.results("dimers")
    page.add(
        "## Dimers", "", "Interaction energies of rigid molecules in the geometries of the S22 set, the second one "
        "moved. A student sees nothing beyond its cutoff; the teacher does. Both molecules may be in the training "
        "data. Deviations are taken where the teacher's energy is below 300 meV.", "",
    )  # fmt: skip
    figure, axes = _energies("dimers", theirs, results, "separations", "separation / Å")
    rows = []
    for axis, (dimer, reference) in zip(axes, theirs.items()):
        for name, result in results.items():
            c = dimers.compare(result["dimers"][dimer], reference)
            relative = abs(c["depth_meV"] / c["teacher_depth_meV"] - 1)
            mark = page.judge(name, "well_depth", relative, dimer)
            rows.append(
                [
                    dimer, name, f"{c['depth_meV']:.0f} / {c['teacher_depth_meV']:.0f}{mark}",
                    f"{c['minimum']:.2f} / {c['teacher_minimum']:.2f}", f"{c['rms_meV']:.1f}",
                    f"{c['largest_meV']:.1f}",
                ]
            )  # fmt: skip
        depth = -1e3 * min(reference["energies"])
        axis.set_ylim(-2 * depth, 3 * depth)
    page.table(
        ["dimer", "student", "depth / meV: student / teacher", "minimum / Å: student / teacher", "rms / meV",
         "largest deviation"], rows,
    )  # fmt: skip
    _save(page, figure, "dimers", "Interaction energies", results)


def write_liquids(page: Page) -> None:
    """Radial distribution functions and densities."""
    results, stability = page.results("liquids"), page.results("stability")
    page.add("## Liquids", "", "### Radial distribution functions", "")
    for box in liquids.BOXES:
        write_rdf(page, box, teacher.liquid(box), {n: r["liquids"][box] for n, r in results.items()})
    write_pressures(page)
    write_expansion(page)
    page.add(
        "### Density", "", "At 300 K and 1 atm; the second half of the NPT runs of the stability tests, with the "
        "standard error of five blocks. Dynamics of the teacher that is long enough for its own density was not "
        "affordable; the experiment's density tests the teacher as well as the student.",
        "",
    )  # fmt: skip
    rows = []
    for name, result in stability.items():
        for test in (t for t in result["tests"] if t["npt"]):
            text = "-"
            if test["survivors"] and test["ps"] >= test["required_ps"] - 1e-6:
                text = f"{test['mean_density']:.3f} ± {test['error_density']:.3f}"
            rows.append(
                [test["test"].removesuffix("-NPT"), name, text, f"{EXPERIMENT[test['test'].split('-')[0]]:.3f}",
                 f"{test['ps']:g} of {test['required_ps']:g}"]
            )  # fmt: skip
    if rows:
        page.table(["box", "student", "density / g/cm³", "experiment, 298 K", "ps"], rows)
    else:
        page.add("Not measured.", "")


LONG_ENOUGH = 1.0  # ps of dynamics
EXPERIMENT = {liquid.name: liquid.density for liquid in structures.LIQUIDS}  # g/cm3


def write_rdf(page: Page, box: str, reference: dict | None, results: dict[str, dict]) -> None:
    """g(r) of one box."""
    good = {name: one for name, one in results.items() if not one.get("error")}
    for name in results.keys() - good.keys():
        page.failures[name].append(Failure("dynamics stopped", box, results[name]["error"]))
        page.add(f"{name}: the dynamics of {box} stopped: {results[name]['error']}", "")
    enough = reference is not None and reference["length_ps"] >= LONG_ENOUGH
    pairs = liquids.PAIRS[box.split("-")[0]]
    if reference:
        page.add(
            f"{box}: {reference['length_ps']:.2f} ps of the teacher at {reference['temperature_K']:g} K after "
            f"{reference['equilibration_ps']:g} ps of equilibration, at a mean pressure of "
            f"{reference['pressure_bar']:.0f} ± {reference['pressure_error_bar']:.0f} bar."
            + ("" if enough else f" Less than {LONG_ENOUGH:g} ps is too short to judge a student by, so none is."), "",
        )  # fmt: skip
    else:
        page.add(f"{box}: no dynamics of the teacher that is long enough (liquid_teacher.py makes it).", "")
    if not good and not reference:
        return
    figure, axes = _axes(len(pairs))
    rows = []
    for axis, pair in zip(axes, pairs):
        if reference:
            axis.plot(reference["rdf"]["r"], reference["rdf"][pair], "k-", label="teacher")
        for name, one in good.items():
            axis.plot(one["rdf"]["r"], one["rdf"][pair], "-", label=name)
            if reference:
                c = liquids.compare(one, reference)[pair]
                is_judged = enough and one["length_ps"] >= LONG_ENOUGH
                mark = page.judge(name, "rdf", c["mean_deviation"], f"{box}, {pair}") if is_judged else ""
                peaks = [f"{g:.2f} at {r:.2f} Å" for r, g in (c["peak"], c["teacher_peak"])]
                rows.append([pair, name, f"{c['mean_deviation']:.3f}{mark}", *peaks])
        axis.set(title=f"{box}, {pair}", xlabel="r / Å", ylabel="g(r)")
        axis.legend(fontsize=7)
    if rows:
        page.table(["pair", "student", "mean deviation of g(r)", "student's maximum", "teacher's maximum"], rows)
    for name, one in good.items():
        page.add(
            f"{name}: {one['length_ps']:g} ps, pressure {one['pressure_bar']:.0f} ± "
            f"{one['pressure_error_bar']:.0f} bar.",
            "",
        )
    _save(page, figure, f"rdf-{box}", f"Radial distribution functions of {box}", good)


def write_pressures(page: Page) -> None:
    """Pressures in the teacher's configurations."""
    results, rows = page.results("pressures"), []
    for box in liquids.BOXES:
        reference = pressures.snapshots(box)
        for name, result in results.items():
            mine = result["pressures"].get(box)
            if not (reference and mine):
                continue
            if mine["snapshots"] != pressures.fingerprint(reference):
                page.failures[name].append(Failure("pressure", box, "of other snapshots, measure pressures.json again"))
                continue
            c = pressures.compare(mine, reference)
            mark = page.judge(name, "pressure", abs(c["mean"]), box)
            rows.append([box, name, f"{c['mean']:+.0f}{mark}", f"{c['deviation']:.0f}"])
    if rows:
        page.add(
            "### Pressure", "", "Student minus teacher in snapshots of the teacher's dynamics. With water's "
            "compressibility, 1,000 bar are 4.5 % of its density.", "",
        )  # fmt: skip
        page.table(["box", "student", "mean / bar", "standard deviation / bar"], rows)


def write_expansion(page: Page) -> None:
    """Pressure of liquids against their density."""
    theirs, results = load_teacher("expansion"), page.results("expansion")
    if not results:
        return
    counts = [f"{one.snapshots} of {one.box}" for one in expansion.LIQUIDS.values()]
    page.add(
        "### Expansion of liquids", "", f"Pressures at {expansion.TEMPERATURE:g} K, means with standard errors over "
        "configurations that are the same for all: at each density snapshots of dynamics with an earlier chno-f128, "
        f"{expansion.SPACING:g} ps apart, {', '.join(counts)}. They are pressures of molecules, without the forces and "
        "motion within them; with those, as pressures of atoms, the average of long dynamics is the same, but the "
        "scatter is larger. At 1 atm a liquid expands from where its pressure is positive.", "",
    )  # fmt: skip
    all_found = {"teacher": theirs} | {name: result["expansion"] for name, result in results.items()}
    page.add(expanding(theirs), "")
    page.add(
        "Lowest density (g/cm3) down to which the pressure is positive by more than two standard errors (and densities "
        "where it is negative by as much):", "",
    )  # fmt: skip
    page.table(
        ["", *theirs],
        [[name, *(_signs(found[liquid]) for liquid in theirs)] for name, found in all_found.items()],
    )
    rows = []
    figure, axes = _axes(len(theirs))
    for axis, (liquid, reference) in zip(axes, theirs.items()):
        for name, found in all_found.items():
            densities = [float(density) for density in found[liquid]]
            values = [expansion.mean_and_error(one["molecules"]) for one in found[liquid].values()]
            means, errors = np.transpose(values)
            style = "k.-" if name == "teacher" else ".-"
            axis.errorbar(densities, means / 1e3, errors / 1e3, fmt=style, capsize=2, label=name)
        axis.axhline(0, color="black", linewidth=0.6)
        axis.set(title=liquid, xlabel="density / g/cm³", ylabel="pressure / kbar")
        axis.legend(fontsize=7)
        for name, result in results.items():
            for c in expansion.compare(result["expansion"][liquid], reference):
                values = ["{:.0f} ± {:.0f}".format(*c[key]) for key in ("student", "teacher")]
                difference = "{:+.0f} ± {:.0f}".format(*c["difference"])
                atoms = f"{c['student_atoms']:.0f} / {c['teacher_atoms']:.0f}"
                rows.append([liquid, name, f"{c['density']:g}", *values, difference, atoms])
    page.table(
        ["liquid", "student", "density / g/cm3", "pressure / bar", "teacher's / bar", "difference / bar",
         "of atoms: student / teacher"], rows,
    )  # fmt: skip
    _save(page, figure, "expansion", "Pressure against density", results)


def expanding(theirs: dict) -> str:
    """Which liquids the teacher itself expands, and where it pulls them together."""
    expands, holds, negative = [], [], []
    for liquid, found in theirs.items():
        first, lowest, held = list(found)[0], expansion.expands_to(found), expansion.contracts_at(found)
        if lowest is None:
            holds.append(f"{liquid} at {first} g/cm3")
        else:
            expands.append(f"{liquid} from {first} to {lowest} g/cm3 at least")
        negative += [f"{liquid} at {density}" for density in held]
    return (
        f"**The teacher itself expands** {', '.join(expands) or 'none of them'}"
        + (f"; not surely {', '.join(holds)}" if holds else "")
        + ". Its pressure is negative by more than two standard errors "
        + (f"for {', '.join(negative)} g/cm3" if negative else "at no density measured")
        + ". A student that expands a liquid there does as it was taught. The teacher's pressures in configurations of "
        "its own would differ a little."
    )


def _signs(found: dict) -> str:
    """Of one potential and liquid, for the table."""
    held = expansion.contracts_at(found)
    return (expansion.expands_to(found) or "-") + (f" (negative at {', '.join(held)})" if held else "")


def write_stability(page: Page) -> None:
    """Survivors."""
    results = page.results("stability")
    page.add(
        "## Stability", "", "Molecular dynamics by Langevin's equation. A molecule or liquid fails by a bond that "
        "breaks or forms, a coordinate that is not a number, or, at constant pressure, a density beyond 0.5 to 1.6 "
        "times that at first. A bond that forms between two molecules may mean that training had no contacts as close: "
        "`potentials/chno/README.md` tells how that was found, and mended.", "",
    )  # fmt: skip
    for name, result in results.items():
        rows = []
        for test in result["tests"]:
            reached = test["ps"] if test["survivors"] else max(f["ps"] for f in test["failed"].values())
            length = f"{reached:g} of {test['required_ps']:g}"
            survivors = f"{test['survivors']} of {test['fragments']}" if test["ps"] or test["failed"] else "-"
            rows.append([test["test"], survivors, length])
            if test["survivors"] and test["ps"] < test["required_ps"] - 1e-6:
                page.unfinished[name].append(Failure("stability", test["test"], f"only {length} ps were run"))
            for fragment, failure in test["failed"].items():
                found = f"{fragment} after {failure['ps']:g} ps: {failure['reason']}"
                page.failures[name].append(Failure("stability", test["test"], found))
        page.add(f"### {name}", "", f"{result['precision']} precision, time step {result['timestep']:g} fs.", "")
        page.table(["dynamics", "survivors", "ps"], rows)
    if not results:
        page.add("Not measured.", "")


def write_nve(page: Page) -> None:
    """Verdicts of the NVE suite, of those that have them."""
    for name, result in page.results("nve").items():
        failed = [row for row in result["verdicts"] if row["verdict"] == "fail"]
        page.failures[name] += [
            Failure("NVE suite", row["structure"], row["criterion"]
                    + ("" if row["value"] is None else f" {row['value']:.2g} {row['unit']}".rstrip()))
            for row in failed
        ]  # fmt: skip
        page.add(
            f"## Energy conservation of {name}", "", "`mlff-student nve` at constant energy, "
            f"{result['precision']} precision: {len(failed)} of {len(result['verdicts'])} criteria fail.", "",
        )  # fmt: skip


def write_errors(page: Page) -> None:
    """Errors on held-out frames."""
    results = page.results("errors")
    page.add("## Errors on held-out frames", "")
    for name, result in results.items():
        rows = []
        for group, row in result["classes"].items():
            marks = [
                page.judge(name, "energy_mae", row["energy_mae_meV_per_atom"], group),
                page.judge(name, "force_mae", row["force_mae_meV_per_A"], group),
            ]
            rows.append(
                [
                    group, str(row["frames"]), f"{row['energy_mae_meV_per_atom']:.2f}{marks[0]}",
                    f"{row['energy_rmse_meV_per_atom']:.2f}", f"{row['force_mae_meV_per_A']:.1f}{marks[1]}",
                    f"{row['force_rmse_meV_per_A']:.1f}",
                    f"`{row['worst_molecule']}` ({row['worst_force_mae_meV_per_A']:.1f})",  # a SMILES can be a link
                ]
            )  # fmt: skip
        seen = result["molecules_are_shared_with_training"]
        page.add(
            f"### {name}", "", "Training has seen other frames of these molecules." if seen else
            "Training has seen no frame of these molecules.", "",
        )  # fmt: skip
        page.table(
            ["class", "frames", "energy MAE / meV/atom", "RMSE", "force MAE / meV/Å", "RMSE",
             "worst molecule (force MAE)"], rows,
        )  # fmt: skip
    if not results:
        page.add("Not measured.", "")
        return
    figure, axes = _axes(2)
    for k, (name, result) in enumerate(results.items()):
        each = sorted(row["force_mae_meV_per_A"] for row in result["molecules"].values())
        axes[1].semilogx(
            each, np.arange(1, len(each) + 1) / len(each), f"C{k}", drawstyle="steps-post", label=name
        )  # fmt: skip
        bins = [b for b in result["by_force"] if b["forces"]]
        middles = [np.sqrt(max(b["from"], 0.03) * b["to"]) for b in bins]
        for key, style in (("mae", ".-"), ("rmse", ".:")):
            axes[0].loglog(middles, [1e3 * b[key] for b in bins], f"C{k}{style}", label=f"{name}, {key.upper()}")
    axes[0].set(xlabel="teacher's force on an atom / eV/Å", ylabel="error of a component / meV/Å")
    axes[1].set(xlabel="force MAE of a molecule / meV/Å", ylabel="fraction of the molecules below")
    for axis in axes:
        axis.legend(fontsize=6)
    _save(page, figure, "errors", "Error against the teacher's force, and of each molecule", results)


# --------------------------------------------------------------------------------- page


def _axes(count: int) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(4.5 * max(count, 1), 3.6), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, max(count, 1)))


def _energies(
    subject: str, theirs: dict, results: dict, coordinate: str, label: str
) -> tuple[Figure, np.ndarray]:
    """Energies against a coordinate: an axis for each of the teacher's curves, with the students' beside it."""
    figure, axes = _axes(len(theirs))
    for axis, (title, reference) in zip(axes, theirs.items()):
        axis.plot(reference[coordinate], 1e3 * np.array(reference["energies"]), "k.-", label="teacher")
        for name, result in results.items():
            mine = result[subject][title]
            axis.plot(mine[coordinate], 1e3 * np.array(mine["energies"]), ".-", label=name)
        axis.set(title=title, xlabel=label, ylabel="energy / meV")
        axis.legend(fontsize=7)
    return figure, axes


def _save(page: Page, figure: Figure, name: str, caption: str, results: dict) -> None:
    """Writes the figure and shows it on the page, if any student is in it and the page has a file."""
    if results and page.file:
        folder = page.file.with_suffix("")
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        page.add(f"![{caption}]({folder.name}/{name}.svg)", "")


def fill(students: dict[str, Path], file: Path | None) -> Page:
    """The page of some students with its sections; figures are written on the way, beside `file` if there is one."""
    page = Page(students, file)
    for write in (write_errors, write_frequencies, write_torsions, write_dimers, write_liquids, write_stability,
                  write_nve):  # fmt: skip
        write(page)
    return page


def text_of(page: Page) -> str:
    """What stands in the page's file: where the students fail, and the sections."""
    here = Path(os.path.relpath(HERE, page.file.absolute().parent)).as_posix()
    head = [
        "# Validation", "",
        f"Students against their teacher, {teacher.NAME}; how far the teacher is from experiment is another matter. "
        "Written by `potentials/validation/report.py` from measured results, failures included; "
        f"[potentials/validation]({here}/README.md) tells how to validate a potential of your own.",
        "", "## Where they fail", "",
        "What a student must not exceed; ✗ marks it in the tables where it does: "
        + "; ".join(f"{what} {limit:g} {unit}".strip() for limit, what, unit in CRITERIA.values()) + ".", "",
    ]  # fmt: skip
    for name in page.students:
        failures = page.failures[name] + page.unfinished[name]
        head += [f"**{name}**: " + ("fails in" if failures else "meets all criteria that were measured."), ""]
        head += [f"* {failure}" for failure in failures] + ([""] if failures else [])
    return "\n".join(head + page.lines).rstrip() + "\n"


def shipped() -> list[Path]:
    """The folders in results/."""
    return sorted(path for path in RESULTS.iterdir() if path.is_dir())


def students_in(folders: Sequence[Path]) -> dict[str, Path]:
    """Name of the potential whose results each folder holds."""
    students = {}
    for folder in folders:
        results = (json.loads(file.read_text()) for file in folder.glob("*.json"))
        names = {result["of"]["name"] for result in results if isinstance(result, dict) and "of" in result}
        if len(names) != 1:
            raise click.ClickException(
                f"{folder} holds results of {', '.join(sorted(names)) or 'nothing'}; give a folder of one potential"
            )
        students[names.pop()] = folder
    return students


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folders: tuple[Path, ...]) -> None:
    """Write doc/validation.md, or validation.md in the first of FOLDERS from what they hold, each of one potential."""
    file = folders[0] / PAGE.name if folders else PAGE
    file.write_text(text_of(fill(students_in(folders or shipped()), file)))
    click.echo(f"{file}")


if __name__ == "__main__":
    main()
