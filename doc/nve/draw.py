#!/usr/bin/env python3
"""Draws one structure's runs of the NVE suite as doc/nve.md shows them.

python doc/nve/draw.py OUTPUT STRUCTURE PICTURE.png    # as in mlff-student nve FILE STRUCTURE -o OUTPUT
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from mlff_student.nve import structures
from mlff_student.nve.report import draw_drift, draw_scaling
from mlff_student.nve.runs import BALANCE_TIMESTEP, TIMESTEP, TIMESTEPS, Results, read_recording


def main(output: str, name: str, picture: str) -> None:
    """Drift of the long run, above what the time step does."""
    structure = structures.find(name)
    folder = Path(output) / structure.name.replace(" ", "_")
    long = read_recording(folder / "long", TIMESTEP, 20)
    scaling = [read_recording(folder / f"{dt:g}fs", dt, 1) for dt in TIMESTEPS]
    results = Results(structure, read_recording(folder / "balance", BALANCE_TIMESTEP, 1), scaling, long)
    drawing = Figure(figsize=(7.5, 8), layout="constrained")
    axes = drawing.subplots(3, 1)
    draw_drift(axes[0], long, long.kinetic.mean())
    axes[0].set_xlabel("time / ps")
    draw_scaling(axes[1:], results)
    drawing.savefig(picture, dpi=80)


if __name__ == "__main__":
    main(*sys.argv[1:])
