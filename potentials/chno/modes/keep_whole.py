"""Write ../frames-modes.npz: those frames of frames.npz in which the molecule is whole.

    python keep_whole.py

Straight displacements along a soft mode pull molecules apart, with forces too small for data.force_limit. A frame
with a bond longer than LONGEST, or with atoms that are not bonded closer than CLOSEST, is dropped (times the sum
of the covalent radii; bonds are those of the relaxed structure).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase.data import covalent_radii
from ase.io import read

from mlff_student.train.config import load_config
from mlff_student.train.frames import Frames, merge
from mlff_student.train.starts import structures_of

LONGEST, CLOSEST = 1.5, 1.2  # as far as the sampler `stretch` goes; 1.3 is where a bond ends
HERE = Path(__file__).resolve().parent


def ratios(frames: Frames, structure_of: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """[M] longest bond and closest other pair of each frame, in sums of covalent radii."""
    known, longest, closest = {}, [], []
    for group, atoms in zip(frames.groups, structures_of(frames)):
        if group not in known:
            start = read(HERE / structure_of[frames.group_names[group]])
            radii = np.add.outer(covalent_radii[start.numbers], covalent_radii[start.numbers])
            bonded = start.get_all_distances() < 1.3 * radii
            np.fill_diagonal(bonded, False)
            known[group] = radii, bonded
        radii, bonded = known[group]
        ratio = atoms.get_all_distances() / radii
        np.fill_diagonal(ratio, np.inf)
        longest.append(ratio[bonded].max())
        closest.append(ratio[~bonded].min())
    return np.array(longest), np.array(closest)


def main() -> None:
    """Choose and store; molecules without a frame left go."""
    every = Frames.load(HERE / "frames.npz")
    longest, closest = ratios(every, {m.name: m.structure for m in load_config(HERE / "config.yaml").molecules})
    whole = (longest <= LONGEST) & (closest >= CLOSEST)
    frames = every.take(np.flatnonzero(whole))
    used, numbers = np.unique(frames.groups, return_inverse=True)
    frames.groups = numbers.astype(every.groups.dtype)
    names, classes, parts = (
        [values[g] for g in used] for values in (every.group_names, every.group_classes, every.group_parts)
    )
    recipe = every.recipe | {"longest_bond": LONGEST, "closest_pair": CLOSEST}
    kept = merge([frames], names, recipe, group_classes=classes, group_parts=parts)
    kept.save(HERE.parent / "frames-modes.npz", compact=True)
    print(f"{len(frames)} of {len(every)} frames: {(longest > LONGEST).sum()} with a long bond, "
          f"{(closest < CLOSEST).sum()} with a close pair are dropped")  # fmt: skip


if __name__ == "__main__":
    main()
