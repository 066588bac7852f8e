"""mlff-student inspect, and the group of commands."""

import subprocess
import sys

import pytest
from click.testing import CliRunner
from fixtures import FOLDER, NAMES

from mlff_student.cli import COMMANDS, main


@pytest.mark.parametrize("name", NAMES)
def test_inspect_shows_the_network(name):
    result = CliRunner().invoke(main, ["inspect", str(FOLDER / f"{name}.yaml")])
    assert result.exit_code == 0, result.output
    rows = dict(line.split("  ", 1) for line in result.output.splitlines())
    assert set(rows) >= {
        "architecture",
        "channels",
        "cutoff",
        "parameters",
        "elements",
        "units",
        "sha256",
    }
    assert ("warning" in rows) == name.startswith("distiller")


def test_inspect_tells_what_a_file_holds():
    result = CliRunner().invoke(main, ["inspect", str(FOLDER / "painn_f16_l4_shared_filters.yaml")])
    for words in (
        "painn, shared filters", "3.5 Angstrom, cosine", "16 - 8 - 1, silu", "O H N",
        "matches the content", "LAMMPS units metal", "5 gaussian", "random weights",
    ):  # fmt: skip
        assert words in result.output


def test_inspect_refuses_a_damaged_file(tmp_path):
    text = (FOLDER / "painn_f8_l1.yaml").read_text()
    (tmp_path / "p.yaml").write_text(text.replace("cutoff: 5.0", "cutoff: 5.5"))
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "p.yaml")])
    assert result.exit_code == 1 and "sha256" in result.output


def test_help_lists_the_commands():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0 and all(name in result.output for name in COMMANDS)
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2


def test_start_imports_nothing_heavy():
    code = (
        "import sys; from mlff_student.cli import main; "
        "main(['inspect', sys.argv[1]], standalone_mode=False); "
        "print([m for m in ('torch', 'ase', 'matplotlib', 'lammps', 'onnx') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(FOLDER / "painn_f8_l1.yaml")]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[]"


def test_inspect_finds_potentials_by_name(monkeypatch):
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(FOLDER))
    result = CliRunner().invoke(main, ["inspect", "painn_f8_l1.yaml"])
    assert result.exit_code == 0 and "matches the content" in result.output
    result = CliRunner().invoke(main, ["inspect", "nowhere.yaml"])
    assert result.exit_code == 1 and "nowhere.yaml: cannot be read" in result.output
