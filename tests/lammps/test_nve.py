"""The NVE suite in LAMMPS: a good student passes, and each kind of bad one fails where it is bad."""

from __future__ import annotations

import json
import shlex
from itertools import product
from pathlib import Path

import pytest
from ase import Atoms, io
from ase.build import molecule
from click.testing import CliRunner
from harness import ENVIRONMENT, FIXTURES

from mlff_student.convert.command import command as convert
from mlff_student.nve import structures
from mlff_student.nve.command import command
from mlff_student.nve.criteria import FAIL, PASS, SKIPPED, judge
from mlff_student.nve.runs import Lengths, Runner, simulate
from mlff_student.nve.scripts import Student

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "potentials" / "chno" / "chno-f64-1.yaml"
GOOD = ROOT / "examples" / "chno-small" / "chno-small.yaml"
CHECKPOINT = ROOT.parent / "shared" / "reference" / "mlff_distiller_427k.onnx"

#: As the quick suite, but shorter: 6,000 steps of benzene.
MOLECULE = Lengths(0, 0.5, 3, 0.1, 0.1, 0.5, 200, 0, 0)
LIQUID = Lengths(0.1, 0.05, 1, 0.0125, 0.02, 0.1, 20, 0, 0)
GAS = Lengths(0, 0.2, 1, 0.025, 0.05, 0.2, 50, 0.1, 0.2)

# Forces that are added to the network's, 1e-4 of them in size.
SCALED = ("1e-4*fx", "1e-4*fy", "1e-4*fz")  # the gradient of an energy that is not the reported one
TURNED = ("-1e-4*fy", "1e-4*fx", "0.0*fz")  # the gradient of nothing


def added(forces: tuple[str, str, str]) -> str:
    lines = [f"variable e{x} atom {text}" for x, text in zip("xyz", forces)]
    return "\n".join([*lines, "fix error all addforce v_ex v_ey v_ez"])


@pytest.fixture
def verdicts(lammps, monkeypatch):
    """Runs the suite and returns criterion -> verdict."""
    for name, value in (ENVIRONMENT | {"MLFF_PLUGIN": str(lammps.plugin)}).items():
        monkeypatch.setenv(name, value)

    def run(file, structure="benzene", precision="mixed", include="", lengths=MOLECULE):
        runner = Runner(lammps.folder, [lammps.lmp, *lammps.arguments], progress=False)
        results = simulate(Student(Path(file), precision, include), structures.find(structure), lengths, runner)
        rows = judge(results, precision)
        print(*rows, sep="\n")
        return {row.criterion: row.verdict for row in rows}

    return run


def test_a_shipped_potential_is_no_worse_than_its_baseline(lammps, monkeypatch):
    """The command as a user gives it, with the baseline that is beside the potential."""
    for name, value in (ENVIRONMENT | {"MLFF_PLUGIN": str(lammps.plugin)}).items():
        monkeypatch.setenv(name, value)
    start = shlex.join([str(lammps.lmp), *lammps.arguments])
    output = lammps.folder / "nve"
    done = CliRunner().invoke(command, [str(SHIPPED), "benzene", "--quick", "--lammps", start, "-o", str(output)])
    assert done.exit_code == 0, done.output
    rows = json.loads((output / "verdicts.json").read_text())["verdicts"]
    found = {
        row["criterion"].removesuffix(", against the baseline"): row["verdict"]
        for row in rows if row["structure"] == "benzene" and row["criterion"].endswith(", against the baseline")
    }  # fmt: skip
    assert found == dict.fromkeys(("energy balance at 0.0625 fs", "drift of the energy", "drift rate"), PASS)


@pytest.mark.parametrize("precision", ["double", "mixed", "single"])
def test_a_good_student_passes(verdicts, precision):
    found = verdicts(GOOD, precision=precision)
    assert FAIL not in found.values()
    skipped = {name for name, verdict in found.items() if verdict == SKIPPED}
    assert skipped == {"drift rate", "energy after NPT"}


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("forces", [SCALED, TURNED], ids=["scaled", "turned"])
def test_a_relative_force_error_of_1e_4_fails(verdicts, forces, precision):
    found = verdicts(GOOD, precision=precision, include=added(forces))
    assert found["energy balance at 0.0625 fs"] == FAIL
    assert found["all runs end"] == PASS
    assert found["angular momentum"] == (FAIL if forces is TURNED else PASS)


@pytest.mark.skipif(not CHECKPOINT.is_file(), reason="the published checkpoint is not there")
def test_the_published_student_fails_in_a_liquid(verdicts, tmp_path):
    file = tmp_path / "published.yaml"
    convert([str(CHECKPOINT), "-o", str(file)], standalone_mode=False)
    found = verdicts(file, "box:water", lengths=LIQUID)
    assert found["energy balance at 0.0625 fs"] == FAIL
    assert found["exponent of fluctuation with time step"] == FAIL
    assert found["angular momentum"] == SKIPPED


def test_a_box_from_a_file_goes_through_npt(verdicts, lammps, tmp_path):
    gas = Atoms(cell=[18.0] * 3, pbc=True)
    for corner in product((0.0, 9.0), repeat=3):
        one = molecule("CH4")
        one.translate(corner)
        gas += one
    io.write(tmp_path / "gas.xyz", gas)
    found = verdicts(GOOD, str(tmp_path / "gas.xyz"), lengths=GAS)
    assert found["all runs end"] == found["energy balance at 0.0625 fs"] == PASS
    for name in ("drift of the energy", "momentum", "fluctuation of the energy"):
        assert found[f"{name} after NPT"] == PASS
    edges = [
        [float(line.split()[1]) for line in (lammps.folder / "gas" / file).read_text().splitlines() if "xhi" in line]
        for file in ("start.data", "npt/start.data")
    ]
    assert edges[0] == [pytest.approx(18.0)] and abs(edges[1][0] - 18.0) > 1e-5


def test_a_run_that_lammps_stops_is_a_failure(verdicts):
    found = verdicts(GOOD, include="fix nothing all nosuch")
    assert found["long run ends"] == found["there and back ends"] == FAIL
    assert found["energy balance at 0.0625 fs"] == found["reversibility"] == SKIPPED
    assert "all runs end" not in found


def test_a_potential_of_random_weights_that_jumps_fails(verdicts):
    found = verdicts(FIXTURES / "distiller_f8_l2.yaml", "methane")
    assert FAIL in found.values()
