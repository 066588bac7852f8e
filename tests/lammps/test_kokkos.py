"""mlff/student/kk: what is its own. All other tests here run with it, too, see conftest.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import (
    DEEP,
    ENVIRONMENT,
    OUTPUT,
    PAINN,
    WIDE,
    Lammps,
    System,
    assert_agree,
    fixture_system,
    header,
    pair,
    random_system,
    single_point,
)

pytestmark = pytest.mark.parametrize("backend", ["kk"], indirect=True)


@pytest.fixture
def kokkos(lammps: Lammps) -> Lammps:
    return lammps


def start(lammps: Lammps) -> tuple[str, ...]:
    """The arguments that switch Kokkos on, without package settings and suffix."""
    return lammps.arguments[: lammps.arguments.index("-pk")]


def host_results(lammps: Lammps, system: System, script: str, ranks: int = 1) -> dict:
    """The same script with the host's style in the same LAMMPS, without Kokkos."""
    return lammps.results(lammps.run(script, ranks, instead=()), system)


SYSTEMS = {
    "orthogonal": lambda: random_system("O H N", 60, [12.0, 10.0, 9.0]),
    "triclinic": lambda: random_system("O H N", 50, [[11.0, 0, 0], [4.0, 10.0, 0], [-3.0, 2.5, 9.0]]),
    "below the cutoff": lambda: random_system("O H N", 10, [4.0, 2.6, 3.4], distance=1.1),
    "molecule": lambda: fixture_system(DEEP, "molecule"),
}  # fmt: skip


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("name", SYSTEMS)
def test_agrees_with_the_host(kokkos, name, ranks):
    system = SYSTEMS[name]()
    system.write_data(kokkos.folder / "system.data")
    for settings in ("precision double", "precision double filters spline"):
        expected = host_results(kokkos, system, single_point(system, DEEP, settings))
        for newton in ("on", "off"):
            script = single_point(system, DEEP, settings, newton=newton)
            assert_agree(kokkos.results(kokkos.run(script, ranks), system), expected)


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize(
    "package",
    [
        "neigh full newton off",
        "neigh full newton off comm device",
        "neigh half newton on comm device",
        "neigh half newton off comm device",
        "neigh half newton on comm/pair/forward device comm/pair/reverse no",
        "neigh half newton on comm/pair/forward no comm/pair/reverse device",
        "neigh half newton on comm host",
        "neigh half newton on comm no sort device atom/map device",
    ],
)
def test_package_settings(kokkos, package, ranks):
    system = random_system("O H N", 60, [[11.0, 0, 0], [4.0, 10.0, 0], [-3.0, 2.5, 9.0]])
    system.write_data(kokkos.folder / "system.data")
    instead = (*start(kokkos), "-pk", "kokkos", *package.split(), "-sf", "kk")
    script = single_point(system, DEEP).replace("newton on", "")
    assert "newton" not in script
    run = kokkos.run(script, ranks, instead=instead)
    assert_agree(kokkos.results(run, system), system.oracle(DEEP))


def test_newton_on_with_full_lists_is_lammps_own_error(kokkos):
    system = random_system("O H N", 20, [8.0, 8.0, 8.0])
    system.write_data(kokkos.folder / "system.data")
    instead = (*start(kokkos), "-pk", "kokkos", "neigh", "full", "newton", "on", "-sf", "kk")
    message = kokkos.error(single_point(system, DEEP), instead=instead)
    assert "Must use 'newton off' with KOKKOS package option 'neigh full'" in message


@pytest.mark.parametrize("style", ["kk", "kk/device", "kk/host"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_named_outright(kokkos, style, ranks):
    system = random_system("O H N", 40, [9.0, 8.0, 8.0])
    system.write_data(kokkos.folder / "system.data")
    script = single_point(system, DEEP).replace("mlff/student", f"mlff/student/{style}")
    run = kokkos.run(script, ranks)
    assert f"Pair style mlff/student/{style}: " in run.output
    assert_agree(kokkos.results(run, system), system.oracle(DEEP))


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_host_style_beside_kokkos(kokkos, ranks):
    # without the suffix: the host's style, its data kept up to date by LAMMPS
    system = random_system("O H N", 40, [9.0, 8.0, 8.0])
    system.write_data(kokkos.folder / "system.data")
    run = kokkos.run(header(system) + "suffix off\n" + pair(system, DEEP) + OUTPUT + "run 0\n", ranks)
    assert "Pair style mlff/student: " in run.output
    assert_agree(kokkos.results(run, system), system.oracle(DEEP))


def test_without_kokkos_enabled(kokkos):
    system = random_system("O H N", 40, [9.0, 8.0, 8.0])
    system.write_data(kokkos.folder / "system.data")
    script = single_point(system, DEEP)
    assert_agree(host_results(kokkos, system, script), system.oracle(DEEP))
    message = kokkos.error(script.replace("mlff/student", "mlff/student/kk"), instead=("-k", "off"))
    assert "mlff/student/kk needs Kokkos to be enabled" in message


def test_threads_of_lammps_change_no_bit(kokkos):
    if "g" in start(kokkos):
        pytest.skip("LAMMPS runs on a GPU")
    system = random_system("O H N", 60, [12.0, 10.0, 9.0])
    system.write_data(kokkos.folder / "system.data")
    frames = []
    for threads in ("1", "2", "3"):
        instead = ("-k", "on", "t", threads, *kokkos.arguments[kokkos.arguments.index("-pk") :])
        # the style's own keyword is accepted, for scripts that are used with and without Kokkos
        script = single_point(system, DEEP, "precision mixed threads 4")
        run = kokkos.run(script, instead=instead)
        assert f"using {threads} OpenMP thread" in run.output and "threads 4" not in run.output
        frames.append((kokkos.folder / "dump.txt").read_bytes())
    assert frames[0] == frames[1] == frames[2]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("package", ["neigh full newton off", "neigh half newton on"])
def test_overlay_of_kokkos_styles(kokkos, package, ranks):
    system = random_system("H C", 40, [9.0, 9.0, 9.0], distance=1.5)
    system.write_data(kokkos.folder / "system.data")
    style = f"""
pair_style hybrid/overlay lj/cut 4.0 mlff/student precision double
pair_coeff * * lj/cut 0.01 1.6
pair_coeff * * mlff/student {PAINN} {' '.join(system.types)}
"""
    script = header(system).replace("newton on", "") + style + OUTPUT + "run 0\n"
    expected = host_results(kokkos, system, script)
    instead = (*start(kokkos), "-pk", "kokkos", *package.split(), "-sf", "kk")
    run = kokkos.run(script, ranks, instead=instead)
    assert "mlff/student/kk: " in run.output
    assert_agree(kokkos.results(run, system), expected)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("package", ["neigh full newton off", "neigh half newton on comm device"])
def test_trajectory_is_the_host_s(kokkos, package, ranks):
    # NPT with new neighbour lists, sorted atoms, and steps on which nothing but forces is wanted
    system = random_system("H C N", 60, [[9.0, 0, 0], [1.0, 9.0, 0], [-1.0, 0.5, 8.5]])
    system.write_data(kokkos.folder / "system.data")
    script = header(system).replace("newton on", "") + pair(system, PAINN) + OUTPUT
    script += """
atom_modify sort 3 2.0
neighbor 0.3 bin
neigh_modify delay 0 every 1 check yes
velocity all create 600 1 loop all
fix 1 all npt temp 600 600 0.05 aniso 0 0 0.5
timestep 0.0005
thermo 7
run 40
"""
    expected = host_results(kokkos, system, script, ranks)
    instead = (*start(kokkos), "-pk", "kokkos", *package.split(), "-sf", "kk")
    run = kokkos.run(script, ranks, instead=instead)
    assert int(re.findall(r"Neighbor list builds = (\d+)", run.output)[-1]) > 3
    assert_agree(kokkos.results(run, system), expected, 1e-7)  # two ways to round, 40 steps long


@pytest.mark.parametrize("ranks", [1, 2])
def test_trouble_between_two_outputs_stops_the_run(kokkos, ranks):
    # No energy is wanted in between, so nothing waits for the step in which it comes about.
    system = random_system("H C", 20, [8.0, 8.0, 8.0])
    system.positions[4:6] = [[1.0, 1.0, 1.0], [2.0, 1.0, 1.0]]
    system.write_data(kokkos.folder / "system.data")
    script = header(system) + pair(system, PAINN, "precision mixed") + """
group mover id 5
group others subtract all mover
variable dx equal step>=7
variable zero equal 0
fix 1 mover move variable v_dx v_zero v_zero v_zero v_zero v_zero
fix 2 others setforce 0 0 0
timestep 0.0001
thermo 1000
run 1000
"""  # fmt: skip
    message = kokkos.error(script, ranks)
    assert re.search(
        r"kk: two atoms are on the same spot at step [78], first seen at atom (5|6) .*\(2, 1, 1\)",
        message,
    ), message


@pytest.mark.parametrize("potential", [PAINN, WIDE], ids=["32 channels", "128 channels"])
def test_each_size_has_its_kernels(kokkos, potential):
    """On a GPU: a block an atom, filters through the caches, in shared memory, edges placed apart."""
    system = random_system("H O", 60, [9.0, 8.5, 9.5])
    expected = kokkos.evaluate(system, potential, settings="precision double filters spline")
    largest = np.abs(expected["forces"]).max()
    columns = "dump out all custom 1 dump.txt id fx fy fz\ndump_modify out sort id format float %.9g\n"
    thermo = "thermo_style custom step pe\nthermo_modify line yaml format float %.17g\n"
    for copies in ("1 1 1", "3 3 2", "4 4 3", "5 5 5"):
        script = header(system) + f"replicate {copies}\n"
        script += pair(system, potential, "precision single filters spline") + thermo + columns
        run = kokkos.run(script + "run 0\n")
        atoms = run.dump()
        forces = np.stack([atoms[x] for x in ("fx", "fy", "fz")], axis=1).reshape(-1, 60, 3)
        energy = run.thermo()[-1]["PotEng"] / len(forces)
        assert abs(energy - expected["energy"]) < 60 * 1e-5, copies
        assert np.abs(forces - expected["forces"]).max() < 1e-4 * largest, copies


def test_a_run_behind_a_minimisation(kokkos):
    # Forces are added to others in the one, set in the other, and a GPU replays what it recorded.
    system = random_system("H C", 20, [8.0, 8.0, 8.0])
    system.write_data(kokkos.folder / "system.data")
    for precision, tolerance in (("double", 1e-8), ("single", 1e-3)):
        script = header(system, newton="off") + pair(system, PAINN, f"precision {precision}") + OUTPUT
        script += "fix 1 all nve\ntimestep 0.0002\nminimize 0 0 4 10\nrun 6\nminimize 0 0 4 10\nrun 6\n"
        expected = host_results(kokkos, system, script)
        assert_agree(kokkos.results(kokkos.run(script), system), expected, tolerance)


def test_memory_does_not_grow_during_a_run(kokkos):
    system = random_system("H C", 40, [9.0, 9.0, 9.0])
    system.write_data(kokkos.folder / "system.data")
    script = header(system) + pair(system, PAINN) + "velocity all create 300 1\nfix 1 all nve\n"
    script += "timestep 0.0005\nneigh_modify delay 0 every 1 check no\nrun 0\nrun 50\nrun 0\n"
    found = re.findall(r"^Per MPI rank memory .* = ([\d.]+)", kokkos.run(script).output, re.M)
    assert float(found[2]) < 1.3 * float(found[1])


LIBRARY = """
import ctypes, sys
library, plugin, data, potential, elements, *arguments = sys.argv[1:]
lib = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
lib.lammps_open_no_mpi.restype = ctypes.c_void_p
lib.lammps_get_thermo.restype = ctypes.c_double
lib.lammps_get_thermo.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
lib.lammps_commands_string.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
lib.lammps_close.argtypes = lib.lammps_has_error.argtypes = [ctypes.c_void_p]
lib.lammps_get_last_error_message.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
def start(precision):
    words = [b"lmp", b"-log", b"none", b"-screen", b"none"] + [w.encode() for w in arguments]
    lmp = lib.lammps_open_no_mpi(len(words), (ctypes.c_char_p * len(words))(*words), None)
    run(lmp, f'''
plugin load {plugin}
units metal
read_data {data}
pair_style mlff/student precision {precision}
pair_coeff * * {potential} {elements}
fix 1 all nve
timestep 0.0005
run 0''')
    return lmp
def run(lmp, commands):
    lib.lammps_commands_string(lmp, commands.encode())
    if lib.lammps_has_error(lmp):
        message = ctypes.create_string_buffer(1000)
        lib.lammps_get_last_error_message(lmp, message, 1000)
        raise RuntimeError(message.value.decode())
def energy(lmp):
    return lib.lammps_get_thermo(lmp, b"pe")
"""
INSTANCES = """
first, second, third = start("double"), start("double"), start("single")
assert energy(first) == energy(second) != energy(third), "start"
for _ in range(3):
    run(first, "run 2")
    run(second, "run 2")
assert energy(first) == energy(second), "interleaved"
lib.lammps_close(first)
run(second, "run 2")
run(third, "run 8")
assert abs(energy(second) - energy(third)) < 1e-3, "after another was closed"
lib.lammps_close(second)
lib.lammps_close(third)
lib.lammps_kokkos_finalize()
lib.lammps_mpi_finalize()
print("all instances agree")
"""


def call_library(kokkos: Lammps, system: System, program: str) -> str:
    """What a Python program prints that is given LAMMPS's library, the plugin, a data file, the
    potential, elements, and LAMMPS's arguments."""
    library = next(Path(kokkos.lmp).parent.glob("liblammps.so*"), None)
    if library is None:
        pytest.skip("no liblammps.so beside lmp")
    system.write_data(kokkos.folder / "system.data")
    elements = " ".join(system.types)
    command = [sys.executable, "-c", program, str(library), str(kokkos.plugin), "system.data"]
    done = subprocess.run(
        [*command, str(PAINN), elements, *kokkos.arguments], cwd=kokkos.folder, text=True, capture_output=True,
        timeout=120, env=os.environ | ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr  # what it loaded is torn down at its end, too
    return done.stdout + done.stderr


def test_several_instances_in_one_process(kokkos):
    system = random_system("H C", 20, [8.0, 8.0, 8.0])
    output = call_library(kokkos, system, LIBRARY + INSTANCES)
    assert "all instances agree" in output, output


def test_loaded_but_not_used(kokkos):
    script = kokkos.load() + "plugin list\nplugin unload pair mlff/student/kk\nplugin clear\n"
    output = kokkos.run(script).output
    for name in ("mlff/student", "mlff/student/kk", "mlff/student/kk/device", "mlff/student/kk/host"):
        assert re.search(rf"pair style plugin {name}\s", output), output


CHANGING_TYPES = """
@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, *[ctypes.c_void_p] * 3)
def exchange(_, step, local, ids, x, f):
    types = ctypes.cast(lib.lammps_extract_atom(lmp, b"type"), ctypes.POINTER(ctypes.c_int))
    types[0] = 3 - types[0]
lib.lammps_extract_atom.restype = ctypes.c_void_p
lib.lammps_extract_atom.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
lib.lammps_set_fix_external_callback.argtypes = [ctypes.c_void_p, ctypes.c_char_p] + [ctypes.c_void_p] * 2
def first(lmp, what):
    return ctypes.cast(lib.lammps_extract_atom(lmp, what), ctypes.POINTER(ctypes.c_int))[0]
for precision, tolerance in (("double", 0.0), ("single", 1e-4)):
    lmp = start(precision)
    before = energy(lmp)
    run(lmp, f"unfix 1\\nset atom {first(lmp, b'id')} type {3 - first(lmp, b'type')}\\nrun 0")
    other = energy(lmp)
    run(lmp, f"set atom {first(lmp, b'id')} type {3 - first(lmp, b'type')}\\nrun 0")
    assert energy(lmp) == before, precision
    run(lmp, "fix 2 all external pf/callback 1 1\\nneigh_modify delay 100 check no")
    lib.lammps_set_fix_external_callback(lmp, b"2", ctypes.cast(exchange, ctypes.c_void_p), lmp)
    energies = []
    for pre in ("yes", "no", "no", "no"):  # setting up calls it, too, and types change after the forces
        run(lmp, f"run 1 pre {pre}")
        energies.append(energy(lmp))
    assert energies[0] == energies[2] != energies[1] == energies[3], (precision, energies)
    for found, expected in zip(sorted(energies[:2]), sorted((before, other))):
        assert abs(found - expected) <= tolerance, (precision, energies, before, other)
    lib.lammps_close(lmp)
lib.lammps_kokkos_finalize()
lib.lammps_mpi_finalize()
print("types seen")
"""


def test_types_that_a_fix_changes_on_the_host(kokkos):
    # and keeps the neighbour list, as fix atom/swap does
    system = random_system("H C", 20, [8.0, 8.0, 8.0])
    output = call_library(kokkos, system, LIBRARY + CHANGING_TYPES)
    assert "types seen" in output, output
