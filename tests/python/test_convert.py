"""Checkpoints of SchNetPack and MLFF-Distiller: what they become, and what is refused by name."""

import json

import numpy as np
import pytest
from checkpoints import (
    Module,
    Name,
    distiller,
    distiller_state,
    dump,
    identity,
    module_list,
    save,
    save_legacy,
    schnetpack,
    tensor,
)
from click.testing import CliRunner
from fixtures import FOLDER, NAMES, SHARED, reference

from mlff_student.cli import main
from mlff_student.convert import CheckpointError
from mlff_student.convert.command import convert
from mlff_student.potential import Potential
from mlff_student.reference import evaluate

SCHNETPACK = [n for n in NAMES if n.startswith("painn") and not n.endswith("bohr")]
DISTILLER = [n for n in NAMES if n.startswith("distiller")]


def load(name: str) -> Potential:
    return Potential.read(FOLDER / f"{name}.yaml")


def assert_reproduces(potential: Potential, structures: list[dict]) -> None:
    for structure in structures:
        result = evaluate(
            potential, structure["numbers"], np.array(structure["positions"]), structure["cell"]
        )
        for key in ("energy", "atomic_energies", "forces", "virial"):
            expected = np.asarray(structure[key])
            error = abs(np.asarray(getattr(result, key)) - expected).max()
            assert error <= 1e-10 * max(abs(expected).max(), 1e-3), (structure["name"], key)


# --------------------------------------------------------------------------------- what they become


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", SCHNETPACK)
def test_schnetpack_options(tmp_path, name, legacy):
    potential = load(name)
    model, path = schnetpack(potential), tmp_path / "best_model"
    save_legacy(path, *dump(model)) if legacy else save(path, model)
    converted, _ = convert(path, potential.elements, potential.energy_unit)
    for (
        key
    ) in (
        "radial_functions cutoff_function shared_interactions shared_filters epsilon layers".split()
    ):
        assert getattr(converted, key) == getattr(potential, key)
    assert list(converted.tensors) == list(potential.tensors)
    assert_reproduces(converted, reference(name))


def test_schnetpack_offsets_add_mean_and_atomrefs(tmp_path):
    potential = load("painn_f8_l1")
    model = schnetpack(potential)
    atomref = np.zeros(100)
    atomref[[1, 6, 8]] = [-13.5, -1030.25, -2040.125]
    offsets = model["postprocessors.1"]
    offsets.state["_parameters"] |= {"atomref": tensor(atomref), "mean": tensor(np.array([-0.5]))}
    converted, remarks = convert(save(tmp_path / "m", model), None, "eV")
    assert converted.elements == ["H", "C", "O"] and any("H C O" in r for r in remarks)
    assert converted.tensors["atomic_energies"].tolist() == [-14.0, -1030.75, -2040.625]
    offsets.state["add_mean"] = False
    converted, _ = convert(save(tmp_path / "m", model), ["C", "H"], "eV")
    assert converted.tensors["atomic_energies"].tolist() == [-1030.25, -13.5]
    model.state["do_postprocessing"] = False
    converted, remarks = convert(save(tmp_path / "m", model), ["H"], "eV")
    assert converted.tensors["atomic_energies"].tolist() == [0.0]
    assert any("do_postprocessing" in remark for remark in remarks)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", DISTILLER)
def test_distiller_checkpoint(tmp_path, name, legacy):
    potential, path = load(name), tmp_path / "student.pt"
    root = distiller(potential)
    save_legacy(path, *dump(root)) if legacy else save(path, root)
    converted, remarks = convert(path, potential.elements)
    assert converted.cutoff == potential.cutoff
    assert any("jumps" in remark and "orientation" in remark for remark in remarks)
    converted.tensors["atomic_energies"] = potential.tensors["atomic_energies"]
    assert_reproduces(converted, reference(name))


def test_wrapped_distiller_names_and_default_elements(tmp_path):
    root = distiller(load("distiller_f8_l2"))
    root["model_state_dict"] = {f"model.{k}": v for k, v in root["model_state_dict"].items()}
    del root["config"]
    converted, remarks = convert(save(tmp_path / "student.pt", root))
    assert converted.elements == ["H", "C", "N", "O"] and converted.cutoff == 5.0
    assert any("--elements" in remark for remark in remarks)


def test_half_precision_is_exact(tmp_path):
    root = distiller(load("distiller_f8_l2"))
    state = distiller_state(load("distiller_f8_l2"))
    root["model_state_dict"] = {k: tensor(v.astype(np.float16)) for k, v in state.items()}
    converted, _ = convert(save(tmp_path / "student.pt", root))
    expected = state["energy_head.0.weight"].astype(np.float16)
    assert (converted.tensors["out.0.weight"] == expected.astype(np.float32)).all()


@pytest.mark.parametrize("legacy", [False, True])
def test_files_of_torch_itself(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    potential = load("distiller_f8_l2")
    state = {k: torch.as_tensor(v.copy()) for k, v in distiller_state(potential).items()}
    name = "energy_head.0.weight"
    state[name] = torch.nn.Parameter(state[name].T.contiguous().T)  # strides other than C's
    torch.save(
        {"model_state_dict": state, "loss": torch.tensor(1.0).bfloat16()},
        tmp_path / "student.pt",
        _use_new_zipfile_serialization=not legacy,
    )
    converted, _ = convert(tmp_path / "student.pt", potential.elements)
    assert (converted.tensors["out.0.weight"] == potential.tensors["out.0.weight"]).all()


def shared(name: str):
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not part of the repository")
    return SHARED / name


def test_published_schnetpack_model():
    path = shared("schnetpack_painn_rmd17_ethanol.model")
    potential, _ = convert(path, ["H", "C", "O"], "kcal/mol")
    assert_reproduces(potential, reference(path.stem, SHARED))


def test_published_distiller_export():
    pytest.importorskip("onnx")
    path = shared("mlff_distiller_427k.onnx")
    potential, _ = convert(path)
    assert_reproduces(potential, reference(path.stem, SHARED))


# --------------------------------------------------------------------------------- what is refused


def change_activation(model):
    dense = model["representation.mixing.0.intraatomic_context_net.0"]
    dense.state["activation"] = Name("schnetpack.nn.activations.shifted_softplus")


def change_readout_activation(model):
    dense = model["output_modules.0.outnet.0"]
    del dense.state["activation"]
    dense.state["_modules"]["activation"] = Module("torch.nn.modules.activation.Tanh")


def give_mix_a_bias(model):
    dense = model["representation.mixing.0.mu_channel_mix"]
    dense.state["_parameters"]["bias"] = tensor(np.zeros(16, dtype=np.float32))


def add_output_module(model):
    module = Module("schnetpack.atomistic.nuclear_repulsion.ZBLRepulsionEnergy")
    model["output_modules"].state["_modules"]["2"] = module


def add_embedding(model):
    embedding = Module("schnetpack.nn.embedding.ElectronicEmbedding")
    model["representation"].state["_modules"]["electronic_embeddings"] = module_list([embedding])


def change_embedding(model):
    embedding = Module("schnetpack.nn.embedding.NuclearEmbedding")
    model["representation"].state["_modules"]["embedding"] = embedding


def change_cutoff(model):
    cutoff = Module("schnetpack.nn.cutoff.SwitchFunction")
    model["representation"].state["_modules"]["cutoff_fn"] = cutoff


def change_radial(model):
    radial = Module("schnetpack.nn.radial.GaussianRBFCentered")
    model["representation"].state["_modules"]["radial_basis"] = radial


def add_postprocessor(model):
    scale = Module("schnetpack.transform.atomistic.ScaleProperty")
    model["postprocessors"].state["_modules"]["2"] = scale


def average(model):
    model["output_modules.0"].state["aggregation_mode"] = "avg"


def intensive(model):
    model["postprocessors.1"].state["is_extensive"] = False


def other_representation(model):
    model["representation"].cls = "schnetpack.representation.schnet.SchNet"


def add_input_module(model):
    model["input_modules"].state["_modules"]["1"] = Module(
        "schnetpack.atomistic.StaticExternalFields"
    )


def add_module(model):
    model["representation"].state["_modules"]["attention"] = identity()


def add_hook(model):
    model["representation"].state["_forward_hooks"][0] = Name("torch.nn.utils.hook")


def lose_weight(model):
    del model["representation.filter_net"].state["_parameters"]["weight"]


REFUSALS = [
    (change_activation, "intraatomic_context_net.0.activation: .*shifted_softplus given.*silu"),
    (change_readout_activation, "outnet.0.activation: .*Tanh given"),
    (give_mix_a_bias, "mu_channel_mix.bias: a tensor that is not known"),
    (add_output_module, "output_modules.2: .*ZBLRepulsionEnergy may change the energy"),
    (add_embedding, "electronic_embeddings.0: .*ElectronicEmbedding"),
    (change_embedding, "representation.embedding: .*NuclearEmbedding"),
    (change_cutoff, "cutoff_fn: .*SwitchFunction given, known: .*CosineCutoff"),
    (change_radial, "radial_basis: .*GaussianRBFCentered given"),
    (add_postprocessor, "postprocessors.2: .*ScaleProperty"),
    (average, "aggregation_mode: avg given, known: sum"),
    (intensive, "is_extensive: False given"),
    (other_representation, "SchNet given, known: .*PaiNN"),
    (add_input_module, "input_modules.1: .*StaticExternalFields"),
    (add_module, "representation.attention: a submodule that is not known"),
    (add_hook, "representation: has forward_hooks"),
    (lose_weight, "filter_net.weight: a tensor that is missing"),
]


@pytest.mark.parametrize("change, message", REFUSALS, ids=[c.__name__ for c, _ in REFUSALS])
def test_schnetpack_beyond_the_format_is_refused_by_name(tmp_path, change, message):
    potential = load("painn_f8_l1")
    model = schnetpack(potential)
    change(model)
    with pytest.raises(CheckpointError, match=message):
        convert(save(tmp_path / "best_model", model), potential.elements, "eV")


def test_elements_and_unit_must_be_known(tmp_path):
    model = schnetpack(load("painn_f8_l1"))
    model["postprocessors.1"].state["add_atomrefs"] = False
    path = save(tmp_path / "best_model", model)
    with pytest.raises(CheckpointError, match="--elements H C O"):
        convert(path, None, "eV")
    with pytest.raises(CheckpointError, match="--energy-unit kcal/mol"):
        convert(path, ["H"])
    with pytest.raises(CheckpointError, match="'Q' is not a chemical symbol"):
        convert(path, ["Q"], "eV")
    with pytest.raises(CheckpointError, match="ends? at Z = 99"):
        convert(path, ["Md"], "eV")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda state: state.update(extra=state["rbf.centers"]), "extra: not a tensor of"),
        (lambda state: state.pop("rbf.widths"), "radial.widths: missing"),
        (lambda state: state.pop("energy_head.4.bias"), "out.2.bias: missing"),
        (lambda state: state.pop("interactions.1.update.mixing_matrix"), "mixing.1: missing"),
    ],
)
def test_other_state_dictionaries_are_refused_by_name(tmp_path, change, message):
    root = distiller(load("distiller_f8_l2"))
    change(root["model_state_dict"])
    with pytest.raises(Exception, match=message):
        convert(save(tmp_path / "student.pt", root))


@pytest.mark.parametrize(
    "root, message",
    [
        ({"state_dict": {}, "pytorch-lightning_version": "2"}, "take best_model"),
        ([1, 2], "list: neither a SchNetPack"),
        (Module("torch.nn.modules.linear.Linear"), "Linear: neither a SchNetPack"),
    ],
)
def test_other_checkpoints_are_refused(tmp_path, root, message):
    with pytest.raises(CheckpointError, match=message):
        convert(save(tmp_path / "x.pt", root))


def test_truncations_are_refused(tmp_path):
    model = schnetpack(load("painn_f8_l1"))
    for path in (save(tmp_path / "zip", model), save_legacy(tmp_path / "legacy", *dump(model))):
        content = path.read_bytes()
        for size in range(0, len(content), 211):
            (tmp_path / "cut").write_bytes(content[:size])
            with pytest.raises(CheckpointError):
                convert(tmp_path / "cut", ["H"], "eV")


# ------------------------------------------------------------------------------------- the command


def test_command_writes_a_potential(tmp_path):
    potential = load("painn_f8_l1")
    path = save(tmp_path / "best_model", schnetpack(potential))
    output = tmp_path / "out.yaml"
    arguments = f"convert {path} --elements H C O -o {output} --energy-unit eV -p teacher=DFT"
    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code == 0, result.output
    written = Potential.read(output)
    assert written.elements == ["H", "C", "O"] and written.provenance["teacher"] == "DFT"
    assert written.provenance["checkpoint"] == "SchNetPack 2.1.1"


def test_command_reports_errors(tmp_path):
    (tmp_path / "x").write_text("no checkpoint")
    result = CliRunner().invoke(main, ["convert", str(tmp_path / "x"), "-o", str(tmp_path / "y")])
    assert result.exit_code == 1 and "not a file of torch.save" in result.output
    result = CliRunner().invoke(main, ["convert", str(tmp_path / "x"), "--elements", "-o", "y"])
    assert result.exit_code == 2 and "chemical symbols expected" in result.output
    assert not (tmp_path / "y").exists()


def test_onnx_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    (tmp_path / "x.onnx").write_bytes(b"")
    with pytest.raises(CheckpointError, match="pip install onnx"):
        convert(tmp_path / "x.onnx")


def test_damaged_onnx_is_refused(tmp_path):
    pytest.importorskip("onnx")
    (tmp_path / "x.onnx").write_bytes(json.dumps({"no": "onnx"}).encode())
    with pytest.raises(CheckpointError, match="x.onnx"):
        convert(tmp_path / "x.onnx")
