"""The tables of the GPU benchmarks that are kept are those of their files."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results"


def check(*words: object) -> subprocess.CompletedProcess:
    """A process of its own: the modules there have names that others have, too."""
    command = [sys.executable, str(ROOT / "bench" / "gpu_report.py"), *map(str, words), "--check"]
    return subprocess.run(command, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("file", sorted(RESULTS.glob("**/gpu.json")), ids=lambda file: file.parent.name)
def test_tables_are_those_of_the_file(file):
    done = check(file, *["--readme"] * (file.parent == RESULTS))
    assert done.returncode == 0, done.stderr


def test_other_tables_are_noticed(tmp_path):
    tables = (RESULTS / "gpu_tables.md").read_text()
    (tmp_path / "gpu_tables.md").write_text(tables.replace("1", "2", 1))
    done = check(RESULTS / "gpu.json", tmp_path)
    assert done.returncode == 1 and "does not hold the tables" in done.stderr
