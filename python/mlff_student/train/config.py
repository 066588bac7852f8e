"""The configuration of a distillation: one YAML file, checked before anything is computed.

Every section is a dataclass below; its fields are the keys of the file. Keys without a default are
required, and a key that is not a field is refused.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import strict_yaml

SAMPLERS = (
    "md",
    "normal_modes",
    "rattle",
    "stretch",
    "contact",
    "force_field",
    "cluster",
    "liquid",
)
PARTS = ("", "train", "validation", "test")
SPLITS = ("frame", "trajectory", "molecule")
DEVICES = ("auto", "cpu", "cuda")
FUSIONS = ("auto", "none", "graph", "compile")
CRITERIA = {"loss": "validation_loss", "force_mae": "force_mae_meV_per_A"}  # names in the history


class ConfigError(ValueError):
    """A configuration that cannot be used; the text says what was given and what is known."""


@dataclass(frozen=True)
class Teacher:
    """The calculator whose energies and forces are the labels (any ASE calculator)."""

    calculator: str  # import path of the class, as in tblite.ase.TBLite
    arguments: dict[str, Any] = field(default_factory=dict)  # its keyword arguments
    name: str = ""  # for the provenance; default: the import path


@dataclass(frozen=True)
class Molecule:
    """A structure that sampling starts from."""

    name: str
    structure: str = ""  # a name in ASE's g2 collection, or a file that ASE reads
    smiles: str = ""  # instead of a structure: conformers are made with RDKit
    repeats: int = 1  # multiplies the number of frames of every sampler
    group: str = ""  # class of the molecule in tables of errors
    part: str = ""  # train | validation | test; default: as `split` deals

    @property
    def heavy_atoms(self) -> int:
        """Atoms other than hydrogen, counted in the SMILES."""
        return len(re.findall(r"Cl|Br|[BCNOPSFI]|[bcnops]", re.sub(r"\[H\]", "", self.smiles)))


@dataclass(frozen=True)
class Sampler:
    """One way to make frames. Which keys count depends on `kind` (see sampling.py)."""

    kind: str  # one of SAMPLERS
    frames: int  # for each molecule (times its repeats), pair, cluster or box
    molecules: list[str] = field(default_factory=list)  # names or groups; default: all
    heavy_atoms: list[int] = field(default_factory=list)  # only molecules with [fewest, most]
    temperatures: list[float] = field(default_factory=list)  # K; md, normal_modes, force_field,
    # cluster, liquid
    timestep: float = 1.0  # fs; md
    friction: float = 0.02  # 1/fs; md
    equilibration: int = 200  # steps before the first frame; md
    spacing: int = 15  # steps from frame to frame; md
    run: int = 40  # frames in one trajectory; md
    range: list[float] = field(default_factory=list)  # rattle: Angstrom; stretch: factors;
    # contact: closest distances in units of the sum of van der Waals radii; liquid: g/cm^3
    count: int = 0  # random pairs (contact; 0: all), clusters or boxes
    size: list[int] = field(default_factory=list)  # [fewest, most] molecules; cluster, liquid
    steps: int = 0  # of dynamics with the teacher before a frame is labelled; not md
    relaxation: int = 0  # steps of relaxation with the teacher before a frame is labelled; not md
    part: str = ""  # contact, cluster, liquid: train | validation | test


@dataclass(frozen=True)
class Data:
    """Which frames the teacher labels, and where they are kept."""

    file: str  # .npz, relative to the config
    sampling: list[Sampler]
    molecules: list[Molecule] = field(default_factory=list)
    smiles: str = ""  # a file with more molecules: SMILES, name, group and part in each line
    compact: bool = False  # round what is stored to 1e-5 Angstrom and 1e-3 eV/Angstrom
    relax: float = 0.01  # eV/Angstrom: largest force where relaxation ends; 0: do not relax
    force_limit: float = 30.0  # eV/Angstrom: frames with a larger force are left out


@dataclass(frozen=True)
class Split:
    """How frames are dealt out to training, validation and test."""

    by: str = "frame"  # frame | trajectory | molecule (all frames of one go the same way)
    validation: float = 0.05  # fraction
    test: float = 0.05  # fraction
    test_molecules: list[str] = field(default_factory=list)  # only ever in the test set


@dataclass(frozen=True)
class Network:
    """The student. Names as in the potential file."""

    architecture: str = "painn"  # the only one that can be trained
    channels: int = 64
    layers: int = 3
    number_of_radial_functions: int = 20
    cutoff: float = 5.0  # Angstrom
    radial_functions: str = "gaussian"
    cutoff_function: str = "cosine"
    epsilon: float = 1e-8
    shared_interactions: bool = False
    shared_filters: bool = False


@dataclass(frozen=True)
class Training:
    """The optimisation. A frame's loss is energy_weight (dE/n)^2 + force_weight |dF|^2 / 3n."""

    steps: int = 100_000
    batch_size: int = 64  # frames on average; a batch is full when its atoms or edges are
    committee: int = 1  # networks of different initial weights and orders of batches
    bootstrap: bool = False  # each network of a committee has its own draw of the training frames
    more_frames: list[str] = field(default_factory=list)  # files of frames to train on as well
    start: list[str] = field(default_factory=list)  # potentials, one a network, to begin from
    optimizer: str = "adamw"  # adam | adamw
    weight_decay: float = 0.0
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup: int = 1000  # steps of linear warm-up
    schedule: str = "cosine"  # cosine | plateau
    plateau_factor: float = 0.5
    plateau_patience: int = 10  # evaluations
    energy_weight: float = 1.0  # 1/eV^2
    force_weight: float = 1.0  # Angstrom^2/eV^2
    energy_huber: float = 0.0  # eV: |dE/n| from which the loss grows linearly; 0: nowhere
    force_huber: float = 0.0  # eV/Angstrom: the same for |dF| of an atom
    size_weight: float = 0.0  # frames of n atoms count n^this times
    clip: float = 1.0  # largest norm of the gradient; 0: none
    ema: float = 0.999  # decay of the moving average of the weights
    criterion: str = "loss"  # loss | force_mae: on the validation frames, chooses the weights
    patience: int = 0  # evaluations without improvement before training ends; 0: never
    evaluate_every: int = 1000  # steps
    checkpoint_every: int = 5000  # steps
    precision: str = "float32"  # float32 | float64
    matmul: str = "float32"  # float32 | tf32: products of matrices in the steps on a GPU
    device: str = "auto"  # auto | cpu | cuda
    fusion: str = "auto"  # auto | none | graph | compile: how a step runs on a GPU (see step.py)


@dataclass(frozen=True)
class Active:
    """Active learning: what the committee looks at in each round, and what it may ask for."""

    rounds: int = 2
    pool: list[str] = field(default_factory=list)  # files of structures to start from as well
    trajectories: int = 1500  # of molecules and clusters
    temperatures: list[float] = field(default_factory=lambda: [300.0, 600.0, 1000.0])  # K
    periodic_trajectories: int = 40
    periodic_temperatures: list[float] = field(default_factory=lambda: [300.0, 400.0])  # K
    driver: str = "member"  # member | mean: whose forces move the atoms; another member each round
    timestep: float = 0.5  # fs
    friction: float = 0.01  # 1/fs
    length: int = 4000  # steps
    check: int = 20  # steps from one question to the committee to the next
    batch_edges: int = 400_000  # edges in one batch of trajectories
    quantile: float = 0.9  # threshold: this quantile of the disagreement on validation frames
    threshold: float = 0.0  # eV/Angstrom, instead of the quantile
    upper: float = 0.0  # eV/Angstrom above which a structure is not to be used; 0: 10 threshold
    frames: int = 1500  # to label in a round, at most
    per_molecule: int = 8  # of these, at most
    random: float = 0.1  # share of frames taken whether the committee agrees or not
    held_out: float = 0.1  # share of labelled frames that measure the round and do not train
    steps: int = 20_000  # of training in a round
    learning_rate: float = 5e-4
    scratch: bool = False  # train from random weights instead of the weights of the round before


@dataclass(frozen=True)
class Output:
    """What the exported potential says of itself."""

    file: str = ""  # default: NAME.yaml in the run folder
    contributor: str = "unknown"
    citation: str = "none"
    licence: str = "MIT"


@dataclass(frozen=True)
class Config:
    """A whole distillation."""

    name: str
    teacher: Teacher
    data: Data
    seed: int = 0
    split: Split = field(default_factory=Split)
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)
    active: Active = field(default_factory=Active)
    output: Output = field(default_factory=Output)
    folder: Path = field(default=Path("."), metadata={"internal": True})

    @property
    def data_path(self) -> Path:
        """Where the labelled frames are."""
        return self.folder / self.data.file

    @functools.cached_property
    def molecules(self) -> list[Molecule]:
        """The molecules of data.molecules and of the file data.smiles."""
        return self.data.molecules + _read_smiles(self.folder, self.data.smiles)


def load_config(path: str | Path) -> Config:
    """Read and check a configuration file; ConfigError names the file, the key and the reason."""
    path = Path(path)
    try:
        mapping = strict_yaml.load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from None
    try:
        return parse_config(mapping, path.resolve().parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_config(mapping: Any, folder: Path = Path(".")) -> Config:
    """Build a Config from plain data; relative paths in it start from `folder`."""
    config = dataclasses.replace(_build(Config, mapping, ""), folder=Path(folder))
    _check(config)
    return config


def as_plain(config: Config) -> dict[str, Any]:
    """The configuration as plain data, defaults filled in, for logs and hashes."""
    plain = dataclasses.asdict(config)
    del plain["folder"]
    return plain


def _build(cls: type, mapping: Any, where: str) -> Any:
    """An instance of the dataclass `cls` from a mapping; `where` is the key's path."""
    if not isinstance(mapping, dict):
        raise ConfigError(f"{where or 'the file'}: must be a mapping, but is {mapping!r}")
    fields = {f.name: f for f in dataclasses.fields(cls) if "internal" not in f.metadata}
    for key in mapping:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(f"{_join(where, key)}: unknown key{hint}; known: {', '.join(fields)}")
    for name, entry in fields.items():
        missing = dataclasses.MISSING
        if name not in mapping and entry.default is missing and entry.default_factory is missing:
            raise ConfigError(f"{_join(where, name)}: is missing; add it")
    hints = typing.get_type_hints(cls)
    values = {k: _convert(hints[k], v, _join(where, k)) for k, v in mapping.items()}
    return cls(**values)


def _join(where: str, key: Any) -> str:
    return f"{where}.{key}" if where else str(key)


def _convert(kind: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type `kind`, or ConfigError."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    if origin is list:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: must be a list, but is {value!r}")
        item = typing.get_args(kind)[0]
        return [_convert(item, v, f"{where}[{k}]") for k, v in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: must be a mapping, but is {value!r}")
        return value
    if isinstance(kind, types.UnionType):
        return value
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{where}: must be of type {kind.__name__}, but is {value!r}")


def _read_smiles(folder: Path, name: str) -> list[Molecule]:
    """Molecules of a file with SMILES, name, group and part (the last two optional) in each line."""
    if not name:
        return []
    try:
        lines = (folder / name).read_text().splitlines()
    except OSError as error:
        raise ConfigError(
            f"data.smiles: {folder / name} cannot be read: {error.strerror}"
        ) from None
    found = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not 2 <= len(words) <= 4:
            raise ConfigError(
                f"data.smiles: {name}, line {number}: {line!r} must be SMILES, name, group and part"
            )
        smiles, title, group, part = words + [""] * (4 - len(words))
        _choice(f"data.smiles: {name}, line {number}", part, PARTS)
        found.append(Molecule(title, smiles=smiles, group=group, part=part))
    return found


def _check(config: Config) -> None:
    """Values that have the right type and still cannot be used."""
    training, split, network = config.training, config.split, config.network
    _choice("split.by", split.by, SPLITS)
    _choice("network.architecture", network.architecture, ("painn",))
    _choice("network.radial_functions", network.radial_functions, ("gaussian", "bessel"))
    _choice("network.cutoff_function", network.cutoff_function, ("cosine", "mollifier"))
    _choice("training.optimizer", training.optimizer, ("adam", "adamw"))
    _choice("training.schedule", training.schedule, ("cosine", "plateau"))
    _choice("training.criterion", training.criterion, list(CRITERIA))
    _choice("training.precision", training.precision, ("float32", "float64"))
    _choice("training.matmul", training.matmul, ("float32", "tf32"))
    _choice("training.device", training.device, DEVICES)
    _choice("training.fusion", training.fusion, FUSIONS)
    for section, names in (
        ("network", "channels layers number_of_radial_functions cutoff"),
        ("training", "steps batch_size committee learning_rate evaluate_every checkpoint_every"),
        ("active", "rounds timestep length check batch_edges frames per_molecule steps"),
    ):
        for name in names.split():
            value = getattr(getattr(config, section), name)
            if value <= 0:
                raise ConfigError(f"{section}.{name}: must be above zero, but is {value}")
    for section, names in (("training", "ema"), ("active", "quantile random held_out")):
        for name in names.split():
            value = getattr(getattr(config, section), name)
            if not 0 <= value < 1:
                raise ConfigError(f"{section}.{name}: must be in [0, 1), but is {value}")
    if split.validation <= 0 or split.test < 0 or split.validation + split.test >= 1:
        given = f"{split.validation} and {split.test}"
        raise ConfigError(
            f"split: validation and test are {given}; validation must be above zero and both "
            "together below 1"
        )
    _check_data(config)
    _check_active(config.active)


def _check_data(config: Config) -> None:
    data = config.data
    names = [molecule.name for molecule in config.molecules]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError(f"data.molecules: more than one is called {', '.join(twice)}")
    for molecule in data.molecules:
        where = f"data.molecules: {molecule.name}"
        if bool(molecule.structure) == bool(molecule.smiles):
            raise ConfigError(f"{where}: must have either structure or smiles")
        _choice(f"{where}.part", molecule.part, PARTS)
    known = list(dict.fromkeys(names + [m.group for m in config.molecules if m.group]))
    for k, sampler in enumerate(data.sampling):
        where = f"data.sampling[{k}]"
        _choice(f"{where}.kind", sampler.kind, SAMPLERS)
        _choice(f"{where}.part", sampler.part, PARTS)
        for name in sampler.molecules:
            _choice(f"{where}.molecules", name, known)
        _check_sampler(where, sampler)
    for name in config.split.test_molecules:
        _choice("split.test_molecules", name, names)


def _check_sampler(where: str, sampler: Sampler) -> None:
    """The keys that a kind needs."""
    thermal = ("md", "normal_modes", "force_field", "cluster", "liquid")
    if sampler.kind in thermal and not sampler.temperatures:
        raise ConfigError(f"{where}.temperatures: is missing; {sampler.kind} needs it (K)")
    coldest = min(sampler.temperatures, default=1.0)
    if coldest < 0 or coldest == 0 and sampler.kind != "force_field":
        raise ConfigError(
            f"{where}.temperatures: must be above zero (or zero: force_field), but one is {coldest}"
        )
    if sampler.kind in ("cluster", "liquid") and sampler.count <= 0:
        raise ConfigError(f"{where}.count: is missing; {sampler.kind} needs it, above zero")
    required = {
        "range": ("rattle", "stretch", "contact", "liquid"),
        "size": ("cluster", "liquid"),
        "heavy_atoms": (),
    }
    for key, kinds in required.items():
        given = getattr(sampler, key)
        needed = sampler.kind in kinds or given
        if needed and (len(given) != 2 or given[0] > given[1] or given[0] < 0):
            raise ConfigError(f"{where}.{key}: must be [lowest, highest], but is {given}")
    if sampler.kind in ("md", "normal_modes") and (sampler.steps or sampler.relaxation):
        raise ConfigError(f"{where}: {sampler.kind} takes neither steps nor relaxation")


def _check_active(active: Active) -> None:
    _choice("active.driver", active.driver, ("member", "mean"))
    for kind in ("", "periodic_"):
        if getattr(active, f"{kind}trajectories") and not getattr(active, f"{kind}temperatures"):
            raise ConfigError(f"active.{kind}temperatures: is empty; give a temperature (K)")
    if active.check > active.length:
        raise ConfigError(
            f"active.check: is {active.check}, more than active.length, {active.length}; the "
            "committee would never be asked"
        )


def _choice(where: str, value: str, known: typing.Sequence[str]) -> None:
    if value not in known:
        listed = [name for name in known if name][:30]
        more = ", ..." if len(known) > 30 else ""
        raise ConfigError(f"{where}: {value!r} is not known; known: {', '.join(listed)}{more}")
