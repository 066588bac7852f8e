"""YAML as yaml-cpp and YAML 1.2 read it: `No` is an element, `1e-8` a number, a repeated key an error.

PyYAML follows YAML 1.1, where `No` is false, `1e-8` text and `2026-11-20` a date. Potential files are
read by C++ and Python, so both must see the same content.
"""

import base64
import binascii
import re
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_MAX_DEPTH = 64

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
    """Safe loader with YAML 1.2's core schema; refuses repeated keys, malformed base64, deep nesting."""

    yaml_implicit_resolvers: dict = {}
    depth = 0

    def descend_resolver(self, current_node: yaml.Node, current_index: Any) -> None:
        """Called for each node before its content: libyaml's recursion would end in a segmentation fault."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise yaml.constructor.ConstructorError(None, None, f"nested deeper than {_MAX_DEPTH} levels")

    def ascend_resolver(self) -> None:
        self.depth -= 1

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
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except (RecursionError, OverflowError) as error:
        raise ValueError(f"too deeply nested or too large a number ({error})") from None


def dump(data: Any) -> str:
    """Block YAML of a mapping, in its order."""
    return yaml.dump(data, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=100)


def format_real(x: float) -> str:
    """Shortest text that reads back as the same double, with a point so that YAML 1.1 sees a number."""
    mantissa, e, exponent = repr(float(x)).partition("e")
    return (mantissa if "." in mantissa or not e else mantissa + ".0") + e + exponent
