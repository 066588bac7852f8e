"""Potentials and reference numbers that the tests share."""

import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "fixtures"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
#: Real checkpoints with reference numbers; not part of the repository.
SHARED = Path(__file__).parents[3] / "shared" / "reference"


def reference(name: str, folder: Path = FOLDER) -> list[dict]:
    return json.loads((folder / f"{name}.json").read_text())["structures"]
