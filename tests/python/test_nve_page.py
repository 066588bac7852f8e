"""doc/nve.md says what doc/nve/results/ holds, and that is of the potentials that ship."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("nve_tables", ROOT / "doc" / "nve" / "tables.py")
tables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tables)

KEPT = sorted(tables.RESULTS.rglob("*.json"))


def verdict(value, error=None, unit="") -> dict:
    return {"value": value, "error": error, "unit": unit}


def test_tables_are_those_of_the_kept_runs(capsys):
    assert tables.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", tables.tables())
def test_a_changed_number_is_found_and_mended(tmp_path, monkeypatch, capsys, name):
    """The last digit of each table."""
    text = tables.replace(tables.PAGE, tables.PAGE.read_text(encoding="utf-8"), tables.tables())
    before, marker, rest = text.partition(f"<!-- table {name} -->\n")
    table, end, after = rest.partition("<!-- end -->")
    changed = re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 1) % 10), table)
    page = tmp_path / "nve.md"
    page.write_text(before + marker + changed + end + after, encoding="utf-8")
    monkeypatch.setattr(tables, "PAGE", page)
    assert tables.main(["--check"]) == 1
    assert "nve.md: is not what" in capsys.readouterr().err
    assert tables.main([]) == 0
    assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_kept_runs_are_of_the_potentials_that_their_folders_say(file):
    """Also those that no table shows."""
    tables.refuse_another(file, json.loads(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_kept_runs_are_as_their_names_say(file):
    """Potential, precision and mode."""
    content = json.loads(file.read_text(encoding="utf-8"))
    named = [precision for precision in tables.PRECISIONS if file.stem.endswith(f"-{precision}")]
    assert content["precision"] == (named[0] if named else "mixed")
    assert content["mode"] == ("full" if "-full-" in file.stem else "quick")
    if file.parent != tables.OTHERS:
        assert file.stem.startswith(Path(content["potential"]).stem)


@pytest.mark.parametrize("file", sorted(tables.RESULTS.glob("*.json")), ids=lambda file: file.stem)
def test_what_ships_fails_only_with_a_wrong_force(file):
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["passed"] == (not file.stem.endswith("-force"))


def test_runs_of_other_potentials_are_refused():
    """Of one that ships no more, and of one that ships, in before/ and in others/."""
    file = tables.RESULTS / "chno-f64-1-turned-force.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    tables.refuse_another(file, content)
    with pytest.raises(SystemExit, match="sha256 old ships with sha256 .*; run the suite again"):
        tables.refuse_another(file, content | {"sha256": "old"})
    with pytest.raises(SystemExit, match="is not one before"):
        tables.refuse_another(tables.BEFORE / file.name, content)
    with pytest.raises(SystemExit, match="ships; keep its run one folder above"):
        tables.refuse_another(tables.OTHERS / file.name, content)


@pytest.mark.parametrize(
    "value, text",
    [
        (7.59e-7, "7.6·10⁻⁷"),
        (9.97e-6, "1.0·10⁻⁵"),
        (-3e-4, "−3.0·10⁻⁴"),
        (0.0502, "0.050"),
        (0.09971, "0.10"),
        (49.58, "50"),
        (1234.5, "1,234"),
    ],
)
def test_numbers(value, text):
    assert tables.number(verdict(value)) == text


@pytest.mark.parametrize(
    "value, error, text",
    [
        (-0.0386, 0.0229, "−0.04 ± 0.02"),
        (2.0471, 0.0097, "2.05 ± 0.01"),
        (-0.0003, 0.0159, "0.00 ± 0.02"),  # no minus zero
        (-0.00286, 0.00268, "−0.003 ± 0.003"),
        (0.1412, 0.0746, "0.14 ± 0.07"),
        (-0.0490, 0.1044, "−0.05 ± 0.10"),
        (22757.3, 3258.6, "22,757 ± 3,259"),
    ],
)
def test_numbers_with_errors(value, error, text):
    assert tables.with_error(verdict(value, error)) == text


def test_what_did_not_pass_is_marked(monkeypatch):
    """Neither a rate that is skipped nor runs before are; what is no number has its mark alone."""

    def row(balance: str, rate: str, drift: str, value: float | None = 0.25) -> dict[str, dict]:
        told = {tables.BALANCE: (balance, value), tables.RATE: (rate, 0.5), tables.DRIFT: (drift, value)}
        return {
            criterion: {"criterion": criterion, "verdict": judged, **verdict(value, None if value is None else 0.01)}
            for criterion, (judged, value) in told.items()
        }

    runs = {
        "good": row("pass", "pass", "pass"),
        "short": row("skipped", "skipped", "skipped"),
        "bad": row("fail", "fail", "fail"),
        "before/bad": row("fail", "fail", "fail"),
        "lost": row("skipped", "skipped", "fail", value=None),
        "before/lost": row("skipped", "skipped", "fail", value=None),
    }
    monkeypatch.setattr(tables, "verdicts", lambda name, structure: runs[name])
    columns = {
        "balance": (tables.BALANCE, tables.number),
        "rate": (tables.RATE, tables.with_error),
        "drift": (tables.DRIFT, tables.with_error),
        "other": ("of no run", tables.number),
    }
    assert tables.compared("", [(name, name, "benzene") for name in runs], columns).splitlines()[2:] == [
        "| good | 0.25 | 0.50 ± 0.01 | 0.25 ± 0.01 |  |",
        "| short | 0.25 (skipped) | 0.50 ± 0.01 | 0.25 ± 0.01 (skipped) |  |",
        "| bad | 0.25 (fail) | 0.50 ± 0.01 (fail) | 0.25 ± 0.01 (fail) |  |",
        "| before/bad | 0.25 | 0.50 ± 0.01 | 0.25 ± 0.01 |  |",
        "| lost | (skipped) | 0.50 ± 0.01 | (fail) |  |",
        "| before/lost |  | 0.50 ± 0.01 |  |  |",
    ]


def test_length_of_a_run():
    assert tables.length(verdict(1.0, unit="% of the kinetic energy in 0.5 ps")) == "0.5 ps"
