"""Committees, batches of frames of any size, and frames that join later."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="fitting needs PyTorch")

from test_train import TOY, changed  # noqa: E402

from mlff_student.potential import Potential  # noqa: E402
from mlff_student.reference import find_edges as reference_edges  # noqa: E402
from mlff_student.train.batches import Data, Size  # noqa: E402
from mlff_student.train.config import ConfigError, parse_config  # noqa: E402
from mlff_student.train.fit import Fit  # noqa: E402
from mlff_student.train.frame_sets import load_frames  # noqa: E402
from mlff_student.train.frames import Frames  # noqa: E402
from mlff_student.train.label import label  # noqa: E402
from mlff_student.train.neighbours import find_edges  # noqa: E402

torch.set_num_threads(1)  # the tensors are tiny
CELL = np.array([[5.0, 0, 0], [1.0, 4.8, 0], [0.5, 0.3, 9.2]])


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy configuration with its labels made."""
    config = parse_config(copy.deepcopy(TOY), tmp_path_factory.mktemp("toy"))
    label(config, progress=False)
    return config


def mixed_frames(seed=0):
    """Molecules and boxes of 1 to 30 atoms in no order; positions far outside of their boxes."""
    rng = np.random.default_rng(seed)
    counts = np.array([3, 30, 1, 12, 9, 1, 17])
    cells = np.zeros((7, 3, 3))
    cells[[1, 3, 5, 6]] = CELL, 0.7 * CELL, 0.4 * CELL, 2.5 * CELL  # the last needs no image
    n = counts.sum()
    return Frames(
        counts,
        rng.choice([1, 6, 8], n),
        rng.uniform(-9, 9, (n, 3)) * np.repeat(cells.any(axis=(1, 2)) + 0.2, counts)[:, None],
        rng.normal(size=(n, 3)),
        rng.normal(size=7),
        cells,
        np.zeros(7, int),
        np.arange(7),
        ["mixed"],
    )


def test_edges_of_many_structures_are_those_of_each():
    frames = mixed_frames()
    positions = torch.as_tensor(frames.positions)
    structure, pair, shift, order = find_edges(positions, frames.counts, frames.cells, 4.0)
    assert list(dict.fromkeys(structure.tolist())) == [s for s in order if s in structure]
    for k, (begin, end) in enumerate(zip(frames.offsets, frames.offsets[1:])):
        x = frames.positions[begin:end]
        cell = frames.cells[k] if frames.cells[k].any() else None
        expected = reference_edges(x, cell, 4.0)
        mine = structure == k
        j, i = pair[:, mine].numpy()
        vectors = x[j] - x[i] + shift[mine].numpy()
        rows = lambda i, j, v: sorted(zip(i, j, *np.round(v.T, 9) + 0.0))  # noqa: E731
        found = rows(i, j, vectors)
        wanted = rows(expected.centre, expected.neighbour, expected.vectors)
        np.testing.assert_allclose(found, wanted, atol=1e-8)


def test_a_batch_holds_its_frames_one_after_the_other():
    frames = mixed_frames()
    data = Data(frames, ["H", "C", "O"], np.zeros(3), 4.0, device="cpu", dtype=torch.float64)
    index = torch.tensor([4, 7, 1, 2, 7])  # 7: an empty place
    chosen = [4, 1, 2]
    edges = int(data.sizes["edges"][chosen].sum())
    batch = data.select(index, Size(5, 42, edges + 3))
    atoms = np.concatenate([np.arange(*frames.offsets[k : k + 2]) for k in chosen])
    assert batch.counts.tolist() == [9, 0, 30, 1, 0]
    assert batch.frame.tolist() == [0] * 9 + [2] * 30 + [3] + [5] * 3
    np.testing.assert_array_equal(batch.positions[:40], frames.positions[atoms])
    np.testing.assert_array_equal(batch.forces[:40], frames.forces[atoms])
    np.testing.assert_array_equal(batch.energies[[0, 2, 3]], frames.energies[chosen])
    assert (batch.frame[batch.edges[0]] == batch.frame[batch.edges[1]]).all()
    _, _, vectors = batch.graph()
    r = vectors.norm(dim=1)
    assert (r[:edges] < 4.0).all() and (r[edges:] > 4.0).all()
    per_frame = torch.bincount(batch.frame[batch.edges[1][:edges]], minlength=4)
    assert per_frame[[0, 2, 3]].tolist() == data.sizes["edges"][chosen].tolist()


def test_a_plan_uses_every_frame_once_and_fills_the_batches():
    rng = np.random.default_rng(1)
    frames = mixed_frames()
    data = Data(frames, ["H", "C", "O"], np.zeros(3), 4.0, device="cpu", dtype=torch.float64)
    order = rng.integers(0, 7, 200)
    size = data.size(10, order)
    batches = data.plan(order, size)
    np.testing.assert_array_equal(np.concatenate(batches), order)
    largest = {name: number.max() for name, number in data.sizes.items()}
    for batch in batches:
        used = {name: number[batch].sum() for name, number in data.sizes.items()}
        assert len(batch) <= size.frames and all(used[n] <= getattr(size, n) for n in used)
        full = [used[name] + largest[name] > getattr(size, name) for name in used]
        assert any(full) or len(batch) == size.frames or batch is batches[-1]


def test_a_member_of_a_committee_is_the_network_it_would_be_alone(toy, tmp_path):
    pair = Fit(parse_config(changed(committee=2, steps=20), toy.folder), tmp_path / "pair")
    alone = Fit(parse_config(changed(steps=20), toy.folder), tmp_path / "alone")
    for fit in (pair, alone):
        assert fit.run(progress=False)
    assert pair.histories[0][0]["validation_loss"] == alone.history[0]["validation_loss"]
    first, second = (Potential.read(tmp_path / "pair" / f"toy-{k}.yaml") for k in (1, 2))
    assert first.sha256 == Potential.read(tmp_path / "alone" / "toy.yaml").sha256
    assert np.abs(first.tensor("mix.1.weight") - second.tensor("mix.1.weight")).max() > 0.01
    assert second.provenance["training"]["member"] == "2 of 2"
    assert first.provenance["data"] == second.provenance["data"]
    assert first.provenance["errors"]["all"] != second.provenance["errors"]["all"]


def test_a_step_alone_multiplies_in_tf32(toy, tmp_path, monkeypatch):
    fit = Fit(parse_config(changed(matmul="tf32", evaluate_every=2, steps=2), toy.folder), tmp_path)
    inside, flag = [], torch.backends.cuda.matmul
    original = fit.step._gradients
    monkeypatch.setattr(
        fit.step, "_gradients", lambda *of: (inside.append(flag.allow_tf32), original(*of))[1]
    )
    fit.run(progress=False)
    assert inside == [True, True] and not flag.allow_tf32


def test_large_frames_count_more_if_asked_to(toy, tmp_path):
    config = parse_config(changed(size_weight=2.0), toy.folder)
    fit = Fit(config, tmp_path)
    alike = Fit(parse_config(TOY, toy.folder), tmp_path / "alike")
    n = fit.frames.counts[fit.parts["train"]].astype(float)
    assert len(set(n)) > 1
    for k in fit.parts["train"][[0, -1]]:
        losses = []
        for each in (fit, alike):
            batch = each.data.select(each.data.fill([np.array([k])], each.size)[0], each.size)
            losses.append(each.step._loss(each.step.weights[0], batch).item())
        assert losses[0] / losses[1] == pytest.approx(fit.frames.counts[k] ** 2 / (n**2).mean())


def test_a_committee_resumes(toy, tmp_path):
    config = parse_config(changed(committee=2, bootstrap=True, evaluate_every=8), toy.folder)
    whole = Fit(config, tmp_path / "whole")
    whole.run(progress=False)
    part = Fit(config, tmp_path / "part")
    for _ in range(19):
        part.step(part._batches(), 1e-3, 0.1)
        part.done += 1
    part.save()
    again = Fit(config, tmp_path / "part")
    assert [order.place for order in again.orders] == [order.place for order in part.orders]
    for a, b in zip(part._batches(), again._batches()):
        assert torch.equal(a, b)
    assert len(set(whole.orders[0].frames)) < len(whole.orders[0].frames)
    assert not np.array_equal(whole.orders[0].frames, whole.orders[1].frames)


def test_training_begins_from_potentials(toy, tmp_path):
    config = parse_config(changed(committee=2, steps=16), toy.folder)
    Fit(config, tmp_path / "first").run(progress=False)
    start = [Potential.read(tmp_path / "first" / f"toy-{k}.yaml") for k in (1, 2)]
    fit = Fit(config, tmp_path / "second", start=start)
    for potential, weights in zip(start, fit.step.weights):
        np.testing.assert_array_equal(potential.tensor("mix.1.weight"), weights["mix.1.weight"].detach())
    files = [str(tmp_path / "first" / f"toy-{k}.yaml") for k in (1, 2)]
    named = parse_config(changed(committee=2, steps=16, start=files), toy.folder)
    assert [p.sha256 for p in Fit(named, tmp_path / "named").start] == [p.sha256 for p in start]
    with pytest.raises(ConfigError, match="1 potentials to begin from"):
        Fit(config, tmp_path / "third", start=start[:1])
    wide = changed(committee=2)
    wide["network"]["channels"] = 16
    with pytest.raises(ConfigError, match="toy-1.yaml: channels: is 8, but .* has 16"):
        Fit(parse_config(wide, toy.folder), tmp_path / "third", start=start)
    smooth = changed(committee=2)
    smooth["network"]["epsilon"] = 10 * start[0].epsilon
    later = Fit(parse_config(smooth, toy.folder), tmp_path / "smooth", start=start)
    assert [network.epsilon for network in later.networks] == [10 * start[0].epsilon] * 2


def test_later_frames_train_and_leave_the_others_where_they_are(toy, tmp_path):
    frames = Frames.load(toy.data_path)
    more = frames.take(np.arange(0, len(frames), 5))
    more.group_names = [{"methane": "ethane"}.get(name, name) for name in more.group_names]
    more.group_parts[more.group_names.index("methane+methane")] = "validation"
    more.save(toy.folder / "more.npz")
    mapping = changed(more_frames=["more.npz"])
    mapping["split"] = {"by": "trajectory", "test_molecules": ["water"]}
    config = parse_config(mapping, toy.folder)
    both, parts, first = load_frames(config)
    alone = parse_config({**mapping, "training": TOY["training"]}, toy.folder)
    _, before, _ = load_frames(alone)
    assert first == len(frames) and len(both) == len(frames) + len(more)
    for name in parts:
        np.testing.assert_array_equal(parts[name][parts[name] < first], before[name])
    later = {name: {both.group_names[g] for g in both.groups[part[part >= first]]}
             for name, part in parts.items()}  # fmt: skip
    assert later["test"] == {"water"} and "ethane" in later["train"]
    assert "water" not in later["train"] and later["validation"] == {"methane+methane"}
    assert not set(both.trajectories[:first]) & set(both.trajectories[first:])
    for name in ("counts", "energies"):
        np.testing.assert_array_equal(getattr(both, name)[first:], getattr(more, name))
    with_more, without = Fit(config, tmp_path / "a"), Fit(alone, tmp_path / "b")
    assert with_more.size == without.size  # so that nothing is compiled anew
    assert with_more.step.divisor == without.step.divisor
    np.testing.assert_array_equal(with_more.atomic_energies, without.atomic_energies)
