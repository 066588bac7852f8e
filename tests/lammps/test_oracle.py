"""The pair style against the NumPy reference, and LAMMPS settings that must not change a digit."""

import numpy as np
import pytest
from harness import (
    DEEP,
    FIXTURES,
    KCAL_IN_EV,
    OUTPUT,
    PAINN,
    System,
    assert_agree,
    fixture_system,
    header,
    pair,
    random_system,
    relative,
    single_point,
)

POTENTIALS = sorted(path for path in FIXTURES.glob("*.yaml"))


@pytest.mark.parametrize(
    "structure", ["molecule_and_lone_atom", "triclinic_box", "cell_below_the_cutoff"]
)
@pytest.mark.parametrize("potential", POTENTIALS, ids=lambda path: path.stem)
def test_every_network_agrees_with_the_reference(lammps, potential, structure):
    system = fixture_system(potential, structure)
    assert_agree(lammps.evaluate(system, potential), system.oracle(potential))


@pytest.mark.parametrize("structure", ["isolated_atom", "two_atoms", "two_atoms_beyond_the_cutoff"])
def test_very_small_systems(lammps, structure):
    system = fixture_system(PAINN, structure)
    assert_agree(lammps.evaluate(system, PAINN), system.oracle(PAINN))


@pytest.mark.parametrize("newton", ["on", "off", "on off", "off on"])
def test_newton_setting_changes_nothing(lammps, newton):
    system = random_system("H C O", 40, [9.0, 8.0, 7.0])
    assert_agree(lammps.evaluate(system, PAINN, newton=newton), system.oracle(PAINN))


@pytest.mark.parametrize("boundary", ["f f f", "s s s", "m m m", "p f s", "s p p"])
def test_open_and_periodic_boundaries(lammps, boundary):
    # In the periodic directions the box is so long that images lie beyond the cutoff.
    system = fixture_system(PAINN, "molecule")
    system.write_data(lammps.folder / "system.data")
    script = header(system, boundary="f f f")
    script += "change_box all x final -30 30 y final -30 30 z final -30 30\n"
    script += f"change_box all boundary {boundary}\n"
    run = lammps.run(script + pair(system, PAINN) + OUTPUT + "run 0\n")
    assert_agree(lammps.results(run, system), system.oracle(PAINN))


def test_a_slab_is_not_periodic_across_its_open_sides(lammps):
    system = random_system("H C", 20, [8.0, 8.0, 5.0])
    expected = System(system.symbols, system.positions, np.diag([8.0, 8.0, 50.0])).oracle(PAINN)
    result = lammps.evaluate(system, PAINN, boundary="p p f")
    del expected["virial"]
    assert_agree(result, expected)


def test_triclinic_box(lammps):
    system = random_system("H C N O", 40, [[9.0, 0, 0], [4.0, 8.0, 0], [-3.0, 2.5, 7.5]])
    assert_agree(lammps.evaluate(system, PAINN), system.oracle(PAINN))


@pytest.mark.parametrize("edges", [[2.1, 2.3, 2.7], [1.9, 30.0, 2.4], [12.0, 12.0, 1.8]])
def test_boxes_below_the_cutoff(lammps, edges):
    number = 2 if min(edges[1:]) < 3 and edges[0] < 3 else 4
    system = random_system("H C", number, edges, distance=1.0)
    assert_agree(lammps.evaluate(system, PAINN), system.oracle(PAINN))


def test_several_types_of_one_element(lammps):
    plain = random_system("H C", 30, [8.0, 8.0, 8.0])
    types = ["C", "H", "C", "H", "H"]
    of_atom = [[3, 1][k % 2] if s == "C" else [2, 4, 5][k % 3] for k, s in enumerate(plain.symbols)]
    system = System(plain.symbols, plain.positions, plain.cell, types, of_atom)
    assert_agree(lammps.evaluate(system, PAINN), plain.oracle(PAINN))


@pytest.mark.parametrize(
    "name", ["painn_f24_l2_bessel_mollifier", "painn_f128_l3_kcal", "painn_f8_l2_bohr"]
)
def test_units_real(lammps, name):
    potential = FIXTURES / f"{name}.yaml"
    system = fixture_system(potential, "molecule")
    result = lammps.evaluate(system, potential, units="real")
    expected = system.oracle(potential)
    assert relative(result["energy"] * KCAL_IN_EV, expected["energy"]) < 1e-10
    assert relative(result["atomic_energies"] * KCAL_IN_EV, expected["atomic_energies"]) < 1e-10
    assert relative(result["forces"] * KCAL_IN_EV, expected["forces"]) < 1e-10


def test_pressure_in_units_real(lammps):
    system = random_system("H C", 30, [8.0, 8.0, 8.0])
    system.write_data(lammps.folder / "system.data")
    row = lammps.run(single_point(system, PAINN, units="real")).thermo()[-1]
    atmospheres = 68568.415  # LAMMPS's constant for kcal/mol/Angstrom^3
    expected = system.oracle(PAINN)["virial"][0, 1] / KCAL_IN_EV * atmospheres / system.volume
    assert row["c_vir[4]"] == pytest.approx(expected, rel=1e-9)


def test_per_atom_virials_sum_to_the_pressure(lammps):
    system = random_system("H C N O", 40, [[9.0, 0, 0], [2.0, 8.0, 0], [1.0, 1.5, 8.0]])
    result = lammps.evaluate(system, PAINN)
    full = [0, 3, 4, 3, 1, 5, 4, 5, 2]
    stress = result["stress"].sum(axis=0)[full].reshape(3, 3)
    centroid = result["centroid"].sum(axis=0)[[0, 3, 4, 6, 1, 5, 7, 8, 2]].reshape(3, 3)
    assert relative(stress, result["virial"]) < 1e-11
    assert relative(centroid, system.oracle(PAINN)["virial"]) < 1e-10
    # stress/atom is the symmetric part, atom by atom
    ce = result["centroid"]
    assert relative(0.5 * (ce[:, 3:6] + ce[:, 6:9]), result["stress"][:, 3:6]) < 1e-12
    assert relative(ce[:, :3], result["stress"][:, :3]) < 1e-12
    assert relative(ce[:, 6:9], ce[:, 3:6]) > 1e-3, "edges carry forces that are not along the edge"


def test_the_list_may_be_longer_than_the_cutoff(lammps):
    system = random_system("H C", 30, [8.0, 8.0, 8.0])
    others = () if lammps.kokkos else ("neighbor 0.3 nsq", "neighbor 1.0 multi")
    for extra in ("neighbor 4.0 bin", *others):  # KOKKOS builds lists with bins alone
        result = lammps.evaluate(system, PAINN, extra=extra)
        assert_agree(result, system.oracle(PAINN))
    result = lammps.evaluate(system, PAINN, extra="comm_modify cutoff 9.0")
    assert_agree(result, system.oracle(PAINN))


def test_deep_network_in_a_small_box(lammps):
    system = random_system("O H N", 12, [4.0, 4.5, 5.0], distance=1.2)
    assert_agree(lammps.evaluate(system, DEEP), system.oracle(DEEP))
