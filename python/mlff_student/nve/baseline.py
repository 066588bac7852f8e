"""A stored baseline of a potential and precision: whether a change made conservation of energy worse."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..atomic_file import replaced_when_complete
from .criteria import BALANCE, FAIL, PASS, SKIPPED, Verdict
from .runs import BALANCE_TIMESTEP

#: Criteria whose value has an error; the sign of a drift is chance, its size counts.
WITH_ERROR = ("drift of the energy", "drift rate", "drift of the energy after NPT", "drift rate after NPT")
WITHOUT_ERROR = (f"energy balance at {BALANCE_TIMESTEP:g} fs",)
#: Factor by which another trajectory of the same potential may exceed the latter, and what is too little to tell:
#: in double precision a rough place of the potential that one trajectory meets and another does not decides.
FACTOR, NEGLIGIBLE = 2.0, 0.1 * BALANCE


class BaselineError(Exception):
    """A baseline that cannot be used; the text says why."""


def default_file(potential: Path, precision: str) -> Path:
    """Where a potential's baseline is: beside it."""
    return potential.parent / f"nve_baseline_{potential.stem}_{precision}.json"


def write(file: Path, heading: dict, verdicts: list[Verdict]) -> None:
    """Stores what compare() needs. heading: what the numbers belong to. Raises OSError."""
    kept = [asdict(row) for row in verdicts if row.criterion in WITH_ERROR + WITHOUT_ERROR and row.value is not None]
    keys = ("structure", "criterion", "value", "error", "unit")
    content = heading | {"measured": [{key: row[key] for key in keys} for row in kept]}
    with replaced_when_complete(file) as stream:
        stream.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def compare(file: Path, heading: dict, verdicts: list[Verdict]) -> list[Verdict]:
    """One verdict for each number of the baseline. Raises BaselineError.

    A drift fails if it is larger than the baseline's by more than twice the combined error, an energy balance
    if it is larger by more than FACTOR and not NEGLIGIBLE.
    """
    if problem := misfit(file, heading):
        raise BaselineError(problem)
    now = {(row.structure, row.criterion): row for row in verdicts}
    return [_verdict(old, now.get((old["structure"], old["criterion"]))) for old in _read(file)["measured"]]


def misfit(file: Path, heading: dict) -> str:
    """Why a run with this heading cannot be compared with the baseline; empty if it can. Raises BaselineError."""
    stored = _read(file)
    for key in ("precision", "mode", "length"):
        then, now = (one.get(key) or "the default" for one in (stored, heading))
        if then != now:
            return (
                f"{file}: was made with {key} {then}, this run with {now}; "
                "compare like with like, or make another with --write-baseline"
            )
    return ""


def _read(file: Path) -> dict:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        for row in content["measured"]:
            row["structure"], row["criterion"], float(row["value"]), row["error"]
        return content
    except OSError as error:
        raise BaselineError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BaselineError(f"{file}: is no baseline: {error!r}; make one with --write-baseline") from None


def _verdict(old: dict, new: Verdict | None) -> Verdict:
    structure, criterion = old["structure"], f"{old['criterion']}, against the baseline"
    if new is None or new.value is None:
        return Verdict(structure, criterion, SKIPPED, reason="not measured this time")
    if old["error"] is None:
        limit, error = max(FACTOR * old["value"], NEGLIGIBLE), None
        worse = new.value > limit
    else:
        error = (old["error"] ** 2 + new.error**2) ** 0.5
        limit = abs(old["value"]) + 2 * error
        worse = abs(new.value) > limit
    reason = f"baseline {old['value']:.2g}" + ("" if error is None else f" ± {old['error']:.1g}")
    return Verdict(structure, criterion, FAIL if worse else PASS, new.value, error, limit, old["unit"], reason)
