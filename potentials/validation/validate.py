#!/usr/bin/env python3
"""Measures a potential's physics, for report.py to set beside the teacher's.

python potentials/validation/validate.py POTENTIAL [--output FOLDER]   # a student: FOLDER/SUBJECT.json
python potentials/validation/validate.py --teacher                     # the teacher: teacher/SUBJECT.json

Subjects that are there are not measured again: delete the file, or the folder after changing the potential.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
from tqdm import tqdm

import dimers
import expansion
import frequencies
import liquids
import pressures
import teacher
import torsions
from dynamics import DynamicsError, Engine
from mlff_student.ase import MLFFStudent
from mlff_student.lammps_session import LammpsError, find_potential
from mlff_student.potential import PotentialError
from results import folder_for, origin, store
from stability import engine_options, scale_option

SUBJECTS = {"dimers": dimers, "expansion": expansion, "frequencies": frequencies, "torsions": torsions}
OF_STUDENTS = {"pressures": pressures}  # in configurations that the teacher has labelled


def progress(items, label: str):
    """A progress bar over the items."""
    return tqdm(items, desc=label)


def has_liquids(file: Path, scale: float) -> bool:
    """Whether the liquids were measured, at this scale or a larger one."""
    return file.exists() and liquids.are_as_long(json.loads(file.read_text())["liquids"], scale)


def measure_static(subjects: dict, calculator: Callable, folder: Path, of: dict) -> None:
    """Measures the subjects that an ASE calculator can do. calculator: makes one, called only if it is needed."""
    missing = {name: module for name, module in subjects.items() if not (folder / f"{name}.json").exists()}
    if missing:
        made = calculator()
        for name, module in missing.items():
            store(folder / f"{name}.json", {"of": of, name: module.measure(made, progress)})


@click.command()
@click.argument("potential", required=False)
@click.option("--output", type=click.Path(path_type=Path), help="Folder [results/NAME].")
@click.option("--teacher", "of_teacher", is_flag=True, help="Measure the teacher instead of a student.")
@click.option("--skip-liquids", is_flag=True, help="Leave out the liquids' dynamics.")
@click.option("--only-liquids", is_flag=True, help="Leave out everything else.")
@scale_option
@engine_options
def main(potential, output, of_teacher, skip_liquids, only_liquids, scale, lammps, precision, timestep):
    """Measure POTENTIAL, or the teacher. Liquids of the teacher: liquid_teacher.py."""
    if of_teacher == bool(potential):
        raise click.UsageError("give either POTENTIAL or --teacher")
    if skip_liquids and only_liquids:
        raise click.UsageError("--skip-liquids and --only-liquids leave nothing to measure")
    if of_teacher:
        measure_static(SUBJECTS, teacher.teacher, teacher.FOLDER, {"name": teacher.NAME})
        return
    file = find_potential(potential)
    of, output = origin(file), folder_for(file, output)
    try:
        if not only_liquids:
            measure_static(SUBJECTS | OF_STUDENTS, lambda: MLFFStudent(file), output, of)
        if not skip_liquids and not has_liquids(output / "liquids.json", scale):
            engine = Engine(file, lammps, precision, timestep)
            found = {"of": of, "liquids": liquids.measure(engine, output / "liquids", progress, scale)}
            store(output / "liquids.json", found)
    except (DynamicsError, LammpsError, PotentialError) as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
