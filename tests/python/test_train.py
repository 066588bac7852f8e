"""Training: configuration, labels, splits, resume, loss on a toy teacher, export."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ase", reason="labelling needs ASE")

from mlff_student.potential import Potential  # noqa: E402
from mlff_student.reference import evaluate  # noqa: E402
from mlff_student.train.config import ConfigError, Split, load_config, parse_config  # noqa: E402
from mlff_student.train.frames import Frames, split_frames  # noqa: E402
from mlff_student.train.label import label
from mlff_student.train.plan import tasks  # noqa: E402
from mlff_student.train.schedule import learning_rate, plateaus, should_stop  # noqa: E402

TOY = {
    "name": "toy",
    "seed": 3,
    "teacher": {
        "calculator": "ase.calculators.morse.MorsePotential",
        "arguments": {"epsilon": 0.4, "r0": 1.3, "rho0": 4.0},
    },
    "data": {
        "file": "toy.npz",
        "molecules": [
            {"name": "water", "structure": "H2O", "repeats": 2},
            {"name": "methane", "structure": "CH4"},
        ],
        "sampling": [
            {"kind": "md", "frames": 20, "temperatures": [300, 600], "spacing": 4, "run": 5,
             "equilibration": 10},
            {"kind": "normal_modes", "frames": 6, "temperatures": [300]},
            {"kind": "rattle", "frames": 10, "range": [0.02, 0.1], "run": 5},
            {"kind": "stretch", "frames": 6, "range": [0.8, 1.3]},
            {"kind": "contact", "frames": 3, "range": [0.8, 1.2]},
        ],
    },
    "split": {"by": "frame", "validation": 0.1, "test": 0.1},
    "network": {"channels": 8, "layers": 2, "number_of_radial_functions": 6, "cutoff": 4.0},
    "training": {"steps": 48, "batch_size": 8, "learning_rate": 2e-2, "warmup": 5, "ema": 0.9,
                 "evaluate_every": 16, "checkpoint_every": 24, "device": "cpu"},
}  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy configuration with its labels made."""
    config = parse_config(copy.deepcopy(TOY), tmp_path_factory.mktemp("toy"))
    label(config, progress=False)
    return config


def changed(**training):
    mapping = copy.deepcopy(TOY)
    mapping["training"] |= training
    return mapping


# -------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    "path, value, text",
    [
        ("training.stepz", 5, "training.stepz: unknown key (did you mean steps?)"),
        ("training.steps", "many", "training.steps: must be of type int"),
        ("training.steps", True, "training.steps: must be of type int"),
        ("training.steps", 0, "training.steps: must be above zero"),
        ("training.ema", 1.0, "training.ema: must be in [0, 1)"),
        ("training.criterion", "rmse", "'rmse' is not known; known: loss, force_mae"),
        ("training.schedule", "linear", "'linear' is not known; known: cosine, plateau"),
        ("split.by", "day", "split.by: 'day' is not known"),
        ("split.test_molecules", ["benzene"], "'benzene' is not known; known: water, methane"),
        ("split.test", 0.95, "both together below 1"),
        ("network.architecture", "schnet", "network.architecture: 'schnet' is not known"),
        ("data.sampling", [{"kind": "md", "frames": 1}], "sampling[0].temperatures: is missing"),
        ("data.sampling", [{"kind": "rattle", "frames": 1}], "data.sampling[0].range: must be"),
        ("data.molecules", [{"name": "x"}], "x: must have either structure or smiles"),
        ("data.file", None, "data.file: must be of type str"),
        ("colour", "red", "colour: unknown key"),
    ],
)  # fmt: skip
def test_config_errors_name_key_and_reason(path, value, text):
    mapping = copy.deepcopy(TOY)
    *sections, key = path.split(".")
    target = mapping
    for section in sections:
        target = target[section]
    target[key] = value
    with pytest.raises(ConfigError) as error:
        parse_config(mapping)
    assert text in str(error.value)


def test_config_file_errors_name_the_file(tmp_path):
    path = tmp_path / "config.yaml"
    with pytest.raises(ConfigError, match="config.yaml: cannot be read"):
        load_config(path)
    path.write_text("name: [")
    with pytest.raises(ConfigError, match="config.yaml: is not YAML"):
        load_config(path)
    path.write_text("name: x\ndata: {}\n")
    with pytest.raises(ConfigError, match="config.yaml: teacher: is missing"):
        load_config(path)


def test_unknown_teacher_and_structure(tmp_path):
    mapping = copy.deepcopy(TOY)
    mapping["teacher"]["calculator"] = "ase.calculators.nosuch.Calculator"
    with pytest.raises(ConfigError, match="cannot be imported"):
        label(parse_config(mapping, tmp_path), progress=False)
    mapping = copy.deepcopy(TOY)
    mapping["data"]["molecules"][0]["structure"] = "unobtainium"
    with pytest.raises(ConfigError, match="'unobtainium' is neither a file"):
        label(parse_config(mapping, tmp_path), progress=False)


# ------------------------------------------------------------------------------ labels and split


def test_labels_are_the_teachers(toy):
    from ase import Atoms

    from mlff_student.train.sampling import make_teacher

    frames = Frames.load(toy.data_path)
    planned = sum(task.frames for task in tasks(toy))
    assert 0.8 * planned < len(frames) <= planned  # those with large forces are left out
    assert np.abs(frames.forces).max() < toy.data.force_limit
    assert set(frames.group_names) == {
        "water", "methane", "water+water", "water+methane", "methane+methane"
    }  # fmt: skip
    offsets = frames.offsets
    for k in np.linspace(0, len(frames) - 1, 15).astype(int):
        part = slice(offsets[k], offsets[k + 1])
        atoms = Atoms(
            frames.numbers[part], frames.positions[part], calculator=make_teacher(toy.teacher)
        )
        assert atoms.get_potential_energy() == pytest.approx(frames.energies[k], abs=1e-4)
        assert frames.largest_forces[k] == np.abs(frames.forces[part]).max()
        np.testing.assert_allclose(atoms.get_forces(), frames.forces[part], atol=1e-4)


@pytest.mark.parametrize(
    "energy, force, kept",
    [(1.0, 29.9, True), (1.0, 30.1, False), (np.nan, 1.0, False), (1.0, np.nan, False)],
)
def test_frames_with_large_forces_are_left_out(energy, force, kept):
    from mlff_student.train.label import _usable

    forces = np.zeros((3, 3))
    forces[1, 2] = -force
    assert _usable((None, energy, forces), 30.0) is kept


def test_labelling_resumes_and_repeats(toy, tmp_path, monkeypatch):
    import mlff_student.train.label as module

    config = parse_config(copy.deepcopy(TOY), tmp_path)
    original, calls = module.collect, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(module, "collect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        label(config, progress=False)
    assert not config.data_path.exists()
    frames = label(config, progress=False)
    assert len(calls) == len(tasks(config)) + 1  # the three finished pieces were not made again
    assert frames.hash() == Frames.load(toy.data_path).hash()
    assert [p.name for p in tmp_path.iterdir()] == ["toy.npz"]


@pytest.mark.parametrize("by", ["frame", "trajectory", "molecule"])
def test_split_keeps_together_what_belongs_together(toy, by):
    frames = Frames.load(toy.data_path)
    parts = split_frames(frames, Split(by=by, validation=0.2, test=0.2), seed=1)
    together = np.concatenate(list(parts.values()))
    assert sorted(together) == list(range(len(frames)))
    unit = {
        "frame": np.arange(len(frames)),
        "trajectory": frames.trajectories,
        "molecule": frames.groups,
    }
    where = {name: set(unit[by][index]) for name, index in parts.items()}
    assert not where["train"] & where["validation"]
    assert not where["train"] & where["test"]
    assert not where["validation"] & where["test"]


def test_split_holds_out_molecules(toy):
    frames = Frames.load(toy.data_path)
    parts = split_frames(frames, Split(test_molecules=["methane"]), seed=1)
    methane = frames.groups == frames.group_names.index("methane")
    assert methane[parts["test"]].sum() == methane.sum()


def test_groups_that_name_their_part_go_there(toy):
    frames = Frames.load(toy.data_path)
    frames.group_parts[frames.group_names.index("water")] = "test"
    frames.group_parts[frames.group_names.index("methane")] = "train"
    parts = split_frames(frames, Split(by="frame", validation=0.3, test=0.3), seed=1)
    names = {part: {frames.group_names[g] for g in frames.groups[i]} for part, i in parts.items()}
    assert "water" in names["test"] and "water" not in names["train"] | names["validation"]
    assert "methane" in names["train"] and "methane" not in names["test"] | names["validation"]


def test_compact_files_are_rounded_and_smaller(toy, tmp_path):
    frames = Frames.load(toy.data_path)
    frames.positions[0] = [-250.0, 0.0, 250.0]
    frames.group_classes[0] = "small"
    frames.save(tmp_path / "plain.npz")
    frames.save(tmp_path / "compact.npz", compact=True)
    read = Frames.load(tmp_path / "compact.npz")
    np.testing.assert_allclose(read.positions, frames.positions, rtol=1e-7, atol=0.51e-5)
    np.testing.assert_allclose(read.forces, frames.forces, rtol=1e-7, atol=0.51e-3)
    assert np.array_equal(read.energies, frames.energies) and read.group_classes[0] == "small"
    sizes = [(tmp_path / f"{name}.npz").stat().st_size for name in ("compact", "plain")]
    assert sizes[0] < 0.75 * sizes[1]
    read.save(tmp_path / "again.npz", compact=True)
    assert Frames.load(tmp_path / "again.npz").hash() == read.hash()


def test_files_of_version_1_are_still_read():
    frames = Frames.load(Path(__file__).parents[2] / "examples" / "chno-small" / "frames.npz")
    assert frames.group_parts == frames.group_classes == [""] * len(frames.group_names)
    assert len(frames) == frames.counts.size and frames.positions.dtype == np.float32


def test_a_file_that_is_not_frames_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        Frames.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK not a zip file")
    with pytest.raises(ConfigError, match="is not a file of labelled frames"):
        Frames.load(tmp_path / "bad.npz")


# ------------------------------------------------------------------------------------- schedule


def test_schedules():
    cosine = parse_config(changed(steps=100, warmup=10, final_learning_rate=1e-5)).training
    rates = [learning_rate(k, cosine, []) for k in range(101)]
    assert rates[0] == pytest.approx(2e-3) and rates[9] == rates[10] == pytest.approx(2e-2)
    assert all(a >= b for a, b in zip(rates[10:], rates[11:])) and rates[100] == pytest.approx(1e-5)
    plateau = parse_config(changed(schedule="plateau", plateau_patience=2, patience=3)).training
    losses = [3.0, 2.0, 2.5, 2.5, 2.5, 1.0]
    assert plateaus(losses, plateau) == 1
    assert learning_rate(50, plateau, losses) == pytest.approx(1e-2)
    assert should_stop(losses[:5], plateau) and not should_stop(losses, plateau)


# ------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def fitted(toy, tmp_path_factory):
    torch = pytest.importorskip("torch", reason="fitting needs PyTorch")
    torch.set_num_threads(1)  # the tensors are tiny
    from mlff_student.train.fit import Fit

    fit = Fit(toy, tmp_path_factory.mktemp("run"))
    assert fit.run(progress=False)
    return fit


def test_loss_decreases_and_files_are_written(fitted):
    history = json.loads((fitted.folder / "log.json").read_text())["history"]
    assert [entry["step"] for entry in history] == [16, 32, 48]
    assert history[-1]["validation_loss"] < 0.7 * history[0]["validation_loss"]
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert (fitted.folder / "learning_curve.png").stat().st_size > 1000


@pytest.mark.parametrize("stop_at", [17, 24])
def test_resume_is_the_uninterrupted_run(toy, fitted, tmp_path, monkeypatch, stop_at):
    from mlff_student.train.fit import Fit

    first = Fit(toy, tmp_path)
    batches = first._batches
    monkeypatch.setattr(
        first, "_batches", lambda: batches() if first.done < stop_at else _interrupt(first)
    )
    with pytest.raises(KeyboardInterrupt):
        first.run(progress=False)
    second = Fit(toy, tmp_path)
    assert second.done == stop_at
    assert second.run(progress=False)
    for name, tensor in fitted.step.state().items():
        assert np.array_equal(tensor.numpy(), second.step.state()[name].numpy()), name
    strip = lambda fit: [{**entry, "seconds": 0} for entry in fit.history]  # noqa: E731
    assert strip(second) == strip(fitted)


def test_the_criterion_chooses_the_weights(toy, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="fitting needs PyTorch")
    import mlff_student.train.fit as module

    config = parse_config(changed(criterion="force_mae"), toy.folder)
    fit = module.Fit(config, tmp_path)
    original, values, averages = module.errors, iter([3.0, 1.0, 2.0]), []

    def errors(found):
        averages.append({name: t.clone() for name, t in fit.step.averages[0].items()})
        return {**original(found), "force_mae_meV_per_A": next(values)}

    monkeypatch.setattr(module, "errors", errors)
    fit.run(progress=False)
    assert fit.history[2]["validation_loss"] < fit.history[1]["validation_loss"]
    for name, tensor in averages[1].items():
        assert np.array_equal(tensor, fit.best[0][name])
    potential = Potential.read(tmp_path / "toy.yaml")
    assert np.array_equal(potential.tensor("mix.1.weight"), averages[1]["mix.1.weight"])
    written = potential.provenance["training"]
    assert (written["criterion"], written["best_step"]) == ("force_mae", 32)


def _interrupt(fit):
    fit.save()
    raise KeyboardInterrupt


def test_a_checkpoint_of_another_configuration_is_refused(toy, fitted):
    from mlff_student.train.fit import Fit

    other = parse_config(changed(batch_size=4), toy.folder)
    with pytest.raises(ConfigError, match="made with another configuration"):
        Fit(other, fitted.folder)


def test_export_agrees_with_the_reference_and_says_where_it_comes_from(toy, fitted):
    potential = Potential.read(fitted.folder / "toy.yaml")
    assert potential.elements == ["H", "C", "O"]
    assert potential.provenance["teacher"] == "ase.calculators.morse.MorsePotential"
    assert potential.provenance["data"]["labels_sha256"] == fitted.frames.hash()
    frames = fitted.frames.take(fitted.parts["test"])
    offsets, energy, force = frames.offsets, [], []
    for k in range(len(frames)):
        part = slice(offsets[k], offsets[k + 1])
        result = evaluate(potential, frames.numbers[part].tolist(), frames.positions[part])
        energy.append((result.energy - frames.energies[k]) / frames.counts[k])
        force.append((result.forces - frames.forces[part]).ravel())
    stated = potential.provenance["errors"]["all"]
    assert stated["energy_mae_meV_per_atom"] == pytest.approx(1e3 * np.abs(energy).mean(), abs=2e-4)
    expected = 1e3 * np.abs(np.concatenate(force)).mean()
    assert stated["force_mae_meV_per_A"] == pytest.approx(expected, abs=2e-4)


def test_errors_are_those_of_classes_where_there_are_any(fitted, monkeypatch):
    from mlff_student.train.export import _molecules, _test_errors

    frames, potential = fitted.frames, Potential.read(fitted.folder / "toy.yaml")
    by_name = _test_errors(fitted, potential)
    classes = ["small" if "+" not in name else "" for name in frames.group_names]
    monkeypatch.setattr(frames, "group_classes", classes)
    by_class = _test_errors(fitted, potential)
    small = [by_name[name] for name in ("water", "methane")]
    assert set(by_class) == {"small", *by_name} - {"water", "methane"}
    total = sum(row["frames"] for row in small)
    assert by_class["small"]["frames"] == total
    mean = sum(row["frames"] * row["energy_mae_meV_per_atom"] for row in small) / total
    assert by_class["small"]["energy_mae_meV_per_atom"] == pytest.approx(mean, abs=1e-3)
    assert _molecules(frames) == ", ".join(frames.group_names)
    monkeypatch.setattr(frames, "group_classes", ["a", "b", *["a"] * (len(classes) - 2)])
    assert _molecules(frames) == f"{len(classes) - 1} a, 1 b"


def test_the_check_structure_is_a_calm_frame_with_every_element(fitted):
    check = Potential.read(fitted.folder / "toy.yaml").check
    frames = fitted.frames
    assert set(check.elements) == {"H", "C", "O"}
    largest = {}
    for k in np.flatnonzero(frames.groups == frames.group_names.index("water+methane")):
        part = slice(frames.offsets[k], frames.offsets[k + 1])
        largest[np.abs(frames.forces[part]).max()] = frames.positions[part]
    np.testing.assert_allclose(check.positions, largest[min(largest)], atol=1e-4)


def test_exporting_elsewhere_keeps_the_machine_of_the_training(toy, fitted, tmp_path):
    import shutil

    import torch

    from mlff_student.train.fit import Fit

    shutil.copy(fitted.checkpoint, tmp_path)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["machine"] == {"device": "CPU", "torch": torch.__version__}
    saved["machine"]["device"] = "a GPU"
    torch.save(saved, tmp_path / "checkpoint.pt")
    Fit(toy, tmp_path).save()
    written = Potential.read(tmp_path / "toy.yaml").provenance["training"]
    assert written["device"] == "a GPU"


def _random_network(seed=0):
    torch = pytest.importorskip("torch", reason="fitting needs PyTorch")
    from mlff_student.networks import PaiNN

    torch.manual_seed(seed)
    return PaiNN(["H", "C", "O"], 8, 2, 6, 4.0).double()


def _labelled_by_network(toy, network):
    """Some frames whose labels are the network's, computed by the NumPy reference; their data."""
    import torch

    from mlff_student.networks import to_potential
    from mlff_student.train.batches import Data

    frames = Frames.load(toy.data_path)
    frames = frames.take(np.arange(0, len(frames), 7))
    frames.positions, frames.forces = frames.positions.astype(float), frames.forces.astype(float)
    potential, offsets = to_potential(network, "float64"), frames.offsets
    for k in range(len(frames)):
        part = slice(offsets[k], offsets[k + 1])
        result = evaluate(potential, frames.numbers[part].tolist(), frames.positions[part])
        frames.energies[k], frames.forces[part] = result.energy, result.forces
    to = {"dtype": torch.float64, "device": "cpu"}
    return frames, Data(frames, ["H", "C", "O"], np.zeros(3), 4.0, **to)


def _batch(data, index, frames=None):
    """A batch of these frames with room for a few more."""
    import torch

    from mlff_student.train.batches import Size

    room = {name: int(number[index].sum()) + 5 for name, number in data.sizes.items()}
    size = Size(frames=frames or len(index) + 3, **room)
    rows = torch.full((size.frames,), len(data))
    rows[: len(index)] = torch.as_tensor(index)
    return data.select(rows, size)


def test_loss_of_known_deviations(toy):
    network = _random_network()
    from mlff_student.train.step import frame_losses, residuals

    frames, data = _labelled_by_network(toy, network)
    assert len(set(frames.counts)) > 1
    batch = _batch(data, np.arange(len(data)))
    settings = parse_config(changed(energy_weight=3.0, force_weight=2.0)).training
    perfect = frame_losses(*residuals(network, batch, True), batch, settings)
    assert perfect.detach().numpy() == pytest.approx(0.0, abs=1e-18)
    batch.energies[: len(data)] -= 0.5  # eV, of a frame
    batch.forces[frames.offsets[:-1]] += 0.1  # eV/Angstrom, each component of the first atom
    deviations = residuals(network, batch, True)
    losses = frame_losses(*deviations, batch, settings).detach().numpy()
    n = frames.counts
    expected = 3.0 * (0.5 / n) ** 2 + 2.0 * 0.03 / (3 * n)
    np.testing.assert_allclose(losses[: len(data)], expected, rtol=1e-10)
    assert not losses[len(data) :].any()
    weights = {"energy_weight": 3.0, "force_weight": 2.0}
    settings = parse_config(changed(energy_huber=1e-3, force_huber=1e-3, **weights)).training
    losses = frame_losses(*deviations, batch, settings).detach().numpy()
    linear = 3.0 * 2e-3 * 0.5 / n + 2.0 * 2e-3 * 0.03**0.5 / (3 * n)
    np.testing.assert_allclose(losses[: len(data)], linear, rtol=0.02)


def _step(network, data, settings):
    from mlff_student.train.step import Step

    everything = np.arange(len(data))
    size = data.size(settings.batch_size, everything)
    return Step([network], data, size, settings.batch_size, settings)


def _step_on_others_labels(toy, **training):
    """A network, frames that another one labelled, the settings, a step, and the weights before it."""
    network = _random_network()
    _, data = _labelled_by_network(toy, _random_network(seed=1))
    settings = parse_config(changed(batch_size=4, **training)).training
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    return network, data, settings, _step(network, data, settings), before


def test_a_step_is_adams_and_moves_the_average(toy):
    network, data, settings, step, before = _step_on_others_labels(toy, clip=0.0)
    import torch

    from mlff_student.train.step import frame_losses, residuals

    chosen = np.array([0, 2, 3])
    batch = _batch(data, chosen)
    loss = frame_losses(*residuals(network, batch, True), batch, settings).sum() / 4
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    step(data.fill([chosen], step.size), 1e-3, 0.25)
    assert float(step.loss_sum) == pytest.approx(float(loss.detach()), rel=1e-12)
    for (name, p), gradient in zip(network.named_parameters(), gradients):
        moved = gradient.abs() > 1e-4  # Adam's first step has the length of the learning rate
        expected = before[name] - 1e-3 * gradient.sign()
        np.testing.assert_allclose(p.detach()[moved], expected[moved], rtol=0, atol=1e-6)
        average = before[name] + 0.25 * (p.detach() - before[name])
        np.testing.assert_allclose(step.averages[0][name], average, rtol=1e-12, atol=1e-15)


def test_a_batch_on_which_the_network_explodes_moves_nothing(toy):
    network, data, _, step, before = _step_on_others_labels(toy, clip=1.0)
    data.energies[3] = float("nan")
    step(data.fill([np.array([0, 3])], step.size), 1e-3, 0.25)
    assert (float(step.exploded), float(step.loss_sum)) == (1.0, 0.0)
    for name, p in network.named_parameters():
        assert np.array_equal(p.detach(), before[name]), name
    step(data.fill([np.array([0, 1])], step.size), 1e-3, 0.25)
    assert float(step.exploded) == 1.0 and float(step.loss_sum) > 0


@pytest.mark.parametrize("share, goes_on", [(0.0, True), (0.05, True), (0.2, False)])
def test_training_gives_up_where_the_network_explodes_too_often(toy, tmp_path, share, goes_on):
    pytest.importorskip("torch", reason="fitting needs PyTorch")
    from mlff_student.train.fit import Fit

    fit = Fit(parse_config(changed(steps=40, evaluate_every=40), toy.folder), tmp_path)
    batches, energies = fit._batches, fit.step.data.energies.clone()

    def some_explode():
        fit.step.data.energies[:] = float("nan") if fit.done < share * 40 else energies
        return batches()

    fit._batches = some_explode
    if goes_on:
        assert fit.run(progress=False)
        assert fit.history[0]["exploded"] == share * 40
        assert np.isfinite(fit.history[0]["train_loss"])
    else:
        with pytest.raises(ConfigError, match="in 8 of the 40 steps up to 40 the loss"):
            fit.run(progress=False)


def test_the_traced_step_computes_the_same(toy, monkeypatch):
    """What fusion: compile hands to torch.compile, without the compiler, which takes minutes."""
    network = _random_network()
    import torch

    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    _, data = _labelled_by_network(toy, _random_network(seed=1))
    settings = parse_config(changed(batch_size=4, fusion="compile")).training
    step = _step(network, data, settings)
    chosen = data.select(data.fill([np.array([1, 2])], step.size)[0], step.size)
    loss, gradients = step._gradients(step.weights[0], chosen)
    expected_loss, expected = step._eager_gradients(step.weights[0], chosen)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
    for a, b in zip(gradients, expected):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_compiler_that_miscomputes_is_refused(toy, monkeypatch):
    network = _random_network()
    import torch

    def wrong(function, **options):
        def compiled(*arguments):
            loss, gradients = function(*arguments)
            return loss, [1.01 * g for g in gradients]

        return compiled

    monkeypatch.setattr(torch, "compile", wrong)
    _, data = _labelled_by_network(toy, _random_network(seed=1))
    settings = parse_config(changed(batch_size=4, fusion="compile")).training
    with pytest.raises(ConfigError, match="relative deviation 1.0e-02.*use graph or none"):
        _step(network, data, settings)


def test_padding_does_not_change_a_gradient(toy):
    torch = pytest.importorskip("torch", reason="fitting needs PyTorch")
    from mlff_student.train.step import frame_losses, residuals

    network, (_, data) = _random_network(), _labelled_by_network(toy, _random_network(seed=1))
    index = np.array([5, 0, 3])
    (bare,) = data.batches(index, 10**6)
    gradients = []
    for batch in (bare, _batch(data, index)):
        losses = frame_losses(*residuals(network, batch, True), batch, toy.training)
        gradients.append(torch.autograd.grad(losses.sum(), list(network.parameters())))
    for a, b in zip(*gradients):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_command(tmp_path):
    pytest.importorskip("torch", reason="fitting needs PyTorch")
    import yaml
    from click.testing import CliRunner

    from mlff_student.train import command

    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(changed(steps=4, evaluate_every=2, checkpoint_every=2)))
    call = lambda *more: CliRunner().invoke(command, [str(config), "--quiet", *more])  # noqa: E731
    refused = call("--train-only")
    assert refused.exit_code == 1 and "make it with --label-only" in refused.output
    labelled = call("--label-only")
    assert labelled.exit_code == 0, labelled.output
    assert not (tmp_path / "run").exists()
    done = call()
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run" / "toy.yaml").exists()
    assert "step 4: validation energy" in done.output
    shorter = call("--train-only", "--restart", "--steps", "2")
    assert shorter.exit_code == 0 and "step 2: validation energy" in shorter.output


def test_a_time_limit_of_zero_stops_training_but_not_the_export(toy, tmp_path):
    pytest.importorskip("torch", reason="fitting needs PyTorch")
    import yaml
    from click.testing import CliRunner

    from mlff_student.train import command

    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(changed(steps=60, evaluate_every=2)))
    (tmp_path / "toy.npz").symlink_to(toy.data_path)
    call = lambda *more: CliRunner().invoke(command, [str(config), "--quiet", *more])  # noqa: E731
    stopped = call("--train-only", "--time-limit", "0")
    assert stopped.exit_code == 0, stopped.output
    assert stopped.output == f"{tmp_path / 'run'}: stopped by --time-limit; call again to go on\n"
    assert not json.loads((tmp_path / "run" / "log.json").read_text())["finished"]
    early = call("--export-only")
    assert early.exit_code == 1 and "step 1, and no evaluation has been made" in early.output
    assert "train to step 2" in early.output
    stopped = call("--train-only", "--time-limit", "0")
    assert "step 2: " in stopped.output and "stopped by --time-limit" in stopped.output
    both = call("--export-only", "--restart")
    assert both.exit_code == 1 and "give one of them" in both.output
    potential = tmp_path / "run" / "toy.yaml"
    potential.unlink()
    exported = call("--export-only", "--time-limit", "0")
    assert exported.output == stopped.output.replace(
        "stopped by --time-limit; call again to go on", "done"
    )
    assert potential.exists()


def test_an_export_without_a_checkpoint_is_refused_and_leaves_nothing(toy, tmp_path):
    pytest.importorskip("torch", reason="fitting needs PyTorch")
    import yaml
    from click.testing import CliRunner

    from mlff_student.train import command

    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(TOY))
    (tmp_path / "toy.npz").symlink_to(toy.data_path)
    output = tmp_path / "rum"
    refused = CliRunner().invoke(command, [str(config), "--export-only", "-o", str(output)])
    assert refused.exit_code == 1 and f"{output}: has no checkpoint.pt to export" in refused.output
    assert "name the folder of the run with --output" in refused.output and not output.exists()
