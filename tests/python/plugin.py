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
