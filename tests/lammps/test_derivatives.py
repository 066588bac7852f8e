"""Forces and pressure are the derivatives of the energy; reduced precision and splines are close enough."""

import numpy as np
import pytest
from ase.build import molecule
from harness import DEEP, FIXTURES, OUTPUT, PAINN, System, header, pair, random_system, relative

SHIPPED = [
    path
    for path in sorted((FIXTURES.parents[1] / "potentials").rglob("*.yaml"))
    if path.read_text(errors="replace").startswith("# DATE:")
]
DISPLACEMENTS = (-2, -1, 1, 2)
WEIGHTS = np.array([1, -8, 8, -1]) / 12  # central difference of fourth order


@pytest.mark.parametrize("settings", ["precision double", "precision double filters spline"])
def test_forces_are_the_derivative_of_the_energy(lammps, settings):
    system = random_system("H C N O", 24, [7.0, 6.5, 6.0])
    system.write_data(lammps.folder / "system.data")
    step, chosen = 2e-4, [(1, "x"), (7, "y"), (12, "z"), (19, "x"), (24, "y")]
    script = header(system) + pair(system, PAINN, settings) + OUTPUT + "run 0\n"
    for atom, axis in chosen:
        script += f"group moved id {atom}\n"
        for k in DISPLACEMENTS:
            there = " ".join(f"{k * step if x == axis else 0:.17g}" for x in "xyz")
            back = " ".join(f"{-k * step if x == axis else 0:.17g}" for x in "xyz")
            script += (
                f"displace_atoms moved move {there}\nrun 0\ndisplace_atoms moved move {back}\n"
            )
        script += "group moved delete\n"
    run = lammps.run(script)
    rows, atoms = run.thermo(), run.dump(frame=0)
    energies = np.array([row["PotEng"] for row in rows[1:]]).reshape(len(chosen), 4)
    forces = [atoms["f" + axis][atom - 1] for atom, axis in chosen]
    all_forces = np.stack([atoms[x] for x in ("fx", "fy", "fz")])
    deviation = np.abs(-energies @ WEIGHTS / step - forces).max() / np.sqrt(np.mean(all_forces**2))
    assert deviation < 1e-8


@pytest.mark.parametrize("potential", [PAINN, DEEP], ids=lambda path: path.stem)
def test_pressure_is_the_derivative_of_the_energy(lammps, potential):
    # Strains of a box below twice the cutoff, so that images take part: x -> x + strain * y and so on.
    system = random_system("H O N", 24, [6.5, 6.0, 7.0])
    system.write_data(lammps.folder / "system.data")
    edges, strain = np.diag(system.cell), 5e-5
    script = (
        header(system) + "change_box all triclinic\n" + pair(system, potential) + OUTPUT + "run 0\n"
    )
    for d, axis in enumerate("xyz"):
        for k in DISPLACEMENTS:
            script += f"change_box all {axis} final 0 {edges[d] * (1 + k * strain):.17g} remap units box\nrun 0\n"
        script += f"change_box all {axis} final 0 {edges[d]:.17g} remap units box\n"
    for tilt, edge in (("xy", 1), ("xz", 2), ("yz", 2)):
        for k in DISPLACEMENTS:
            script += f"change_box all {tilt} final {k * strain * edges[edge]:.17g} remap units box\nrun 0\n"
        script += f"change_box all {tilt} final 0 remap units box\n"
    rows = lammps.run(script).thermo()
    virial = np.array([rows[0][f"c_vir[{k}]"] for k in range(1, 7)]) * system.volume / 1.6021765e6
    energies = np.array([row["PotEng"] for row in rows[1:]]).reshape(6, 4)
    assert relative(-energies @ WEIGHTS / strain, virial) < 1e-7


def results(lammps, potential, settings) -> dict:
    symbols = {"painn_f24_l2_bessel_mollifier": "H C N O", "painn_f16_l4_shared_filters": "O H N"}
    system = random_system(symbols.get(potential.stem, "H O"), 60, [9.0, 8.5, 8.0], distance=1.1)
    return lammps.evaluate(system, potential, settings=settings)


NETWORKS = [PAINN, DEEP, FIXTURES / "painn_f128_l3_kcal.yaml"]


@pytest.mark.parametrize("filters", ["exact", "spline"])
@pytest.mark.parametrize("precision", ["single", "mixed"])
@pytest.mark.parametrize("potential", NETWORKS, ids=lambda path: path.stem)
def test_reduced_precision(lammps, potential, precision, filters):
    expected = results(lammps, potential, f"precision double filters {filters}")
    result = results(lammps, potential, f"precision {precision} filters {filters}")
    # Random weights amplify rounding more than trained ones, whose target is 1e-5.
    assert relative(result["forces"], expected["forces"]) < 2e-5
    assert abs(result["energy"] - expected["energy"]) / 60 < 1e-6
    assert relative(result["virial"], expected["virial"]) < 2e-5
    assert not np.array_equal(result["forces"], expected["forces"])


@pytest.mark.parametrize("potential", NETWORKS, ids=lambda path: path.stem)
def test_spline_filters(lammps, potential):
    expected = results(lammps, potential, "precision double filters exact")
    result = results(lammps, potential, "precision double filters spline")
    deviation = np.sqrt(np.mean((result["forces"] - expected["forces"]) ** 2))
    assert deviation / np.sqrt(np.mean(expected["forces"] ** 2)) < 1e-4
    assert abs(result["energy"] - expected["energy"]) / 60 < 1e-6
    assert not np.array_equal(result["forces"], expected["forces"])


@pytest.mark.parametrize("filters", ["exact", "spline"])
@pytest.mark.parametrize("precision", ["single", "mixed"])
@pytest.mark.parametrize("potential", SHIPPED, ids=lambda path: path.stem)
def test_targets_with_the_potentials_that_ship(lammps, potential, precision, filters):
    benzene = molecule("C6H6")
    benzene.rattle(0.05, seed=1)
    system = System(benzene.get_chemical_symbols(), benzene.positions)
    exact = lammps.evaluate(system, potential)
    expected = lammps.evaluate(system, potential, settings=f"precision double filters {filters}")
    result = lammps.evaluate(system, potential, settings=f"precision {precision} filters {filters}")
    assert relative(exact["forces"], system.oracle(potential)["forces"]) < 1e-9
    assert relative(result["forces"], expected["forces"]) < 1e-5
    assert abs(result["energy"] - expected["energy"]) / 12 < 1e-6
    rms = np.sqrt(np.mean((expected["forces"] - exact["forces"]) ** 2))
    assert rms / np.sqrt(np.mean(exact["forces"] ** 2)) < 1e-4
    assert abs(expected["energy"] - exact["energy"]) / 12 < 1e-6
