"""What potentials/table.py makes of the results that are there, and of those that are not."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

FILE = Path(__file__).resolve().parents[2] / "potentials" / "table.py"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The script, looking at an empty folder of potentials."""
    spec = importlib.util.spec_from_file_location("table", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    (tmp_path / "mine.yaml").write_text("weights")
    return module


def test_only_what_is_known_is_done(table):
    """In the empty folder everything else than help fails before it writes."""
    helped = CliRunner().invoke(table.main, ["--help"])
    assert helped.exit_code == 0 and "--check" in helped.output
    refused = CliRunner().invoke(table.main, ["--chekc"])
    assert refused.exit_code == 2 and "No such option" in refused.output


def dynamics(name: str, required: float, ps: float, survivors: int, fragments: int) -> dict:
    return {"test": name, "required_ps": required, "ps": ps, "survivors": survivors, "fragments": fragments}


def store(table, subject: str, **result) -> Path:
    """Results of mine.yaml."""
    potential = table.HERE / "mine.yaml"
    folder = table.HERE / "validation" / "results" / "mine"
    folder.mkdir(parents=True, exist_ok=True)
    content = {"of": {"name": "mine", "sha256": table.sha256(potential)}, **result}
    (folder / f"{subject}.json").write_text(json.dumps(content))
    return potential


def test_survivors_are_counted_where_all_dynamics_are_over(table):
    assert table.survivors(table.HERE / "mine.yaml") == ["-", "-", "-"]
    tests = [
        dynamics("molecules-300K", 1000, 1000, 18, 20),
        dynamics("water-64-300K", 1000, 1000, 1, 1),
        dynamics("benzene-16-300K", 1000, 0, 0, 1),  # failed
        dynamics("molecules-600K", 100, 50, 20, 20),  # goes on
        dynamics("water-64-NPT", 0.2, 0.2, 1, 1),  # --scale 0.001
    ]
    potential = store(table, "stability", tests=tests)
    assert table.survivors(potential) == ["18/20 molecules, 1/2 liquids", "-", "-"]


def test_results_of_another_file_are_refused(table):
    potential = store(table, "stability", tests=[])
    potential.write_text("other weights")
    with pytest.raises(SystemExit, match="stability.json: is of .*; measure it again"):
        table.survivors(potential)


def store_torsions(table, spoilt) -> Path:
    """Those of a student that is the teacher, but for molecules whose energies are all 0."""
    torsions = table.report.load_teacher("torsions")
    for molecule in spoilt:
        torsions[molecule]["energies"] = [0.0] * len(torsions[molecule]["energies"])
    return store(table, "torsions", torsions=torsions)


def test_a_potential_without_failures_is_called_so(table):
    assert "was not validated" in table.failures(table.HERE / "mine.yaml")
    assert "meets all" in table.failures(store_torsions(table, []))


def test_failures_are_listed_by_subject(table):
    store_torsions(table, ["butane", "biphenyl"])
    lost = dynamics("water-64-NPT", 200, 1.5, 0, 1) | {"failed": {"water-64": {"ps": 1.5, "reason": "density 0.48"}}}
    cut = dynamics("molecules-300K", 1000, 50, 20, 20) | {"failed": {}}
    tests = [test | {"npt": test["test"].endswith("NPT")} for test in (lost, cut)]
    potential = store(table, "stability", precision="mixed", timestep=1.0, tests=tests)
    head, torsions, stability = [line for line in table.failures(potential).splitlines() if line]
    assert head.startswith("**mine.yaml fails**")
    limit, found = "rms deviation of a torsion's energies (at most 15 meV)", r"[\d.e+]+"
    assert re.fullmatch(rf"- {re.escape(limit)}: butane {found}; biphenyl {found}", torsions)
    assert stability == (
        "- stability: water-64-NPT: water-64 after 1.5 ps: density 0.48; molecules-300K: only 50 of 1000 ps were run"
    )


def test_failures_of_another_file_are_refused(table):
    potential = store_torsions(table, ["butane"])
    potential.write_text("other weights")
    with pytest.raises(SystemExit, match="torsions.json: is of .*; measure it again"):
        table.failures(potential)


def test_worst_molecules_are_named(table):
    molecules = {
        name: {"class": kind, "force_mae_meV_per_A": force, "energy_mae_meV_per_atom": energy}
        for name, kind, force, energy in [
            ("CON=O", "nitro", 30, 1), ("water", "water", 10, 7), ("methane", "alkanes", 20, 2),
            ("ethane", "alkanes", 5, 2), ("water+water", "contacts", 99, 99),
        ]
    }  # fmt: skip
    assert "not measured" in table.worst(table.HERE / "mine.yaml")
    said = table.worst(store(table, "errors", molecules=molecules))
    assert "force MAE methyl nitrite 30, methane 20, water 10 meV/Å; energy MAE water 7 meV/atom" in said
