"""Hostile pickles: whatever they ask for, nothing is executed and they are refused by name."""

import io
import pickle
import struct
from pathlib import Path

import pytest
from checkpoints import distiller, dump, save_legacy, save_zip, schnetpack
from fixtures import FOLDER

from mlff_student.convert import CheckpointError, safe_pickle
from mlff_student.convert.command import convert
from mlff_student.potential import Potential


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def attacks(command: str) -> dict[str, bytes]:
    """Instructions that leave one value on the stack, having run `command` on the way."""
    argument = text(command)
    code = text(f"__import__('os').system({command!r})")
    return {
        "reduce": b"cos\nsystem\n" + argument + b"\x85R",
        "posix": b"cposix\nsystem\n" + argument + b"\x85R",
        "eval": b"cbuiltins\neval\n" + code + b"\x85R",
        "exec": b"cbuiltins\nexec\n" + code + b"\x85R",
        "stack_global": text("os") + text("system") + b"\x93" + argument + b"\x85R",
        "inst": b"(" + argument + b"ios\nsystem\n",
        "obj": b"(cos\nsystem\n" + argument + b"o",
        "getattr": b"cbuiltins\ngetattr\ncos\n__dict__\n" + text("get") + b"\x86R",
        "subprocess": b"csubprocess\ncall\n(](" + text("sh") + text("-c") + argument + b"etR",
        "popen": b"csubprocess\nPopen\n(]" + text("sh") + b"atR",
        "newobj": b"csubprocess\nPopen\n" + argument + b"\x85\x81",
        "newobj_ex": b"csubprocess\nPopen\n" + argument + b"\x85}" + text("shell") + b"\x88s\x92",
        "build": b"cos\n_Environ\n)\x81}" + text("x") + argument + b"sb",
        "build_on_function": b"cbuiltins\nprint\n}" + text("__globals__") + b"}sb",
        "numpy": b"cnumpy\nload\n" + text("x.npy") + b"\x85R",
        "hub": b"ctorch.hub\nload\n" + argument + b"\x85R",
        "torch_load": b"ctorch\nload\n" + argument + b"\x85R",
        "nested_name": text("torch") + text("os.system") + b"\x93" + argument + b"\x85R",
        "extension": b"\x82\x01",
        "copyreg": b"ccopyreg\nadd_extension\n(tR",
        "call_of_a_value": text("os.system") + argument + b"\x85R",
    }


NAMES = list(attacks(""))
WORKING = ("reduce", "posix", "eval", "exec", "stack_global", "inst", "obj", "subprocess")


@pytest.fixture
def sentinel(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "executed"


@pytest.mark.parametrize("name", WORKING)
def test_the_attacks_are_real(sentinel, name):
    pickle.loads(b"\x80\x04" + attacks(f"touch {sentinel}")[name] + b".")
    assert sentinel.exists()


@pytest.mark.parametrize("write", [save_zip, save_legacy])
@pytest.mark.parametrize("name", NAMES)
def test_whole_file(sentinel, tmp_path, name, write):
    payload = b"\x80\x04" + attacks(f"touch {sentinel}")[name] + b"."
    with pytest.raises(CheckpointError):
        convert(write(tmp_path / "best_model", payload), ["H"], "eV")
    assert not sentinel.exists()


@pytest.mark.parametrize("write", [save_zip, save_legacy])
@pytest.mark.parametrize("name", WORKING)
@pytest.mark.parametrize("place", ["before", "in a module", "in a state dictionary"])
def test_hidden_in_a_good_checkpoint(sentinel, tmp_path, name, place, write):
    attack = attacks(f"touch {sentinel}")[name]
    if place == "in a state dictionary":
        root = distiller(Potential.read(FOLDER / "distiller_f8_l2.yaml")) | {"note": "PAYLOAD"}
    else:
        root = schnetpack(Potential.read(FOLDER / "painn_f8_l1.yaml"))
        root["representation"].state["n_rbf"] = "PAYLOAD"
    data, storages = dump(root)
    if place == "before":
        data = data[:2] + attack + b"0" + data[2:]
    else:
        assert text("PAYLOAD") in data
        data = data.replace(text("PAYLOAD"), attack)
    path = write(tmp_path / "best_model", data, storages)
    with pytest.raises(CheckpointError, match="nothing was executed|no checkpoint needs"):
        convert(path, ["H"], "eV")
    assert not sentinel.exists()


def test_the_foreign_name_is_given():
    with pytest.raises(CheckpointError, match="refers to os.system"):
        safe_pickle.load(io.BytesIO(b"\x80\x04" + attacks("true")["reduce"] + b"."))


@pytest.mark.parametrize("protocol", range(5))
def test_plain_data_comes_through(protocol):
    data = {
        "a": [1, -2, 2**70, 1.5, None, True],
        "b": ("x", b"y"),
        "é": {"c": (1, 2, 3, 4)},
        "s": {3},
    }
    expected = data | {"s": [3]}
    if protocol < 3:
        data, expected = data | {"b": ("x",)}, expected | {"b": ("x",)}
    assert safe_pickle.load(io.BytesIO(pickle.dumps(data, protocol))) == expected


def test_shared_and_cyclic_data():
    value: list = [1]
    value.append(value)
    loaded = safe_pickle.load(io.BytesIO(pickle.dumps([value, value])))
    assert loaded[0] is loaded[1] and loaded[0][1] is loaded[0]


def test_random_bytes_are_refused_or_data():
    good, _ = dump(distiller(Potential.read(FOLDER / "distiller_f8_l2.yaml")))
    import random

    generator = random.Random(1)
    for _ in range(500):
        data = bytearray(good)
        for _ in range(3):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            safe_pickle.load(io.BytesIO(bytes(data)))
        except CheckpointError:
            pass


def test_tensors_must_fit_their_storage(tmp_path):
    root = distiller(Potential.read(FOLDER / "distiller_f8_l2.yaml"))
    call = root["model_state_dict"]["energy_head.4.bias"]
    storage = call.args[0]
    for shape, strides, offset in (
        ((2,), (1,), 0),
        ((1,), (1,), 1),
        ((1,), (1,), -1),
        ((2**40,), (0,), 0),
    ):
        call.args = (storage, offset, shape, strides, False, {})
        data, storages = dump(root)
        with pytest.raises(CheckpointError, match="tensor"):
            convert(save_zip(tmp_path / "student.pt", data, storages))
