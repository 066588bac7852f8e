"""A potential: one YAML file that holds a whole student network (doc/potential_format.md)."""

import datetime
import hashlib
import math
import os
import re
import struct
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import strict_yaml
from .atomic_file import replaced_when_complete
from .units import ATOMIC_NUMBERS, ENERGY_UNITS, LENGTH_UNITS, lammps_units

FORMAT = "mlff-student"
VERSION = 1
_ARCHITECTURES = ("painn", "mlff-distiller")
_RADIAL_FUNCTIONS = ("gaussian", "bessel")
_CUTOFF_FUNCTIONS = ("cosine", "mollifier")
_DTYPES = {"float32": np.dtype("<f4"), "float64": np.dtype("<f8")}
_FORMAT = re.compile(r"^format\s*:", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LARGEST_FILE = 2**30
#: Of a check structure: atoms, atoms times images to be searched, cutoffs from the origin.
_MOST_ATOMS, _MOST_IMAGES, _FARTHEST = 1000, 100_000, 10_000
_PAINN_KEYS = ("epsilon", "shared_interactions", "shared_filters")
_KEYS = (
    "format version architecture channels layers radial_functions number_of_radial_functions "
    "cutoff cutoff_function activation epsilon shared_interactions shared_filters units elements "
    "tensors sha256 provenance check"
).split()
_REAL = (int, float)


class PotentialError(Exception):
    """A potential (file) that cannot be used; the text reads "FILE: KEY: reason",
    or "FILE is not an mlff-student potential: reason" where nothing in it looks like one."""


@dataclass
class CheckStructure:
    """A small structure, and the energy and forces that the network must give (file's units)."""

    elements: list[str]  #: [n] chemical symbols
    positions: np.ndarray  #: [n, 3]
    cell: np.ndarray | None  #: [3, 3] rows a, b, c, periodic in all three; None: not periodic
    energy: float
    forces: np.ndarray  #: [n, 3]


@dataclass
class Potential:
    """The content of a potential file. Names and shapes of the tensors: doc/potential_format.md."""

    architecture: str  #: painn | mlff-distiller
    channels: int  #: F
    layers: int  #: L
    number_of_radial_functions: int  #: K
    cutoff: float  #: in `length_unit`
    elements: list[str]  #: chemical symbols in the order of the embedding's rows
    tensors: dict[str, np.ndarray]  #: float32 or float64, in the file's order
    radial_functions: str = "gaussian"  #: gaussian | bessel
    cutoff_function: str = "cosine"  #: cosine | mollifier
    activation: str = "silu"
    epsilon: float = 1e-8  #: of n = sqrt(|V|² + epsilon); painn only
    shared_interactions: bool = False  #: all layers use phi, mix and upd of layer 0; painn only
    shared_filters: bool = False  #: all layers use the filter of layer 0; painn only
    energy_unit: str = "eV"
    length_unit: str = "Angstrom"
    provenance: dict[str, Any] = field(default_factory=dict)
    check: CheckStructure | None = None  #: required in a file; reference.make_check makes one
    date: str = ""  #: of the first line; today when written if empty
    contributor: str = "unknown"
    citation: str = "none"
    file: str = "potential"  #: where it came from, for messages

    @property
    def energy_in_eV(self) -> float:
        """One energy unit of the file in eV."""
        return ENERGY_UNITS[self.energy_unit]

    @property
    def length_in_angstrom(self) -> float:
        """One length unit of the file in Angstrom."""
        return LENGTH_UNITS[self.length_unit]

    @property
    def sha256(self) -> str:
        """SHA-256 over architecture, units, elements and tensors, as the file states it."""
        return _digest(self)

    def tensor(self, name: str) -> np.ndarray:
        """The tensor of that name in double precision. Raises PotentialError if there is none."""
        if name not in self.tensors:
            raise PotentialError(f"{self.file}: tensors: there is no {name}")
        return np.asarray(self.tensors[name], dtype=np.float64)

    def validate(self) -> None:
        """Raises PotentialError if a shape, number or option is not what the format demands."""
        _validate(self)

    def write(self, path: str | os.PathLike) -> None:
        """Writes the file, all of it or nothing. Raises PotentialError if it would not be valid."""
        self.validate()
        if self.check is None:
            raise PotentialError(f"{self.file}: check: missing; reference.make_check makes one")
        text = _to_text(self)
        _from_text(text, str(path))  # whatever is written can be read
        try:
            with replaced_when_complete(Path(path)) as stream:
                stream.write(text)
        except OSError as error:
            raise PotentialError(f"{path}: cannot be written: {error.strerror}") from None

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Potential":
        """Reads and verifies a file. Raises PotentialError."""
        try:
            if os.stat(path).st_size > _LARGEST_FILE:
                raise PotentialError(f"{path}: larger than a potential file can be")
            text = Path(path).read_bytes().decode("utf-8")
        except OSError as error:
            raise PotentialError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise _no_potential(str(path), f"not UTF-8 text ({error.reason})") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str) -> "Potential":
        """The same for text already in memory; `name` stands for the file in messages."""
        return _from_text(text, name)


# ---------------------------------------------------------------------------------------- shapes


def layers_with_tensors(potential: Potential) -> int:
    """Number of layers that have tensors of their own."""
    return 1 if potential.shared_filters and potential.shared_interactions else potential.layers


def expected_shapes(potential: Potential) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all tensors but the read-out's, in the order of the format's table."""
    F, K, Z = potential.channels, potential.number_of_radial_functions, len(potential.elements)
    yield "embedding", (Z, F)
    yield "atomic_energies", (Z,)
    if potential.radial_functions == "gaussian":
        yield "radial.centers", (K,)
        yield "radial.widths", (K,)
    else:
        yield "radial.frequencies", (K,)
    painn = potential.architecture == "painn"
    for l in range(layers_with_tensors(potential)):
        if painn and (l == 0 or not potential.shared_filters):
            yield from _dense(f"filter.{l}", 3 * F, K)
        if painn and (l == 0 or not potential.shared_interactions):
            yield from _dense(f"phi.{l}.0", F, F)
            yield from _dense(f"phi.{l}.1", 3 * F, F)
            yield f"mix.{l}.weight", (2 * F, F)
        if not painn:
            yield from _dense(f"filter.{l}.0", F, K)
            yield from _dense(f"filter.{l}.1", 3 * F, F)
            yield f"mixing.{l}", (3, 3)
        if not painn or l == 0 or not potential.shared_interactions:
            yield from _dense(f"upd.{l}.0", F, 2 * F)
            yield from _dense(f"upd.{l}.1", 3 * F, F)


def _dense(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


# ------------------------------------------------------------------------------------ validation


def _validate(p: Potential) -> None:
    def refuse(key: str, reason: str) -> None:
        raise PotentialError(f"{p.file}: {key}: {reason}")

    def one_of(key: str, value: Any, known: tuple[str, ...] | dict) -> None:
        if value not in known:
            refuse(key, f"{value!r} given, known: {', '.join(known)}")

    one_of("architecture", p.architecture, _ARCHITECTURES)
    one_of("radial_functions", p.radial_functions, _RADIAL_FUNCTIONS)
    one_of("cutoff_function", p.cutoff_function, _CUTOFF_FUNCTIONS)
    one_of("activation", p.activation, ("silu",))
    one_of("units.energy", p.energy_unit, ENERGY_UNITS)
    one_of("units.length", p.length_unit, LENGTH_UNITS)
    for key in ("channels", "layers", "number_of_radial_functions"):
        value = getattr(p, key)
        largest = 1024 if key == "layers" else 16384
        if type(value) is not int or not 0 < value <= largest:
            refuse(key, f"{value!r} given, must be a whole number from 1 to {largest}")
    if not (_is_real(p.cutoff) and 1e-150 < p.cutoff < 1e150):
        refuse("cutoff", f"{p.cutoff!r} given, must be a number above 0")
    if p.architecture == "painn":
        if not (_is_real(p.epsilon) and np.finfo(np.float32).tiny <= p.epsilon < 3e38):
            refuse("epsilon", f"{p.epsilon!r} given, must be above 0, in single precision too")
        for key in ("shared_interactions", "shared_filters"):
            if type(getattr(p, key)) is not bool:
                refuse(key, f"{getattr(p, key)!r} given, must be true or false")
    elif p.cutoff_function != "cosine":
        refuse("cutoff_function", f"{p.cutoff_function} given, mlff-distiller has only cosine")
    _validate_elements(p, refuse)
    _validate_tensors(p, refuse)
    _validate_provenance(p.provenance, refuse)
    if p.check is not None:
        _validate_check(p, p.check, refuse)


def _validate_elements(p: Potential, refuse) -> None:
    if not isinstance(p.elements, list) or not p.elements:
        refuse("elements", "must be a list of chemical symbols")
    for symbol in p.elements:
        if not isinstance(symbol, str) or symbol not in ATOMIC_NUMBERS:
            refuse("elements", f"{symbol!r} is not a chemical symbol")
    if len(set(p.elements)) != len(p.elements):
        refuse("elements", f"an element appears twice in {', '.join(p.elements)}")


def _validate_tensors(p: Potential, refuse) -> None:
    if layers_with_tensors(p) > len(p.tensors):
        refuse("layers", f"{p.layers} given, but there are only {len(p.tensors)} tensors")
    names = dict(expected_shapes(p)) | dict(_readout_shapes(p, refuse))
    for name in p.tensors:
        if name not in names:
            refuse(f"tensors.{name}", "no tensor of this name belongs to this architecture")
    for name, shape in names.items():
        if name not in p.tensors:
            refuse(f"tensors.{name}", f"missing; shape {list(shape)} expected")
        tensor = p.tensors[name]
        if tensor.dtype.name not in _DTYPES:
            refuse(f"tensors.{name}", f"{tensor.dtype} given, known: {', '.join(_DTYPES)}")
        if tensor.shape != shape:
            refuse(f"tensors.{name}", f"shape {list(tensor.shape)} given, {list(shape)} expected")
        if not np.isfinite(tensor).all():
            refuse(f"tensors.{name}", "holds a number that is not finite")
    for name in ("radial.widths", "radial.frequencies"):
        if name in names and not (p.tensors[name] > 0).all():
            refuse(f"tensors.{name}", "holds a number that is not above 0")


def _readout_shapes(p: Potential, refuse) -> Iterator[tuple[str, tuple[int, ...]]]:
    layers = sum(1 for name in p.tensors if name.startswith("out.") and name.endswith(".weight"))
    inputs = p.channels
    for k in range(max(layers, 1)):
        weight = p.tensors.get(f"out.{k}.weight")
        if weight is None or weight.ndim != 2 or weight.shape[0] == 0:
            refuse(f"tensors.out.{k}.weight", "missing, or not [outputs, inputs]")
        outputs = weight.shape[0]
        if k == layers - 1 and outputs != 1:
            refuse(f"tensors.out.{k}.weight", f"{outputs} outputs in the last layer, must be 1")
        yield from _dense(f"out.{k}", outputs, inputs)
        inputs = outputs


def _validate_provenance(provenance: Any, refuse) -> None:
    if not isinstance(provenance, dict):
        refuse("provenance", "must be a mapping")
    containers = {id(provenance)}
    stack = list(provenance.items())
    while stack:
        key, value = stack.pop()
        if not isinstance(key, str):
            refuse("provenance", f"key {key!r} is not text")
        if isinstance(value, (dict, list)):
            if id(value) in containers:
                refuse(f"provenance.{key}", "repeats another entry (a YAML alias)")
            containers.add(id(value))
            items = value.items() if isinstance(value, dict) else ((key, v) for v in value)
            stack.extend(items)
        elif isinstance(value, float) and not math.isfinite(value):
            refuse(f"provenance.{key}", "holds a number that is not finite")
        elif not isinstance(value, (str, int, float, bool, type(None))):
            refuse(f"provenance.{key}", "must be text, number, list or mapping")


def _validate_check(p: Potential, check: CheckStructure, refuse) -> None:
    n = len(check.elements)
    for symbol in check.elements:
        if symbol not in p.elements:
            refuse("check.elements", f"{symbol!r} is not among elements: {', '.join(p.elements)}")
    if missing := [symbol for symbol in p.elements if symbol not in check.elements]:
        refuse("check.elements", f"lacks {', '.join(missing)}; each element must be there once")
    for key, array in (("positions", check.positions), ("forces", check.forces)):
        if array.shape != (n, 3) or not np.isfinite(array).all():
            refuse(f"check.{key}", f"must be {n} rows of 3 finite numbers")
    if not _is_real(check.energy):
        refuse("check.energy", "must be a finite number")
    if check.cell is not None:
        if check.cell.shape != (3, 3) or not np.isfinite(check.cell).all():
            refuse("check.cell", "must be null or 3 rows of 3 finite numbers")
        if not abs(np.linalg.det(check.cell)) > 0:
            refuse("check.cell", "has no volume")
    _bound_work(p, check, refuse)


def _bound_work(p: Potential, check: CheckStructure, refuse) -> None:
    """Refuses a check structure that would cost much time or memory to recompute."""
    if (abs(check.positions) > _FARTHEST * p.cutoff).any():
        refuse("check.positions", f"an atom is farther than {_FARTHEST} cutoffs from the origin")
    images = 1.0
    if check.cell is not None:
        inverse = np.linalg.inv(check.cell)
        reach = np.ptp(check.positions @ inverse, axis=0)
        reach += 2 * p.cutoff * np.linalg.norm(inverse, axis=0)
        images = np.prod(2 * np.ceil(reach) + 1)
    n = len(check.elements)
    if not (n <= _MOST_ATOMS and n * images <= _MOST_IMAGES):
        refuse(
            "check",
            f"{n} atoms; more than {_MOST_ATOMS}, or {_MOST_IMAGES} with the periodic images to be "
            "searched, are not recomputed",
        )


def _is_real(x: Any) -> bool:
    return isinstance(x, _REAL) and not isinstance(x, bool) and math.isfinite(x)


# ------------------------------------------------------------------------------------------ hash


def _header(p: Potential) -> list[tuple[str, Any]]:
    """Keys of the file before `units`, in its order."""
    keys = _KEYS[2 : _KEYS.index("units")]
    painn = p.architecture == "painn"
    return [(key, getattr(p, key)) for key in keys if painn or key not in _PAINN_KEYS]


def _digest(p: Potential) -> str:
    digest = hashlib.sha256()
    units = [("units.energy", p.energy_unit), ("units.length", p.length_unit)]
    for key, value in _header(p) + units:
        if key in ("cutoff", "epsilon"):
            value = struct.pack(">d", value).hex()
        elif isinstance(value, bool):
            value = "true" if value else "false"
        digest.update(f"{key}={value}\n".encode())
    digest.update(f"elements={','.join(p.elements)}\n".encode())
    for name, tensor in p.tensors.items():
        shape = ",".join(map(str, tensor.shape))
        digest.update(f"{name} {tensor.dtype.name} {shape}\n".encode())
        digest.update(_raw(tensor))
    return digest.hexdigest()


def _raw(tensor: np.ndarray) -> bytes:
    return np.ascontiguousarray(tensor, dtype=_DTYPES[tensor.dtype.name]).tobytes()


# --------------------------------------------------------------------------------------- writing


def _to_text(p: Potential) -> str:
    date = p.date or datetime.date.today().isoformat()
    one_line = lambda text: " ".join(str(text).split())  # noqa: E731
    lines = [
        f"# DATE: {one_line(date)} UNITS: {lammps_units(p.energy_unit, p.length_unit)} "
        f"CONTRIBUTOR: {one_line(p.contributor)} CITATION: {one_line(p.citation)}",
        f"format: {FORMAT}",
        f"version: {VERSION}",
        *(f"{key}: {_scalar(value)}" for key, value in _header(p)),
        f"units: {{energy: {p.energy_unit}, length: {p.length_unit}}}",
        f"elements: [{', '.join(map(_symbol, p.elements))}]",
        "tensors:",
    ]
    for name, tensor in p.tensors.items():
        lines += [
            f"- name: {name}",
            f"  shape: [{', '.join(map(str, tensor.shape))}]",
            f"  dtype: {tensor.dtype.name}",
            f'  data: !!binary "{b64encode(_raw(tensor)).decode()}"',
        ]
    lines += [f"sha256: {p.sha256}", *strict_yaml.dump({"provenance": p.provenance}).splitlines()]
    check = p.check
    cell = "null" if check.cell is None else f"[{', '.join(map(_row, check.cell))}]"
    lines += ["check:", f"  elements: [{', '.join(map(_symbol, check.elements))}]"]
    lines += ["  positions:", *(f"  - {_row(x)}" for x in check.positions), f"  cell: {cell}"]
    lines += [f"  energy: {_scalar(float(check.energy))}"]
    lines += ["  forces:", *(f"  - {_row(f)}" for f in check.forces)]
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return strict_yaml.format_real(value) if isinstance(value, float) else str(value)


def _row(values: np.ndarray) -> str:
    return f"[{', '.join(strict_yaml.format_real(x) for x in values)}]"


def _symbol(symbol: str) -> str:
    return f'"{symbol}"' if symbol in ("No", "Y", "N") else symbol  # YAML 1.1 may see a boolean


# --------------------------------------------------------------------------------------- reading


def _from_text(text: str, name: str) -> Potential:
    """The text's potential. Only a text that is refused is searched for the key that every potential has."""
    try:
        return _parse(text, name)
    except PotentialError:
        if _FORMAT.search(text):
            raise
        raise _no_potential(name, f"it has no line 'format: {FORMAT}'") from None


def _no_potential(name: str, reason: str) -> PotentialError:
    return PotentialError(
        f"{name} is not an {FORMAT} potential: {reason}; name a file that mlff-student train or convert wrote"
    )


def _parse(text: str, name: str) -> Potential:
    if control := _CONTROL.search(text):
        raise PotentialError(f"{name}: holds the control character {control[0]!r}")
    if not text.endswith("\n"):
        raise PotentialError(f"{name}: cut short: the last line has no line break")
    try:
        metadata = _parse_metadata(text.partition("\n")[0], name)
        try:
            content = strict_yaml.load(text)
        except ValueError as error:
            raise PotentialError(f"{name}: not YAML, or cut short: {error}") from None
        header = _parse_header(content, name)
        potential = Potential(
            **header,
            **metadata,
            tensors=_parse_tensors(content["tensors"], name),
            provenance=content.get("provenance", {}),
            check=_parse_check(content["check"], name),
            file=name,
        )
    except RecursionError:
        raise PotentialError(f"{name}: too deeply nested") from None
    potential.validate()
    units = lammps_units(potential.energy_unit, potential.length_unit)
    if f" UNITS: {units} " not in text.partition("\n")[0] + " ":
        raise PotentialError(f"{name}: units: the first line must say UNITS: {units}")
    if content["sha256"] != potential.sha256:
        raise PotentialError(
            f"{name}: sha256: {content['sha256']} given, {potential.sha256} computed: "
            "the file was damaged or edited"
        )
    return potential


def _parse_metadata(line: str, name: str) -> dict[str, str]:
    """Words after DATE:, CONTRIBUTOR: and CITATION: of the first line."""
    words = line.split()
    if not line.startswith("#") or "DATE:" not in words or "UNITS:" not in words:
        raise PotentialError(
            f"{name}: first line: must be '# DATE: ... UNITS: ...' (LAMMPS metadata)"
        )
    found: dict[str, list[str]] = {}
    key = ""
    for word in words[1:]:
        if word.endswith(":") and word[:-1].isupper():
            key = word[:-1].lower()
        found.setdefault(key, []).append(word)
    return {
        key: " ".join(found[key][1:]) for key in ("date", "contributor", "citation") if key in found
    }


def _keys(content: Any, required: set[str], optional: set[str], where: str, name: str) -> None:
    if not isinstance(content, dict):
        raise PotentialError(f"{name}: {where or 'file'}: must be a mapping of keys to values")
    prefix = where + "." if where else ""
    for key in content:
        if key not in required | optional:
            raise PotentialError(f"{name}: {prefix}{key}: unknown key")
    for key in sorted(required - set(content)):
        raise PotentialError(f"{name}: {prefix}{key}: missing (is the file cut short?)")


def _parse_header(content: Any, name: str) -> dict[str, Any]:
    if isinstance(content, dict):
        if content.get("format") != FORMAT:
            raise PotentialError(
                f"{name}: format: {content.get('format')!r} given, must be {FORMAT}"
            )
        if type(content.get("version")) is not int or content["version"] != VERSION:
            raise PotentialError(
                f"{name}: version: {content.get('version')!r} given, this program reads {VERSION}"
            )
    painn = isinstance(content, dict) and content.get("architecture") == "painn"
    required = set(_KEYS) - {"provenance"} - (set() if painn else set(_PAINN_KEYS))
    _keys(content, required, {"provenance"}, "", name)
    _keys(content["units"], {"energy", "length"}, set(), "units", name)
    header = {key: content[key] for key in _KEYS[2 : _KEYS.index("units")] if key in content}
    for key in ("cutoff", "epsilon"):
        if key in header and _is_real(header[key]):
            header[key] = float(header[key])
    for key, value in header.items():
        if isinstance(value, (list, dict)):
            raise PotentialError(f"{name}: {key}: must be a single value")
    units = content["units"]
    for key in ("energy", "length"):
        if not isinstance(units[key], str):
            raise PotentialError(f"{name}: units.{key}: must be text")
    header |= {"energy_unit": units["energy"], "length_unit": units["length"]}
    return header | {"elements": content["elements"]}


def _parse_tensors(entries: Any, name: str) -> dict[str, np.ndarray]:
    if not isinstance(entries, list):
        raise PotentialError(f"{name}: tensors: must be a list")
    tensors: dict[str, np.ndarray] = {}
    for index, entry in enumerate(entries):
        where = f"tensors[{index}]"
        _keys(entry, {"name", "shape", "dtype", "data"}, set(), where, name)
        key, shape, dtype, data = (entry[k] for k in ("name", "shape", "dtype", "data"))
        if not isinstance(key, str):
            raise PotentialError(f"{name}: {where}.name: must be text")
        where = f"tensors.{key}"
        if key in tensors:
            raise PotentialError(f"{name}: {where}: appears twice")
        if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
            raise PotentialError(f"{name}: {where}.shape: must be a list of whole numbers above 0")
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise PotentialError(
                f"{name}: {where}.dtype: {dtype!r} given, known: {', '.join(_DTYPES)}"
            )
        if not isinstance(data, bytes):
            raise PotentialError(f"{name}: {where}.data: must be !!binary data")
        if len(data) != math.prod(shape) * _DTYPES[dtype].itemsize:
            raise PotentialError(
                f"{name}: {where}.data: {len(data)} bytes given, shape {shape} of {dtype} takes "
                f"{math.prod(shape) * _DTYPES[dtype].itemsize}"
            )
        tensors[key] = np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
    return tensors


def _parse_check(content: Any, name: str) -> CheckStructure:
    keys = ("elements", "positions", "cell", "energy", "forces")
    _keys(content, set(keys), set(), "check", name)
    elements = content["elements"]
    if not isinstance(elements, list) or not all(isinstance(x, str) for x in elements):
        raise PotentialError(f"{name}: check.elements: must be a list of chemical symbols")
    rows = {
        key: None if key == "cell" and content[key] is None else _rows(content[key], key, name)
        for key in ("positions", "cell", "forces")
    }
    if not _is_real(content["energy"]):
        raise PotentialError(f"{name}: check.energy: must be a finite number")
    return CheckStructure(elements=elements, energy=float(content["energy"]), **rows)


def _rows(content: Any, key: str, name: str) -> np.ndarray:
    if not isinstance(content, list) or not all(
        isinstance(row, list) and len(row) == 3 and all(map(_is_real, row)) for row in content
    ):
        raise PotentialError(f"{name}: check.{key}: must be rows of 3 finite numbers")
    return np.array(content, dtype=np.float64).reshape(-1, 3)
