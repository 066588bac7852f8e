"""The teacher: GFN2-xTB by tblite (Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652, 2019)."""

from __future__ import annotations

from pathlib import Path

#: Where the teacher's results are kept, so that nobody needs the teacher to validate a student of it.
FOLDER = Path(__file__).resolve().parent / "teacher"
NAME = "GFN2-xTB (tblite)"


def teacher():
    """An ASE calculator."""
    from tblite.ase import TBLite

    return TBLite(method="GFN2-xTB", accuracy=0.1, verbosity=0)
