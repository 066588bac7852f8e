"""YAML 1.2, as yaml-cpp reads it: `No` is an element, `1e-8` a number, a repeated key an error.

PyYAML follows YAML 1.1, where `No` is false, `1e-8` text and `2026-11-20` a date. Potential files
are read by C++ and Python, so both must see the same content.
"""

import base64
import binascii
import re
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_MAX_DEPTH = 16
_MAX_EVENTS = 1_000_000

_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_RESOLVERS = [
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), "-+0123456789"),
    ("tag:yaml.org,2002:float", _FLOAT, "-+0123456789."),
]


class _StrictLoader(_Loader):
    """Safe loader with YAML 1.2's core schema; refuses repeated keys and malformed base64."""

    yaml_implicit_resolvers: dict = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(
                    None, None, "a key that is not text", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} appears twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _construct_int(loader: yaml.Loader, node: yaml.ScalarNode) -> int:
    if len(node.value) > 20:
        raise yaml.constructor.ConstructorError(
            None, None, "a whole number of more than 20 digits", node.start_mark
        )
    return int(node.value)  # decimal: 010 is ten


def _construct_float(loader: yaml.Loader, node: yaml.ScalarNode) -> float:
    return float(re.sub(r"\.(?=[iInN])", "", node.value))


def _construct_binary(loader: yaml.Loader, node: yaml.ScalarNode) -> bytes:
    try:
        return base64.b64decode("".join(node.value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise yaml.constructor.ConstructorError(
            None, None, f"!!binary data is not base64 ({error})", node.start_mark
        ) from None


class _PlainDumper(_Dumper):
    """Quotes what either YAML version would take for something other than text; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in _RESOLVERS:
    _StrictLoader.add_implicit_resolver(_tag, _pattern, list(_first))
    _PlainDumper.add_implicit_resolver(_tag, _pattern, list(_first))
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_StrictLoader.add_constructor("tag:yaml.org,2002:binary", _construct_binary)
_PlainDumper.add_representer(
    float, lambda dumper, x: dumper.represent_scalar("tag:yaml.org,2002:float", format_real(x))
)


def load(text: str) -> Any:
    """Content of one YAML document. Raises ValueError with the place in the text."""
    try:
        _screen(text)
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except (RecursionError, OverflowError) as error:
        raise ValueError(f"too deeply nested or too large a number ({error})") from None


def _screen(text: str) -> None:
    """Refuses what potential files never hold, before libyaml builds it by recursion."""
    depth = documents = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        line = event.start_mark.line + 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels in line {line}")
        if count > _MAX_EVENTS:
            raise ValueError(f"more than {_MAX_EVENTS} entries")
        if getattr(event, "anchor", None):
            raise ValueError(f"an anchor or alias in line {line}")
        if getattr(event, "tag", None) not in (None, "!", "tag:yaml.org,2002:binary"):
            raise ValueError(f"the tag {event.tag} in line {line}; known: !!binary")
        if documents > 1 or getattr(event, "version", None) or getattr(event, "tags", None):
            raise ValueError(f"a directive or a second document in line {line}")


def dump(data: Any) -> str:
    """Block YAML of a mapping, in its order."""
    return yaml.dump(data, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=100)


def format_real(x: float) -> str:
    """Shortest text that reads back as the same double, with a point for YAML 1.1's sake."""
    mantissa, e, exponent = repr(float(x)).partition("e")
    return (mantissa if "." in mantissa or not e else mantissa + ".0") + e + exponent
