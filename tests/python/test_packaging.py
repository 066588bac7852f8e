"""What `pip install .` promises: LAMMPS of the same environment finds the plugin and the potentials."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mlff_student import lammps_plugin

ENTRY_POINTS = [
    point for point in metadata.entry_points(group="lammps.plugins") if point.name == "mlff-student"
]
pytestmark = pytest.mark.skipif(
    not ENTRY_POINTS or not Path(lammps_plugin.folder()).is_dir(),
    reason="mlff-student is not installed (pip install .)",
)
ROOT = Path(__file__).parents[2]


def environment_without_plugins() -> dict[str, str]:
    hidden = ("LAMMPS_PLUGIN_PATH", "LAMMPS_POTENTIALS", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def run_script(tmp_path: Path, script: str) -> subprocess.CompletedProcess:
    """Runs `lmp` of this environment on a script in an empty folder."""
    (tmp_path / "in.test").write_text(script)
    return subprocess.run(
        [Path(sys.executable).parent / "lmp", "-in", "in.test", "-log", "none"],
        cwd=tmp_path,
        env=environment_without_plugins(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


BOX = """
units metal
region box block 0 20 0 20 0 20
create_box 1 box
mass 1 12.011
create_atoms 1 single 10 10 10
pair_style mlff/student
"""


def test_lmp_knows_the_pair_style(tmp_path: Path):
    result = run_script(tmp_path, BOX + "print 'reached the end'\n")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "reached the end" in result.stdout


def test_lmp_finds_potentials_by_name(tmp_path: Path):
    names = [file.name for file in lammps_plugin.potentials().glob("*.yaml")]
    if not names:
        pytest.skip("no potential ships yet")
    for name in names:
        result = run_script(tmp_path, BOX + f"pair_coeff * * {name} C\nrun 0\nprint 'reached the end'\n")
        assert "reached the end" in result.stdout, result.stdout + result.stderr


def test_all_potentials_are_installed():
    shipped = {
        file.name
        for file in (ROOT / "potentials").glob("*/*.yaml")
        if file.open(encoding="utf-8").readline().startswith("# DATE:")
    }
    installed = {file.name for file in lammps_plugin.potentials().glob("*.yaml")}
    assert installed == shipped


def test_users_own_potentials_come_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMMPS_POTENTIALS", "/mine")
    assert lammps_plugin.folder() == lammps_plugin.folder()
    assert os.environ["LAMMPS_POTENTIALS"] == f"/mine:{lammps_plugin.potentials()}"


def test_plugin_needs_no_folder_of_the_build():
    """Libraries that the plugin brings are looked for beside it and nowhere else."""
    plugin = Path(lammps_plugin.folder()) / "mlffstudentplugin.so"
    libraries = subprocess.run(["ldd", plugin], capture_output=True, text=True, check=True).stdout
    assert "not found" not in libraries
    for line in libraries.splitlines():
        if "libyaml-cpp" in line:
            place = Path(line.split("=>")[1].split()[0]).parent
            assert place == plugin.parent or str(place).startswith(("/lib", "/usr"))


def test_command_is_on_the_path():
    result = subprocess.run(
        [Path(sys.executable).parent / "mlff-student", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert "convert" in result.stdout
