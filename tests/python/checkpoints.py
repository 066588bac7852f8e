"""Writes checkpoints as SchNetPack and MLFF-Distiller save them, with neither of them nor torch."""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from mlff_student.potential import Potential
from mlff_student.units import ATOMIC_NUMBERS

MAX_Z = 100
_STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage"}


class Name:
    """A class or function that the pickle only names."""

    def __init__(self, dotted: str):
        self.dotted = dotted


class Call:
    """Pickled as a call of `function` with `args`."""

    def __init__(self, function: str, *args: Any):
        self.function, self.args = Name(function), args


class Storage:
    def __init__(self, array: np.ndarray):
        self.array = np.ascontiguousarray(array)


class _Pickler(pickle._Pickler):
    """Writes names of things that need not exist here."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, stream):
        super().__init__(stream, protocol=2)
        self.storages: list[Storage] = []

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Storage):
            return None
        self.storages.append(obj)
        kind = Name("torch." + _STORAGES[obj.array.dtype.name])
        return ("storage", kind, str(len(self.storages) - 1), "cpu", obj.array.size)

    def save_name(self, obj: Name) -> None:
        module, _, name = obj.dotted.rpartition(".")
        self.write(f"c{module}\n{name}\n".encode())

    def save_call(self, obj: Call) -> None:
        self.save(obj.function)
        self.save(obj.args)
        self.write(pickle.REDUCE)
        self.memoize(obj)

    def save_module(self, obj: "Module") -> None:
        self.save(Name(obj.cls))
        self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.memoize(obj)
        self.save(obj.state)
        self.write(pickle.BUILD)

    dispatch[Name] = save_name
    dispatch[Call] = save_call


class Module:
    """A torch module: class name and state."""

    def __init__(
        self, cls: str, tensors: dict | None = None, children: dict | None = None, **attributes
    ):
        self.cls = cls
        parameters = {k: None if v is None else tensor(v) for k, v in (tensors or {}).items()}
        self.state = {
            "training": False,
            "_parameters": OrderedDict(parameters),
            "_buffers": OrderedDict(),
            "_forward_hooks": OrderedDict(),
            "_forward_pre_hooks": OrderedDict(),
            "_modules": OrderedDict(children or {}),
        } | attributes

    def __getitem__(self, path: str) -> "Module":
        module = self
        for name in path.split("."):
            module = module.state["_modules"][name]
        return module


_Pickler.dispatch[Module] = _Pickler.save_module


def tensor(array: np.ndarray) -> Call:
    array = np.asarray(array)
    strides = tuple(s // array.itemsize for s in np.empty(array.shape, array.dtype).strides)
    args = (Storage(array), 0, array.shape, strides, False, OrderedDict())
    return Call("torch._utils._rebuild_tensor_v2", *args)


# ---------------------------------------------------------------------------------------- files


def dump(root: Any) -> tuple[bytes, list[Storage]]:
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(root)
    return stream.getvalue(), pickler.storages


def save(path: Path, root: Any) -> Path:
    """As torch.save does."""
    data, storages = dump(root)
    return save_zip(path, data, storages)


def save_zip(path: Path, data: bytes, storages: list[Storage] = []) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("best_model/data.pkl", data)
        archive.writestr("best_model/byteorder", b"little")
        for k, storage in enumerate(storages):
            archive.writestr(f"best_model/data/{k}", storage.array.tobytes())
    return path


def save_legacy(path: Path, data: bytes, storages: list[Storage] = []) -> Path:
    """As torch.save did before PyTorch 1.6."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
    keys = [str(k) for k in range(len(storages))]
    content = (
        b"".join(pickle.dumps(x, protocol=2) for x in head) + data + pickle.dumps(keys, protocol=2)
    )
    for storage in storages:
        content += storage.array.size.to_bytes(8, "little") + storage.array.tobytes()
    path.write_bytes(content)
    return path


# ------------------------------------------------------------------------------------ SchNetPack


def schnetpack(p: Potential) -> Module:
    """The model that a SchNetPack 2 user would have saved of a painn potential."""
    F, L = p.channels, p.layers
    filters = range(1 if p.shared_filters else L)
    stacked = {
        key: np.concatenate([p.tensors[f"filter.{l}.{key}"] for l in filters])
        for key in ("weight", "bias")
    }
    blocks = [_blocks(p, l) for l in range(1 if p.shared_interactions else L)]
    if p.shared_interactions:
        blocks *= L
    representation = Module(
        "schnetpack.representation.painn.PaiNN",
        children={
            "cutoff_fn": _cutoff(p),
            "radial_basis": _radial(p),
            "embedding": Module(
                "torch.nn.modules.sparse.Embedding", {"weight": by_number(p, "embedding")}
            ),
            "electronic_embeddings": module_list([]),
            "filter_net": Module("schnetpack.nn.base.Dense", stacked, {"activation": identity()}),
            "interactions": module_list([interaction for interaction, _ in blocks]),
            "mixing": module_list([mixing for _, mixing in blocks]),
        },
        n_atom_basis=F,
        n_interactions=L,
        share_filters=p.shared_filters,
    )
    n = sum(1 for name in p.tensors if name.startswith("out.")) // 2
    atomwise = Module(
        "schnetpack.atomistic.atomwise.Atomwise",
        children={"outnet": stack(p, "out", n)},
        output_key="energy", n_out=1, aggregation_mode="sum", per_atom_output_key=None,
    )  # fmt: skip
    forces = Module("schnetpack.atomistic.response.Forces", energy_key="energy", force_key="forces")
    offsets = Module(
        "schnetpack.transform.atomistic.AddOffsets",
        {"atomref": by_number(p, "atomic_energies") - np.float64(1.0), "mean": np.float64(1.0)},
        _property="energy", add_mean=True, add_atomrefs=True, is_extensive=True,
    )  # fmt: skip
    cast = Module("schnetpack.transform.casting.CastTo64", type_map={"float32": "float64"})
    return Module(
        "schnetpack.model.base.NeuralNetworkPotential",
        children={
            "postprocessors": module_list([cast, offsets]),
            "representation": representation,
            "input_modules": module_list(
                [Module("schnetpack.atomistic.distances.PairwiseDistances")]
            ),
            "output_modules": module_list([atomwise, forces]),
        },
        do_postprocessing=True,
        spk_version="2.1.1",
    )


def by_number(p: Potential, name: str) -> np.ndarray:
    """Rows by atomic number instead of by element."""
    rows = np.zeros((MAX_Z, *p.tensors[name].shape[1:]), dtype=p.tensors[name].dtype)
    rows[[ATOMIC_NUMBERS[e] for e in p.elements]] = p.tensors[name]
    return rows


def module_list(modules: list[Module]) -> Module:
    children = {str(k): module for k, module in enumerate(modules)}
    return Module("torch.nn.modules.container.ModuleList", children=children)


def identity() -> Module:
    return Module("torch.nn.modules.linear.Identity")


def stack(p: Potential, name: str, n: int = 2) -> Module:
    """Dense layers; the activation is a function in all but the last, where it is a module."""
    layers = {}
    for k in range(n):
        tensors = {key: p.tensors[f"{name}.{k}.{key}"] for key in ("weight", "bias")}
        layers[str(k)] = Module("schnetpack.nn.base.Dense", tensors)
        if k < n - 1:
            layers[str(k)].state["activation"] = Name("torch.nn.functional.silu")
        else:
            layers[str(k)].state["_modules"]["activation"] = identity()
    return Module("torch.nn.modules.container.Sequential", children=layers)


def _blocks(p: Potential, l: int) -> tuple[Module, Module]:
    mix = {"weight": p.tensors[f"mix.{l}.weight"], "bias": None}
    interaction = Module(
        "schnetpack.representation.painn.PaiNNInteraction",
        children={"interatomic_context_net": stack(p, f"phi.{l}")},
    )
    mixing = Module(
        "schnetpack.representation.painn.PaiNNMixing",
        children={
            "intraatomic_context_net": stack(p, f"upd.{l}"),
            "mu_channel_mix": Module("schnetpack.nn.base.Dense", mix, {"activation": identity()}),
        },
        epsilon=p.epsilon,
    )
    return interaction, mixing


def _cutoff(p: Potential) -> Module:
    tensors = {"cutoff": np.array([p.cutoff], dtype=np.float32)}
    if p.cutoff_function == "mollifier":
        tensors["eps"] = np.array([1e-7], dtype=np.float32)
    name = {"cosine": "CosineCutoff", "mollifier": "MollifierCutoff"}[p.cutoff_function]
    return Module(f"schnetpack.nn.cutoff.{name}", tensors)


def _radial(p: Potential) -> Module:
    if p.radial_functions == "bessel":
        return Module("schnetpack.nn.radial.BesselRBF", {"freqs": p.tensors["radial.frequencies"]})
    tensors = {"widths": p.tensors["radial.widths"], "offsets": p.tensors["radial.centers"]}
    return Module("schnetpack.nn.radial.GaussianRBF", tensors, n_rbf=p.number_of_radial_functions)


# -------------------------------------------------------------------------------- MLFF-Distiller


def distiller_state(p: Potential) -> dict[str, np.ndarray]:
    """Names and arrays of the `model_state_dict` of an mlff-distiller potential."""
    widths = p.tensors["radial.widths"].astype(np.float64) * np.sqrt(2.0)
    state = {
        "embedding.weight": by_number(p, "embedding"),
        "rbf.centers": p.tensors["radial.centers"],
        "rbf.widths": widths,
    }
    for name, array in p.tensors.items():
        part, *rest = name.split(".")
        if part == "mixing":
            state[f"interactions.{rest[0]}.update.mixing_matrix"] = array
        elif part in ("filter", "upd"):
            prefix = {"filter": "message.rbf_to_scalar", "upd": "update.update_mlp"}[part]
            state[f"interactions.{rest[0]}.{prefix}.{2 * int(rest[1])}.{rest[2]}"] = array
        elif part == "out":
            state[f"energy_head.{2 * int(rest[0])}.{rest[1]}"] = array
    return state


def distiller(p: Potential) -> dict:
    state = {name: tensor(array) for name, array in distiller_state(p).items()}
    return {
        "model_state_dict": OrderedDict(state),
        "config": {"hidden_dim": p.channels, "cutoff": p.cutoff, "max_z": MAX_Z - 1},
        "optimizer_state_dict": {
            "state": {0: {"step": tensor(np.float32(3.0))}},
            "param_groups": [{"lr": 1e-3}],
        },
        "epoch": 12,
    }
