"""What the commands accept, and the message of every refusal."""

import re
import subprocess

import numpy as np
import pytest
from harness import (
    DISTILLER,
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

from mlff_student.potential import Potential


@pytest.fixture
def system(lammps) -> System:
    system = random_system("H C", 20, [8.0, 8.0, 8.0])
    system.write_data(lammps.folder / "system.data")
    return system


def test_summary_line(lammps, system):
    output = lammps.run(single_point(system, PAINN, "")).output
    line = next(
        line for line in output.splitlines() if line.startswith(f"Pair style {lammps.style}: ")
    )
    for part in (
        PAINN.name,
        "painn",
        "F = 24",
        "L = 2",
        "cutoff 4.5",
        "precision mixed",
        "filters spline",
    ):
        assert part in line
    place = r"Kokkos \w+$" if lammps.kokkos else r"(baseline|avx2|avx512), threads 1$"
    assert re.search(place, line), line


@pytest.mark.parametrize(
    "settings, expected",
    [
        ("precision double", "precision double, filters exact"),
        ("precision single", "precision single, filters spline"),
        ("filters exact", "precision mixed, filters exact"),
        ("filters spline precision double threads 2", "precision double, filters spline"),
    ],
)
def test_settings(lammps, system, settings, expected):
    assert expected in lammps.run(single_point(system, PAINN, settings)).output


def test_pair_style_again_keeps_the_coefficients(lammps, system):
    script = header(system) + pair(system, PAINN, "precision single") + OUTPUT
    script += "pair_style mlff/student precision double\nrun 0\n"
    assert_agree(lammps.results(lammps.run(script), system), system.oracle(PAINN))


def test_pair_coeff_again_replaces_the_potential(lammps, system):
    script = (
        header(system)
        + pair(system, DISTILLER)
        + "run 0\n"
        + pair(system, PAINN)
        + OUTPUT
        + "run 0\n"
    )
    assert_agree(lammps.results(lammps.run(script), system), system.oracle(PAINN))


def test_potential_is_found_through_the_search_path(lammps, system):
    script = header(system) + pair(system, PAINN) + OUTPUT + "run 0\n"
    script = script.replace(str(PAINN), PAINN.name)
    run = lammps.run(script, environment={"LAMMPS_POTENTIALS": str(PAINN.parent)})
    assert_agree(lammps.results(run, system), system.oracle(PAINN))


@pytest.mark.parametrize("ranks", [1, 2])
def test_instruction_sets(lammps, system, ranks):
    if lammps.kokkos:
        pytest.skip("Kokkos's spaces have no choice of instruction sets")
    script = header(system) + pair(system, PAINN) + OUTPUT + "run 0\n"
    run = lammps.run(script, ranks, environment={"MLFF_ISA": "baseline"})
    assert ", baseline, threads 1" in run.output
    assert_agree(lammps.results(run, system), system.oracle(PAINN))
    message = lammps.error(script, ranks, environment={"MLFF_ISA": "AVX2"})
    assert "MLFF_ISA is 'AVX2'; known are: baseline, avx2, avx512" in message


STYLE_ERRORS = {
    "precision half": ["precision 'half'", "double, mixed, single"],
    "filters fast": ["filters 'fast'", "exact, spline"],
    "threads 0": ["threads '0'", "above zero"],
    "threads many": ["threads 'many'", "above zero"],
    "precision": ["Missing value", "'precision'"],
    "cutoff 5.0": ["keyword 'cutoff'", "precision, filters, threads"],
}


@pytest.mark.parametrize("settings", STYLE_ERRORS)
def test_wrong_pair_style(lammps, system, settings):
    message = lammps.error(header(system) + f"pair_style mlff/student {settings}\n")
    for part in STYLE_ERRORS[settings]:
        assert part in message


COEFF_ERRORS = {
    "": ["pair_coeff"],
    "* *": ["pair_coeff"],
    "1 1 {file} C H": ["* *"],
    "* * {file}": ["names 0 elements", "2 atom types"],
    "* * {file} C": ["names 1 elements", "2 atom types"],
    "* * {file} C H H": ["names 3 elements", "2 atom types"],
    "* * {file} C Xx": ["element 'Xx' of atom type 2", PAINN.name, "H C N O"],
    "* * {file} C Si": ["element 'Si' of atom type 2", "H C N O"],
    "* * {file} C NULL": ["type 2 is NULL", "hybrid"],
    "* * missing.yaml C H": ["'missing.yaml' was not found", "LAMMPS_POTENTIALS"],
    "* * . C H": ["'.' is not a file"],
}


@pytest.mark.parametrize(
    "arguments, ranks",
    [(text, 1) for text in COEFF_ERRORS] + [("* * missing.yaml C H", 2), ("* * {file} C Xx", 2)],
)
def test_wrong_pair_coeff(lammps, system, arguments, ranks):
    script = (
        header(system)
        + "pair_style mlff/student\npair_coeff "
        + arguments.format(file=PAINN)
        + "\n"
    )
    message = lammps.error(script, ranks)
    for part in COEFF_ERRORS[arguments]:
        assert part in message


def test_only_null_types(lammps, system):
    script = (
        header(system)
        + f"pair_style hybrid mlff/student lj/cut 3\npair_coeff * * mlff/student {PAINN} NULL NULL\n"
    )
    assert "every atom type is NULL" in lammps.error(script)


def test_missing_pair_coeff(lammps, system):
    assert "pair coeffs are not set" in lammps.error(
        header(system) + "pair_style mlff/student\nrun 0\n"
    )


@pytest.mark.parametrize("ranks", [1, 2])
def test_damaged_potential(lammps, system, ranks):
    text = PAINN.read_text()
    damages = {
        "cut short": text[: len(text) // 2],
        "empty": "",
        "other": text.replace("channels: 24", "channels: 25", 1),
        "hash": text.replace("epsilon: 1.0e-08", "epsilon: 2.0e-08", 1),
    }
    for name, damage in damages.items():
        (lammps.folder / "damaged.yaml").write_text(damage)
        script = header(system) + "pair_style mlff/student\npair_coeff * * damaged.yaml C H\n"
        assert "damaged.yaml" in lammps.error(script, ranks), name


def test_check_structure_is_recomputed(lammps, system):
    potential = Potential.read(PAINN)
    potential.check.energy += 1e-4
    potential.write(lammps.folder / "wrong.yaml")
    script = header(system) + "pair_style mlff/student\npair_coeff * * wrong.yaml C H\n"
    for ranks in (1, 2):
        message = lammps.error(script, ranks)
        assert "wrong.yaml" in message and "check" in message


@pytest.mark.parametrize("units", ["lj", "si", "electron"])
def test_other_units(lammps, system, units):
    message = lammps.error(header(system, units=units) + pair(system, PAINN))
    assert f"units {units}" in message and "units metal or units real" in message


def test_atom_ids_are_needed(lammps):
    script = """
units metal
atom_modify id no
region b block 0 8 0 8 0 8
create_box 1 b
create_atoms 1 single 1 1 1
mass 1 12
"""
    script += f"pair_style mlff/student\npair_coeff * * {PAINN} C\nrun 0\n"
    assert "atom IDs" in lammps.error(script)


# ------------------------------------------------------------------ pairs that LAMMPS leaves out


@pytest.fixture
def with_molecules(lammps):
    if not lammps.has_package("MOLECULE"):
        pytest.skip("this LAMMPS was built without the package MOLECULE")


def bonded(lammps, special: str, style: str | None = None) -> str:
    system = fixture_system(PAINN, "molecule")
    distances = np.linalg.norm(system.positions[:, None] - system.positions, axis=2)
    bonds = [(i + 1, j + 1) for i in range(12) for j in range(i) if distances[i, j] < 1.9]
    assert len(bonds) > 3
    system.write_data(lammps.folder / "system.data", bonds)
    script = header(system, atom_style="molecular") + "bond_style zero\nbond_coeff *\n"
    return script + special + "\n" + (style or pair(system, PAINN)) + OUTPUT + "run 0\n"


@pytest.mark.usefixtures("with_molecules")
@pytest.mark.parametrize(
    "special",
    [
        "",
        "special_bonds lj/coul 0 0 0.5",
        "special_bonds lj 1 1 1 coul 0 0 0",
        "special_bonds charmm",
    ],
)
def test_special_bonds_are_refused(lammps, special):
    for ranks in (1, 2):
        message = lammps.error(bonded(lammps, special), ranks)
        assert "special_bonds lj/coul 1.0 1.0 1.0" in message


@pytest.mark.usefixtures("with_molecules")
def test_special_bonds_of_one_are_fine(lammps):
    system = fixture_system(PAINN, "molecule")
    run = lammps.run(bonded(lammps, "special_bonds lj/coul 1.0 1.0 1.0"))
    assert_agree(lammps.results(run, system), system.oracle(PAINN))


@pytest.mark.usefixtures("with_molecules")
def test_hybrid_may_have_its_own_special_bonds(lammps):
    # Scaled pairs stay in the list; the network sees them if its own factors are 1.
    system = fixture_system(PAINN, "molecule")
    style = f"""
pair_style hybrid/overlay zero 4.0 mlff/student precision double
pair_coeff * * zero
pair_coeff * * mlff/student {PAINN} {' '.join(system.types)}
"""
    special = "special_bonds lj/coul 0.3 0.4 0.5"
    assert "special_bonds lj/coul" in lammps.error(bonded(lammps, special, style))
    style += "pair_modify pair mlff/student special lj/coul 1.0 1.0 1.0\n"
    run = lammps.run(bonded(lammps, special, style))
    assert_agree(lammps.results(run, system), system.oracle(PAINN))


@pytest.mark.usefixtures("with_molecules")
def test_molecular_atoms_without_bonds_are_fine(lammps):
    system = fixture_system(PAINN, "molecule")
    system.write_data(lammps.folder / "system.data", [])
    script = header(system, atom_style="molecular") + pair(system, PAINN) + OUTPUT + "run 0\n"
    assert_agree(lammps.results(lammps.run(script), system), system.oracle(PAINN))


@pytest.mark.parametrize(
    "exclude, part",
    [
        ("neigh_modify exclude type 1 2", "exclude type leaves out the pairs of types 1 and 2"),
        ("neigh_modify exclude group all all", "exclude group"),
        (
            "group some id 1:10\natom_modify first some\nneigh_modify include some",
            "neigh_modify include",
        ),
    ],
)
def test_excluded_pairs_are_refused(lammps, system, exclude, part):
    script = header(system) + pair(system, PAINN) + exclude + "\nrun 0\n"
    message = lammps.error(script)
    assert "needs every pair" in message and part in message


def test_exclusions_that_do_not_concern_the_network_are_fine(lammps):
    system = random_system("H C Ar", 30, [8.0, 8.0, 8.0], distance=1.5)
    system.write_data(lammps.folder / "system.data")
    argon = system.types.index("Ar") + 1
    names = " ".join("NULL" if s == "Ar" else s for s in system.types)
    script = header(system) + f"""
pair_style hybrid/overlay zero 5.0 mlff/student precision double
pair_coeff * * zero
pair_coeff * * mlff/student {PAINN} {names}
neigh_modify exclude type {argon} {argon}
""" + OUTPUT + "run 0\n"  # fmt: skip
    ours = [s != "Ar" for s in system.symbols]
    part = System([s for s in system.symbols if s != "Ar"], system.positions[ours], system.cell)
    result = lammps.results(lammps.run(script), system)
    assert result["energy"] == pytest.approx(part.oracle(PAINN)["energy"], rel=1e-10)


# ------------------------------------------------------------------ trouble during a run


@pytest.mark.parametrize("ranks", [1, 2])
def test_two_atoms_on_one_spot_stop_the_run(lammps, ranks):
    system = random_system("H C", 20, [8.0, 8.0, 8.0])
    system.positions[7] = system.positions[3]
    system.write_data(lammps.folder / "system.data")
    message = lammps.error(single_point(system, PAINN, "precision mixed"), ranks)
    assert "two atoms are on the same spot" in message
    found = re.search(r"at step 0, first seen at atom (\d+) of type \d at \(([^)]*)\)", message)
    assert found, message
    assert int(found[1]) in (4, 8)
    np.testing.assert_allclose(
        [float(x) for x in found[2].split(",")], system.positions[3], atol=1e-6
    )
    assert "nearest neighbour is atom" in message and "distance of 0" in message


@pytest.mark.parametrize("ranks", [1, 2])
def test_trouble_in_the_middle_of_a_run(lammps, ranks):
    system = random_system("H C", 30, [9.0, 8.0, 8.0])
    system.write_data(lammps.folder / "system.data")
    script = header(system) + pair(system, PAINN, "precision single")
    script += "fix 1 all nve\ntimestep 0.0001\nrun 3\nset atom 5*6 x 4.0 y 4.0 z 4.0\nrun 5\n"
    message = lammps.error(script, ranks)
    assert re.search(
        r"same spot at step 3, first seen at atom (5|6) .*\(4, 4, 4\)", message
    ), message


# ------------------------------------------------------------------ the plugin


def test_a_plugin_for_another_lammps_is_refused(lammps, system, plugin):
    content = plugin.read_bytes()
    built_for = re.findall(rb"\0(\d{1,2} [A-Z][a-z]{2} 20\d\d)\0", content)
    assert len(set(built_for)) == 1
    other = built_for[0][:-4] + b"2019"
    copy = lammps.folder / "other" / "mlffstudentplugin.so"
    copy.parent.mkdir()
    for library in plugin.parent.glob("libyaml-cpp*"):  # an installed plugin finds it beside itself
        (copy.parent / library.name).symlink_to(library)
    copy.write_bytes(content.replace(b"\0" + built_for[0] + b"\0", b"\0" + other + b"\0"))

    message = lammps.error(f"plugin load {copy}\nprint unreached\n", load=False)
    assert (
        f"built for LAMMPS {other.decode()} but is loaded into LAMMPS {built_for[0].decode()}"
        in message
    )
    assert "unreached" not in message

    # Found through LAMMPS_PLUGIN_PATH, it is refused where it is used and harms nobody else.
    path = {"LAMMPS_PLUGIN_PATH": str(copy.parent)}
    script = header(system) + "pair_style zero 3.0\npair_coeff * *\nrun 0\n"
    assert (
        "WARNING: The plugin of pair_style mlff/student"
        in lammps.run(script, load=False, environment=path).output
    )
    message = lammps.error(header(system) + pair(system, PAINN), load=False, environment=path)
    assert f"built for LAMMPS {other.decode()}" in message
    run = lammps.run(single_point(system, PAINN), environment=path)  # then loads the right one
    assert_agree(lammps.results(run, system), system.oracle(PAINN))


def test_found_through_the_plugin_path(lammps, system, plugin):
    script = header(system) + pair(system, PAINN) + OUTPUT + "run 0\n"
    run = lammps.run(script, load=False, environment={"LAMMPS_PLUGIN_PATH": str(plugin.parent)})
    assert_agree(lammps.results(run, system), system.oracle(PAINN))


def test_only_the_entry_point_is_exported(plugin):
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", str(plugin)], text=True, capture_output=True
    )
    if symbols.returncode:
        pytest.skip("nm cannot be run")
    names = [line.split()[2] for line in symbols.stdout.splitlines()]
    assert [name for name in names if not name.startswith("lammpsplugin")] == []


def test_unload_and_clear(lammps, system):
    again = lammps.load() + header(system) + pair(system, PAINN) + OUTPUT + "run 0\n"
    first = header(system) + pair(system, PAINN) + "run 0\n"
    run = lammps.run(first + "clear\n" + again + "plugin unload pair mlff/student\n")
    assert_agree(lammps.results(run, system), system.oracle(PAINN))
    script = (
        header(system) + pair(system, PAINN) + "run 0\nplugin unload pair mlff/student\nrun 0\n"
    )
    lammps.run(script)


MASSES_OF_TYPES = {  # masses of the types C and H: what is warned of
    "mass 1 12.011\nmass 2 1.008\n": "",
    "mass 1 1.008\nmass 2 12.011\n": "atom type 1 is C by pair_coeff, but has the mass of H, 1.008",
    "mass 1 12.011\nmass 2 2.014\n": "",  # deuterium
    "mass 1 9.995\nmass 2 3.024\n": "",  # repartitioned
}


@pytest.mark.parametrize("masses", MASSES_OF_TYPES)
def test_elements_in_another_order_than_the_types_are_noticed(lammps, masses):
    system = random_system("C H", 12, [8.0, 8.0, 8.0])
    system.write_data(lammps.folder / "system.data")
    output = " ".join(lammps.run(header(system) + masses + pair(system, PAINN) + "run 0\n", 2).output.split())
    wanted = MASSES_OF_TYPES[masses]
    assert wanted in output and output.count("has the mass of") == (2 if wanted else 0)


# ------------------------------------------------------------------ mlff-distiller


def test_defects_of_mlff_distiller_are_told_with_numbers(lammps):
    system = fixture_system(DISTILLER, "molecule")
    system.write_data(lammps.folder / "system.data")
    output = " ".join(lammps.run(single_point(system, DISTILLER), 2).output.split())
    assert output.count("WARNING: The networks of architecture mlff-distiller") == 1
    number = r"([0-9.e+-]+) eV"
    found = re.search(
        rf"jumps .*? by up to {number}.*? orientation, here by up to {number}", output
    )
    assert found and float(found[1]) > 0 and float(found[2]) > 0
    assert "mlff-distiller" not in lammps.run(single_point(system, PAINN)).output
