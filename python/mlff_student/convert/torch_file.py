"""Files of torch.save, read without torch: the zip format, and the one before PyTorch 1.6.

Tensors come as NumPy arrays, modules as the records of safe_pickle.
"""

import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from . import CheckpointError, safe_pickle
from .safe_pickle import Global, Instance

_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001


@dataclass(eq=False)
class _Storage:
    dtype: str
    key: str
    numel: int


class TorchFile:
    """An open file: `root` is what was saved, `tensor` gives the numbers of a tensor in it."""

    def __init__(self, root: Any, data: Callable[[_Storage], bytes]):
        self.root = root
        self._data = data

    @staticmethod
    def is_tensor(value: Any) -> bool:
        return isinstance(value, Instance) and str(value.cls).startswith("torch._utils._rebuild_")

    def tensor(self, value: Any) -> np.ndarray:
        """The array of a tensor or parameter; half precision comes as float32 (exact)."""
        name = value.cls.name if self.is_tensor(value) else None
        if name in ("_rebuild_parameter", "_rebuild_parameter_with_state") and value.args:
            return self.tensor(value.args[0])
        if name != "_rebuild_tensor_v2" or len(value.args) < 4:
            what = value.cls if isinstance(value, Instance) else type(value).__name__
            raise CheckpointError(f"{what} where a plain tensor is expected")
        storage, offset, shape, stride = value.args[:4]
        counts = (offset, *shape, *stride) if isinstance(shape, tuple) else (None,)
        if not isinstance(storage, _Storage) or len(shape) != len(stride):
            raise CheckpointError("malformed tensor")
        if not all(type(n) is int and 0 <= n < 2**48 for n in counts):
            raise CheckpointError("malformed tensor")
        flat = self._numbers(storage)
        last = offset + sum((n - 1) * s for n, s in zip(shape, stride))
        if math.prod(shape) > flat.size or (math.prod(shape) and last >= flat.size):
            raise CheckpointError(f"a tensor of shape {list(shape)} in a storage of {flat.size}")
        strides = [s * flat.itemsize for s in stride]
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, strides).copy()

    def _numbers(self, storage: _Storage) -> np.ndarray:
        raw = self._data(storage)
        if storage.dtype == "bfloat16":
            return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        numbers = np.frombuffer(raw, storage.dtype)
        return numbers.astype("<f4") if storage.dtype == "<f2" else numbers


def read(path: str | Path) -> TorchFile:
    """Reads a file of torch.save. Raises CheckpointError, also for more than data in it."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            return _read_zip(content)
        return _read_legacy(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged or cut short ({error})") from None


def _read_zip(content: bytes) -> TorchFile:
    archive = zipfile.ZipFile(io.BytesIO(content))
    entries = {info.filename: info for info in archive.infolist()}
    if sum(info.file_size for info in entries.values()) > len(content):
        raise CheckpointError("compressed or overlapping entries; files of torch.save have none")
    pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise CheckpointError("a zip file, but not one of torch.save (no FOLDER/data.pkl)")
    folder = pickles[0].removesuffix("data.pkl")
    if folder + "constants.pkl" in entries:
        raise CheckpointError("a TorchScript export; give the checkpoint that it was made from")
    if folder + "byteorder" in entries and archive.read(folder + "byteorder") != b"little":
        raise CheckpointError("saved on a big-endian machine, which is not supported")
    root = safe_pickle.load(io.BytesIO(archive.read(pickles[0])), _persistent)

    def data(storage: _Storage) -> bytes:
        if (name := f"{folder}data/{storage.key}") not in entries:
            raise CheckpointError(f"{name}: missing from the file")
        return archive.read(name)

    return TorchFile(root, data)


def _read_legacy(content: bytes) -> TorchFile:
    stream = io.BytesIO(content)
    if not content.startswith(b"\x80") or safe_pickle.load(stream) != _LEGACY_MAGIC:
        raise CheckpointError("not a file of torch.save")
    if safe_pickle.load(stream) != _LEGACY_VERSION:
        raise CheckpointError("an unknown version of torch.save's format")
    system = safe_pickle.load(stream)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError("saved on a big-endian machine, which is not supported")
    storages: dict[str, _Storage] = {}

    def persistent(pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) >= 2 and pid[0] == "module":
            return pid[1]  # ('module', class, source file, source text)
        storage = _persistent(pid)
        return storages.setdefault(storage.key, storage)

    root = safe_pickle.load(stream, persistent)
    blobs = _legacy_blobs(stream, safe_pickle.load(stream), storages)
    return TorchFile(root, lambda storage: blobs[storage.key])


def _legacy_blobs(stream: IO[bytes], keys: Any, storages: dict[str, _Storage]) -> dict[str, bytes]:
    """The storages' bytes behind the pickles, each preceded by its number of elements."""
    if not isinstance(keys, list) or set(map(str, keys)) != set(storages):
        raise CheckpointError("the list of storages does not fit the tensors")
    blobs = {}
    for key in keys:
        storage = storages[key]
        size = {"bfloat16": 2}.get(storage.dtype) or np.dtype(storage.dtype).itemsize
        if int.from_bytes(stream.read(8), "little") != storage.numel:
            raise CheckpointError(f"storage {key} has another size than its tensors say")
        blobs[key] = stream.read(storage.numel * size)
        if len(blobs[key]) != storage.numel * size:
            raise CheckpointError(f"cut short in storage {key}")
    return blobs


def _persistent(pid: Any) -> _Storage:
    """('storage', type, key, device, number of elements[, view])"""
    if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
        raise CheckpointError("malformed reference to a storage")
    kind, key, numel = pid[1], pid[2], pid[4]
    if len(pid) == 6 and pid[5] is not None:
        raise CheckpointError(
            "views of storages, which only very old files have, are not supported"
        )
    if not isinstance(kind, Global) or kind.module != "torch" or kind.name not in _DTYPES:
        raise CheckpointError(f"storage type {kind} is unknown")
    if not isinstance(key, str) or type(numel) is not int or not 0 <= numel < 2**48:
        raise CheckpointError("malformed reference to a storage")
    return _Storage(_DTYPES[kind.name], key, numel)
