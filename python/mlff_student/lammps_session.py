"""Energies, forces and stress of structures, computed by the pair style in one LAMMPS that stays open."""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import lammps_plugin
from .lammps_box import Placement, StructureError, place
from .potential import Potential, PotentialError
from .units import SYMBOLS

PRECISIONS = ("double", "mixed", "single")
FILTERS = ("exact", "spline")

#: LAMMPS's neighbour list is longer than the cutoff by this (Angstrom), so that rounding loses no pair.
_SKIN = 0.1
#: Largest number of bins that LAMMPS may sort atoms into.
_BINS = 200_000


class LammpsError(RuntimeError):
    """LAMMPS, or the plugin, is missing or stopped with an error; the text is LAMMPS's own."""


class PotentialWarning(UserWarning):
    """What the pair style warns of when it loads a potential."""


class OrientationWarning(UserWarning):
    """A structure was turned for LAMMPS although the potential's energy depends on its orientation."""


@dataclass(frozen=True)
class Result:
    """Of one structure, in eV and Angstrom and in the structure's own orientation."""

    energy: float
    atomic_energies: np.ndarray  #: [N]
    forces: np.ndarray  #: [N, 3]
    atomic_virials: (
        np.ndarray
    )  #: [N, 3, 3]; of each directed edge -r (x) dE/dr, half to either atom

    @property
    def virial(self) -> np.ndarray:
        """[3, 3] -sum over directed edges of r (x) dE/dr."""
        return self.atomic_virials.sum(axis=0)

    def stress(self, volume: float) -> np.ndarray:
        """[3, 3] dE/dstrain / volume, symmetric; positive under tension."""
        return -0.5 * (self.virial + self.virial.T) / volume

    def atomic_stresses(self, volume: float) -> np.ndarray:
        """[N, 3, 3] the atoms' parts of stress(volume)."""
        return -0.5 * (self.atomic_virials + self.atomic_virials.transpose(0, 2, 1)) / volume


class Session:
    """A potential in an open LAMMPS.

    potential: file, or the name of a potential that ships. precision: double, mixed or single. filters:
    exact or spline; None: exact in double precision, else spline. threads: of OpenMP; None: LAMMPS's choice
    (OMP_NUM_THREADS).

    Structures may be periodic in any of the three directions, in a cell of any shape and size. LAMMPS wants a
    lower triangular cell: others are rotated and the results rotated back, which changes nothing but for
    architecture mlff-distiller, whose energy depends on orientation; then an OrientationWarning says so.

    Raises PotentialError if the file cannot be used, LammpsError if LAMMPS or the plugin cannot.
    """

    def __init__(
        self,
        potential: str | os.PathLike,
        precision: str = "double",
        filters: str | None = None,
        threads: int | None = None,
    ):
        _one_of("precision", precision, PRECISIONS)
        _one_of("filters", filters, (None, *FILTERS))
        self.potential = Potential.read(find_potential(potential))
        self.cutoff = self.potential.cutoff * self.potential.length_in_angstrom  #: in Angstrom
        settings = {"precision": precision, "filters": filters, "threads": threads}
        self._settings = " ".join(f"{key} {value}" for key, value in settings.items() if value)
        self._lammps = None
        self._told_of_rotation = False
        self._pass_on_warnings(self._start())

    # ------------------------------------------------------------------------------- structures

    def evaluate(
        self,
        elements: Sequence[str] | Sequence[int],
        positions: np.ndarray,
        cell: np.ndarray | None = None,
        pbc: bool | Sequence[bool] | None = None,
    ) -> Result:
        """Energy, atomic energies, forces and virials of one structure.

        elements: [N] chemical symbols or atomic numbers; positions: [N, 3] in Angstrom; cell: [3, 3] rows;
        pbc: periodic directions (default: all if there is a cell). Raises StructureError if the structure
        is not one for this potential, LammpsError if LAMMPS stops.
        """
        types = self._types(elements)
        positions = np.asarray(positions, dtype=float).reshape(-1, 3)
        if len(types) != len(positions):
            raise StructureError(f"{len(types)} elements and {len(positions)} positions")
        if len(types) == 0:
            return Result(0.0, np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3, 3)))
        pbc = np.broadcast_to(cell is not None if pbc is None else pbc, 3)
        cell = np.zeros((3, 3)) if cell is None else cell
        placement = place(positions, cell, pbc, self.cutoff + _SKIN)
        self._warn_of_rotation(placement)
        try:
            return self._run(types, placement)
        except LammpsError:
            self.close()  # after an error nothing is known of its state
            raise

    def _types(self, elements: Sequence[str] | Sequence[int]) -> list[int]:
        known = {symbol: k + 1 for k, symbol in enumerate(self.potential.elements)}
        symbols = [e if isinstance(e, str) else _symbol(int(e)) for e in elements]
        for k, symbol in enumerate(symbols):
            if symbol not in known:
                raise StructureError(
                    f"element {symbol} of atom {k + 1} is not in {self.potential.file}, "
                    f"which has: {' '.join(known)}"
                )
        return [known[symbol] for symbol in symbols]

    def _warn_of_rotation(self, placement: Placement) -> None:
        depends = self.potential.architecture == "mlff-distiller"
        if depends and placement.is_rotated and not self._told_of_rotation:
            self._told_of_rotation = True
            warnings.warn(
                "a structure was rotated, because LAMMPS wants lower triangular cells; the energy of this "
                "potential (mlff-distiller) depends on orientation, so it belongs to the rotated structure",
                OrientationWarning,
                stacklevel=4,
            )

    def _run(self, types: list[int], placement: Placement) -> Result:
        if self._lammps is None:
            self._start()
        n, box = len(types), placement.box
        self._command("delete_atoms group all compress yes")
        self._command(f"neigh_modify binsize {self._bin_size(box)}")
        self._call("reset_box", [0.0] * 3, np.diag(box).tolist(), box[1, 0], box[2, 1], box[2, 0])
        ids, positions = list(range(1, n + 1)), placement.positions.ravel().tolist()
        created = self._call("create_atoms", n, ids, types, positions)
        if created != n:
            raise LammpsError(f"LAMMPS took {created} of {n} atoms")
        self._command("run 0 post no")
        forces = np.array(self._call("gather_atoms", "f", 1, 3)).reshape(n, 3)
        energies = np.array(self._call("gather", "c_energy", 1, 1))
        # columns xx yy zz xy xz yz yx zx zy, pressure times volume with the opposite sign
        stress = np.array(self._call("gather", "c_stress", 1, 9)).reshape(n, 9)
        virials = stress[:, [0, 3, 4, 6, 1, 5, 7, 8, 2]].reshape(n, 3, 3) / -self._pressure_unit
        return Result(
            self._call("get_thermo", "pe"),
            energies,
            placement.vectors_back(forces),
            placement.tensors_back(virials),
        )

    def _bin_size(self, box: np.ndarray) -> float:
        """LAMMPS's default (0), but for sparse structures, where it would take more bins than memory."""
        usual = 0.5 * (self.cutoff + _SKIN)
        volume = np.prod(np.abs(box).sum(axis=0) + 2 * self.cutoff)
        size = (volume / _BINS) ** (1 / 3)
        return size if size > usual else 0.0

    # ------------------------------------------------------------------------------- LAMMPS

    def _start(self) -> str:
        """Opens LAMMPS with one atom type for each element of the potential; returns its log."""
        with tempfile.TemporaryDirectory(prefix="mlff-student-") as folder:
            log = Path(folder) / "log"
            self._lammps = _open_lammps(log)
            try:
                _load_plugin(self._lammps)
                for line in self._setup():
                    self._command(line)
            except LammpsError:
                self.close()
                raise
            self._pressure_unit = self._lammps.extract_global("nktv2p")
            return log.read_text(errors="replace") if log.exists() else ""

    def _setup(self) -> list[str]:
        elements = self.potential.elements
        return [
            "units metal",
            "atom_style atomic",
            "atom_modify map array sort 0 0",
            "box tilt large",
            "region box prism 0 1 0 1 0 1 0 0 0",
            f"create_box {len(elements)} box",
            "mass * 1.0",
            f"neighbor {_SKIN} bin",
            f"pair_style mlff/student {self._settings}",
            f'pair_coeff * * """{os.path.abspath(self.potential.file)}""" {" ".join(elements)}',
            "compute energy all pe/atom pair",
            "compute stress all centroid/stress/atom NULL pair",
            "compute total all reduce sum c_energy c_stress[*]",  # makes each run compute both
            "thermo_style custom step pe c_total[*]",
            "thermo_modify norm no lost error",
            "log none",
        ]

    @staticmethod
    def _pass_on_warnings(log: str) -> None:
        for line in log.splitlines():
            if line.startswith("WARNING:") and "mlff-" in line:
                warnings.warn(_clean(line), PotentialWarning, stacklevel=3)

    def _command(self, line: str) -> None:
        self._call("command", line)

    def _call(self, function: str, *arguments):
        try:
            return getattr(self._lammps, function)(*arguments)
        except Exception as error:  # LAMMPS's Python module raises just that
            raise LammpsError(_clean(str(error))) from None

    def close(self) -> None:
        """Closes LAMMPS; the next evaluation opens it again."""
        if self._lammps is not None:
            self._lammps.close()
            self._lammps = None

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_lammps": None}  # a copy opens a LAMMPS of its own

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_) -> None:
        self.close()


# ------------------------------------------------------------------------------------ files


def find_potential(potential: str | os.PathLike) -> Path:
    """A potential's file: as named, else in LAMMPS_POTENTIALS and among those that ship, as LAMMPS does.

    Raises PotentialError, which says where it looked, if there is no such file.
    """
    path = Path(potential)
    if path.exists():
        return path
    shipped, folders = lammps_plugin.potentials(), []
    if not path.is_absolute():
        folders = [folder for folder in os.environ.get("LAMMPS_POTENTIALS", "").split(":") if folder]
        folders = list(dict.fromkeys([*folders, str(shipped)]))
    for folder in folders:
        if (Path(folder) / path).is_file():
            return Path(folder) / path
    looked = f"; looked in {', '.join([os.getcwd(), *folders])}" if folders else ""
    names = sorted(file.name for file in shipped.glob("*.yaml"))
    known = (
        f", or the name of one that ships: {', '.join(names)}" if names else "; none ships with this installation"
    )
    raise PotentialError(
        f"{path}: cannot be read: No such file or directory{looked}; give the path of a potential{known}"
    )


def find_plugin() -> Path | None:
    """The plugin's file: the environment's MLFF_PLUGIN, else that of the installed package, if there is one."""
    if named := os.environ.get("MLFF_PLUGIN"):
        return Path(named).absolute()
    installed = Path(lammps_plugin.folder()) / "mlffstudentplugin.so"
    return installed if installed.is_file() else None


def _open_lammps(log: Path):
    lammps_plugin.load_mpi()
    try:
        from lammps import lammps

        opened = lammps(cmdargs=["-log", str(log), "-screen", "none", "-nocite"])
    except Exception as error:  # not installed, no MPI, another version: all kinds
        raise LammpsError(
            f"LAMMPS's Python module cannot be used: {error}; install it with: pip install lammps mpich"
        ) from None
    opened.set_show_error(False)
    return opened


def _load_plugin(opened) -> None:
    """Loads the plugin unless LAMMPS found it by itself; MLFF_PLUGIN always wins."""
    if "MLFF_PLUGIN" not in os.environ and opened.has_style("pair", "mlff/student"):
        return
    plugin = find_plugin()
    if plugin is None or not plugin.is_file():
        where = plugin or Path(lammps_plugin.folder()) / "mlffstudentplugin.so"
        raise LammpsError(
            f"the LAMMPS plugin {where} does not exist; run `pip install .` in the source folder, or name a "
            "plugin that was built otherwise in the environment variable MLFF_PLUGIN"
        )
    try:
        opened.command(f'plugin load """{plugin}"""')
    except Exception as error:
        raise LammpsError(_clean(str(error))) from None
    if not opened.has_style("pair", "mlff/student"):
        raise LammpsError(f"{plugin} was loaded, but LAMMPS does not know pair_style mlff/student")


# ------------------------------------------------------------------------------------ texts


def _one_of(name: str, value, known: tuple) -> None:
    if value not in known:
        words = ", ".join(str(word) for word in known if word)
        raise ValueError(f"{name}: {value!r} given, known: {words}")


def _symbol(number: int) -> str:
    return SYMBOLS[number - 1] if 0 < number <= len(SYMBOLS) else f"with atomic number {number}"


def _clean(message: str) -> str:
    """LAMMPS's message without its prefix, source line and the input line that it repeats."""
    message = message.split("\nLast input line:")[0]
    message = re.sub(r"^(ERROR|WARNING)( on proc \d+)?: *", "", message.strip())
    message = re.sub(r"\s*\([^()]*\.(cpp|h):\d+\)", "", message)
    message = re.sub(r"\s*For more information see https?://\S+", "", message)
    return " ".join(message.split())
