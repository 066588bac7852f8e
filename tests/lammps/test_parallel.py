"""MPI: 2 and 4 ranks give what one gives, wherever the atoms lie."""

import re

import numpy as np
import pytest
from harness import (
    DEEP,
    OUTPUT,
    PAINN,
    System,
    assert_agree,
    fixture_system,
    header,
    pair,
    random_system,
    single_point,
)

TRICLINIC = [[11.0, 0, 0], [4.0, 10.0, 0], [-3.0, 2.5, 9.0]]


@pytest.mark.parametrize("newton", ["on", "off"])
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_agree_with_the_reference(lammps, ranks, newton):
    system = random_system("O H N", 60, [12.0, 10.0, 9.0])
    assert_agree(lammps.evaluate(system, DEEP, ranks, newton=newton), system.oracle(DEEP))


@pytest.mark.parametrize("grid", ["4 1 1", "1 4 1", "1 1 4", "2 2 1", "2 1 2"])
def test_layouts_of_processors_in_a_triclinic_box(lammps, grid):
    system = random_system("O H N", 50, TRICLINIC)
    result = lammps.evaluate(system, DEEP, 4, extra=f"processors {grid}")
    assert_agree(result, system.oracle(DEEP))


@pytest.mark.parametrize("newton", ["on", "off"])
@pytest.mark.parametrize("ranks", [2, 4])
def test_boxes_below_the_cutoff(lammps, ranks, newton):
    # Each rank has images of its own atoms among its ghosts, also ones that came over another rank.
    system = random_system("O H N", 10, [4.0, 2.6, 3.4], distance=1.1)
    assert_agree(lammps.evaluate(system, DEEP, ranks, newton=newton), system.oracle(DEEP))


@pytest.mark.parametrize("cut", [0.3, 0.5, 0.7])
def test_molecule_in_vacuum_across_a_rank_boundary(lammps, cut):
    system = fixture_system(PAINN, "molecule")
    system.write_data(lammps.folder / "system.data")
    script = header(system, extra="processors 2 2 1") + f"balance 1.0 x {cut} y {1 - cut}\n"
    run = lammps.run(script + pair(system, PAINN) + OUTPUT + "run 0\n", 4)
    assert_agree(lammps.results(run, system), system.oracle(PAINN))


def test_ranks_that_own_no_atom(lammps):
    inside = random_system("O H N", 8, [4.0, 4.0, 4.0], distance=1.2)
    for cell in (np.diag([60.0, 5.0, 5.0]), np.diag([60.0, 60.0, 60.0])):
        system = System(inside.symbols, inside.positions, cell)
        for grid in ("4 1 1", "1 2 2"):
            result = lammps.evaluate(system, DEEP, 4, extra=f"processors {grid}")
            assert_agree(result, system.oracle(DEEP))


def test_no_atom_at_all(lammps):
    system = System(["H", "O"], np.array([[1.0, 1, 1], [4.0, 4, 4]]), np.diag([20.0, 20.0, 20.0]))
    system.write_data(lammps.folder / "system.data")
    script = header(system) + "delete_atoms group all\n" + pair(system, DEEP, "precision mixed")
    for ranks in (1, 2):
        row = lammps.run(
            script + "thermo_style custom step pe\nthermo_modify line yaml\nrun 0\n", ranks
        ).thermo()[-1]
        assert row["PotEng"] == 0.0


def test_tiled_communication(lammps):
    system = random_system("O H N", 60, [14.0, 9.0, 9.0])
    extra = "comm_style tiled"
    system.write_data(lammps.folder / "system.data")
    script = (
        header(system, extra=extra) + "balance 1.0 rcb\n" + pair(system, DEEP) + OUTPUT + "run 0\n"
    )
    for ranks in (2, 4):
        assert_agree(lammps.results(lammps.run(script, ranks), system), system.oracle(DEEP))


@pytest.mark.parametrize("ranks", [2, 4])
def test_atoms_that_change_ranks_during_a_run(lammps, ranks):
    # Fast atoms and a thin skin: many new neighbour lists, while atoms and ghosts come and go.
    system = random_system("H C", 60, [12.0, 10.0, 9.0])
    system.write_data(lammps.folder / "system.data")
    extra = "neighbor 0.2 bin\nneigh_modify delay 0 every 1 check yes"
    script = header(system, extra=extra) + "velocity all create 60000 87287 loop all\n"
    script += (
        pair(system, PAINN) + "fix 1 all nve\ntimestep 0.0002\n" + OUTPUT + "thermo 10\nrun 20\n"
    )
    one = lammps.run(script)
    reference, atoms = one.thermo(), one.dump()
    several = lammps.run(script, ranks)
    assert int(re.search(r"Neighbor list builds = (\d+)", several.output)[1]) > 5
    for row, expected in zip(several.thermo(), reference, strict=True):
        for key in expected:
            assert row[key] == pytest.approx(expected[key], rel=1e-8, abs=1e-8), key
    for key, values in several.dump().items():
        np.testing.assert_allclose(values, atoms[key], rtol=0, atol=1e-7 * np.abs(atoms[key]).max())


@pytest.mark.parametrize(
    "settings", ["precision mixed", "precision single", "precision mixed filters exact"]
)
def test_reduced_precision_on_several_ranks(lammps, settings):
    # Sums of floats may come in another order, not more.
    system = random_system("O H N", 60, [12.0, 10.0, 9.0])
    one = lammps.evaluate(system, DEEP, settings=settings)
    assert_agree(lammps.evaluate(system, DEEP, 4, settings=settings), one, 1e-4)


def test_hybrid_reserves_buffers_for_the_halo(lammps):
    system = random_system("O H N", 60, [12.0, 10.0, 9.0])
    system.write_data(lammps.folder / "system.data")
    commands = f"""
pair_style hybrid/overlay mlff/student precision double zero 3.0
pair_coeff * * mlff/student {DEEP} {' '.join(system.types)}
pair_coeff * * zero
"""
    for newton in ("on", "off"):
        script = header(system, newton=newton) + commands + OUTPUT + "run 0\n"
        assert_agree(lammps.results(lammps.run(script, 4), system), system.oracle(DEEP))


def test_threads_change_no_bit(lammps):
    if lammps.kokkos:
        pytest.skip("the threads are LAMMPS's own, see test_kokkos.py")
    system = random_system("O H N", 60, [12.0, 10.0, 9.0])
    system.write_data(lammps.folder / "system.data")
    frames = []
    for threads in (1, 2, 3):
        settings = f"precision mixed threads {threads}"
        run = lammps.run(single_point(system, DEEP, settings))
        assert f"threads {threads}" in run.output
        frames.append((lammps.folder / "dump.txt").read_bytes())
    assert frames[0] == frames[1] == frames[2]
