"""The potentials that ship: what they promise, and that the tables are those of the files."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlff_student.potential import Potential
from mlff_student.reference import evaluate
from mlff_student.train.config import load_config
from mlff_student.train.frames import Frames, split_frames

FOLDER = Path(__file__).resolve().parents[2] / "potentials"
CHNO = FOLDER.parent / "examples" / "chno-small" / "chno-small.yaml"
SHIPPED = sorted({CHNO, *(file for file in FOLDER.rglob("*.yaml") if "config" not in file.name)})


def test_tables_are_copied_from_the_files():
    command = [sys.executable, FOLDER / "table.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run potentials/table.py"


@pytest.mark.parametrize("card, potential", [("chno-f128", "chno-f128"), ("chno-f64", "chno-f64-1")])
def test_a_card_says_all_that_fails(card, potential):
    """Each failure of the page of validation, and no other, in ten lines at most."""
    page, cards = (file.read_text() for file in (FOLDER.parent / "doc" / "validation.md", FOLDER / "README.md"))
    block = cards.split(f"<!-- table failures of {card} -->\n")[1].split("<!-- end -->")[0].splitlines()
    failed = by_subject(page, potential)
    assert block[0].startswith(f"**{potential}.yaml fails**" if failed else f"**{potential}.yaml** meets all")
    assert len(block) <= 10
    assert [line for line in block if line.startswith("- ")] == [
        f"- {subject}: {'; '.join(texts)}" for subject, texts in failed.items()
    ]


def by_subject(page: str, potential: str) -> dict[str, list[str]]:
    """A potential's failures on the page of validation as a card says them."""
    section = page.split(f"\n**{potential}**: ")[1].split("\n**")[0].split("\n## ")[0]
    failed: dict[str, list[str]] = {}
    for line in section.splitlines()[1:]:
        if line.startswith("* "):
            subject, rest = line.removeprefix("* ").split(", ", 1)
            if judged := re.fullmatch(r"(.*): (\S+)(| \S+), at most (\S+)", rest):
                where, value, unit, limit = judged.groups()
                subject, rest = f"{subject} (at most {limit}{unit})", f"{where} {value}"
            failed.setdefault(subject, []).append(rest)
    return failed


def test_all_that_ship_are_found():
    assert {f"chno-{name}" for name in ("f128", "f64-1", "f64-2", "f64-3", "f64-4")} <= {file.stem for file in SHIPPED}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_check_structure(file):
    """By the reference in Python."""
    potential = Potential.read(file)
    check = potential.check
    result = evaluate(potential, check.elements, check.positions, check.cell)
    assert result.energy == pytest.approx(check.energy, rel=1e-12)
    np.testing.assert_allclose(result.forces, check.forces, rtol=0, atol=1e-10)


def test_stated_errors_are_those_on_the_held_out_frames():
    """For benzene, with the reference and without the code that states them."""
    potential = Potential.read(CHNO)
    config = load_config(CHNO.with_name("config.yaml"))
    frames = Frames.load(config.data_path)
    assert potential.provenance["data"]["labels_sha256"] == frames.hash()
    parts = split_frames(frames, config.split, config.seed)
    test = parts["test"][frames.groups[parts["test"]] == frames.group_names.index("benzene")]
    stated = potential.provenance["errors"]["benzene"]
    assert stated["frames"] == len(test)
    assert stated["force_mae_meV_per_A"] < 10
    held_out = frames.take(test)
    deviations = []
    for first, last in zip(held_out.offsets[:-1], held_out.offsets[1:]):
        numbers, positions = held_out.numbers[first:last], held_out.positions[first:last]
        result = evaluate(potential, numbers.tolist(), positions)
        deviations.append(result.forces - held_out.forces[first:last])
    mean = 1e3 * np.abs(np.concatenate(deviations)).mean()
    assert stated["force_mae_meV_per_A"] == pytest.approx(mean, abs=1e-3)
