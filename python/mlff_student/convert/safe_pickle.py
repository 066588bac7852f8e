"""Reads a pickle as data: nothing is imported and nothing is called, whatever the pickle asks for.

Python's own unpickler calls what a pickle names. This one keeps a call as a record, `Instance`, of
what would have been called with which arguments, and leaves it to the reader to know what that
means.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from . import CheckpointError

#: Packages whose names may occur; names of other packages are refused where they are met.
_PACKAGES = {"torch", "schnetpack", "mlff_distiller", "numpy", "collections", "pathlib", "argparse"}
_NAMES = {
    f"{module}.{name}"
    for module in ("builtins", "__builtin__")
    for name in (
        "set frozenset list dict tuple bytearray bytes str int float bool complex object".split()
    )
} | {"copyreg._reconstructor", "copy_reg._reconstructor", "functools.partial", "_codecs.encode"}


@dataclass(frozen=True)
class Global:
    """A class or function that the pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Instance:
    """The record of a call `cls(*args)`, and of the state given to its result."""

    cls: Global
    args: tuple = ()
    state: Any = None
    items: list = field(default_factory=list)  #: what was appended or set


class _Mark:
    pass


_MARK = _Mark()
_CONSTANTS = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
    "EMPTY_TUPLE": tuple,
}
_LITERALS = set(
    """INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING
    UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8
    BYTEARRAY8""".split()
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def load(stream: IO[bytes], persistent: Callable[[Any], Any] = lambda pid: pid) -> Any:
    """The content of one pickle; `stream` is left behind it.

    Sets come as lists, ordered dictionaries as dictionaries; `persistent` maps persistent ids.
    Raises CheckpointError, without the file's name, if a foreign name occurs or the pickle is
    malformed.
    """
    machine = _Machine(persistent)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except CheckpointError:
        raise
    except (
        Exception
    ) as error:  # any malformed pickle: wrong stack, unhashable key, bad argument, ...
        raise CheckpointError(f"malformed pickle ({type(error).__name__}: {error})") from None
    raise CheckpointError("malformed pickle (no end)")


class _Machine:
    """The pickle virtual machine with every call left out."""

    def __init__(self, persistent: Callable[[Any], Any]):
        self.stack: list = []
        self.memo: dict[int, Any] = {}
        self.persistent = persistent

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_to_mark(self) -> list:
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise ValueError("no mark")
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def step(self, name: str, argument: Any) -> None:
        if name in ("PROTO", "FRAME"):
            return
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            n = _TUPLES[name]
            values = tuple(self.pop() for _ in range(n))
            self.stack.append(values[::-1])
        elif method := getattr(self, f"op_{name.lower()}", None):
            method(argument)
        else:
            raise CheckpointError(f"pickle instruction {name}, which no checkpoint needs")

    # stack and memo
    def op_mark(self, _):
        self.stack.append(_MARK)

    def op_pop(self, _):
        self.pop()

    def op_pop_mark(self, _):
        self.pop_to_mark()

    def op_dup(self, _):
        self.stack.append(self.stack[-1])

    def op_put(self, index):
        self.memo[index] = self.stack[-1]

    op_binput = op_long_binput = op_put

    def op_memoize(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def op_get(self, index):
        self.stack.append(self.memo[index])

    op_binget = op_long_binget = op_get

    # containers
    def op_tuple(self, _):
        self.stack.append(tuple(self.pop_to_mark()))

    def op_list(self, _):
        self.stack.append(self.pop_to_mark())

    op_frozenset = op_list

    def op_dict(self, _):
        values = self.pop_to_mark()
        self.stack.append(dict(zip(values[::2], values[1::2], strict=True)))

    def op_append(self, _):
        self.extend([self.pop()])

    def op_appends(self, _):
        self.extend(self.pop_to_mark())

    op_additems = op_appends

    def op_setitem(self, _):
        value, key = self.pop(), self.pop()
        self.update({key: value})

    def op_setitems(self, _):
        self.op_dict(None)
        self.update(self.pop())

    def extend(self, values: list) -> None:
        target = self.stack[-1]
        (target.items if isinstance(target, Instance) else target).extend(values)

    def update(self, values: dict) -> None:
        target = self.stack[-1]
        if isinstance(target, Instance):
            target.items.extend(values.items())
        else:
            target.update(values)

    # names and calls
    def op_global(self, argument):
        module, _, name = argument.partition(" ")
        self.stack.append(_known(module, name))

    def op_stack_global(self, _):
        name, module = self.pop(), self.pop()
        self.stack.append(_known(module, name))

    def op_inst(self, argument):
        module, _, name = argument.partition(" ")
        self.stack.append(_call(_known(module, name), tuple(self.pop_to_mark())))

    def op_obj(self, _):
        cls, *args = self.pop_to_mark()
        self.stack.append(_call(cls, tuple(args)))

    def op_reduce(self, _):
        args, function = self.pop(), self.pop()
        self.stack.append(_call(function, args))

    op_newobj = op_reduce

    def op_newobj_ex(self, _):
        kwargs, args, cls = self.pop(), self.pop(), self.pop()
        if kwargs:
            raise CheckpointError(f"{cls}: called with named arguments, which no checkpoint needs")
        self.stack.append(_call(cls, args))

    def op_build(self, _):
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, Instance) and target.state is None:
            target.state = state
        elif not isinstance(
            target, (dict, list)
        ):  # attributes of an ordered dictionary are ignored
            raise CheckpointError(f"state given to {_describe(target)}, which no checkpoint needs")

    def op_persid(self, pid):
        self.stack.append(self.persistent(pid))

    def op_binpersid(self, _):
        self.stack.append(self.persistent(self.pop()))


def _known(module: Any, name: Any) -> Global:
    if not isinstance(module, str) or not isinstance(name, str):
        raise CheckpointError("malformed pickle (a name that is not text)")
    if module.partition(".")[0] not in _PACKAGES and f"{module}.{name}" not in _NAMES:
        raise CheckpointError(
            f"it refers to {module}.{name}, which no known checkpoint needs; nothing was executed. "
            "If you trust the file, save only the model, or its state dict, with its own code"
        )
    return Global(module, name)


def _call(function: Any, args: Any) -> Any:
    if not isinstance(function, Global) or not isinstance(args, tuple):
        raise CheckpointError(f"a call of {_describe(function)}, which no checkpoint needs")
    name = str(function)
    if name == "collections.OrderedDict" and len(args) <= 1:
        return dict(*args)
    if function.module in ("builtins", "__builtin__") and len(args) <= 1:
        if function.name in ("set", "frozenset", "list"):
            return list(*args)
    if name.endswith("._reconstructor") and len(args) == 3 and isinstance(args[0], Global):
        return Instance(args[0])
    return Instance(function, args)


def _describe(value: Any) -> str:
    return str(value) if isinstance(value, Global) else type(value).__name__
