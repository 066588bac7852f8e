"""potentials/chno: that its stages follow each other, and that data.md is of the frames that are there."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from mlff_student.train.config import load_config

CHNO = Path(__file__).resolve().parents[2] / "potentials" / "chno"
LARGEST = 30e6  # bytes of all frames, a quarter above what there is: every clone downloads them


def stages(name: str) -> list[list[str]]:
    """The words of each call of mlff-student."""
    done = subprocess.run(
        [CHNO / "reproduce.sh", name], env={**os.environ, "MLFF_STUDENT": "echo call"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("call ")]


@pytest.mark.parametrize("name, last", [("f128", "run-final"), ("f64", "run-f64-final")])
def test_each_stage_starts_from_what_an_earlier_one_makes(name, last):
    made = {}
    for command, file, *options in stages(name):
        config = load_config(CHNO / file)
        assert config.training.start or not made, f"{file}: starts from nothing, which only the first stage may"
        for start in config.training.start:
            folder, potential = start.split("/", 1)
            assert potential in made[folder]
        networks = config.training.committee
        numbers = [f"-{k + 1}" for k in range(networks)] if networks > 1 else [""]
        potentials = [f"{config.name}{number}.yaml" for number in numbers]
        rounds = f"round_{config.active.rounds}/" if command == "active" else ""
        folder = options[options.index("--output") + 1] if "--output" in options else "run"
        made[folder] = [rounds + potential for potential in potentials]
    assert made[last] == sorted(file.name for file in CHNO.glob(f"chno-{name}*.yaml"))


@pytest.mark.parametrize("config", ["config-f128-final.yaml", "config-f64-final.yaml"])
def test_the_last_stages_train_on_all_frames(config):
    config = load_config(CHNO / config)
    assert {config.data.file, *config.training.more_frames} == {file.name for file in CHNO.glob("*.npz")}


def test_the_page_of_the_data_is_of_the_frames_that_are_here():
    page = (CHNO / "data.md").read_text()
    files = list(CHNO.glob("*.npz"))
    assert sum(file.stat().st_size for file in files) < LARGEST
    for file in files:
        line = next(line for line in page.splitlines() if line.startswith(f"- {file.name}: "))
        assert hashlib.sha256(file.read_bytes()).hexdigest() in line
