"""Extended XYZ with every digit: ASE writes eight decimals, too few for results in double precision."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import numpy as np
from ase import Atoms
from ase.io.extxyz import output_column_format
from ase.stress import voigt_6_to_full_3x3_stress

_EIGHT_DECIMALS = "%16.8f"  # what ASE puts for real numbers
_ALL_DIGITS = "%23s"  # str() of a float is the shortest text that reads back the same
_PER_ATOM = ("energies", "forces")


def write_frame(stream: TextIO, atoms: Atoms, results: dict) -> None:
    """Appends one frame: the atoms' own arrays and info, and energy, energies, forces, stress (Voigt)."""
    frame = atoms.copy()
    for key, value in results.items():
        if key in _PER_ATOM:
            frame.arrays[key] = np.asarray(value)
        else:
            frame.info[key] = voigt_6_to_full_3x3_stress(value) if key == "stress" else value
    arrays = {
        "symbols": np.array(frame.get_chemical_symbols(), dtype=str),
        "positions": frame.positions,
    }
    arrays |= {
        key: frame.arrays[key] for key in frame.arrays if key not in ("numbers", "positions")
    }
    columns = list(arrays)
    comment, widths, _, line = output_column_format(frame, columns, arrays)
    line = line.replace(_EIGHT_DECIMALS, _ALL_DIGITS)
    stream.write(f"{len(frame)}\n{comment}\n")
    flat = [arrays[column].reshape(len(frame), width).T for column, width in zip(columns, widths)]
    for row in zip(*(values.tolist() for part in flat for values in part)):
        stream.write(line % row)


def count_frames(path: str | Path) -> int | None:
    """Number of frames of an XYZ file, None if it is not one."""
    frames = 0
    try:
        with open(path, encoding="utf-8") as stream:
            while (line := stream.readline()).strip():
                for _ in range(int(line) + 1):
                    stream.readline()
                frames += 1
    except (ValueError, OSError):
        return None
    return frames
