#!/usr/bin/env python3
"""What the disagreement of the committee chno-f64 says about its errors, on the frames that nothing was trained on.

python potentials/chno/disagreement.py     # minutes; writes disagreement.json

The disagreement on a frame is the largest standard deviation, over the four members, of an atom's force (the root of
the sum over x, y and z), as in `mlff-student active`. It is set beside the largest error of an atom's force, of the
first member, and of the mean of all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "validation"))

import errors  # noqa: E402
from mlff_student.lammps_session import Session  # noqa: E402
from results import origin  # noqa: E402

MEMBERS = [HERE / f"chno-f64-{k}.yaml" for k in (1, 2, 3, 4)]
CONFIG = HERE / "config-f64-final.yaml"
SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)  # quantiles of the disagreement


def largest(vectors: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The longest vector of each frame's atoms. vectors: [N, 3]; returns [M]."""
    return np.maximum.reduceat(np.linalg.norm(vectors, axis=1), offsets[:-1])


def main() -> None:
    """Evaluate the members and write what was found; energies in meV/atom, forces in meV/Angstrom."""
    frames, _ = errors.held_out(CONFIG, None)
    energies, forces = [], []
    for file in MEMBERS:
        with Session(str(file), "double", None) as session:
            energy, force = errors.deviations(session, frames)
        energies.append(energy)
        forces.append(np.concatenate(force))
    deviations = np.array(forces)  # [members, N, 3], student minus teacher; the teacher drops out of the spread
    disagreement = 1e3 * largest(deviations.std(axis=0), frames.offsets)
    first = 1e3 * largest(deviations[0], frames.offsets)
    mean = 1e3 * largest(deviations.mean(axis=0), frames.offsets)
    levels = {}
    for share in SHARES:
        threshold = np.quantile(disagreement, share)
        below = disagreement <= threshold
        levels[str(share)] = {
            "disagreement": float(threshold), "median_largest_error_below": float(np.median(first[below])),
            "median_largest_error_above": float(np.median(first[~below])),
        }  # fmt: skip
    by_frame = [np.split(of, frames.offsets[1:-1]) for of in (deviations[0], deviations.mean(axis=0))]
    result = {
        "members": [origin(file) for file in MEMBERS], "frames": len(frames), "frames_sha256": frames.hash(),
        "spearman_with_largest_error_of_first": float(spearmanr(disagreement, first).statistic),
        "spearman_with_largest_error_of_mean": float(spearmanr(disagreement, mean).statistic),
        "errors_of_first": errors.errors(energies[0], by_frame[0]),
        "errors_of_mean": errors.errors(np.mean(energies, axis=0), by_frame[1]),
        "by_quantile_of_the_disagreement": levels,
    }  # fmt: skip
    (HERE / "disagreement.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
