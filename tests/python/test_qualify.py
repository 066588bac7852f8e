"""potentials/validation/qualify.sh: what it runs and where its results go, what it decides and with which status."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
POTENTIAL = ROOT / "potentials" / "chno" / "chno-f64-1.yaml"
CONFIG = ROOT / "potentials" / "chno" / "config-f64-final.yaml"
sys.path.insert(0, str(ROOT / "potentials" / "validation"))

import qualify  # noqa: E402
import report  # noqa: E402
from results import origin  # noqa: E402

OF = {"of": origin(POTENTIAL)}


class Steps:
    """In place of the programs: each leaves results of a student that fails nothing, but for what `spoil` changes."""

    def __init__(self):
        self.commands, self.status, self.spoil = [], {}, {}

    def __call__(self, command, check):
        words = command[1:]
        name = "nve" if words[0] == "-m" else Path(words[0]).stem
        self.commands.append((name, words))
        output = Path(words[words.index("--output" if "--output" in words else "-o") + 1])
        output.mkdir(parents=True, exist_ok=True)
        getattr(self, name)(output)
        return SimpleNamespace(returncode=self.status.get(name, 0))

    def store(self, file, result):
        file.write_text(json.dumps(result | self.spoil.get(file.stem, {})))

    def errors(self, output):
        row = {"class": "all", "frames": 1, "worst_molecule": "water", "worst_force_mae_meV_per_A": 1.0}
        row |= {f"{kind}_{unit}": 1.0 for kind in ("energy_mae", "energy_rmse") for unit in ["meV_per_atom"]}
        row |= {f"{kind}_meV_per_A": 1.0 for kind in ("force_mae", "force_rmse")}
        bins = [{"from": 0.0, "to": 0.1, "forces": 3, "mae": 0.001, "rmse": 0.001}]
        self.store(output / "errors.json", OF | {
            "molecules_are_shared_with_training": False, "classes": {"all": row}, "molecules": {"water": row},
            "by_force": bins,
        })  # fmt: skip

    def nve(self, output):
        row = {"structure": "benzene", "criterion": "reversibility", "verdict": "pass", "value": 1e-5, "unit": "Å"}
        self.store(output / "verdicts.json", {"precision": "mixed", "verdicts": [row]})

    def validate(self, output):
        theirs = report.load_teacher("torsions")
        self.store(output / "torsions.json", OF | {"torsions": theirs})

    def stability(self, output):
        test = {"test": "molecules-300K", "ps": 1000.0, "required_ps": 1000.0, "fragments": 2, "survivors": 2,
                "failed": {}, "npt": False}  # fmt: skip
        self.store(output / "stability.json", OF | {"precision": "mixed", "timestep": 0.5, "tests": [test]})


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """Steps in place of the programs, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    found = Steps()
    monkeypatch.setattr(qualify.subprocess, "run", found)
    return found


def qualified(*arguments, potential=POTENTIAL):
    return CliRunner().invoke(qualify.main, [str(potential), str(CONFIG), *arguments])


def test_a_student_that_fails_nothing_qualifies_and_its_page_is_beside_its_results(steps, tmp_path):
    done = qualified()
    assert done.exit_code == 0, done.output
    folder = tmp_path / "validation-chno-f64-1"
    assert "chno-f64-1: no criterion failed\n" in done.output and "validation-chno-f64-1/validation.md" in done.output
    page = (folder / "validation.md").read_text()
    assert "**chno-f64-1**: meets all criteria" in page and "0 of 1 criteria fail" in page
    assert (folder / "validation" / "torsions.svg").is_file()
    assert [name for name, _ in steps.commands] == ["errors", "nve", "validate", "stability"]
    assert qualified().exit_code == 0
    assert [name for name, _ in steps.commands[4:]] == ["errors", "validate", "stability"]  # the suite is done


BROKEN = {"test": "molecules-300K", "ps": 1000.0, "required_ps": 1000.0, "fragments": 2, "survivors": 1, "npt": False,
          "failed": {"ethanol": {"ps": 7.5, "reason": "bond C1-C2 broken"}}}  # fmt: skip
JUMPS = {"structure": "benzene", "criterion": "reversibility", "verdict": "fail", "value": 0.5, "unit": "Å"}
FLAT = report.load_teacher("torsions") | {
    "butane": report.load_teacher("torsions")["butane"]
    | {"energies": [0.0] * len(report.load_teacher("torsions")["butane"]["angles"])}
}


@pytest.mark.parametrize("subject, spoil, said", [
    ("stability", {"tests": [BROKEN]}, "failed: stability, molecules-300K: ethanol after 7.5 ps: bond C1-C2 broken"),
    ("verdicts", {"verdicts": [JUMPS]}, "failed: NVE suite, benzene: reversibility 0.5 Å"),
    ("torsions", {"torsions": FLAT}, "failed: rms deviation of a torsion's energies, butane"),
])  # fmt: skip
def test_what_fails_is_named_and_is_status_1(steps, subject, spoil, said):
    steps.spoil[subject] = spoil
    steps.status["nve"] = 1 if subject == "verdicts" else 0
    done = qualified()
    assert done.exit_code == 1 and said in done.output, done.output
    assert "chno-f64-1: FAILED in 1 respect\n" in done.output


def test_short_dynamics_is_a_failure_unless_it_was_asked_for(steps):
    (short,) = [BROKEN | {"ps": 1.0, "survivors": 2, "failed": {}}]
    steps.spoil["stability"] = {"tests": [short]}
    done = qualified("--scale", "0.001")
    assert done.exit_code == 0 and "no criterion failed in dynamics of 0.1 % of the length" in done.output
    done = qualified()
    assert done.exit_code == 1 and "only 1 of 1000 ps were run" in done.output


@pytest.mark.parametrize("step", ["errors", "nve", "validate", "stability"])
def test_what_cannot_be_run_is_status_2(steps, step):
    steps.status[step] = 2
    done = qualified()
    assert done.exit_code == 2 and "ended with status 2" in done.output, done.output
    assert steps.commands[-1][0] == step


def test_options_reach_those_that_know_them(steps, tmp_path):
    arguments = ["--lammps", "env lmp -sf kk", "--timestep", "0.25", "--jobs", "4", "--gpus", "2", "--output", "mine"]
    assert qualified(*arguments, "--precision", "single", "--scale", "0.5").exit_code == 0
    engine = ["--lammps", "env lmp -sf kk", "--precision", "single"]
    dynamics = [*engine, "--timestep", "0.25", "--scale", "0.5"]
    expected = {"nve": engine, "validate": dynamics, "stability": [*dynamics, "--jobs", "4", "--gpus", "2"]}
    for name, words in steps.commands[1:]:
        assert words[-len(expected[name]) :] == expected[name]
    assert (tmp_path / "mine" / "validation.md").is_file()


def test_a_folder_of_another_potential_is_refused(steps):
    assert qualified("--output", "mine").exit_code == 0
    other = POTENTIAL.with_name("chno-f64-2.yaml")
    done = qualified("--output", "mine", potential=other)
    assert done.exit_code == 2 and "choose another --output" in done.output


def test_a_potential_without_the_elements_is_refused(steps, tmp_path):
    text = POTENTIAL.read_text()
    (tmp_path / "broken.yaml").write_text(text[: len(text) // 2])
    for file in ("broken.yaml", "none.yaml"):
        done = qualified(potential=tmp_path / file)
        assert done.exit_code == 2 and file in done.output and not steps.commands


def test_the_script_passes_its_words_on():
    script = ROOT / "potentials" / "validation" / "qualify.sh"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # as in an activated environment
    for words, said in (([POTENTIAL, "/nowhere.yaml"], "/nowhere.yaml"), ([], "Example: ")):
        done = subprocess.run(
            ["bash", script, *words], capture_output=True, text=True, check=False,
            env=os.environ | {"PATH": path, "PYTHON": sys.executable},
        )  # fmt: skip
        assert done.returncode == 2 and said in done.stderr
        assert done.stderr.startswith("Usage: ") and "qualify.sh [OPTIONS]" in done.stderr
        assert "qualify.py" not in done.stderr


def test_the_script_chooses_a_python(tmp_path):
    """PYTHON, else an activated environment, else the checkout's own, else python3."""
    script = tmp_path / "potentials" / "validation" / "qualify.sh"
    script.parent.mkdir(parents=True)
    script.write_text((ROOT / "potentials" / "validation" / "qualify.sh").read_text())

    def program(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {path.name} of {path.parent.parent.name}\n")
        path.chmod(0o755)
        return path

    program(tmp_path / "active" / "bin" / "python3")
    own = program(tmp_path / ".venv" / "bin" / "python")
    mine = program(tmp_path / "mine" / "bin" / "mypython")

    def chosen(**more):
        path = os.pathsep.join([str(tmp_path / "active" / "bin"), "/usr/bin", "/bin"])
        return subprocess.run(["bash", script], env={"PATH": path, **more}, capture_output=True, text=True).stdout

    assert chosen() == "python of .venv\n"
    assert chosen(VIRTUAL_ENV="/active") == "python3 of active\n"
    assert chosen(PYTHON=str(mine)) == "mypython of mine\n"
    own.unlink()
    assert chosen() == "python3 of active\n"
