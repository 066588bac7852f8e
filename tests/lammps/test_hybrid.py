"""hybrid and hybrid/overlay: NULL types, other styles beside the network."""

import numpy as np
import pytest
from harness import (
    OUTPUT,
    PAINN,
    System,
    assert_agree,
    fixture_system,
    header,
    pair,
    random_system,
    relative,
)


def mixed_system() -> tuple[System, np.ndarray]:
    """H and C, and a third of argon-like atoms that are not the network's."""
    system = random_system("H C Ar", 45, [9.0, 9.0, 9.0], distance=1.5)
    ours = np.array([s != "Ar" for s in system.symbols])
    return system, ours


def network_part(system: System, ours: np.ndarray) -> dict:
    part = System([s for s in system.symbols if s != "Ar"], system.positions[ours], system.cell)
    return part.oracle(PAINN)


def elements(system: System) -> str:
    return " ".join("NULL" if s == "Ar" else s for s in system.types)


def lj_alone(lammps, system: System, commands: str) -> dict:
    script = header(system) + "pair_style lj/cut 4.0\n" + commands + OUTPUT + "run 0\n"
    return lammps.results(lammps.run(script), system)


def test_hybrid_with_null(lammps):
    system, ours = mixed_system()
    system.write_data(lammps.folder / "system.data")
    hydrogen, carbon, argon = (system.types.index(s) + 1 for s in ("H", "C", "Ar"))
    pairs = [(argon, argon, 0.01), (argon, carbon, 0.005), (argon, hydrogen, 0.003)]
    pairs = [(min(i, j), max(i, j), e) for i, j, e in pairs]
    lj = "".join(f"pair_coeff {i} {j} lj/cut {e} 1.6\n" for i, j, e in pairs)
    none = "pair_coeff * * 0 1\n" + lj.replace(" lj/cut", "")
    expected = lj_alone(lammps, system, none)
    network = network_part(system, ours)
    expected["energy"] += network["energy"]
    expected["virial"] += network["virial"]
    for key in ("forces", "atomic_energies"):
        expected[key][ours] += network[key]
    del expected["stress"], expected["centroid"]
    for ranks in (1, 2):
        script = header(system) + f"""
pair_style hybrid mlff/student precision double lj/cut 4.0
pair_coeff * * mlff/student {PAINN} {elements(system)}
{lj}""" + OUTPUT + "run 0\n"  # fmt: skip
        result = lammps.results(lammps.run(script, ranks), system)
        stress = result["stress"].sum(axis=0)[[0, 3, 4, 3, 1, 5, 4, 5, 2]].reshape(3, 3)
        assert relative(stress, expected["virial"]) < 1e-10
        assert_agree(result, expected)


def test_overlay_adds_to_the_network(lammps):
    system = random_system("H C", 40, [9.0, 9.0, 9.0], distance=1.5)
    system.write_data(lammps.folder / "system.data")
    expected = lj_alone(lammps, system, "pair_coeff * * 0.01 1.6\n")
    network = system.oracle(PAINN)
    expected = {key: expected[key] + network[key] for key in network}
    for newton in ("on", "off"):
        script = header(system, newton=newton) + f"""
pair_style hybrid/overlay lj/cut 4.0 mlff/student precision double filters exact threads 1
pair_coeff * * lj/cut 0.01 1.6
pair_coeff * * mlff/student {PAINN} {' '.join(system.types)}
""" + OUTPUT + "run 0\n"  # fmt: skip
        assert_agree(lammps.results(lammps.run(script, 2), system), expected)


def test_overlay_with_null_sees_only_its_own_atoms(lammps):
    system, ours = mixed_system()
    system.write_data(lammps.folder / "system.data")
    network = network_part(system, ours)
    for ranks in (1, 2):
        script = header(system) + f"""
pair_style hybrid/overlay zero 5.0 mlff/student precision double
pair_coeff * * zero
pair_coeff * * mlff/student {PAINN} {elements(system)}
""" + OUTPUT + "run 0\n"  # fmt: skip
        result = lammps.results(lammps.run(script, ranks), system)
        assert relative(result["energy"], network["energy"]) < 1e-10
        assert relative(result["forces"][ours], network["forces"]) < 1e-10
        assert np.all(result["forces"][~ours] == 0.0)
        assert np.all(result["atomic_energies"][~ours] == 0.0)


def test_two_networks_in_one_run(lammps):
    system = random_system("H C", 40, [9.0, 9.0, 9.0])
    system.write_data(lammps.folder / "system.data")
    network = system.oracle(PAINN)
    script = header(system) + f"""
pair_style hybrid/overlay mlff/student precision double mlff/student precision double
pair_coeff * * mlff/student 1 {PAINN} {' '.join(system.types)}
pair_coeff * * mlff/student 2 {PAINN} {' '.join(system.types)}
""" + OUTPUT + "run 0\n"  # fmt: skip
    result = lammps.results(lammps.run(script, 2), system)
    assert_agree(result, {key: 2 * value for key, value in network.items()})


def test_pairs_given_to_another_style_are_refused(lammps):
    system, _ = mixed_system()
    system.write_data(lammps.folder / "system.data")
    hydrogen, carbon, argon = (system.types.index(s) + 1 for s in ("H", "C", "Ar"))
    low, high = min(hydrogen, carbon), max(hydrogen, carbon)
    script = header(system) + f"""
pair_style hybrid mlff/student lj/cut 4.0
pair_coeff * * lj/cut 0.01 1.6
pair_coeff * * mlff/student {PAINN} {elements(system)}
pair_coeff {low} {high} lj/cut 0.01 1.6
run 0
"""
    message = lammps.error(script)
    assert f"the pairs of types {low} and {high} to another style" in message


def test_types_that_change_without_a_new_neighbour_list(lammps):
    # as fix atom/swap does it
    if lammps.on_device:
        pytest.skip("LAMMPS's command set tells devices of new types at the next setup only")
    system = fixture_system(PAINN, "molecule")
    system.write_data(lammps.folder / "system.data")
    other = len(system.types) + 1 - system.type_of_atom[0]
    script = header(system) + pair(system, PAINN) + OUTPUT
    script += "neigh_modify delay 100 check no\nthermo 1\nrun 0\n"
    script += f"set atom 1 type {other}\nrun 1 pre no\n"
    changed = System([system.types[other - 1], *system.symbols[1:]], system.positions)
    assert changed.symbols != system.symbols
    assert_agree(lammps.results(lammps.run(script), system), changed.oracle(PAINN))
