"""The suite around its runs: verdicts on recordings with one defect each, baselines, structures, report, command."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, io
from ase.build import bulk, molecule
from click.testing import CliRunner
from plugin import needs_plugin

from mlff_student import md_run
from mlff_student.md_run import MdError
from mlff_student.nve import baseline, command, criteria, runs, structures
from mlff_student.nve.criteria import FAIL, PASS, SKIPPED, judge
from mlff_student.nve.report import write_report
from mlff_student.nve.runs import BALANCE_TIMESTEP, TIMESTEPS, Recording, Results
from mlff_student.nve.time_steps import by_time_step

POTENTIAL = Path(__file__).parents[2] / "examples" / "chno-small" / "chno-small.yaml"
BENZENE = structures.find("benzene")
KINETIC = 0.5 * BENZENE.degrees_of_freedom * 8.617333e-5 * 300


def recording(timestep: float = 0.5, length: float = 20.0, fluctuation: float = 1e-3, shadow: float = 1e-4,
              folder: Path = Path("/nowhere")) -> Recording:  # fmt: skip
    """300 K; fluctuations of the energies in units of the mean kinetic energy."""
    time = np.linspace(0.0, length, 4001)
    wave = np.sin(2 * np.pi * 777.7 * time / length)
    random = np.random.default_rng(1)
    kinetic = KINETIC * (1 + 0.2 * wave)
    total = -6000 + KINETIC * fluctuation * np.sqrt(2) * np.cos(2 * np.pi * 333.3 * time / length)
    return Recording(
        folder, timestep, time, kinetic / KINETIC * 300, total - kinetic, kinetic, np.ones(4001),
        np.zeros((4001, 3)), np.ones((4001, 3)), time, KINETIC * shadow * random.normal(size=4001),
    )  # fmt: skip


def good() -> Results:
    scaling = [recording(dt, 1.0, 5e-3 * dt**2, 1e-5 * dt**4) for dt in TIMESTEPS]
    return Results(BENZENE, recording(BALANCE_TIMESTEP, 0.25, 2e-5, 1e-7), scaling, recording(), None, (1000, 0.4, 1e-13))


def verdicts(results: Results, precision: str = "double") -> dict[str, str]:
    return {row.criterion: row.verdict for row in judge(results, precision)}


def test_a_good_student_fails_nothing():
    found = verdicts(good())
    assert FAIL not in found.values()
    skipped = {name for name, verdict in found.items() if verdict == SKIPPED}
    assert skipped == {"energy after NPT", "drift rate"}  # 20 ps tell no drift of 1e-5


def ramp(run: Recording, percent: float) -> None:
    run.shadow = run.shadow + percent / 100 * KINETIC * run.shadow_time / run.length


def bend(results: Results) -> None:
    results.scaling[0] = recording(TIMESTEPS[0], 1.0, 1e-3)


def push(run: Recording) -> None:
    run.momentum = run.momentum + np.linspace(0, 1, 4001)[:, None]


def turn(run: Recording) -> None:
    run.angular_momentum = run.angular_momentum + np.linspace(0, 1, 4001)[:, None]


def heat(run: Recording, by: float) -> None:
    run.temperature = run.temperature + by


DEFECTS = {
    "energy balance at 0.0625 fs": lambda r: setattr(r, "balance", recording(BALANCE_TIMESTEP, 0.25, 2e-5, 1.5e-5)),
    "exponent of fluctuation with time step": bend,
    "reversibility": lambda r: setattr(r, "reversal", (1000, 0.4, 1e-2)),
    "drift of the energy": lambda r: ramp(r.long, -0.15),
    "fluctuation of the energy": lambda r: setattr(r, "long", recording(fluctuation=0.006)),
    "temperature": lambda r: heat(r.long, 21),
    "momentum": lambda r: push(r.long),
    "angular momentum": lambda r: turn(r.long),
    "long run ends": lambda r: r.failures.update({"long run": "lmp stopped:\nERROR: Lost atoms\nLast input line"}),
}


@pytest.mark.parametrize("criterion", DEFECTS)
def test_each_defect_fails_its_criterion_alone(criterion):
    results = good()
    DEFECTS[criterion](results)
    found = verdicts(results)
    assert [name for name, verdict in found.items() if verdict == FAIL] == [criterion]


def test_a_drift_within_the_limit_passes_and_one_lost_in_its_error_is_skipped():
    results = good()
    ramp(results.long, 0.09)
    assert verdicts(results)["drift of the energy"] == PASS
    walk = np.cumsum(np.random.default_rng(3).normal(size=4001))
    results.long.shadow = 2e-4 * KINETIC * walk
    row = next(row for row in judge(results, "double") if row.criterion == "drift of the energy")
    assert row.verdict == SKIPPED and abs(row.value) > 0.1 and "run longer" in row.reason


@pytest.mark.parametrize("fluctuations, verdict", [
    ((1, 4, 16, 64), PASS),
    ((1, 4, 18, 146), SKIPPED),  # higher powers of 1 fs: 2.4 +- 0.2
    ((1, 5.5, 30, 166), FAIL),  # 2.46 without doubt
    ((4, 5, 16, 64), FAIL),  # does not shrink any further, 1.4 +- 0.2
    ((np.nan, 4, 16, 64), FAIL),
])  # fmt: skip
def test_exponent_in_doubt_is_no_failure_if_it_is_too_large(fluctuations, verdict):
    results = good()
    order = np.argsort(np.argsort(TIMESTEPS))
    results.scaling = [recording(dt, 1.0, 1e-5 * fluctuations[k]) for dt, k in zip(TIMESTEPS, order)]
    assert verdicts(results)["exponent of fluctuation with time step"] == verdict


def test_parts_that_fly_apart_may_cool_but_not_heat():
    for by, size, verdict in ((-40, 3.0, SKIPPED), (-40, 1.5, FAIL), (40, 3.0, FAIL)):
        results = good()
        heat(results.long, by)
        results.long.size = np.linspace(1.0, size, 4001)
        assert verdicts(results)["temperature"] == verdict


@pytest.mark.parametrize("value, error, verdict", [
    (0.09, 0.5, PASS), (-0.25, 0.1, SKIPPED), (-0.35, 0.1, FAIL), (0.11, 0.0, FAIL), (np.nan, 0.1, FAIL),
])  # fmt: skip
def test_a_drift_fails_only_beyond_twice_its_error(value, error, verdict):
    assert criteria._drift_over_run(good(), "drift", value, error, 20.0).verdict == verdict


def test_the_limit_of_a_drift_grows_beyond_100_ps():
    results = good()
    results.long.time *= 15  # 300 ps
    results.long.shadow_time = results.long.time
    for percent, verdict in ((0.25, PASS), (0.35, FAIL)):
        results.long.shadow = recording().shadow
        ramp(results.long, percent)
        assert verdicts(results)["drift of the energy"] == verdict


def test_drift_rate_is_judged_where_its_error_is_small_enough():
    results = good()
    rate = lambda: next(r for r in judge(results, "mixed") if r.criterion == "drift rate")  # noqa: E731
    results.long.time *= 1000  # 20 ns
    results.long.shadow_time = results.long.time
    assert rate().verdict == PASS and rate().error < 5e-5
    ramp(results.long, 100 * 2 * 1.5e-4 * 20)  # 1.5e-4 kT/ns for each of the kinetic energy's halves of kT
    assert rate().verdict == FAIL
    assert rate().value == pytest.approx(1.5e-4, rel=0.05)


def test_a_box_is_judged_after_npt_and_not_by_angular_momentum():
    results = replace(good(), structure=structures.find("box:water"), after_pressure=recording(), has_pressure=True)
    found = verdicts(results)
    assert found["angular momentum"] == SKIPPED and found["drift of the energy after NPT"] == PASS
    ramp(results.after_pressure, 0.5)
    assert verdicts(results)["drift of the energy after NPT"] == FAIL


def test_each_time_step_has_its_numbers():
    results = good()
    ramp(results.scaling[0], 10.0)
    rows = {row["timestep_fs"]: row for row in by_time_step(results)}
    assert list(rows) == [BALANCE_TIMESTEP, *sorted(TIMESTEPS)]
    for dt in TIMESTEPS:
        row = rows[dt]
        assert row["length_ps"] == 1.0 and row["mean_kinetic_energy_eV"] == pytest.approx(KINETIC, rel=1e-3)
        assert row["std_total_energy_eV"] == pytest.approx(5e-3 * dt**2 * KINETIC, rel=1e-2)
    drifting, steady = (rows[dt] for dt in TIMESTEPS[:2])
    assert drifting["drift_eV_per_ps"] == pytest.approx(0.1 * KINETIC, rel=1e-3)
    assert drifting["drift_kT_per_ns_per_degree_of_freedom"] == pytest.approx(0.1 * 1000 / 2, rel=2e-3)
    assert drifting["std_shadow_energy_eV"] == pytest.approx(0.1 * KINETIC / np.sqrt(12), rel=1e-2)
    assert abs(steady["drift_eV_per_ps"]) < 4 * steady["drift_error_eV_per_ps"] < 1e-6 * KINETIC
    results.scaling[1].shadow[:] = np.nan
    broken = next(row for row in by_time_step(results) if row["timestep_fs"] == TIMESTEPS[1])
    assert broken["drift_eV_per_ps"] is None and broken["std_total_energy_eV"] is not None


def test_nothing_passes_without_its_run():
    found = verdicts(Results(BENZENE, failures={"equilibration": "ERROR: Lost atoms"}))
    assert found.pop("equilibration ends") == FAIL
    assert set(found.values()) == {SKIPPED}


# ------------------------------------------------------------------------------------ baseline

HEADING = {"precision": "double", "mode": "quick", "potential": "x.yaml"}


def test_baseline_fails_beyond_the_combined_error(tmp_path):
    file = tmp_path / "baseline.json"
    results = good()
    old = judge(results, "double")
    baseline.write(file, HEADING, old)
    assert {row.verdict for row in baseline.compare(file, HEADING, old)} == {PASS}
    error = next(row.error for row in old if row.criterion == "drift of the energy")
    for factor, verdict in ((1.0, PASS), (20.0, FAIL)):
        worse = good()
        ramp(worse.long, factor * error)
        found = baseline.compare(file, HEADING, judge(worse, "double"))
        assert {r.verdict for r in found if r.criterion.startswith("drift")} == {verdict}
    for shadow, verdict in ((5e-7, PASS), (3e-6, FAIL)):
        worse = good()
        worse.balance = recording(BALANCE_TIMESTEP, 0.25, 2e-5, shadow)
        found = {r.criterion: r.verdict for r in baseline.compare(file, HEADING, judge(worse, "double"))}
        assert found["energy balance at 0.0625 fs, against the baseline"] == verdict


def test_baseline_of_something_else_is_refused(tmp_path):
    file = tmp_path / "baseline.json"
    baseline.write(file, HEADING, judge(good(), "double"))
    with pytest.raises(baseline.BaselineError, match="was made with precision double, this run with single"):
        baseline.compare(file, HEADING | {"precision": "single"}, [])
    with pytest.raises(baseline.BaselineError, match="was made with length the default, this run with 100"):
        baseline.compare(file, HEADING | {"length": 100.0}, [])
    for text in ("{}", "no json", '{"measured": [{}], "precision": "double"}'):
        file.write_text(text)
        with pytest.raises(baseline.BaselineError, match="is no baseline"):
            baseline.compare(file, HEADING, [])
    with pytest.raises(baseline.BaselineError, match="cannot be read"):
        baseline.compare(tmp_path / "none.json", HEADING, [])


# ------------------------------------------------------------------------------------ structures


@pytest.mark.parametrize("name", structures.DENSITIES)
def test_boxes_hold_whole_molecules_apart_from_each_other(name):
    box = structures.liquid(name)
    single = molecule(structures.MOLECULES[name])
    assert len(box.atoms) >= 192 and len(box.atoms) % len(single) == 0
    mass = box.atoms.get_masses().sum() / 0.602214076  # g/cm3 in u/A3
    assert mass / np.prod(box.edges) == pytest.approx(structures.DENSITIES[name], rel=1e-6)
    distances = box.atoms.get_all_distances(mic=True)
    number = np.arange(len(box.atoms)) // len(single)
    within = distances[number[:, None] == number].reshape(-1, len(single), len(single))
    np.testing.assert_allclose(within, np.broadcast_to(single.get_all_distances(), within.shape), atol=1e-9)
    assert distances[number[:, None] != number].min() > 1.5


def test_orientations_in_a_box_are_random_rotations():
    random = np.random.default_rng(0)
    turns = np.array([structures._rotation(random) for _ in range(300)])
    np.testing.assert_allclose(np.linalg.det(turns), 1.0)
    assert np.abs(turns.mean(axis=0)).max() < 0.2


def test_defaults_follow_from_the_elements():
    assert [s.name for s in structures.defaults(["H", "C", "N", "O"])] == ["benzene", "water box"]
    assert [s.name for s in structures.defaults(["O", "H"])] == ["water", "water box"]
    assert [s.name for s in structures.defaults(["N", "H"])] == ["ammonia"]
    with pytest.raises(structures.StructureRefused, match="can be made of Si O; give a STRUCTURE"):
        structures.defaults(["Si", "O"])


def test_degrees_of_freedom():
    assert structures.find("water").degrees_of_freedom == 3
    assert structures.find("CO2").degrees_of_freedom == 4  # linear
    assert structures.find("box:benzene").degrees_of_freedom == 3 * 192 - 3


def test_structures_from_files(tmp_path):
    for name, atoms, is_bulk in (("gas.xyz", molecule("CH4"), False), ("solid.xyz", bulk("C", cubic=True), True)):
        io.write(tmp_path / name, atoms)
        found = structures.find(str(tmp_path / name))
        assert (found.name, found.is_bulk) == (name.split(".")[0], is_bulk)
    io.write(tmp_path / "slab.xyz", Atoms("C", cell=[5, 5, 5], pbc=[True, True, False]))
    with pytest.raises(structures.StructureRefused, match="periodic in some directions only"):
        structures.find(str(tmp_path / "slab.xyz"))
    with pytest.raises(structures.StructureRefused, match="no such file.*benzene.*box:water"):
        structures.find("benzol")


# ------------------------------------------------------------------------------------ report, command


def test_report_is_one_file_with_all_of_it(tmp_path):
    results = good()
    results.long.folder = tmp_path / "benzene" / "long"
    rows = judge(results, "double")
    content = {"potential": "<x>.yaml", "precision": "double", "mode": "quick", "suffix": None, "sha256": "0ab",
               "passed": True}  # fmt: skip
    write_report(tmp_path / "report.html", content, [results], rows)
    text = (tmp_path / "report.html").read_text()
    assert "&lt;x&gt;.yaml" in text and "benzene/long/trajectory.lammpstrj" in text
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(drawings) == 2
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    outside = re.findall(r"(?:src|href)=[\"'](?!#)([^\"']*)", text)
    assert not outside
    for row in rows:
        assert row.criterion in text
    assert len(text) < 1_500_000


def stand_in(outcome):
    """A simulate() that gives a prepared result."""
    return lambda student, structure, lengths, run: replace(outcome(), structure=structure)


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """The command with prepared results in place of LAMMPS's, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(md_run, "lmp_program", lambda: "/bin/sh")

    def invoke(*arguments: str, outcome=lambda: placed(good(), tmp_path)):
        monkeypatch.setattr(command, "simulate", stand_in(outcome))
        return CliRunner().invoke(command.command, [str(POTENTIAL), *arguments])

    return invoke


def placed(results: Results, folder: Path) -> Results:
    results.long.folder = folder / "out" / "benzene" / "long"
    return results


def test_command_writes_verdicts_and_exit_status(suite, tmp_path):
    missing = str(tmp_path / "none.json")
    done = suite("benzene", "-o", "out", "--precision", "double", "--write-baseline", "--baseline", missing)
    assert done.exit_code == 0, done.output
    assert "chno-small.yaml (double): no criterion failed" in done.output
    stored = json.loads((tmp_path / "out" / "verdicts.json").read_text())
    assert stored["passed"] and stored["precision"] == "double"
    assert stored["trajectories"] == ["benzene/long/trajectory.lammpstrj"]
    keys = {"structure", "criterion", "value", "error", "limit", "verdict", "reason", "unit"}
    assert all(set(row) == keys for row in stored["verdicts"])
    assert (tmp_path / "out" / "report.html").is_file()
    assert [row["timestep_fs"] for row in stored["time_steps"]] == [BALANCE_TIMESTEP, *sorted(TIMESTEPS)]
    assert {row["structure"] for row in stored["time_steps"]} == {"benzene"}

    def drifting() -> Results:
        results = placed(good(), tmp_path)
        ramp(results.long, 0.5)
        return results

    again = ("benzene", "-o", "out", "--precision", "double", "--baseline", missing)
    done = suite(*again, outcome=drifting)
    assert done.exit_code == 1
    assert "FAILED: benzene: drift of the energy; benzene: drift of the energy, against the baseline" in done.output
    assert json.loads(suite(*again, "--json").stdout)["passed"]


@pytest.mark.parametrize("more, mode", [(("--full",), "full"), (("--length", "50"), "quick")])
def test_a_shipped_baseline_of_another_kind_of_run_is_left_out(suite, tmp_path, more, mode):
    done = suite("benzene", "-o", "out", *more)
    assert done.exit_code == 0, done.output
    assert "Not compared with the baseline" in done.stderr and "nve_baseline_chno-small_mixed.json" in done.stderr
    stored = json.loads((tmp_path / "out" / "verdicts.json").read_text())
    assert stored["mode"] == mode
    assert not [row for row in stored["verdicts"] if "against the baseline" in row["criterion"]]


def test_a_baseline_that_is_named_must_fit_before_anything_is_run(suite, tmp_path):
    arguments = ("benzene", "-o", "out", "--precision", "double", "--baseline", "b.json")
    assert suite(*arguments, "--write-baseline").exit_code == 0
    done = suite(*arguments, "--full", outcome=lambda: pytest.fail("LAMMPS ran"))
    assert done.exit_code == 2 and "made with mode quick, this run with full" in done.output, done.output


@pytest.mark.parametrize("arguments, message", [
    (("benzene", "benzene"), "benzene: given twice"),
    (("SiH4",), "SiH4: the potential has no Si; it has H C N O"),
    (("nothing.xyz",), "nothing.xyz: no such file"),
    (("benzene", "--baseline", "none.json"), "none.json: cannot be read"),
    (("O",), "a single atom conserves everything"),
])  # fmt: skip
def test_command_refuses_with_status_2(suite, arguments, message):
    done = suite(*arguments, "-o", "out")
    assert done.exit_code == 2 and message in done.output, done.output


def test_a_missing_plugin_is_no_verdict(suite):
    message = "ERROR: Unrecognized pair style 'mlff/student'"
    done = suite("benzene", "-o", "out", outcome=lambda: Results(BENZENE, failures={"equilibration": message}))
    assert done.exit_code == 2 and "MLFF_PLUGIN" in done.output


@pytest.mark.parametrize("arguments", [("--suffix", "kk"), ("--lammps", "{lmp} -sf kk"), ("--lammps", "{lmp} -nosuch")])
@needs_plugin
def test_a_lammps_that_cannot_be_started_this_way_is_no_verdict(tmp_path, arguments):
    """By what LAMMPS itself prints."""
    lmp = md_run.lmp_program()
    shown = subprocess.run([lmp, "-h"], capture_output=True, text=True, check=False).stdout
    if "KOKKOS" in shown.split("Installed packages:")[1].split():
        pytest.skip("this LAMMPS has KOKKOS")
    words = [word.format(lmp=lmp) for word in arguments]
    done = CliRunner().invoke(command.command, [str(POTENTIAL), "benzene", "-o", str(tmp_path), *words])
    assert done.exit_code == 2, done.output
    assert "ERROR" in done.stderr and "leave --suffix out" in done.stderr


def test_an_error_on_the_device_is_a_verdict(suite):
    message = "ERROR on proc 0: Neighbor list overflow, boost neigh_modify one (src/src/KOKKOS/npair_kokkos.cpp:300)"
    done = suite("benzene", "-o", "out", outcome=lambda: Results(BENZENE, failures={"equilibration": message}))
    assert done.exit_code == 1 and "FAILED: benzene: equilibration ends" in done.output


def test_suffix_starts_kokkos():
    assert runs.lammps_command("env lmp", "kk") == ["env", "lmp", "-k", "on", "g", "1", "-sf", "kk"]
    assert runs.lammps_command("env -i lmp -k on g 4", "kk")[-2:] == ["-sf", "kk"]
    assert runs.lammps_command("env -i lmp -k on g 4", "kk").count("-k") == 1


def test_lammps_is_looked_for_only_if_none_is_named(monkeypatch):
    def not_found():
        raise MdError("lmp was not found")

    monkeypatch.setattr(md_run, "lmp_program", not_found)
    assert runs.lammps_command("env lmp", None) == ["env", "lmp"]
    with pytest.raises(MdError):
        runs.lammps_command(None, None)
    monkeypatch.setattr(md_run, "lmp_program", lambda: "/bin/sh")
    assert runs.lammps_command(None, None) == ["/bin/sh"]


def test_a_lammps_that_is_not_there_is_named():
    with pytest.raises(MdError, match="'/nowhere/lmp'"):
        runs.lammps_command("/nowhere/lmp -k on", "kk")


def test_a_run_without_rows_is_an_error(tmp_path):
    (tmp_path / "thermo.csv").write_text("step,time\n0,0\n")
    with pytest.raises(MdError, match="1 rows; at least 9 are needed"):
        runs.read_recording(tmp_path, 0.5, 1)


def test_verdicts_can_be_stored():
    assert json.dumps([asdict(row) for row in judge(good(), "mixed")])
    assert criteria.judge(good(), "mixed")[0].verdict == PASS
