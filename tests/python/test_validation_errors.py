"""Which frames potentials/validation/errors.py measures on: those of every file that training reads."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

POTENTIALS = Path(__file__).resolve().parents[2] / "potentials"
sys.path.insert(0, str(POTENTIALS / "validation"))

import errors  # noqa: E402
from results import origin  # noqa: E402

from mlff_student.potential import Potential  # noqa: E402
from mlff_student.train.frames import Frames  # noqa: E402

CHNO = POTENTIALS / "chno"


def frames(energies, parts):
    """One atom each; every frame is of another molecule, which has its part of the data."""
    n = len(energies)
    names = [name for name, _ in parts]
    return Frames(
        counts=np.ones(n, int), numbers=np.ones(n, int), positions=np.zeros((n, 3)), forces=np.zeros((n, 3)),
        energies=np.array(energies, float), cells=np.zeros((n, 3, 3)), groups=np.arange(n),
        trajectories=np.arange(n), group_names=names, group_classes=[""] * n,
        group_parts=[part for _, part in parts],
    )  # fmt: skip


@pytest.fixture
def config(tmp_path):
    """A configuration with a second file, which holds a molecule of each part again and a new one to test."""
    first = [("methane", "train"), ("water", "test"), ("ammonia", "validation")]
    second = [("water", "train"), ("methane", "train"), ("ethane", "test"), ("ammonia", "validation")]
    frames([1, 2, 3], first).save(tmp_path / "first.npz")
    frames([4, 5, 6, 7], second).save(tmp_path / "second.npz")
    frames([8, 9, 10], [("ethane", "test"), ("methane", "train"), ("water", "validation")]).save(tmp_path / "other.npz")
    file = tmp_path / "config.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "name": "toy", "seed": 1,
                "teacher": {"calculator": "ase.calculators.emt.EMT"},
                "data": {"file": "first.npz", "sampling": []},
                "split": {"by": "molecule"},
                "training": {"more_frames": ["second.npz"]},
            }
        )
    )  # fmt: skip
    return file


def test_frames_of_all_files_are_held_out(config):
    """Water is held out by the first file, whatever the second says; ethane by the second."""
    found, is_shared = errors.held_out(config, None)
    assert sorted(found.energies) == [2, 4, 6]
    assert {found.group_names[g] for g in found.groups} == {"water", "ethane"}
    assert not is_shared


def test_a_file_instead_of_the_configurations_is_alone(config, monkeypatch):
    monkeypatch.chdir(config.parent)
    found, _ = errors.held_out(config, Path("other.npz"))
    assert found.energies.tolist() == [8]


@pytest.mark.parametrize(
    "potential, config",
    [("chno-f128", "config-f128-final.yaml"), ("chno-f64-1", "config-f64-final.yaml")],
)
def test_shipped_errors_are_of_these_frames(potential, config):
    """As many frames of each class as the potential's own table has."""
    found, is_shared = errors.held_out(CHNO / config, None)
    classes = np.array(found.group_classes)[found.groups]
    stated = Potential.read(CHNO / f"{potential}.yaml").provenance["errors"]
    for name, row in stated.items():
        if isinstance(row, dict):
            assert row["frames"] == (len(found) if name == "all" else (classes == name).sum())
    assert not is_shared


def test_the_disagreement_is_that_of_the_committee_that_ships():
    measured = json.loads((CHNO / "disagreement.json").read_text())
    assert measured["members"] == [origin(CHNO / f"chno-f64-{k}.yaml") for k in (1, 2, 3, 4)]
    assert measured["frames_sha256"] == errors.held_out(CHNO / "config-f64-final.yaml", None)[0].hash()
