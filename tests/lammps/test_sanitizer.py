"""NVIDIA's compute-sanitizer on a few steps of mlff/student/kk: wherever it and a GPU are found.

memcheck: accesses out of bounds; racecheck: shared memory that two threads use without waiting for each other;
initcheck: memory that is read and was never written. LAMMPS's own kernels are looked at, too.
"""

import os
import shutil
from pathlib import Path

import pytest
from harness import DISTILLER, PAINN, WIDE, fixture_system, header, pair, random_system

pytestmark = pytest.mark.parametrize("backend", ["kk"], indirect=True)

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
    "molecule": lambda: (fixture_system(PAINN, "molecule"), PAINN),
    "liquid": lambda: (random_system("H O", 150, [11.5, 11.5, 11.5]), WIDE),
    "liquid of many tiles": lambda: (random_system("H O", 600, [18.2, 18.2, 18.2]), WIDE),
    "small liquid": lambda: (random_system("H C N O", 40, [7.4, 7.4, 7.4]), PAINN),
    "small liquid, mlff-distiller": lambda: (random_system("H C O", 40, [7.4, 7.4, 7.4]), DISTILLER),
}
CASES = [
    *((name, "single", tool) for name in SYSTEMS for tool in ("memcheck", "racecheck", "initcheck")),
    *(("small liquid", "double", tool) for tool in ("memcheck", "initcheck")),  # portable kernels, exact filters
]
#: Energy and virial on steps 0 and 4, new neighbour lists on steps 2 and 4; `newton off`, the default on GPUs, with
#: which forces are set and LAMMPS does not clear them.
STEPS = """
timestep 0.0001
neigh_modify every 2 delay 0 check no
thermo 4
velocity all create 30 1 loop all
fix 1 all nve
run 4
"""


@pytest.mark.parametrize("name, precision, tool", CASES)
def test_is_clean(lammps, sanitizer, name, precision, tool):
    system, potential = SYSTEMS[name]()
    system.write_data(lammps.folder / "system.data")
    script = header(system, newton="off") + pair(system, potential, f"precision {precision}") + STEPS
    before = (sanitizer, "--tool", tool, "--error-exitcode", "9")
    output = lammps.run(script, before=before, timeout=600).output
    assert any(text in output for text in CLEAN), output
