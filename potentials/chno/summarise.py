"""Write data.md: what is in the files of frames, and whether their labels can be made again.

python summarise.py         # tblite must be there; takes a minute
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from mlff_student.train.batches import compositions, fit_atomic_energies
from mlff_student.train.config import Config, load_config
from mlff_student.train.frame_sets import load_frames
from mlff_student.train.frames import Frames
from mlff_student.train.sampling import make_teacher
from mlff_student.train.starts import structures_of
from mlff_student.units import SYMBOLS

CONFIG = "config-f128-final.yaml"  # reads all files
MADE_BY = {  # what made a file
    "frames.npz": "config-f128.yaml",
    "frames-more.npz": "config-f128.yaml",
    "frames_active_1.npz": "config-f64.yaml",
    "frames_active_2.npz": "config-f64.yaml",
    "frames_hot_1.npz": "config-f64-hot.yaml",
    "frames_hot_2.npz": "config-f64-hot.yaml",
    "frames-close.npz": "config-close.yaml",
    "frames-modes.npz": "modes/config.yaml, less what keep_whole.py drops",
}
LABELLED_AGAIN = 200  # frames
ODD = 8  # standard deviations of the energy per atom in its class


def rows(frames: Frames, parts: dict[str, np.ndarray]) -> list[list[str]]:
    """A row for each class: groups, frames of each part, atoms, forces, energies per atom."""
    elements = [SYMBOLS[n - 1] for n in np.unique(frames.numbers)]
    atomic = fit_atomic_energies(frames, parts["train"], elements)
    energy = (frames.energies - compositions(frames, elements) @ atomic) / frames.counts
    part = np.empty(len(frames), "<U10")
    for name, index in parts.items():
        part[index] = name
    largest = np.maximum.reduceat(np.abs(frames.forces).max(axis=1), frames.offsets[:-1])
    squares = np.add.reduceat((frames.forces.astype(float) ** 2).sum(axis=1), frames.offsets[:-1])
    classes = np.array(frames.group_classes)[frames.groups]
    table = []
    for label in ["all", *sorted(set(classes))]:
        chosen = np.ones(len(frames), bool) if label == "all" else classes == label
        atoms = frames.counts[chosen]
        rms = np.sqrt(squares[chosen].sum() / (3 * atoms.sum()))
        low, high = np.percentile(energy[chosen], [0.1, 99.9])
        table.append(
            [
                label,
                f"{len(np.unique(frames.groups[chosen])):,}",
                *(f"{(part[chosen] == name).sum():,}" for name in ("train", "validation", "test")),
                f"{atoms.min()} - {atoms.max()}",
                f"{rms:.2f}",
                f"{largest[chosen].max():.1f}",
                f"{low:.2f} .. {high:.2f}",
            ]
        )
    return table


def remarks(frames: Frames, parts: dict[str, np.ndarray], config: Config) -> list[str]:
    """Duplicates, odd energies, molecules that training and test share, labels made again."""
    seen = {}
    for k, atoms in enumerate(structures_of(frames)):
        key = hashlib.sha256(atoms.numbers.tobytes() + np.round(atoms.positions, 3).tobytes())
        seen.setdefault(key.digest(), k)
    elements = [SYMBOLS[n - 1] for n in np.unique(frames.numbers)]
    atomic = fit_atomic_energies(frames, parts["train"], elements)
    energy = (frames.energies - compositions(frames, elements) @ atomic) / frames.counts
    classes = np.array(frames.group_classes)[frames.groups]
    odd = 0
    for label in set(classes):
        values = energy[classes == label]
        odd += int((np.abs(values - values.mean()) > ODD * values.std()).sum())
    shared = set(frames.groups[parts["train"]]) & set(frames.groups[parts["test"]])
    return [
        f"{len(frames) - len(seen)} frames are there twice.",
        f"{odd} energies per atom lie more than {ODD} standard deviations from the mean of their class.",
        f"{len(shared)} groups have frames both for training and for test.",
        labelled_again(frames, config),
    ]


def labelled_again(frames: Frames, config: Config) -> str:
    """The deviation of labels made anew, of some frames."""
    chosen = np.sort(np.random.default_rng(1).choice(len(frames), LABELLED_AGAIN, replace=False))
    few = frames.take(chosen)
    energies, forces = [], []
    for k, atoms in enumerate(structures_of(few)):
        atoms.calc = make_teacher(config.teacher)
        energies.append(abs(atoms.get_potential_energy() - few.energies[k]) / len(atoms))
        stored = few.forces[few.offsets[k] : few.offsets[k + 1]]
        forces.append(np.abs(atoms.get_forces() - stored).max())
    return (
        f"{LABELLED_AGAIN} random frames labelled again: energies differ by at most "
        f"{1e3 * max(energies):.3f} meV/atom, forces by at most {1e3 * max(forces):.2f} meV/Å "
        f"(median of the frames' largest: {1e3 * np.median(forces):.2f})."
    )


def described(path: Path) -> str:
    """Size and hash of a file of frames, what made it, and its frames, pieces of the recipe or round."""
    if path.name not in MADE_BY:
        raise SystemExit(f"{path.name}: not in MADE_BY ({', '.join(MADE_BY)}); add it there with what made it")
    content, frames = path.read_bytes(), Frames.load(path)
    digest, recipe = hashlib.sha256(content).hexdigest(), frames.recipe
    held = f"pieces {recipe['pieces']}" if "pieces" in recipe else f"round {recipe['round']}"
    return (
        f"- {path.name}: {len(frames):,} frames, {len(content) / 1e6:.1f} MB, SHA-256 `{digest}`, of "
        f"{MADE_BY[path.name]}: {held}"
    )


def main() -> None:
    """Write data.md beside the configuration."""
    folder = Path(__file__).parent
    config = load_config(folder / CONFIG)
    names = [config.data.file, *config.training.more_frames]
    frames, parts, _ = load_frames(config)
    head = [
        "class",
        "groups",
        "train",
        "validation",
        "test",
        "atoms",
        "force rms",
        "largest",
        "energy",
    ]
    lines = [
        "# The labelled frames",
        "",
        *(described(folder / name) for name in names),
        "",
        f"In all {len(frames):,} frames with {frames.counts.sum():,} atoms.",
        f"Teacher: {config.teacher.name}, {config.teacher.arguments}. Written by summarise.py.",
        "",
        "A group is a molecule, a pair, a composition of a cluster, or a liquid. Root mean square and",
        "largest component of the forces in eV/Å; energy per atom (eV) without the atomic energies that",
        "the training frames fit best, from the 0.1st to the 99.9th percentile.",
        "",
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
        *("| " + " | ".join(row) + " |" for row in rows(frames, parts)),
        "",
        *(f"- {line}" for line in remarks(frames, parts, config)),
    ]
    (folder / "data.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
