"""mlff-student check: whether a potential is what a simulation needs, measured with the C++ code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

import click
from tqdm import tqdm

from .lammps_box import StructureError
from .lammps_session import LammpsError, PotentialWarning, Session, find_potential
from .measurements import (
    Structure,
    check_structure,
    deviation_from_differences,
    energy_jump_at_cutoff,
    orientation_dependence,
    precision_deviation,
    relative_deviation,
)
from .potential import Potential, PotentialError

# Limits; eV, eV/atom, or relative to the root mean square of what a number is compared with, which for forces in
# other precisions and with other filters is that of a shaken structure.
CHECK_ENERGY, CHECK_FORCES = 1e-10, 1e-9
JUMP, ORIENTATION = 1e-6, 1e-6
DIFFERENCES = 1e-8
ENERGY_PER_ATOM = 1e-6
SAME_FILTERS_FORCES, SPLINE_FORCES = 1e-5, 1e-4

FAILED, PASSED = 1, 0
#: Exit status if nothing could be measured: no such file, a damaged one, no LAMMPS.
UNUSABLE = 2


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    test: str
    value: float | str | None  #: None: could not be measured, `remark` says why
    limit: float | None
    unit: str
    passed: bool
    remark: str = ""

    @property
    def verdict(self) -> str:
        return "ok" if self.passed else "FAILED"


def measured(test: str, value: float, limit: float, unit: str, remark: str = "") -> Row:
    return Row(test, float(value), limit, unit, bool(value <= limit), remark)


def run_checks(file: str, structures: list[Structure], progress: bool = False) -> list[Row]:
    """All rows for a potential file; `structures` are measured besides the file's own check structure.

    Raises PotentialError if the file is damaged, LammpsError if LAMMPS cannot be used, StructureError if a
    structure does not fit the potential.
    """
    potential = Potential.read(find_potential(file))
    rows = [Row("hash of the content", potential.sha256[:16] + "…", None, "", True)]
    try:
        exact = Session(file, "double", "exact")
    except LammpsError as error:
        if "check:" not in str(error):
            raise
        return [*rows, Row("check structure in the C++ code", None, None, "", False, str(error))]
    own = check_structure(potential)
    structures = [own, *structures]
    steps: list[tuple[str, Callable[[], list[Row]]]] = [
        ("check structure", lambda: _check_structure(potential, exact, own)),
        (_JUMP, lambda: [_jump(exact, structures)]),
        (_ROTATION, lambda: [_orientation(exact, structures)]),
        (_DIFFERENCES, lambda: [_differences(exact, structures)]),
    ]
    for pair in _PRECISIONS:
        steps.append((_against(*pair), lambda pair=pair: _precision(file, *pair, structures)))
    with exact:
        for test, step in tqdm(
            steps, desc="checking", leave=False, disable=None if progress else True
        ):
            try:
                rows += step()
            except LammpsError as error:  # such as an energy that is not a number
                rows.append(Row(test, None, None, "", False, str(error)))
    return rows


_JUMP = "jump of the energy at the cutoff"
_ROTATION = "change of the energy on rotation"
_DIFFERENCES = "forces against central differences"
# (precision, filters) and what it is compared with
_PRECISIONS = (
    (("mixed", "exact"), ("double", "exact")),
    (("single", "exact"), ("double", "exact")),
    (("mixed", "spline"), ("double", "spline")),
    (("single", "spline"), ("double", "spline")),
    (("double", "spline"), ("double", "exact")),
)


def _against(compared: tuple[str, str], reference: tuple[str, str]) -> str:
    return f"{' '.join(compared)} against {' '.join(reference)}"


def _check_structure(potential: Potential, session: Session, own: Structure) -> list[Row]:
    result = own.evaluate(session)
    energy = potential.check.energy * potential.energy_in_eV
    forces = potential.check.forces * (potential.energy_in_eV / potential.length_in_angstrom)
    deviation = abs(result.energy - energy) / max(1.0, abs(energy))
    return [
        measured("check structure: energy", deviation, CHECK_ENERGY, "relative"),
        measured(
            "check structure: forces",
            relative_deviation(result.forces, forces),
            CHECK_FORCES,
            "relative",
        ),
    ]


def _jump(session: Session, structures: list[Structure]) -> Row:
    jumps = [energy_jump_at_cutoff(session, structure) for structure in structures]
    return measured(_JUMP, max(jumps), JUMP, "eV")


def _orientation(session: Session, structures: list[Structure]) -> Row:
    changes = [orientation_dependence(session, structure) for structure in structures]
    return measured(_ROTATION, max(changes), ORIENTATION, "eV")


def _differences(session: Session, structures: list[Structure]) -> Row:
    found = [deviation_from_differences(session, structure) for structure in structures]
    deviations = [deviation for deviation in found if deviation is not None]
    if not deviations:
        return Row(
            _DIFFERENCES, None, DIFFERENCES, "relative", False,
            "each displacement moves a neighbour across the cutoff; give another structure (--structures)",
        )  # fmt: skip
    return measured(_DIFFERENCES, max(deviations), DIFFERENCES, "relative")


def _precision(
    file: str, compared: tuple, reference: tuple, structures: list[Structure]
) -> list[Row]:
    with Session(file, *compared) as one, Session(file, *reference) as other:
        energy, largest, rms = precision_deviation(one, other, structures)
    same_filters = compared[1] == reference[1]
    name = _against(compared, reference)
    return [
        measured(f"{name}: energy", energy, ENERGY_PER_ATOM, "eV/atom"),
        measured(
            f"{name}: forces",
            largest if same_filters else rms,
            SAME_FILTERS_FORCES if same_filters else SPLINE_FORCES,
            "relative" if same_filters else "relative, rms",
        ),
    ]


# ------------------------------------------------------------------------------------ command


def table(rows: list[Row]) -> str:
    """The rows as text in columns."""
    cells = [("test", "value", "limit", "unit", "verdict")]
    for row in rows:
        value = row.value if isinstance(row.value, str) else _number(row.value)
        cells.append(
            (row.test, value, _number(row.limit) if row.limit else "", row.unit, row.verdict)
        )
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    lines = [
        "  ".join(f"{text:<{width}}" for text, width in zip(line, widths)).rstrip()
        for line in cells
    ]
    for number, row in reversed(list(enumerate(rows, start=1))):
        if row.remark:
            lines.insert(number + 1, f"    {row.remark}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1e}"


def read_structures(files: tuple[str, ...]) -> list[Structure]:
    """The structures of files that ASE reads. Raises FrameError."""
    from .evaluate import read_frames

    return [Structure.from_atoms(atoms, f"{file}: frame {k}") for file in files
            for k, atoms in enumerate(read_frames(file), start=1)]  # fmt: skip


@click.command("check")
@click.argument("file", metavar="FILE.yaml")
@click.option(
    "--structures", multiple=True, metavar="IN.xyz", type=click.Path(exists=True, dir_okay=False),
    help="Measure these as well, besides the file's own check structure. May be repeated.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")
def command(file: str, structures: tuple[str, ...], as_json: bool) -> None:
    """Test the potential FILE.yaml with the C++ code, through LAMMPS.

    Energy and forces of the file's check structure; the jump of the energy as a neighbour crosses the cutoff;
    the change of the energy as a structure is rotated in empty space; forces against central differences of
    the energy; each precision and the spline filters against double precision and exact filters, at rest and
    shaken by up to 0.05 Angstrom, relative to the forces then.

    Exit status: 0 if all are within their limits, 1 if one is not, 2 if nothing could be measured.
    """
    import warnings

    from .evaluate import FrameError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PotentialWarning)  # the table says the same
            rows = run_checks(file, read_structures(structures), progress=not as_json)
    except (PotentialError, LammpsError, StructureError, FrameError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(UNUSABLE)
    failed = [row.test for row in rows if not row.passed]
    if as_json:
        content = [asdict(row) | {"verdict": row.verdict} for row in rows]
        click.echo(json.dumps({"file": file, "passed": not failed, "tests": content}, indent=1))
    else:
        click.echo(table(rows))
        click.echo(f"{file}: " + (f"FAILED: {'; '.join(failed)}" if failed else "all tests passed"))
    sys.exit(FAILED if failed else PASSED)
