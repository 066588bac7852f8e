#!/usr/bin/env python3
"""A potential's errors on held-out labelled frames: for each class, for each molecule, and by the size of the force.

python potentials/validation/errors.py POTENTIAL CONFIG [--output FOLDER]

CONFIG is the potential's configuration for training; it says which frames are held out, those of
training.more_frames included. Computed in LAMMPS by the plugin, so these are the errors of what users run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from mlff_student.lammps_session import FILTERS, PRECISIONS, LammpsError, Session, find_potential
from mlff_student.potential import PotentialError
from mlff_student.train.config import ConfigError, load_config
from mlff_student.train.frame_sets import load_frames
from mlff_student.train.frames import Frames
from results import folder_for, origin, store

#: Bounds of the teacher's force on an atom (eV/Angstrom) by which errors are sorted.
FORCE_BOUNDS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, np.inf)


def deviations(session: Session, frames: Frames) -> tuple[np.ndarray, list[np.ndarray]]:
    """Student minus teacher: energy per atom [M] in eV, forces [n, 3] in eV/Angstrom of each frame."""
    energies, forces = [], []
    for k, (first, last) in enumerate(zip(frames.offsets[:-1], tqdm(frames.offsets[1:], unit="frame"))):
        atoms = slice(first, last)
        cell = frames.cells[k] if frames.cells[k].any() else None
        result = session.evaluate(frames.numbers[atoms].tolist(), frames.positions[atoms], cell)
        energies.append((result.energy - frames.energies[k]) / (last - first))
        forces.append(result.forces - frames.forces[atoms])
    return np.array(energies), forces


def errors(energies: np.ndarray, forces: list[np.ndarray]) -> dict[str, float]:
    """Mean absolute and root mean square errors, in meV/atom and meV/Angstrom."""
    components = 1e3 * np.concatenate([f.ravel() for f in forces])
    return {
        "frames": len(energies),
        "energy_mae_meV_per_atom": 1e3 * float(np.abs(energies).mean()),
        "energy_rmse_meV_per_atom": 1e3 * float(np.sqrt((energies**2).mean())),
        "force_mae_meV_per_A": float(np.abs(components).mean()),
        "force_rmse_meV_per_A": float(np.sqrt((components**2).mean())),
    }


def by_molecule(frames: Frames, energies: np.ndarray, forces: list[np.ndarray]) -> dict[str, dict]:
    """`errors` of each molecule, with its class."""
    table = {}
    for group in np.unique(frames.groups):
        chosen = np.flatnonzero(frames.groups == group)
        row = errors(energies[chosen], [forces[k] for k in chosen])
        table[frames.group_names[group]] = {"class": frames.group_classes[group] or "all", **row}
    return table


def by_class(frames: Frames, energies: np.ndarray, forces: list[np.ndarray], molecules: dict) -> dict[str, dict]:
    """`errors` of all frames ("all") and of each class, with the molecule whose forces are worst."""
    classes = np.array([name or "all" for name in frames.group_classes])[frames.groups]
    table = {}
    for name in ["all", *sorted(set(classes) - {"all"})]:
        chosen = np.flatnonzero((classes == name) | (name == "all"))
        members = [m for m, row in molecules.items() if name in ("all", row["class"])]
        worst = max(members, key=lambda m: molecules[m]["force_mae_meV_per_A"])
        table[name] = {
            **errors(energies[chosen], [forces[k] for k in chosen]),
            "worst_molecule": worst, "worst_force_mae_meV_per_A": molecules[worst]["force_mae_meV_per_A"],
        }  # fmt: skip
    return table


def by_force(frames: Frames, forces: list[np.ndarray]) -> list[dict]:
    """Errors of the components (eV/Angstrom) of forces between FORCE_BOUNDS, by the teacher's force on the atom."""
    deviation = np.concatenate(forces)
    size = np.linalg.norm(frames.forces, axis=1)
    rows = []
    for low, high in zip(FORCE_BOUNDS, FORCE_BOUNDS[1:]):
        inside = deviation[(size >= low) & (size < high)]
        if len(inside):
            mae, rmse = float(np.abs(inside).mean()), float(np.sqrt((inside**2).mean()))
            top = float(size.max()) if np.isinf(high) else high
            rows.append({"from": low, "to": top, "forces": len(inside), "mae": mae, "rmse": rmse})
    return rows


def held_out(config_file: Path, frames_file: Path | None) -> tuple[Frames, bool]:
    """The frames that the configuration keeps for the test, and whether training has frames of their molecules.

    frames_file: split alone, instead of all files that the configuration names.
    """
    config = load_config(config_file)
    if frames_file:
        data = replace(config.data, file=str(frames_file.absolute()))
        config = replace(config, data=data, training=replace(config.training, more_frames=[]))
    frames, parts, _ = load_frames(config)
    chosen = parts["test"]
    if not len(chosen):
        raise ConfigError(f"{config_file}: its split leaves no frame for the test")
    used = np.concatenate([parts["train"], parts["validation"]])
    return frames.take(chosen), bool(np.isin(frames.groups[chosen], frames.groups[used]).any())


@click.command()
@click.argument("potential")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Folder [results/NAME].")
@click.option("--frames", "frames_file", type=click.Path(path_type=Path), help="Instead of CONFIG's.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="double", show_default=True)
@click.option("--filters", type=click.Choice(FILTERS))
def main(potential, config, output, frames_file, precision, filters):
    """Write FOLDER/errors.json: POTENTIAL's errors on the frames that CONFIG holds out."""
    try:
        frames, is_shared = held_out(config, frames_file)
        with Session(potential, precision, filters) as session:
            energies, forces = deviations(session, frames)
            file = find_potential(potential)
    except (ConfigError, LammpsError, PotentialError) as error:
        raise click.ClickException(str(error)) from None
    molecules = by_molecule(frames, energies, forces)
    result = {
        "of": origin(file), "frames_sha256": frames.hash(), "precision": precision,
        "molecules_are_shared_with_training": is_shared,
        "classes": by_class(frames, energies, forces, molecules), "molecules": molecules,
        "by_force": by_force(frames, forces),
    }  # fmt: skip
    output = folder_for(file, output)
    store(output / "errors.json", result)
    for name, row in result["classes"].items():
        click.echo(
            f"{name:<24} {row['frames']:>6} frames, energy MAE {row['energy_mae_meV_per_atom']:.2f} meV/atom, "
            f"force MAE {row['force_mae_meV_per_A']:.1f} meV/A, worst: {row['worst_molecule']}"
        )


if __name__ == "__main__":
    main()
