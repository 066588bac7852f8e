"""Runs LAMMPS on small systems and reads back what it computed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from mlff_student.potential import Potential
from mlff_student.reference import evaluate

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
PAINN = FIXTURES / "painn_f24_l2_bessel_mollifier.yaml"  # H C N O, smooth at its cutoff of 4.5
WIDE = FIXTURES / "painn_f128_l3_kcal.yaml"
DEEP = (
    FIXTURES / "painn_f16_l4_shared_filters.yaml"
)  # O H N, four layers: three halo exchanges forward
DISTILLER = FIXTURES / "distiller_f8_l2.yaml"

NKTV2P = 1.6021765e6  # LAMMPS's bar from eV/Angstrom^3, units metal
KCAL_IN_EV = 4184.0 / 96485.33212331001
MASSES = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_PROC_BIND": "false", "LAMMPS_PLUGIN_PATH": ""}
#: Open MPI starts four processes on two cores, and root's, as in containers, only when told to.
ENVIRONMENT |= {"OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
ENVIRONMENT |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@dataclass
class System:
    """Atoms in Angstrom; cell rows are lower triangular as LAMMPS wants them, None: open boundaries."""

    symbols: list[str]
    positions: np.ndarray
    cell: np.ndarray | None = None
    types: list[str] = field(default_factory=list)  # symbol of each atom type
    type_of_atom: list[int] = field(default_factory=list)  # from 1

    def __post_init__(self):
        self.positions = np.array(self.positions, dtype=float)
        if not self.types:
            self.types = sorted(set(self.symbols))
        if not self.type_of_atom:
            self.type_of_atom = [self.types.index(s) + 1 for s in self.symbols]

    @property
    def volume(self) -> float:
        return abs(np.linalg.det(self.cell))

    def oracle(self, potential: Path | Potential) -> dict:
        """Energies in eV, forces in eV/Angstrom, virial in eV, from the NumPy reference."""
        p = potential if isinstance(potential, Potential) else Potential.read(potential)
        length, energy = p.length_in_angstrom, p.energy_in_eV
        cell = None if self.cell is None else self.cell / length
        result = evaluate(p, self.symbols, self.positions / length, cell)
        # mlff-distiller's is not symmetric; LAMMPS has the components xx yy zz xy xz yz.
        upper = np.triu(result.virial)
        virial = upper + np.triu(upper, 1).T
        return {
            "energy": result.energy * energy,
            "atomic_energies": result.atomic_energies * energy,
            "forces": result.forces * energy / length,
            "virial": virial * energy,
        }

    def write_data(self, path: Path, bonds: list[tuple[int, int]] | None = None) -> None:
        """A data file for atom_style atomic, or for molecular if bonds are given."""
        lines = [
            "system of a test",
            "",
            f"{len(self.symbols)} atoms",
            f"{len(self.types)} atom types",
        ]
        if bonds is not None:
            lines += [f"{len(bonds)} bonds", "1 bond types", "4 extra bond per atom"]
            lines += ["10 extra special per atom"]
        if self.cell is None:
            low, high = self.positions.min(axis=0) - 3.0, self.positions.max(axis=0) + 3.0
            tilts = None
        else:
            low, high, tilts = np.zeros(3), np.diag(self.cell), self.cell[np.tril_indices(3, -1)]
        lines += [f"{low[d]!r} {high[d]!r} {x}lo {x}hi".replace("np.float64(", "").replace(")", "")
                  for d, x in enumerate("xyz")]  # fmt: skip
        if tilts is not None and np.any(tilts != 0):
            lines.append("{:.17g} {:.17g} {:.17g} xy xz yz".format(*tilts))
        lines += ["", "Masses", ""]
        lines += [f"{k + 1} {MASSES.get(s, 50.0)}" for k, s in enumerate(self.types)]
        lines += ["", "Atoms # " + ("atomic" if bonds is None else "molecular"), ""]
        for k, (kind, x) in enumerate(zip(self.type_of_atom, self.positions)):
            molecule = "" if bonds is None else "1 "
            lines.append(f"{k + 1} {molecule}{kind} {x[0]:.17g} {x[1]:.17g} {x[2]:.17g}")
        if bonds:
            lines += ["", "Bonds", ""] + [f"{k + 1} 1 {i} {j}" for k, (i, j) in enumerate(bonds)]
        path.write_text("\n".join(lines) + "\n")


def fixture_system(potential: Path, name: str) -> System:
    """A structure of tests/fixtures/*.json in Angstrom, turned into LAMMPS's frame."""
    from mlff_student.units import SYMBOLS

    p = Potential.read(potential)
    content = json.loads(potential.with_suffix(".json").read_text())
    structure = next(s for s in content["structures"] if s["name"] == name)
    symbols = [SYMBOLS[z - 1] for z in structure["numbers"]]
    positions = np.array(structure["positions"]) * p.length_in_angstrom
    if structure["cell"] is None:
        return System(symbols, positions)
    return in_lammps_frame(symbols, positions, np.array(structure["cell"]) * p.length_in_angstrom)


def in_lammps_frame(symbols: list[str], positions: np.ndarray, cell: np.ndarray) -> System:
    """Rotates a system so that its cell is lower triangular with a positive diagonal."""
    q, r = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(r))
    return System(symbols, positions @ (q * signs), np.tril((r.T * signs)))


def random_system(symbols: str, number: int, cell, seed: int = 1, distance: float = 1.3) -> System:
    """Random atoms, no two closer than `distance`, in a periodic cell (rows, or three edges)."""
    rng = np.random.default_rng(seed)
    cell = np.diag(cell).astype(float) if np.ndim(cell) == 1 else np.array(cell, dtype=float)
    shifts = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])
    positions: list[np.ndarray] = []
    while len(positions) < number:
        x = rng.random(3) @ cell
        if all(np.linalg.norm(x - y + shifts @ cell, axis=1).min() > distance for y in positions):
            positions.append(x)
    names = symbols.split()
    return System([names[k % len(names)] for k in range(number)], np.array(positions), cell)


@dataclass
class Run:
    """What one LAMMPS run left behind."""

    returncode: int
    output: str
    folder: Path

    def thermo(self) -> list[dict[str, float]]:
        """The thermo rows of all runs, by keyword."""
        rows = []
        for block in re.findall(r"^---$(.*?)^\.\.\.$", self.output, re.M | re.S):
            content = yaml.safe_load(block)
            rows += [dict(zip(content["keywords"], row)) for row in content["data"]]
        return rows

    def dump(self, name: str = "dump.txt", frame: int = -1) -> dict[str, np.ndarray]:
        """Columns of one frame of a custom dump that is sorted by ID."""
        lines = (self.folder / name).read_text().splitlines()
        starts = [k for k, line in enumerate(lines) if line.startswith("ITEM: ATOMS")]
        start = starts[frame]
        number = int(lines[lines.index("ITEM: NUMBER OF ATOMS") + 1])
        columns = lines[start].split()[2:]
        values = np.array(
            [line.split() for line in lines[start + 1 : start + 1 + number]], dtype=float
        )
        return dict(zip(columns, values.T))


class Lammps:
    """The `lmp` under test, with the plugin."""

    def __init__(self, lmp: str, mpirun: str | None, plugin: Path, folder: Path,
                 arguments: tuple[str, ...] = ()):  # fmt: skip
        self.lmp, self.mpirun, self.plugin, self.folder = lmp, mpirun, plugin, folder
        self.arguments = arguments  # of each run

    @property
    def kokkos(self) -> bool:
        return bool(self.arguments)

    @property
    def on_device(self) -> bool:
        """Whether Kokkos has a GPU, `-k on g N`: what LAMMPS's host styles change must be copied."""
        return "g" in self.arguments

    @property
    def style(self) -> str:
        """The style that `pair_style mlff/student` is."""
        return "mlff/student/kk" if self.kokkos else "mlff/student"

    def has_package(self, name: str) -> bool:
        done = subprocess.run([self.lmp, "-h"], text=True, stdout=subprocess.PIPE, env=os.environ | ENVIRONMENT)
        return name in done.stdout.partition("Installed packages:")[2].split()

    def load(self) -> str:
        return f"plugin load {self.plugin}\n"

    def run(self, script: str, ranks: int = 1, arguments: tuple[str, ...] = (), fails: bool = False,
            environment: dict[str, str] | None = None, load: bool = True,
            instead: tuple[str, ...] | None = None, before: tuple[str, ...] = (),
            timeout: float = 120) -> Run:  # fmt: skip
        """Runs a script, the plugin loaded before its first line. Asserts how it ends.

        `arguments` come behind those of each run, `instead` replaces these; `before`: a program that starts LAMMPS.
        """
        path = self.folder / "in.lammps"
        path.write_text((self.load() if load else "") + script)
        usual = self.arguments if instead is None else instead
        command = [*before, self.lmp, "-in", str(path), "-log", "none", *usual, *arguments]
        if ranks > 1:
            command = [self.mpirun, "-np", str(ranks), *command]
        done = subprocess.run(
            command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout, env=os.environ | ENVIRONMENT | (environment or {}),
        )  # fmt: skip
        assert (done.returncode != 0) == fails, f"exit status {done.returncode}\n{done.stdout}"
        return Run(done.returncode, done.stdout, self.folder)

    def error(self, script: str, ranks: int = 1, **options) -> str:
        """The output of a script that must stop with a LAMMPS error, its line breaks removed."""
        for _ in range(3):  # on a busy machine mpirun can lose what a rank prints before it aborts
            output = self.run(script, ranks, fails=True, **options).output
            if "ERROR" in output:
                break
        assert "ERROR" in output, output
        return " ".join(output.split())

    def evaluate(self, system: System, potential: Path, ranks: int = 1, **options) -> dict:
        """Energy (eV), forces, virial and per-atom values of one structure, as in System.oracle()."""
        system.write_data(self.folder / "system.data")
        run = self.run(single_point(system, potential, **options), ranks)
        return self.results(run, system)

    @staticmethod
    def results(run: Run, system: System) -> dict:
        row, atoms = run.thermo()[-1], run.dump()
        unit = row["Volume"] / NKTV2P
        full = [0, 3, 4, 3, 1, 5, 4, 5, 2]  # xx yy zz xy xz yz as a 3 x 3 matrix
        virial = np.array([row[f"c_vir[{k + 1}]"] for k in full]).reshape(3, 3) * unit
        stress = np.stack([atoms[f"c_st[{k}]"] for k in range(1, 7)], axis=1)
        centroid = np.stack([atoms[f"c_ce[{k}]"] for k in range(1, 10)], axis=1)
        return {
            "energy": row["PotEng"],
            "forces": np.stack([atoms[x] for x in ("fx", "fy", "fz")], axis=1),
            "atomic_energies": atoms["c_pe"],
            "virial": virial,
            "stress": -stress / NKTV2P,
            "centroid": -centroid / NKTV2P,
        }


def header(system: System, units: str = "metal", newton: str = "on", boundary: str | None = None,
           atom_style: str = "atomic", data: str = "system.data", extra: str = "") -> str:  # fmt: skip
    """Everything before pair_style."""
    periodic = "f f f" if system.cell is None else "p p p"
    return f"""
units {units}
newton {newton}
boundary {boundary or periodic}
atom_style {atom_style}
{extra}
read_data {data}
"""


def pair(system: System, potential: Path, settings: str = "precision double") -> str:
    return f"""
pair_style mlff/student {settings}
pair_coeff * * {potential} {' '.join(system.types)}
"""


OUTPUT = """
compute pe all pe/atom pair
compute st all stress/atom NULL pair
compute ce all centroid/stress/atom NULL pair
compute vir all pressure NULL pair
thermo_style custom step pe vol c_vir[*]
thermo_modify line yaml format float %.17g
dump out all custom 1 dump.txt id type x y z fx fy fz c_pe c_st[*] c_ce[*]
dump_modify out sort id format float %.17g
"""


def single_point(
    system: System, potential: Path, settings: str = "precision double", **options
) -> str:
    return header(system, **options) + pair(system, potential, settings) + OUTPUT + "run 0\n"


def relative(value, expected) -> float:
    """Largest deviation over the root mean square of what is expected."""
    value, expected = np.asarray(value), np.asarray(expected)
    scale = np.sqrt(np.mean(expected**2))
    return (
        float(np.max(np.abs(value - expected)) / scale)
        if scale > 0
        else float(np.max(np.abs(value)))
    )


def assert_agree(result: dict, expected: dict, tolerance: float = 1e-10) -> None:
    """Energy, forces, atomic energies and virial, relative."""
    for key in ("energy", "atomic_energies", "forces", "virial", "stress", "centroid"):
        if key in expected and key in result:
            deviation = relative(result[key], expected[key])
            assert deviation < tolerance, f"{key} deviates by {deviation:.2e}"
