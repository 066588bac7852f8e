"""NVIDIA's compute-sanitizer on a few steps of mlff/student/kk: wherever it and a GPU are found.

memcheck: accesses out of bounds; racecheck: shared memory that two threads use without waiting for each other;
initcheck: memory that is read and was never written. LAMMPS's own kernels are looked at, too.
"""

import os
import shutil
from pathlib import Path

import pytest
from harness import FIXTURES, WIDE, System, fixture_system, header, pair, random_system

pytestmark = pytest.mark.parametrize("backend", ["kk"], indirect=True)

SMALL = FIXTURES / "painn_f24_l2_bessel_mollifier.yaml"
CLEAN = ("ERROR SUMMARY: 0 errors", "RACECHECK SUMMARY: 0 hazards")


@pytest.fixture
def sanitizer(lammps) -> str:
    """The program."""
    if not lammps.on_device:
        pytest.skip("compute-sanitizer needs a GPU, and MLFF_KOKKOS_ARGUMENTS has no 'g 1'")
    toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "bin" / "compute-sanitizer"
    found = shutil.which("compute-sanitizer") or (toolkit.exists() and str(toolkit))
    if not found:
        pytest.skip("there is no compute-sanitizer on the PATH or in CUDA_HOME")
    return found


#: Of a liquid there are more candidates than edges, and room that is not used between the rows of the edges.
SYSTEMS = {
    "molecule": lambda: (fixture_system(SMALL, "molecule"), SMALL),
    "liquid": lambda: (random_system("H O", 150, [11.5, 11.5, 11.5]), WIDE),
    "liquid of many tiles": lambda: (random_system("H O", 600, [18.2, 18.2, 18.2]), WIDE),
}


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_is_clean(lammps, sanitizer, name, tool):
    system, potential = SYSTEMS[name]()
    system.write_data(lammps.folder / "system.data")
    script = header(system) + pair(system, potential, "precision single") + steps(system)
    before = (sanitizer, "--tool", tool, "--error-exitcode", "9")
    output = lammps.run(script, before=before, timeout=600).output
    assert any(text in output for text in CLEAN), output


def steps(system: System) -> str:
    """A step with energy and virial, two without, and one with a new neighbour list."""
    units = "timestep 0.0001\nneigh_modify every 2 delay 0 check no\nthermo 4\n"
    return units + "velocity all create 30 1 loop all\nfix 1 all nve\nrun 4\n"
