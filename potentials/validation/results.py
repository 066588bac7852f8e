"""Files of results: JSON that says which potential it is of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import click

from mlff_student.atomic_file import replaced_when_complete

#: One folder for each potential, by its name.
RESULTS = Path(__file__).resolve().parent / "results"


def origin(potential: Path) -> dict[str, str]:
    """Name and hash of a potential's file. Raises click.ClickException if there is none."""
    if not potential.is_file():
        raise click.ClickException(f"{potential}: no such file, nor the name of a potential that ships")
    return {"name": potential.stem, "sha256": hashlib.sha256(potential.read_bytes()).hexdigest()[:16]}


def folder_for(potential: Path, output: Path | None) -> Path:
    """The folder of a potential's results, `output` if that is given. Refuses one that holds another's."""
    folder, of = output or RESULTS / potential.stem, origin(potential)
    for file in folder.glob("*.json"):
        found = json.loads(file.read_text()).get("of")
        if found != of:
            raise click.ClickException(
                f"{file} is of {found}, this potential is {of}; choose another --output or delete the file"
            )
    return folder


def store(file: Path, result: dict) -> None:
    """Writes JSON, compact but for a line for each object that follows another."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, separators=(",", ":")).replace('},"', '},\n"').replace("},{", "},\n{")
    with replaced_when_complete(file) as stream:
        stream.write(text + "\n")
