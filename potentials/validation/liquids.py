"""Radial distribution functions of liquids, and a student's dynamics that give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from scipy.stats import sem

import dynamics
from bonds import to_closest_images
from dynamics import Engine
from structures import FOLDER as STRUCTURES

#: Boxes that the teacher can afford.
BOXES = ("water-32", "acetonitrile-16")
TEMPERATURE = 300.0  # K
EQUILIBRATION, LENGTH, SEGMENT, FRAMES = 20.0, 80.0, 10.0, 0.05  # ps; FRAMES: from frame to frame

#: Which pairs of elements are looked at in which liquid.
PAIRS = {"water": ("OO", "OH", "HH"), "acetonitrile": ("NN", "CN", "NH")}
BIN = 0.05  # Angstrom


def distributions(frames: np.ndarray, atoms: Atoms) -> dict:
    """g(r) of the liquid's pairs of elements, up to half the shortest edge of its orthorhombic box.

    frames: [M, n, 3] positions of the atoms. Pairs within one molecule are left out; molecules are of equal size
    and follow each other. Returns {"r": [bins], "OO": [bins], ...}.
    """
    size = len(atoms) // atoms.info["molecules"]
    owner = np.arange(len(atoms)) // size
    edges = np.arange(0.0, atoms.cell.lengths().min() / 2, BIN)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    found = {"r": (0.5 * (edges[1:] + edges[:-1])).round(4).tolist()}
    symbols = np.array(atoms.get_chemical_symbols())
    for pair in PAIRS[atoms.info["name"]]:
        a, b = np.flatnonzero(symbols == pair[0]), np.flatnonzero(symbols == pair[1])
        different = owner[a][:, None] != owner[b][None, :]
        counts = np.zeros(len(edges) - 1)
        for positions in frames:
            vectors = to_closest_images(positions[a][:, None] - positions[b][None, :], atoms.cell.lengths())
            counts += np.histogram(np.linalg.norm(vectors[different], axis=1), edges)[0]
        expected = different.sum() * shells / atoms.get_volume() * len(frames)
        found[pair] = (counts / expected).round(4).tolist()
    return found


def measure(engine: Engine, folder: Path, progress, scale: float = 1.0) -> dict:
    """g(r) and pressure of the teacher's boxes by NVT dynamics with a student at 300 K.

    scale: shortens the dynamics. If a run stops with an error, the error stands in place of the results.
    """
    found = {}
    for box in BOXES:
        atoms = read(STRUCTURES / f"{box}.extxyz")
        state = dynamics.start(
            atoms.numbers, atoms.get_positions(wrap=True), atoms.cell.lengths(), True, TEMPERATURE, 1
        )
        frames, pressures, error = [], [], ""
        every = round(1000 * FRAMES / engine.timestep)
        for number in progress(range(round((EQUILIBRATION + LENGTH) / SEGMENT)), box):
            steps = max(round(1000 * scale * SEGMENT / engine.timestep / every), 1) * every
            segment = dynamics.run(engine, state, folder / box, TEMPERATURE, steps, every, 1 + number)
            if segment.end is None:
                error = segment.error
                break
            state = segment.end
            if number * SEGMENT >= EQUILIBRATION:
                frames.append(segment.frames)
                pressures.append(segment.thermo["pressure"].mean())
        found[box] = {"error": error} if error else {
            "length_ps": scale * LENGTH, "equilibration_ps": scale * EQUILIBRATION,
            "pressure_bar": float(np.mean(pressures)), "pressure_error_bar": float(sem(pressures)),
            "rdf": distributions(np.concatenate(frames), atoms),
        }  # fmt: skip
    return found


def are_as_long(found: dict, scale: float) -> bool:
    """Whether results of measure() come from dynamics no shorter than at this scale."""
    return all("error" in one or one["length_ps"] >= scale * LENGTH for one in found.values())


def compare(student: dict, teacher: dict) -> dict:
    """For each pair of elements: mean |g - g_teacher| where the teacher's is not zero, and both first maxima."""
    result = {}
    for pair in (name for name in teacher["rdf"] if name != "r"):
        r = np.array(teacher["rdf"]["r"])
        theirs, mine = (np.array(one["rdf"][pair]) for one in (teacher, student))
        there = (theirs > 0) | (mine > 0)
        result[pair] = {
            "mean_deviation": float(np.abs(mine - theirs)[there].mean()),
            "peak": [float(r[mine.argmax()]), float(mine.max())],
            "teacher_peak": [float(r[theirs.argmax()]), float(theirs.max())],
        }
    return result
