"""The examples do what examples/README.md says, as a user runs them."""

import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from plugin import needs_plugin

from mlff_student import md_report
from mlff_student.cli import main
from mlff_student.lammps_session import find_plugin
from mlff_student.md_run import run_lammps
from mlff_student.potential import Potential

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@needs_plugin
def test_benzene_conserves_energy_with_a_potential_that_ships(tmp_path, monkeypatch):
    """2 ps by the command of the quickstart."""
    if not metadata.entry_points(group="lammps.plugins"):  # not installed: what an installation would tell LAMMPS
        monkeypatch.setenv("LAMMPS_PLUGIN_PATH", str(find_plugin().parent))
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(ROOT / "potentials" / "chno"))
    arguments = [str(EXAMPLES / "benzene" / "in.nve"), "--steps", "4000", "--output", str(tmp_path)]
    result = CliRunner().invoke(md_report.main, arguments)
    assert result.exit_code == 0, result.output
    log = (tmp_path / "log.lammps").read_text()
    assert "Pair style mlff/student: chno-f64-1.yaml" in log
    found = yaml.safe_load((tmp_path / "summary.yaml").read_text())
    assert found["standard_deviation_percent"] < 0.5
    assert found["temperature_mean_K"] == pytest.approx(300, abs=40)


@needs_plugin
def test_the_script_of_benzene_makes_its_output_folder(tmp_path, monkeypatch):
    """As in a fresh checkout, by its first lines' `lmp -in in.nve` without the variable output, then by one with it."""
    if not metadata.entry_points(group="lammps.plugins"):
        monkeypatch.setenv("LAMMPS_PLUGIN_PATH", str(find_plugin().parent))
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(ROOT / "potentials" / "chno"))
    for file in ("in.nve", "benzene.data"):
        shutil.copy(EXAMPLES / "benzene" / file, tmp_path)
    for given, folder in (({}, "output"), ({"output": "new/deep"}, "new/deep")):
        run_lammps(tmp_path / "in.nve", 20, {"steps": "20", **given}, tmp_path / "log.lammps", show_progress=False)
        assert (tmp_path / folder / "thermo.csv").read_text().startswith("step,time,temperature")


def test_a_student_is_distilled_and_examined(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("tblite")
    shutil.copy(EXAMPLES / "distil" / "config.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["train", "config.yaml", "--quiet", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    student = Potential.read(tmp_path / "run" / "example.yaml")
    assert student.elements == ["H", "C", "N", "O"]
    assert student.provenance["errors"]["all"]["force_mae_meV_per_A"] < 1000
    if find_plugin() is not None:
        examined = CliRunner().invoke(main, ["nve", "run/example.yaml", "CH3OH"])
        # by this, whatever else 300 steps of training on this machine have left wrong
        assert re.search("FAILED: .*CH3OH: fluctuation of the energy", examined.output), examined.output
        assert examined.exit_code == 1


def test_the_batch_job_starts_lammps_once_a_gpu(tmp_path):
    """gpus.slurm, with an srun that tells how it was called."""
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$LAMMPS_PLUGIN_PATH" "$@"\n')
    srun.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_GPUS_ON_NODE": "4", "LAMMPS_PLUGIN_PATH": "/plugin"}

    def submitted(*words: str, **changes: str) -> subprocess.CompletedProcess:
        command = ["bash", str(EXAMPLES / "gpus.slurm"), *words]
        variables = {name: value for name, value in (environment | changes).items() if value}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    done = submitted("in.water")
    assert done.returncode == 0, done.stderr
    plugins, *words = done.stdout.split()
    assert plugins == "/plugin"
    assert words[words.index("lmp") :] == (
        "lmp -k on g 4 -sf kk -pk kokkos neigh full newton off gpu/aware on -in in.water".split()
    )
    assert "gpu/aware off" in " ".join(submitted("in.water", GPU_AWARE="off").stdout.split())
    for words, changes, missing in (
        ((), {}, "name the LAMMPS input"),
        (("in.water",), {"LAMMPS_PLUGIN_PATH": ""}, "name the folder of mlffstudentplugin.so"),
        (("in.water",), {"SLURM_GPUS_ON_NODE": ""}, "run this with sbatch"),
    ):
        refused = submitted(*words, **changes)
        assert refused.returncode != 0 and missing in refused.stderr
