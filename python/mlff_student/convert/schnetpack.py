"""PaiNN models of SchNetPack 2.0 to 2.2 (`best_model`, a pickled NeuralNetworkPotential).

Class and attribute names are those of SchNetPack's sources: representation/painn.py,
atomistic/atomwise.py, nn/{base,radial,cutoff}.py, transform/{atomistic,casting}.py, model/base.py.
Whatever could change the energy and is not known here is refused by name.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..potential import Potential
from ..units import ATOMIC_NUMBERS, SYMBOLS
from . import CheckpointError
from .safe_pickle import Global, Instance
from .torch_file import TorchFile

_SILU = ("torch.nn.functional.silu", "torch.nn.modules.activation.SiLU")
_MODEL = "schnetpack.model.base.NeuralNetworkPotential"
#: Modules that leave the energy as it is.
_HARMLESS_INPUTS = (
    "schnetpack.atomistic.distances.PairwiseDistances",
    "schnetpack.atomistic.response.Strain",
)
_OTHER_PROPERTIES = (
    "schnetpack.atomistic.atomwise.DipoleMoment",
    "schnetpack.atomistic.atomwise.Polarizability",
)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class Module:
    """A pickled torch module: its class, parameters, buffers, submodules and other attributes."""

    def __init__(self, file: TorchFile, record: Any, path: str):
        self.file, self.path = file, path
        state = record.state if isinstance(record, Instance) else None
        if not isinstance(state, dict) or not isinstance(state.get("_modules"), dict):
            what = record.cls if isinstance(record, Instance) else type(record).__name__
            raise CheckpointError(f"{path}: {what} given where a torch module is expected")
        self.record, self.state, self.cls = record, state, str(record.cls)
        for hook in _HOOKS:
            if state.get(hook):
                raise CheckpointError(f"{path}: has {hook[1:]}, code that cannot be converted")

    def attribute(self, name: str, default: Any = None) -> Any:
        if name not in self.state and default is None:
            raise CheckpointError(f"{self.path}.{name}: missing")
        return self.state.get(name, default)

    def child(self, name: str) -> "Module":
        if self.state["_modules"].get(name) is None:
            raise CheckpointError(f"{self.path}.{name}: missing")
        return Module(self.file, self.state["_modules"][name], f"{self.path}.{name}".lstrip("."))

    def children(self) -> list["Module"]:
        return [self.child(name) for name, value in self.state["_modules"].items() if value]

    def tensors(self) -> dict[str, np.ndarray]:
        """Parameters and buffers, those that are None left out."""
        values = {**self.state.get("_parameters", {}), **self.state.get("_buffers", {})}
        try:
            return {k: self.file.tensor(v) for k, v in values.items() if v is not None}
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {error}") from None

    def require(
        self, cls: str | Sequence[str], tensors: str = "", children: str | None = ""
    ) -> None:
        """Refuses another class, and tensors or submodules other than those named."""
        known = [cls] if isinstance(cls, str) else list(cls)
        if self.cls not in known:
            raise CheckpointError(f"{self.path}: {self.cls} given, known: {', '.join(known)}")
        _compare(self.path, self.tensors(), tensors.split(), "tensor")
        if children is not None:
            given = [name for name, value in self.state["_modules"].items() if value is not None]
            _compare(self.path, given, children.split(), "submodule")


def _compare(path: str, given: Any, expected: list[str], kind: str) -> None:
    for name in given:
        if name not in expected:
            raise CheckpointError(f"{path}.{name}: a {kind} that is not known here")
    for name in expected:
        if name not in given:
            raise CheckpointError(f"{path}.{name}: a {kind} that is missing")


def is_schnetpack(root: Any) -> bool:
    return isinstance(root, Instance) and root.cls.module.partition(".")[0] == "schnetpack"


def convert(
    file: TorchFile,
    elements: Sequence[str] | None,
    energy_unit: str | None,
    length_unit: str | None,
) -> tuple[Potential, list[str]]:
    """The potential (without check structure) and remarks for the user.

    elements, energy_unit, length_unit: what the user says, or None. Raises CheckpointError.
    """
    model = Module(file, file.root, "model")
    if model.cls != _MODEL:
        raise CheckpointError(f"model: {model.cls} given, known: {_MODEL}")
    _compare(
        model.path,
        [name for name, value in model.state["_modules"].items() if value is not None],
        "postprocessors representation input_modules output_modules".split(),
        "submodule",
    )
    for module in model.child("input_modules").children():
        module.require(_HARMLESS_INPUTS)
    remarks: list[str] = []
    readout, energy_key = _readout(model.child("output_modules"), remarks)
    per_atom, atomrefs = _offsets(model, energy_key, remarks)
    elements = _elements(elements, atomrefs, remarks)
    if energy_unit is None:
        raise CheckpointError(
            "a SchNetPack model does not say in which unit its energies are; name the unit of the data "
            "it was trained on, for instance --energy-unit kcal/mol (rMD17) or --energy-unit eV"
        )
    if length_unit is None:
        remarks.append("length unit: Angstrom, SchNetPack's default (--length-unit names another)")
    numbers = [ATOMIC_NUMBERS[symbol] for symbol in elements]
    header, tensors = _representation(model.child("representation"), numbers)
    tensors["atomic_energies"] = np.full(len(numbers), per_atom)
    if atomrefs is not None:
        if max(numbers) >= len(atomrefs):
            raise CheckpointError(f"atomic references end at Z = {len(atomrefs) - 1}")
        tensors["atomic_energies"] += atomrefs[numbers]
    version = model.attribute("spk_version", "2")
    potential = Potential(
        architecture="painn",
        elements=list(elements),
        energy_unit=energy_unit,
        length_unit=length_unit or "Angstrom",
        tensors=tensors | readout,
        provenance={"checkpoint": f"SchNetPack {version}"},
        **header,
    )
    return potential, remarks


# ------------------------------------------------------------------------------- the network


def _representation(painn: Module, numbers: list[int]) -> tuple[dict, dict[str, np.ndarray]]:
    children = "embedding filter_net interactions mixing cutoff_fn radial_basis"
    if "electronic_embeddings" in painn.state["_modules"]:  # since 2.1
        children += " electronic_embeddings"
        if embeddings := painn.child("electronic_embeddings").children():
            raise CheckpointError(f"{embeddings[0].path}: {embeddings[0].cls} is not supported")
    painn.require("schnetpack.representation.painn.PaiNN", "", children)
    F, layers = painn.attribute("n_atom_basis"), painn.attribute("n_interactions")
    if type(F) is not int or type(layers) is not int or not 0 < layers < 1000 or F < 1:
        raise CheckpointError("representation: malformed n_atom_basis or n_interactions")
    interactions, mixing = _blocks(painn, "interactions", layers), _blocks(painn, "mixing", layers)
    shared_interactions = layers > 1 and all(
        block.record is blocks[0].record for blocks in (interactions, mixing) for block in blocks
    )
    shared_filters = bool(painn.attribute("share_filters", False))
    header, radial = _radial(painn)
    tensors = {"embedding": _embedding(painn.child("embedding"), numbers)}
    tensors["atomic_energies"] = np.zeros(0)  # keeps its place in the file's order
    tensors |= radial | _filters(painn.child("filter_net"), F, 1 if shared_filters else layers)
    for l in range(1 if shared_interactions else layers):
        interactions[l].require(
            "schnetpack.representation.painn.PaiNNInteraction", "", "interatomic_context_net"
        )
        mixing[l].require(
            "schnetpack.representation.painn.PaiNNMixing",
            "",
            "intraatomic_context_net mu_channel_mix",
        )
        tensors |= _stack(interactions[l].child("interatomic_context_net"), f"phi.{l}")
        mix = mixing[l].child("mu_channel_mix")
        tensors[f"mix.{l}.weight"] = _dense(mix, activation=False, bias=False)["weight"]
        tensors |= _stack(mixing[l].child("intraatomic_context_net"), f"upd.{l}")
    epsilons = {block.attribute("epsilon") for block in mixing}
    if len(epsilons) != 1:
        raise CheckpointError("representation.mixing: layers differ in epsilon")
    header |= {
        "channels": F,
        "layers": layers,
        "shared_interactions": shared_interactions,
        "shared_filters": shared_filters,
        "epsilon": float(epsilons.pop()),
    }
    return header, tensors


def _blocks(painn: Module, name: str, layers: int) -> list[Module]:
    blocks = painn.child(name).children()
    if len(blocks) != layers:
        raise CheckpointError(f"representation.{name}: {len(blocks)} given, {layers} expected")
    return blocks


def _radial(painn: Module) -> tuple[dict, dict[str, np.ndarray]]:
    cutoff, basis = painn.child("cutoff_fn"), painn.child("radial_basis")
    names = {
        "schnetpack.nn.cutoff.CosineCutoff": "cosine",
        "schnetpack.nn.cutoff.MollifierCutoff": "mollifier",
    }
    cutoff.require(
        list(names), "cutoff eps" if cutoff.cls.endswith("MollifierCutoff") else "cutoff"
    )
    radius = np.asarray(cutoff.tensors()["cutoff"], dtype=np.float64)
    if radius.size != 1:
        raise CheckpointError("representation.cutoff_fn.cutoff: more than one number")
    bessel = "schnetpack.nn.radial.BesselRBF"
    basis.require(
        ["schnetpack.nn.radial.GaussianRBF", bessel],
        "freqs" if basis.cls == bessel else "widths offsets",
    )
    given = basis.tensors()
    if basis.cls == bessel:
        tensors = {"radial.frequencies": given["freqs"]}
    else:
        tensors = {"radial.centers": given["offsets"], "radial.widths": given["widths"]}
    header = {
        "radial_functions": "bessel" if basis.cls == bessel else "gaussian",
        "number_of_radial_functions": int(next(iter(tensors.values())).size),
        "cutoff": float(radius.reshape(())),
        "cutoff_function": names[cutoff.cls],
    }
    return header, tensors


def _embedding(embedding: Module, numbers: list[int]) -> np.ndarray:
    embedding.require("torch.nn.modules.sparse.Embedding", "weight")
    if embedding.state.get("max_norm") is not None:
        raise CheckpointError("representation.embedding.max_norm: not supported")
    weight = embedding.tensors()["weight"]
    if weight.ndim != 2 or max(numbers) >= len(weight):
        raise CheckpointError(f"representation.embedding: ends at Z = {len(weight) - 1}")
    return weight[numbers]


def _filters(dense: Module, F: int, layers: int) -> dict[str, np.ndarray]:
    """SchNetPack keeps the filters of all layers in one dense layer."""
    given = _dense(dense, activation=False)
    if len(given["weight"]) != 3 * F * layers:
        raise CheckpointError(
            f"{dense.path}: {len(given['weight'])} rows, {3 * F * layers} expected"
        )
    return {
        f"filter.{l}.{key}": value[3 * F * l : 3 * F * (l + 1)]
        for l in range(layers)
        for key, value in given.items()
    }


def _stack(sequential: Module, name: str) -> dict[str, np.ndarray]:
    """Dense layers, SiLU after each but the last."""
    if sequential.cls != "torch.nn.modules.container.Sequential":
        raise CheckpointError(f"{sequential.path}: {sequential.cls} given, known: Sequential")
    layers = sequential.children()
    return {
        f"{name}.{k}.{key}": value
        for k, layer in enumerate(layers)
        for key, value in _dense(layer, activation=k < len(layers) - 1).items()
    }


def _dense(dense: Module, activation: bool, bias: bool = True) -> dict[str, np.ndarray]:
    dense.require("schnetpack.nn.base.Dense", "weight bias" if bias else "weight", None)
    known = _SILU if activation else ("torch.nn.modules.linear.Identity",)
    given = dense.state["_modules"].get("activation", dense.state.get("activation"))
    name = given.cls if isinstance(given, Instance) else given
    if not isinstance(name, Global) or str(name) not in known:
        raise CheckpointError(f"{dense.path}.activation: {name} given, known: {', '.join(known)}")
    if isinstance(given, Instance):
        Module(dense.file, given, f"{dense.path}.activation").require(known)
    _compare(dense.path, set(dense.state["_modules"]) - {"activation"}, [], "submodule")
    return dense.tensors()


# ------------------------------------------------------------------- read-out and energy offsets


def _readout(modules: Module, remarks: list[str]) -> tuple[dict[str, np.ndarray], str]:
    """Tensors of the energy's Atomwise module, and the key of the energy."""
    forces = "schnetpack.atomistic.response.Forces"
    atomwise = "schnetpack.atomistic.atomwise.Atomwise"
    for module in modules.children():
        if module.cls not in (forces, atomwise, *_OTHER_PROPERTIES):
            raise CheckpointError(
                f"{module.path}: {module.cls} may change the energy and is not supported; "
                f"known: {', '.join((atomwise, forces, *_OTHER_PROPERTIES))}"
            )
        if module.cls in _OTHER_PROPERTIES:
            remarks.append(f"left out: {module.path}, {module.cls}, another property than energy")
    heads = [m for m in modules.children() if m.cls == atomwise]
    keys = {m.attribute("energy_key") for m in modules.children() if m.cls == forces}
    if not keys and len(heads) == 1:
        keys = {heads[0].attribute("output_key")}
    chosen = [m for m in heads if m.attribute("output_key") in keys]
    if len(keys) != 1 or len(chosen) != 1:
        raise CheckpointError("output_modules: there must be one Atomwise module for the energy")
    head = chosen[0]
    remarks += [f"left out: {m.path}, another property than energy" for m in heads if m is not head]
    head.require(atomwise, "", "outnet")
    if head.attribute("aggregation_mode", "None") != "sum":
        mode = head.state.get("aggregation_mode")
        raise CheckpointError(f"{head.path}.aggregation_mode: {mode} given, known: sum")
    if head.attribute("n_out") != 1:
        raise CheckpointError(f"{head.path}.n_out: {head.attribute('n_out')} given, known: 1")
    return _stack(head.child("outnet"), "out"), keys.pop()


def _offsets(model: Module, key: str, remarks: list[str]) -> tuple[float, np.ndarray | None]:
    """Energy added to each atom, and the one added by atomic number (None if there is no such)."""
    mean, atomrefs = 0.0, None
    modules = model.child("postprocessors").children()
    if modules and model.attribute("do_postprocessing", True) is not True:
        remarks.append(
            "postprocessors are switched off in the checkpoint (do_postprocessing) and left out"
        )
        return mean, atomrefs
    for module in modules:
        if module.cls == "schnetpack.transform.casting.CastTo64":
            continue
        module.require("schnetpack.transform.atomistic.AddOffsets", "atomref mean")
        if module.attribute("_property") != key:
            remarks.append(f"left out: {module.path}, offsets of {module.attribute('_property')}")
            continue
        add_mean, add_atomrefs = module.attribute("add_mean"), module.attribute("add_atomrefs")
        if (add_mean or add_atomrefs) and module.attribute("is_extensive") is not True:
            raise CheckpointError(f"{module.path}.is_extensive: False given, known: True")
        if add_mean:
            mean += float(np.asarray(module.tensors()["mean"], dtype=np.float64).reshape(()))
        if add_atomrefs:
            given = np.asarray(module.tensors()["atomref"], dtype=np.float64).reshape(-1)
            atomrefs = given if atomrefs is None else atomrefs + given
    return mean, atomrefs


def _elements(
    elements: Sequence[str] | None, atomrefs: np.ndarray | None, remarks: list[str]
) -> Sequence[str]:
    if elements:
        if atomrefs is not None:
            for symbol in elements:
                number = ATOMIC_NUMBERS[symbol]
                if number < len(atomrefs) and atomrefs[number] == 0:
                    remarks.append(
                        f"the atomic reference energy of {symbol} is 0: was it in the data?"
                    )
        return elements
    known = [] if atomrefs is None else [int(z) for z in np.flatnonzero(atomrefs) if z > 0]
    if not known:
        raise CheckpointError(
            "the checkpoint does not say for which elements it was trained (it has no atomic "
            "reference energies); name them, for instance --elements H C O"
        )
    symbols = [SYMBOLS[z - 1] for z in known if z <= len(SYMBOLS)]
    remarks.append(f"elements: {' '.join(symbols)}, those with an atomic reference energy")
    return symbols
