"""The LAMMPS input scripts of the suite. Each can be run again by hand in its folder: lmp -in in.NAME."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .structures import Structure

TEMPERATURE = 300.0  #: K
TIMESTEP = 0.5  #: fs, where nothing else is said

#: Columns of thermo.csv: LAMMPS variable -> formula, units metal.
COLUMNS = {
    "step": "step",
    "time": "time",
    "temperature": "c_T",
    "potential_energy": "pe",
    "kinetic_energy": "ke",
    "total_energy": "etotal",
    "force_square": "c_square",
    "size": "gyration(all)",
    "momentum_x": "vcm(all,x)*mass(all)",
    "momentum_y": "vcm(all,y)*mass(all)",
    "momentum_z": "vcm(all,z)*mass(all)",
    "angular_momentum_x": "angmom(all,x)",
    "angular_momentum_y": "angmom(all,y)",
    "angular_momentum_z": "angmom(all,z)",
}


@dataclass(frozen=True)
class Student:
    """A potential as LAMMPS shall run it."""

    file: Path
    precision: str = "mixed"
    include: str = ""  #: LAMMPS commands in front of each run at constant energy

    def pair_style(self, structure: Structure) -> str:
        plugin = os.environ.get("MLFF_PLUGIN")
        load = [f'plugin load """{Path(plugin).absolute()}"""'] if plugin else []
        return "\n".join([
            *load,
            f"pair_style mlff/student precision {self.precision}",
            f'pair_coeff * * """{self.file.absolute()}""" {" ".join(structure.elements)}',
        ])  # fmt: skip


def preparation(
    student: Student, structure: Structure, squeeze: int, equilibrate: int, rounds: int, seed: int
) -> str:
    """From a structure to `start.data`, in equilibrium at 300 K and without total (angular) momentum.

    A molecule is minimised, heated and left alone for `equilibrate` steps. A box is minimised, squeezed to its
    final edges in `squeeze` steps if it has any, and thermostatted. A constant energy has the temperature that
    it happens to have, so `rounds` times the mean temperature of a run is corrected through the velocities.
    """
    lines = [
        _header(structure, "system.data"),
        student.pair_style(structure),
        _thermo(structure, equilibrate),
        "minimize 0 0.05 50 500" if structure.is_bulk else "minimize 0 1e-3 300 3000",
        "reset_timestep 0",
    ]
    if structure.is_bulk:
        lines += [_heat(structure, TEMPERATURE, seed), "timestep 0.0005", "fix integrate all nve"]
        lines += [f"fix bath all langevin {TEMPERATURE} {TEMPERATURE} 0.1 {seed} zero yes"]
        if structure.edges is not None:
            final = " ".join(f"{x} final 0 {edge:.10g}" for x, edge in zip("xyz", structure.edges))
            lines += [f"fix squeeze all deform 1 {final} remap x", f"run {squeeze}", "unfix squeeze"]
        lines += [f"run {equilibrate}", "unfix bath", "velocity all zero linear"]
    else:
        # At a minimum all of the energy is kinetic. Soon half of it is potential energy.
        lines += [_heat(structure, 2 * TEMPERATURE, seed), "timestep 0.0005", "fix integrate all nve"]
        lines += [f"run {equilibrate}"]
    lines += [_correct(rounds, max(equilibrate // 2, 100)), "write_data start.data nocoeff", ""]
    return "\n".join(lines)


def constant_pressure(
    student: Student, structure: Structure, steps: int, rounds: int, seed: int
) -> str:
    """From ../start.data through `steps` at 300 K and 1 bar to another `start.data`."""
    return "\n".join([
        _header(structure, "../start.data"),
        student.pair_style(structure),
        _thermo(structure, steps),
        "timestep 0.0005",
        f"fix integrate all npt temp {TEMPERATURE} {TEMPERATURE} 0.05 iso 1.0 1.0 0.5",
        f"run {steps}",
        "unfix integrate",
        "velocity all zero linear",
        "fix integrate all nve",
        _correct(rounds, max(steps // 4, 100)),
        "write_data start.data nocoeff",
        "",
    ])  # fmt: skip


def constant_energy(
    student: Student, structure: Structure, timestep: float, steps: int, every: int, dump_every: int
) -> str:
    """Velocity Verlet from ../start.data: thermo.csv with COLUMNS each `every` steps, means.txt and a trajectory.

    timestep in fs. means.txt has means over all steps of each interval of the total energy, less its first
    value, and of |F|^2/m; it is left out where thermo.csv has each step anyway.
    """
    means = []
    if every > 1:
        means = [
            "run 0 post no",
            "variable first equal $(etotal:%.17g)",
            'variable change equal "etotal - v_first"',
            f'fix means all ave/time 1 {every} {every} v_change c_square file means.txt format " %.17g"',
        ]
    variables = [f'variable {name} equal "{formula}"' for name, formula in COLUMNS.items()]
    return "\n".join([
        _header(structure, "../start.data"),
        student.pair_style(structure),
        _thermo(structure, steps),
        "variable square atom (fx*fx+fy*fy+fz*fz)/mass",
        "compute square all reduce sum v_square",
        f"timestep {timestep / 1000!r}",
        student.include,
        "fix integrate all nve",
        *means,
        *variables,
        f'fix table all print {every} "{",".join(f"${{{name}}}" for name in COLUMNS)}" file thermo.csv &',
        f'    screen no title "{",".join(COLUMNS)}"',
        f"dump movie all custom {dump_every} trajectory.lammpstrj id element xu yu zu",
        f"dump_modify movie sort id element {' '.join(structure.elements)}",
        f"run {steps}",
        "",
    ])  # fmt: skip


def reversal(student: Student, structure: Structure, steps: int) -> str:
    """`steps` forward from ../start.data, `steps` back with negated velocities; reversal.csv says how far off."""
    variables = [f"variable v{x} atom -v{x}" for x in "xyz"]
    variables += [f"variable d{x} atom c_now[{k}]-f_origin[{k}]" for k, x in enumerate("xyz", start=1)]
    return "\n".join([
        _header(structure, "../start.data"),
        student.pair_style(structure),
        _thermo(structure, 2 * steps),
        "timestep 0.0005",
        student.include,
        "compute now all property/atom xu yu zu",
        "fix origin all store/state 0 xu yu zu",
        "fix integrate all nve",
        *variables,
        'variable distance atom "sqrt(v_dx^2+v_dy^2+v_dz^2)"',
        "compute farthest all reduce max v_distance",
        "thermo_style custom step temp pe etotal c_farthest",
        f"run {steps}",
        "variable away equal $(c_farthest:%.17g)",
        "velocity all set v_vx v_vy v_vz sum no",
        f"run {steps}",
        'print "distance_forward,distance_back" file reversal.csv screen no',
        'print "${away},$(c_farthest:%.17g)" append reversal.csv screen no',
        "",
    ])  # fmt: skip


def _header(structure: Structure, data: str) -> str:
    boundary = "p p p" if structure.is_bulk else "m m m"
    return "\n".join([
        "units metal",
        "atom_style atomic",
        "atom_modify map array",
        f"boundary {boundary}",
        f"read_data {data}",
        "neighbor 1.0 bin",
        "neigh_modify every 1 delay 0 check yes",
    ])  # fmt: skip


def _thermo(structure: Structure, steps: int) -> str:
    return "\n".join([
        "compute T all temp",
        f"compute_modify T extra/dof {structure.constraints}",
        "thermo_style custom step temp pe etotal",
        "thermo_modify temp T flush yes lost error",
        f"thermo {max(steps // 100, 1)}",
    ])  # fmt: skip


def _heat(structure: Structure, temperature: float, seed: int) -> str:
    rotation = "no" if structure.is_bulk else "yes"
    return f"velocity all create {temperature} {seed} temp T mom yes rot {rotation} dist gaussian"


def _correct(rounds: int, steps: int) -> str:
    """Runs of `steps`, each ending with velocities scaled by what their mean temperature lacked. Potential
    energy takes up about as much as kinetic energy does, hence the factor 2."""
    return "\n".join([
        f"variable round loop {rounds}",
        "label correct",
        "reset_timestep 0",
        f"fix mean all ave/time 1 {steps} {steps} c_T",
        f"run {steps}",
        f'variable wanted equal "c_T + 2*({TEMPERATURE} - f_mean)"',
        'variable bounded equal "(v_wanted > 30)*v_wanted + (v_wanted <= 30)*30"',
        "velocity all scale ${bounded} temp T",
        "unfix mean",
        "next round",
        "jump SELF correct",
        "reset_timestep 0",
    ])  # fmt: skip
