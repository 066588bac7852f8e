"""The NVE report: its numbers on data with a known drift, and its reading of LAMMPS's output."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from mlff_student import md_report, md_run

HEADER = "step,time,temperature,potential_energy,kinetic_energy,total_energy\n"


def thermo_with(drift: float, noise: float, n: int = 2001) -> md_report.Thermo:
    """100 ps with a mean kinetic energy of 0.4 eV and a far-off zero of energy."""
    time = np.linspace(0.0, 100.0, n)
    total = -6312.7 + drift * (time / 100.0) + noise * np.where(np.arange(n) % 2, 1.0, -1.0)
    kinetic = 0.4 + 0.05 * np.sin(2 * np.pi * np.arange(n) / (n - 1))
    return md_report.Thermo(
        time=time,
        temperature=kinetic / 0.4 * 300.0,
        potential_energy=total - kinetic,
        kinetic_energy=kinetic,
        total_energy=total,
    )


def test_drift_is_measured_against_the_kinetic_energy():
    result = md_report.conservation(thermo_with(drift=-0.002, noise=0.0))
    assert result.drift_percent == pytest.approx(-0.5, rel=1e-6)
    assert result.standard_deviation_percent == pytest.approx(0.5 / np.sqrt(12), rel=1e-2)
    # -0.002 eV in 0.1 ns over 2 * 0.4 eV = kT times the degrees of freedom
    assert result.drift_kT_per_ns_per_degree_of_freedom == pytest.approx(-0.025, rel=1e-6)
    assert result.length_ps == 100.0


def test_noise_without_drift():
    result = md_report.conservation(thermo_with(drift=0.0, noise=0.004))
    assert abs(result.drift_percent) < 1e-2
    assert result.standard_deviation_percent == pytest.approx(1.0, rel=1e-2)
    assert result.temperature_mean_K == pytest.approx(300.0, rel=1e-3)


def test_drift_error_covers_energy_that_wanders():
    random = np.random.default_rng(1)
    drifts, errors = [], []
    for _ in range(200):
        thermo = thermo_with(drift=0.0, noise=0.0)
        thermo.total_energy += np.repeat(random.normal(0.0, 0.001, 67), 30)[: len(thermo.time)]
        result = md_report.conservation(thermo)
        drifts.append(result.drift_percent)
        errors.append(result.drift_error_percent)
    assert 0.9 * np.std(drifts) < np.mean(errors) < 2.2 * np.std(drifts)  # on the safe side


def test_thermo_file(tmp_path: Path):
    file = tmp_path / "thermo.csv"
    file.write_text(HEADER + "0,0,290,-5,0.4,-4.6\n20,0.01,310,-5.1,0.5,-4.6\n40,0.02,300,-5,0.4,-4.6\n")
    thermo = md_report.read_thermo(file)
    assert thermo.temperature.tolist() == [290.0, 310.0, 300.0]
    assert thermo.time[-1] == 0.02


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "0,0,290,-5,0.4,-4.6\n", "1 rows"),
        ("step,time\n" + "0,0\n1,1\n2,2\n", "no column 'temperature'; it has step, time"),
    ],
)
def test_useless_thermo_file_is_refused(tmp_path: Path, text: str, message: str):
    file = tmp_path / "thermo.csv"
    file.write_text(text)
    with pytest.raises(md_run.MdError, match=message):
        md_report.read_thermo(file)


LMP = """#!{python}
import sys
arguments = sys.argv
output = arguments[arguments.index("output") + 1]
if "broken" in open(arguments[arguments.index("-in") + 1]).read():
    print("LAMMPS\\nERROR: Unknown command: broken (src/input.cpp:1)\\nLast input line: broken")
    sys.exit(1)
print("   Step   Temp\\n 0 600\\n 10 310\\nLoop time of 1\\nPerformance: 1.0 ns/day, 2 hours/ns")
print("   Step   Temp\\n 0 290\\n 20 300\\n 40 305\\nLoop time of 1\\nPerformance: 12.5 ns/day, 2 hours/ns")
with open(output + "/thermo.csv", "w") as file:
    file.write("{header}0,0,290,-5,0.4,-4.6\\n20,0.01,310,-5.1,0.5,-4.6\\n40,0.02,300,-5,0.4,-4.6\\n")
"""


@pytest.fixture
def stand_in_lmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `lmp` that prints what LAMMPS prints."""
    lmp = tmp_path / "lmp"
    lmp.write_text(LMP.format(python=sys.executable, header=HEADER.replace("\n", "\\n")))
    lmp.chmod(lmp.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(md_run, "lmp_program", lambda: str(lmp))


def test_report_of_a_run(tmp_path: Path, stand_in_lmp: None):
    script = tmp_path / "in.nve"
    script.write_text("run 40\n")
    result = CliRunner().invoke(md_report.main, [str(script), "--steps", "40"])
    assert result.exit_code == 0, result.output
    assert "12.5 ns/day" in result.output
    assert "300.0 ± 8.2 K" in result.output
    stored = yaml.safe_load((tmp_path / "output" / "summary.yaml").read_text())
    assert stored["speed_ns_per_day"] == 12.5
    assert (tmp_path / "output" / "energy.png").stat().st_size > 1000


def test_errors_of_lammps_are_passed_on(tmp_path: Path, stand_in_lmp: None):
    script = tmp_path / "in.nve"
    script.write_text("broken\n")
    result = CliRunner().invoke(md_report.main, [str(script)])
    assert result.exit_code == 1
    assert "ERROR: Unknown command: broken" in result.output
    assert "Last input line: broken" in result.output
