"""Potential files in Python: what is written is read; whatever does not add up is refused."""

import base64
import hashlib
import random
import re
import struct

import numpy as np
import pytest
import yaml
from fixtures import FOLDER, NAMES

from mlff_student import strict_yaml
from mlff_student.potential import Potential, PotentialError
from mlff_student.reference import make_check

SMALL = "painn_f8_l1"


def text(name: str = SMALL) -> str:
    return (FOLDER / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(tmp_path, name):
    potential = Potential.read(FOLDER / f"{name}.yaml")
    potential.write(tmp_path / "copy.yaml")
    assert (tmp_path / "copy.yaml").read_text() == text(name)


@pytest.mark.parametrize("name", NAMES)
def test_hash_is_that_of_the_documentation(name):
    content = yaml.safe_load(text(name).replace("1.0e-08", "1.0e-8"))
    bits = lambda x: struct.pack(">d", float(x)).hex()  # noqa: E731
    lines = []
    for key in (
        "architecture channels layers radial_functions number_of_radial_functions cutoff "
        "cutoff_function activation epsilon shared_interactions shared_filters"
    ).split():
        if key in content:
            value = content[key]
            value = bits(value) if key in ("cutoff", "epsilon") else str(value)
            lines.append(f"{key}={value.lower() if value in ('True', 'False') else value}\n")
    lines += [f"units.{key}={content['units'][key]}\n" for key in ("energy", "length")]
    digest = hashlib.sha256(
        "".join(lines + [f"elements={','.join(content['elements'])}\n"]).encode()
    )
    for tensor in content["tensors"]:
        shape = ",".join(map(str, tensor["shape"]))
        digest.update(f"{tensor['name']} {tensor['dtype']} {shape}\n".encode() + tensor["data"])
    assert digest.hexdigest() == content["sha256"]


def test_awkward_texts_survive(tmp_path):
    potential = Potential.read(FOLDER / f"{SMALL}.yaml")
    potential.provenance = {
        "teacher": "GFN2-xTB: #1 'quoted' \"twice\"", "date": "2026-11-20", "version": "1e5", "no": "No",
        "errors": {"energy": 1.5e-8, "forces": [0.25, 3]}, "note": None, "final": True, "name": "Schütt",
    }  # fmt: skip
    potential.contributor, potential.citation = "A. Name", "Journal 1, 2 (2026)"
    potential.write(tmp_path / "p.yaml")
    copy = Potential.read(tmp_path / "p.yaml")
    assert copy.provenance == potential.provenance
    assert (copy.contributor, copy.citation) == (potential.contributor, potential.citation)


def test_nobelium_and_yttrium_are_no_booleans(tmp_path):
    potential = Potential.read(FOLDER / f"{SMALL}.yaml")
    potential.elements = ["No", "Y", "N"]
    potential.check = make_check(potential)
    potential.write(tmp_path / "p.yaml")
    assert Potential.read(tmp_path / "p.yaml").elements == ["No", "Y", "N"]
    assert yaml.safe_load((tmp_path / "p.yaml").read_text())["elements"] == ["No", "Y", "N"]


@pytest.mark.parametrize(
    "given, expected",
    [("1e-8", 1e-8), ("1.0e+3", 1e3), ("010", 10), ("on", "on"), ("No", "No"), ("1:30", "1:30"),
     ("2026-11-20", "2026-11-20"), ("~", None), ("true", True), ("0x10", "0x10"), (".5", 0.5)],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(given, expected):
    value = strict_yaml.load(f"a: {given}")["a"]
    assert value == expected and type(value) is type(expected)


REFUSALS = [
    ("format: mlff-student", "format: other", "format: 'other' given, must be mlff-student"),
    ("version: 1", "version: 2", "version: 2 given, this program reads 1"),
    ("version: 1", "version: 1.0", "version: 1.0 given"),
    ("architecture: painn", "architecture: schnet", "epsilon: unknown key|architecture: 'schnet' given"),
    ("channels: 8", "channels: 9", r"tensors.embedding: shape \[3, 8\] given, \[3, 9\] expected"),
    ("channels: 8", "channels: 0", "channels: 0 given"),
    ("channels: 8", "channels: eight", "channels: 'eight' given"),
    ("channels: 8", "channels: [8]", "channels: must be a single value"),
    ("channels: 8\n", "", "channels: missing"),
    ("layers: 1", "layers: 2", "tensors.filter.1.weight: missing"),
    ("layers: 1", "layers: 1000000000", "layers: 1000000000 given, must be a whole number from 1 to 1024"),
    ("cutoff: 5.0", "cutoff: -5.0", "cutoff: -5.0 given"),
    ("cutoff: 5.0", "cutoff: .nan", "cutoff: nan given"),
    ("cutoff: 5.0", "cutoff: 5.5", "sha256: .* computed"),
    ("silu", "tanh", "activation: 'tanh' given, known: silu"),
    ("epsilon: 1.0e-08", "epsilon: 0.0", "epsilon: 0.0 given"),
    ("epsilon: 1.0e-08", "epsilom: 1.0e-08", "epsilom: unknown key"),
    ("shared_filters: false", "shared_filters: 0", "shared_filters: 0 given"),
    ("energy: eV", "energy: calories", "units.energy: 'calories' given, known: eV, meV"),
    ("energy: eV", "energy: kcal/mol", "units: the first line must say UNITS: real"),
    ("length: Angstrom", "length: Bohr", "units: the first line must say UNITS: none"),
    ("length: Angstrom", "width: Bohr", "units.width: unknown key"),
    ("elements: [H, C, O]", "elements: [H, C, C]", "elements: an element appears twice"),
    ("elements: [H, C, O]", "elements: [H, C, Q]", "elements: 'Q' is not a chemical symbol"),
    ("elements: [H, C, O]", "elements: [O, C, H]", "sha256"),
    ("name: embedding", "name: embeddings", "tensors.embeddings: no tensor of this name"),
    ("name: phi.0.0.bias", "name: phi.0.0.weight", "tensors.phi.0.0.weight: appears twice"),
    ("shape: [3, 8]", "shape: [8, 3]", "tensors.embedding: shape"),
    ("shape: [3, 8]", "shape: [3, 9]", "tensors.embedding.data: 96 bytes given"),
    ("shape: [3, 8]", "shape: [3, -8]", "tensors.embedding.shape: must be"),
    ("shape: [3, 8]", "shape: [99999999999, 99999999999]", "tensors.embedding.data: 96 bytes given"),
    ("dtype: float32", "dtype: float16", "dtype: 'float16' given, known: float32, float64"),
    ('!!binary "', '!!binary "*', "not base64"),
    ('!!binary "', '"', "data: must be !!binary"),
    ("provenance:", "provenance: [1]\nremark:", "remark: unknown key"),
    ("provenance:", "provenance: [1]\nprovenance:", "'provenance' appears twice"),
    ("  cell: null", "  cell: [[1, 0, 0], [0, 1, 0], [1, 1, 0]]", "check.cell: has no volume"),
    ("  cell: null", "  cell: [[1, 0], [0, 1]]", "check.cell: must be rows of 3"),
    ("  cell: null\n", "", "check.cell: missing"),
    ("  cell: null", "  cell: [[0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]", "check: . atoms; more than 1000"),
    ("  positions:\n  - [0.0,", "  positions:\n  - [6e4,", "check.positions: an atom is farther than"),
    ("check:\n  elements: [H, C, O,", "check:\n  elements: [H, C, N,", "check.elements: 'N' is not among"),
    ("check:\n  elements: [H, C, O,", "check:\n  elements: [H, C,", "check.positions: must be 5 rows"),
    ("# DATE:", "# TIME:", "first line: must be"),
    ("format:", "!!python/object:os.system\nformat:", "not YAML"),
    ("energy: eV", "energy: !!str eV", "the tag .*str in line"),
    ("format:", "--- {}\n---\nformat:", "a second document"),
    ("layers: 1", "layers: &l 1", "an anchor or alias in line"),
    ("licence: MIT", "licence: M\x07T", "control character"),
    ("epsilon: 1.0e-08", "epsilon: 1.0e-60", "epsilon: 1e-60 given, must be above 0, in single"),
]  # fmt: skip


@pytest.mark.parametrize(
    "old, new, message", REFUSALS, ids=[f"{m[:40]}-{n[:20]}" for _, n, m in REFUSALS]
)
def test_refusals_name_file_key_and_reason(old, new, message):
    assert old in text()
    with pytest.raises(PotentialError, match=f"^f.yaml: .*({message})"):
        Potential.parse(text().replace(old, new, 1), "f.yaml")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    potential = Potential.read(FOLDER / f"{SMALL}.yaml")
    potential.tensors["out.0.bias"] = np.array([1, 2, np.nan, 4], dtype=np.float32)
    with pytest.raises(
        PotentialError, match="tensors.out.0.bias: holds a number that is not finite"
    ):
        potential.write(tmp_path / "p.yaml")


def test_aliases_cannot_blow_up():
    bomb = "provenance:\n  a: &a [x, x]\n" + "".join(
        f"  {chr(98 + k)}: &{chr(98 + k)} [*{chr(97 + k)}, *{chr(97 + k)}]\n" for k in range(20)
    )
    changed = re.sub(r"provenance:\n(  .*\n)+", bomb, text())
    with pytest.raises(PotentialError, match="an anchor or alias in line"):
        Potential.parse(changed, "f.yaml")


def test_deep_nesting_is_refused():
    changed = text().replace("provenance:", f"provenance: {{x: {'[' * 50000}}}\nx:", 1)
    with pytest.raises(PotentialError):
        Potential.parse(changed, "f.yaml")


def test_truncations_are_refused():
    whole = text()
    for size in range(len(whole) - 1, 0, -41):
        with pytest.raises(PotentialError):
            Potential.parse(whole[:size], "f.yaml")


def test_random_changes_end_in_a_refusal_or_the_same_network():
    generator, whole = random.Random(7), text()
    digest = Potential.parse(whole, "f.yaml").sha256
    for _ in range(300):
        place = generator.randrange(len(whole))
        changed = whole[:place] + chr(generator.randrange(32, 127)) + whole[place + 1 :]
        try:
            assert Potential.parse(changed, "f.yaml").sha256 == digest
        except PotentialError:
            pass


def test_every_tensor_byte_counts():
    data = re.findall(r'!!binary "([^"]*)"', text())
    for encoded in data:
        raw = bytearray(base64.b64decode(encoded))
        raw[len(raw) // 2] ^= 1
        changed = text().replace(encoded, base64.b64encode(raw).decode(), 1)
        with pytest.raises(PotentialError):
            Potential.parse(changed, "f.yaml")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    potential = Potential.read(FOLDER / f"{SMALL}.yaml")
    target = tmp_path / "p.yaml"
    target.write_text("old")
    potential.check.forces = np.full_like(potential.check.forces, np.inf)
    with pytest.raises(PotentialError, match="check.forces"):
        potential.write(target)
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]
    with pytest.raises(PotentialError, match="cannot be written"):
        Potential.read(FOLDER / f"{SMALL}.yaml").write(tmp_path / "missing" / "p.yaml")


def test_nothing_unreadable_is_written(tmp_path):
    potential = Potential.read(FOLDER / f"{SMALL}.yaml")
    for _ in range(20):
        potential.provenance = {"deeper": potential.provenance}
    with pytest.raises(PotentialError, match="nested deeper"):
        potential.write(tmp_path / "p.yaml")
    assert not list(tmp_path.iterdir())


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(PotentialError, match="nowhere.yaml: cannot be read"):
        Potential.read(tmp_path / "nowhere.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(PotentialError, match="b.yaml is not an mlff-student potential: not UTF-8"):
        Potential.read(tmp_path / "b.yaml")


OTHER_FILES = {
    "data of LAMMPS": "LAMMPS data file\n\n3 atoms\n\nMasses\n\n1 1.008\n",
    "xyz": "1\nproperties=species:S:1:pos:R:3\nH 0 0 0\n",
    "configuration": "# DATE: 2026-01-01 UNITS: metal\nname: water\n---\nseed: 1\n",
    "without a line break": "1\n\nH 0 0 0",
    "control characters": "\x00\x01\n",
    "empty": "",
}


@pytest.mark.parametrize("content", OTHER_FILES.values(), ids=OTHER_FILES.keys())
def test_other_files_are_called_what_they_are(content):
    with pytest.raises(PotentialError, match="^f is not an mlff-student potential: .*train or convert"):
        Potential.parse(content, "f")
