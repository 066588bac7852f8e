"""Students of MLFF-Distiller: checkpoints with `model_state_dict`, and their ONNX exports.

Names are those of its sources (mlff_distiller/models/student_model.py). Its two defects, filters
behind the cutoff and mixed Cartesian axes, belong to the weights and are kept.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..potential import Potential
from ..units import ATOMIC_NUMBERS
from . import CheckpointError
from .torch_file import TorchFile

#: Elements of the published students.
_PUBLISHED_ELEMENTS = ("H", "C", "N", "O")
_NAMES = {
    r"embedding\.weight": "embedding",
    r"rbf\.centers": "radial.centers",
    r"rbf\.widths": "radial.widths",
    r"interactions\.(\d+)\.message\.rbf_to_scalar\.(0|2)\.(weight|bias)": "filter",
    r"interactions\.(\d+)\.update\.update_mlp\.(0|2)\.(weight|bias)": "upd",
    r"interactions\.(\d+)\.update\.mixing_matrix": "mixing",
    r"energy_head\.(0|2|4|6|8)\.(weight|bias)": "out",
}


def is_distiller(root: Any) -> bool:
    return isinstance(root, dict) and isinstance(root.get("model_state_dict"), dict)


def from_checkpoint(file: TorchFile, elements: Sequence[str] | None) -> tuple[Potential, list[str]]:
    """The potential (without check structure) and remarks for the user. Raises CheckpointError."""
    state = {}
    for name, value in file.root["model_state_dict"].items():
        name = re.sub(r"^(model\.|module\.)+", "", str(name))
        state[name] = file.tensor(value)
    config = file.root.get("config")
    cutoff = config.get("cutoff") if isinstance(config, dict) else None
    return _convert(state, cutoff, elements, "MLFF-Distiller checkpoint", onnx=False)


def from_onnx(path: str | Path, elements: Sequence[str] | None) -> tuple[Potential, list[str]]:
    """The same from an ONNX export; needs the Python package onnx."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise CheckpointError(
            f"{path}: reading an ONNX export needs the package onnx, which is not installed: "
            "pip install onnx. The checkpoint (.pt) that it was made from can be read without"
        ) from None
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
        state = {}
        for tensor in graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise CheckpointError(f"{path}: {tensor.name}: its data is in another file")
            state[tensor.name] = numpy_helper.to_array(tensor)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:  # protobuf's errors share no base class
        raise CheckpointError(f"{path}: not an ONNX file, or damaged ({error})") from None
    return _convert(state, None, elements, "MLFF-Distiller ONNX export", onnx=True)


def _convert(
    state: Mapping[str, np.ndarray],
    cutoff: Any,
    elements: Sequence[str] | None,
    origin: str,
    onnx: bool,
) -> tuple[Potential, list[str]]:
    remarks = []
    if not elements:
        elements = _PUBLISHED_ELEMENTS
        remarks.append(
            f"elements: {' '.join(elements)}, those of the published students; the checkpoint does "
            "not say for which it was trained (--elements names others)"
        )
    tensors = {}
    for name, value in state.items():
        tensors[_rename(name)] = value
    layers = 1 + max((int(n.split(".")[1]) for n in tensors if n.startswith("upd.")), default=0)
    _require(tensors, {"embedding", "radial.centers", "radial.widths"})
    embedding, centers = tensors["embedding"], tensors["radial.centers"]
    numbers = [ATOMIC_NUMBERS[symbol] for symbol in elements]
    if embedding.ndim != 2 or centers.ndim != 1 or max(numbers) >= len(embedding):
        raise CheckpointError(f"embedding.weight: ends at Z = {len(embedding) - 1}")
    tensors["embedding"] = embedding[numbers]
    tensors["atomic_energies"] = np.zeros(len(numbers))
    # exp(-(r - c)²/w²) there, exp(-(r - c)²/(2 w²)) here
    widths = np.asarray(tensors["radial.widths"], dtype=np.float64)
    tensors["radial.widths"] = np.broadcast_to(widths / np.sqrt(2.0), centers.shape).copy()
    if onnx and f"mixing.{layers - 1}" not in tensors:
        tensors[f"mixing.{layers - 1}"] = np.zeros((3, 3), dtype=np.float32)
        remarks.append(
            "the last layer's mixing matrix, which never reaches the energy, is not in the export"
        )
    potential = Potential(
        architecture="mlff-distiller",
        channels=int(embedding.shape[1]),
        layers=layers,
        number_of_radial_functions=int(centers.size),
        cutoff=_cutoff(cutoff, centers),
        elements=list(elements),
        tensors=tensors,
        provenance={"checkpoint": origin},
    )
    remarks.append(
        "the energy of an MLFF-Distiller student jumps as an atom crosses the cutoff and depends "
        "on the orientation; mlff-student check measures both"
    )
    return potential, remarks


def _rename(name: str) -> str:
    for pattern, target in _NAMES.items():
        if match := re.fullmatch(pattern, name):
            if target in ("filter", "upd"):
                layer, k, key = match.groups()
                return f"{target}.{int(layer)}.{int(k) // 2}.{key}"
            if target == "mixing":
                return f"mixing.{int(match[1])}"
            return f"out.{int(match[1]) // 2}.{match[2]}" if target == "out" else target
    raise CheckpointError(f"{name}: not a tensor of an MLFF-Distiller student")


def _require(tensors: Mapping[str, np.ndarray], names: set[str]) -> None:
    for name in sorted(names - set(tensors)):
        raise CheckpointError(f"{name}: missing; is this an MLFF-Distiller student?")


def _cutoff(given: Any, centers: np.ndarray) -> float:
    """That of the configuration, else the last radial function's centre, where the code puts it."""
    if given is None:
        given = float(centers[-1])
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0:
        raise CheckpointError(f"config.cutoff: {given!r} given, must be a number above 0")
    return float(given)
