"""Active learning: the committee's disagreement, dynamics with the student, rounds, resuming."""

import copy
import dataclasses
import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="active learning trains with PyTorch")

from ase import Atoms, units  # noqa: E402
from ase.io import write  # noqa: E402
from test_train import TOY  # noqa: E402

from mlff_student.networks import PaiNN, to_potential  # noqa: E402
from mlff_student.potential import Potential  # noqa: E402
from mlff_student.reference import evaluate, make_check  # noqa: E402
from mlff_student.train import active as active_module  # noqa: E402
from mlff_student.train.active import Run, run  # noqa: E402
from mlff_student.train.active_record import errors_of  # noqa: E402
from mlff_student.train.active_starts import choose_starts  # noqa: E402
from mlff_student.train.committee import (  # noqa: E402
    Committee,
    disagreement,
    disagreement_on,
    force_errors,
)
from mlff_student.train.config import Active, ConfigError, Output, parse_config  # noqa: E402
from mlff_student.train.fit import Fit  # noqa: E402
from mlff_student.train.frames import Frames, merge  # noqa: E402
from mlff_student.train.label import label  # noqa: E402
from mlff_student.train.label_given import label_given, labelled  # noqa: E402
from mlff_student.train.sampling import make_teacher  # noqa: E402
from mlff_student.train.student_md import Simulation, TimeIsUp, explore  # noqa: E402

torch.set_num_threads(1)  # the tensors are tiny
CELL = np.diag([9.0, 9.5, 10.0])
ACTIVE = {"rounds": 2, "trajectories": 10, "temperatures": [300, 900], "length": 20, "check": 5,
          "frames": 8, "per_molecule": 3, "random": 0.25, "held_out": 0.25, "steps": 12,
          "batch_edges": 150}  # fmt: skip


def configuration(folder, **more):
    mapping = copy.deepcopy(TOY)
    mapping["training"] |= {"committee": 2, "steps": 24, "evaluate_every": 12}
    mapping["split"] = {"by": "frame", "validation": 0.1, "test_molecules": ["methane"]}
    mapping["active"] = {**ACTIVE, **more}
    return parse_config(mapping, folder)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with the labels of the toy configuration."""
    folder = tmp_path_factory.mktemp("toy")
    mapping = copy.deepcopy(TOY)
    label(parse_config(mapping, folder), progress=False)
    return folder


@pytest.fixture(scope="module")
def finished(toy):
    """A finished run of two rounds."""
    config = configuration(toy)
    active = Run(config, toy / "finished", progress=False)
    assert run(active)
    return active


@pytest.fixture(scope="module")
def committee(tmp_path_factory):
    """Three networks with random weights."""
    folder, files = tmp_path_factory.mktemp("committee"), []
    for k in range(3):
        torch.manual_seed(k)
        potential = to_potential(PaiNN(["H", "C", "O"], 8, 2, 6, 4.0).double(), "float64")
        potential.check = make_check(potential)
        files.append(folder / f"{k}.yaml")
        potential.write(files[-1])
    return Committee(files, torch.device("cpu"))


def structures(seed=0):
    """A molecule, an atom, a box of atoms on a grid and another molecule."""
    rng = np.random.default_rng(seed)
    water = np.array([[0, 0, 0.0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3) * 2.9
    places = [water, np.zeros((1, 3)), grid + rng.normal(0, 0.1, grid.shape), 1.1 * water]
    counts = np.array([len(p) for p in places])
    cells = np.zeros((4, 3, 3))
    cells[2] = CELL
    numbers = np.concatenate([[8, 1, 1], [6], rng.choice([1, 6, 8], 27), [8, 1, 1]])
    n = counts.sum()
    return Frames(counts, numbers, np.concatenate(places), np.zeros((n, 3)), np.zeros(4), cells,
                  np.arange(4), np.arange(4), ["a", "b", "c", "d"])  # fmt: skip


# --------------------------------------------------------------------------------------- committee


def test_disagreement_is_the_largest_spread_of_a_force():
    forces = np.zeros((2, 3, 3))
    forces[0, 0], forces[1, 0] = [3.0, 0, 0], [-3.0, 0, 0]  # 3 from the mean
    forces[0, 1], forces[1, 1] = [0, 4.0, 1], [0, -4.0, 1]
    forces[:, 2] = 7.0  # large, and agreed upon
    frame = torch.tensor([0, 0, 1])
    assert disagreement(torch.as_tensor(forces), frame, 2).tolist() == [4.0, 0.0]


def test_a_committee_predicts_what_its_members_do(committee):
    frames = structures()
    frames.energies = np.arange(4.0)
    frames.forces[2] = [0.3, 0, 0]
    energies, forces = committee.predict(frames)
    errors = np.zeros((3, 4))
    for k, potential in enumerate(committee.potentials):
        for s in range(4):
            atoms = slice(*frames.offsets[s : s + 2])
            cell = frames.cells[s] if frames.cells[s].any() else None
            result = evaluate(potential, frames.numbers[atoms].tolist(), frames.positions[atoms], cell)
            np.testing.assert_allclose(forces[k, atoms], result.forces, atol=2e-5)
            expected = (result.energy - frames.energies[s]) / frames.counts[s]
            assert energies[k, s] == pytest.approx(expected, abs=1e-5)
            difference = result.forces - frames.forces[atoms]
            errors[k, s] = np.linalg.norm(difference, axis=1).max()
    np.testing.assert_allclose(force_errors(forces, frames), errors.mean(axis=0), atol=5e-5)
    spread = np.sqrt(forces.var(axis=0).sum(axis=1))
    largest = [spread[slice(*part)].max() for part in zip(frames.offsets, frames.offsets[1:])]
    np.testing.assert_allclose(disagreement_on(forces, frames), largest, rtol=1e-5)


# ---------------------------------------------------------------------------------------- dynamics


def test_edges_stay_complete_while_atoms_move(committee):
    settings = Active(timestep=2.0, friction=0.05)
    frames = structures()
    frames.positions = frames.positions.astype(np.float32)
    before, hot = frames.positions.copy(), np.full(4, 3000.0)
    simulation = Simulation(committee, frames, hot, [0], settings, seed=1)
    listed, most = simulation.listed, 0.0
    for _ in range(30):
        simulation.step()
        most = max(most, float((simulation.positions - torch.as_tensor(frames.positions)).abs().max()))
    assert most > 1.0 and simulation.listed is not listed  # the list was renewed on the way
    assert np.array_equal(frames.positions, before)
    now = simulation.positions.double().numpy()
    for s in range(4):
        atoms = slice(*frames.offsets[s : s + 2])
        cell = frames.cells[s] if frames.cells[s].any() else None
        numbers = frames.numbers[atoms].tolist()
        expected = evaluate(committee.potentials[0], numbers, now[atoms], cell).forces
        np.testing.assert_allclose(simulation.force[atoms], expected, atol=3e-5)


def test_the_thermostat_keeps_the_temperature(committee):
    """Free atoms: their mean kinetic energy is 3/2 kT of their structure."""
    n = 400
    frames = Frames(np.ones(n, int), np.tile([1, 8], n // 2), np.zeros((n, 3)), np.zeros((n, 3)),
                    np.zeros(n), np.zeros((n, 3, 3)), np.zeros(n, int), np.arange(n), ["atom"])  # fmt: skip
    temperatures = np.repeat([200.0, 800.0], n // 2)
    settings = Active(timestep=5.0, friction=0.1)
    simulation = Simulation(committee, frames, temperatures, [0], settings, seed=2)
    simulation.velocities *= 0
    mean = np.zeros(2)
    for k in range(60):
        simulation.step()
        if k >= 20:
            kinetic = 0.5 * (simulation.velocities.square() / simulation.inverse_mass).sum(dim=1)
            mean += kinetic.reshape(2, -1).mean(dim=1).double().numpy() / 40
    np.testing.assert_allclose(mean, 1.5 * units.kB * np.array([200, 800]), rtol=0.06)


def test_a_stiff_step_conserves_energy_without_the_thermostat(committee):
    """Units: with no friction the energy of the student plus the kinetic one stays."""
    frames = structures()
    settings = Active(timestep=0.1, friction=0.0)
    simulation = Simulation(committee, frames, np.full(4, 300.0), [1], settings, seed=3)

    def total():
        result = [
            evaluate(committee.potentials[1], frames.numbers[a].tolist(),
                     simulation.positions.double().numpy()[a], CELL if k == 2 else None).energy
            for k, a in enumerate(slice(*frames.offsets[k : k + 2]) for k in range(4))
        ]  # fmt: skip
        kinetic = 0.5 * (simulation.velocities.square() / simulation.inverse_mass).sum()
        return sum(result) + float(kinetic), float(kinetic)

    before, kinetic = total()
    for _ in range(100):
        simulation.step()
    after, later = total()
    assert abs(later - kinetic) > 0.05 and abs(after - before) < 2e-3


def scripted(simulation, values, monkeypatch):
    """The simulation, whose committee answers `values` [checks, trajectories]."""
    calls = iter(values)
    answer = lambda: np.array(next(calls))[simulation.trajectory]  # noqa: E731
    monkeypatch.setattr(simulation, "disagreement", answer)
    return simulation


def test_trajectories_end_where_the_committee_disagrees(committee, monkeypatch):
    settings = Active(length=20, check=10)
    frames, temperatures = structures(), np.full(4, 300.0)
    simulation = Simulation(committee, frames, temperatures, [0], settings, seed=4)
    values = [[0.1, 9.0, 0.1, 0.1], [0.2, 0, 7.0, 0.3], [0.6, 0, 0, 0.4]]
    twin = Simulation(committee, frames, temperatures, [0], settings, seed=4)
    result = explore(scripted(simulation, values, monkeypatch), threshold=0.5, upper=5.0)
    ends = {f.trajectory: f for f in result.found if f.reason != "random"}
    assert result.ended == {"threshold": 1, "upper": 2, "end": 1} and len(ends) == 3
    assert (ends[0].reason, ends[0].step, ends[0].disagreement) == ("threshold", 20, 0.6)
    assert (ends[1].reason, ends[1].step, ends[1].disagreement) == ("upper", 0, 9.0)
    assert (ends[2].reason, ends[2].step, ends[2].disagreement) == ("upper", 0, 0.1)
    np.testing.assert_allclose(ends[2].positions, frames.positions[4:31], atol=1e-6)
    np.testing.assert_allclose(ends[1].positions, frames.positions[3:4], atol=1e-6)
    assert simulation.trajectory.tolist() == [3] and len(simulation.positions) == 3
    for _ in range(10):  # the same noise while all are there
        twin.step()
    random = [f for f in result.found if f.reason == "random"]
    assert all(f.step in (10, 20) for f in random)
    assert {f.trajectory for f in random} <= {0, 2, 3} and 3 in {f.trajectory for f in random}
    for f in random:
        if f.step == 10:
            atoms = slice(*frames.offsets[f.trajectory : f.trajectory + 2])
            np.testing.assert_allclose(f.positions, twin.positions[atoms], atol=1e-5)


def test_exploring_stops_at_the_first_step_after_the_deadline(committee, monkeypatch):
    simulation = Simulation(committee, structures(), np.full(4, 300.0), [0], Active(), seed=4)
    steps, step = [], simulation.step
    monkeypatch.setattr(simulation, "step", lambda: steps.append(step()))
    with pytest.raises(TimeIsUp):
        explore(simulation, 1e9, 1e9, deadline=0.0)
    assert len(steps) == 1 < simulation.settings.check


# ------------------------------------------------------------------------------------------ starts


def test_starts_take_molecules_in_turn_and_leave_out_what_is_held_out(toy):
    box = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], cell=CELL, pbc=True)
    free = Atoms("CO", [[0, 0, 0], [1.1, 0, 0]])
    box.info, free.info = {"name": "wet", "class": "liquids"}, {"name": "carbon monoxide"}
    write(toy / "pool.extxyz", [box, free])
    config = configuration(toy, pool=["pool.extxyz"], trajectories=8, periodic_trajectories=3)
    known = Frames.load(config.data_path)
    training = known.take(np.flatnonzero(known.groups != known.group_names.index("methane")))
    starts, temperatures = choose_starts(training, config, seed=5)
    names = [starts.group_names[g] for g in starts.groups]
    assert names[8:] == ["wet"] * 3 and starts.cells[8:].any(axis=(1, 2)).all()
    assert starts.group_classes[starts.groups[8]] == "liquids"
    assert len(set(names[:5])) == 5 and "methane" not in names
    assert not starts.cells[:8].any()
    again = names[5:8]
    for name in again:
        first, second = (k for k, n in enumerate(names[:8]) if n == name)
        assert temperatures[first] != temperatures[second]
    assert set(temperatures[8:]) == {300.0, 400.0}
    box.info["name"] = "methane"
    write(toy / "pool.extxyz", [box])
    with pytest.raises(ConfigError, match="methane held out of training"):
        choose_starts(training, config, seed=5)


# ------------------------------------------------------------------------------------------ labels


def test_labels_by_processes_are_the_teachers_and_resume(toy, tmp_path, monkeypatch):
    config = configuration(toy)
    frames = Frames.load(config.data_path)
    frames = frames.take(np.arange(0, len(frames), len(frames) // 5))
    path = tmp_path / "labels.npz"
    nothing = label_given(frames, config.teacher, path, 1, deadline=0.0, progress=False)
    assert nothing is None
    labels = label_given(frames, config.teacher, path, 2, np.inf, progress=False)
    monkeypatch.setattr("mlff_student.train.label_given._Labeller.__call__", None)  # not needed
    again = label_given(frames, config.teacher, path, 1, np.inf, progress=False)
    found = labelled(frames, again, config.data.force_limit)
    assert found.hash() == labelled(frames, labels, config.data.force_limit).hash()
    calculator = make_teacher(config.teacher)
    for k, atoms in enumerate(slice(*found.offsets[k : k + 2]) for k in range(len(found))):
        molecule = Atoms(found.numbers[atoms], found.positions[atoms], calculator=calculator)
        assert found.energies[k] == pytest.approx(molecule.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(found.forces[atoms], molecule.get_forces(), atol=1e-9)


def test_failed_labels_and_large_forces_are_left_out():
    frames = structures()
    fine, large = np.zeros((3, 3)), np.zeros((27, 3))
    large[5, 1] = -31.0
    labels = {0: (1.0, fine), 1: None, 2: (2.0, large), 3: (3.0, fine + 1)}
    found = labelled(frames, labels, 30.0)
    assert found.energies.tolist() == [1.0, 3.0] and found.groups.tolist() == [0, 3]
    with pytest.raises(ConfigError, match="none of 4 structures"):
        labelled(frames, dict.fromkeys(range(4)), 30.0)


# ------------------------------------------------------------------------------------------ rounds


def test_rounds_leave_frames_potentials_and_a_record(finished):
    folder = finished.folder
    for number in (1, 2):
        record = json.loads((folder / f"record_{number}.json").read_text())
        training, aside = (Frames.load(finished.path(name, number))
                           for name in ("frames_active", "held_out"))  # fmt: skip
        assert record["labelled"] == len(training) + len(aside) <= 8
        assert record["held_out"]["before"]["frames"] == len(aside) >= 1
        assert record["held_out"]["before"] != record["held_out"]["after"]
        for when, r in (("before", number - 1), ("after", number)):
            predicted = finished.committee(r).predict(aside)
            assert record["held_out"][when] == errors_of(*predicted, aside)
        assert sum(record["ended"].values()) == record["trajectories"] == 10
        assert sum(record["disagreements"]) > 10
        assert (folder / f"record_{number}.png").stat().st_size > 5000
        names = [training.group_names[g] for g in training.groups]
        assert max(names.count(name) for name in names) <= 3 and "methane" not in names
        recipe = training.recipe
        before = [Potential.read(file).sha256 for file in finished.potentials(number - 1)]
        assert recipe["round"] == number and recipe["committee"] == before
        for file in finished.potentials(number):
            stated = Potential.read(file).provenance["data"]["training_frames"]
        assert stated > len(training)
    first = Frames.load(finished.path("frames_active", 1))
    calculator = make_teacher(finished.config.teacher)
    atoms = slice(*first.offsets[0:2])
    molecule = Atoms(first.numbers[atoms], first.positions[atoms], calculator=calculator)
    np.testing.assert_allclose(first.forces[atoms], molecule.get_forces(), atol=1e-5)
    assert {p.name for p in folder.glob("*.npz")} == {
        f"{name}_{r}.npz" for name in ("picked", "frames_active", "held_out") for r in (1, 2)
    }  # fmt: skip


@pytest.mark.parametrize(
    "name, output, expected",
    [
        ("toy-1.5", {}, ["toy-1.5-1.yaml", "toy-1.5-2.yaml"]),
        ("toy", {"file": "best.yml"}, ["best-1.yml", "best-2.yml"]),
    ],
)
def test_the_next_round_reads_the_files_that_training_writes(toy, tmp_path, name, output, expected):
    config = configuration(toy)
    config = dataclasses.replace(config, name=name, output=Output(**output))
    files = Run(config, tmp_path).potentials(0)
    assert files == [tmp_path / "round_0" / file for file in expected]
    fit = Fit(config, tmp_path / "round_0")
    assert files == [fit.potential_path(member) for member in (0, 1)]


def test_picks_are_those_of_the_largest_disagreement(toy, tmp_path):
    active = Run(configuration(toy, frames=4, random=0.25), tmp_path)
    frames = merge([structures(k) for k in range(3)], list("abcd"), {})
    frames.groups = np.repeat([0, 1, 2], 4).astype(np.int16)
    spread = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0.5, 0.4, 0.3]
    rows = [{"disagreement": s, "reason": "random" if k in (7, 11) else "threshold"}
            for k, s in enumerate(spread)]  # fmt: skip
    frames.recipe = {"rows": rows}
    picked = active_module._pick(active, 1, frames)
    chosen = [row["disagreement"] for row in picked.recipe["rows"]]
    assert chosen[1:] == [9, 8, 7] and chosen[0] in (2, 0.3)
    assert [row["by_chance"] for row in picked.recipe["rows"]] == [True, False, False, False]
    narrow = Run(configuration(toy, frames=5, per_molecule=2, random=0.0), tmp_path / "narrow")
    narrow.folder.mkdir()
    picked = active_module._pick(narrow, 1, frames)
    assert [row["disagreement"] for row in picked.recipe["rows"]] == [9, 8, 5, 4, 1]


@pytest.mark.parametrize("stage", ["_explore", "_label", "write_record"])
def test_an_interrupted_run_goes_on(toy, finished, tmp_path, monkeypatch, stage):
    """Stopped in round 1, in the middle of the dynamics or between two stages."""
    active = Run(finished.config, tmp_path, progress=False)
    shutil.copytree(finished.folder / "round_0", tmp_path / "round_0")
    original = getattr(active_module, "explore" if stage == "_explore" else stage)
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == (2 if stage == "_explore" else 1):
            raise TimeIsUp
        return original(*arguments)

    monkeypatch.setattr(active_module, "explore" if stage == "_explore" else stage, interrupted)
    assert not run(active)
    assert len(calls) == (2 if stage == "_explore" else 1)
    monkeypatch.undo()
    assert run(active)
    for name in ("frames_active", "held_out"):
        for number in (1, 2):
            expected = Frames.load(finished.path(name, number))
            assert Frames.load(active.path(name, number)).hash() == expected.hash()
    for mine, other in zip(active.potentials(2), finished.potentials(2)):
        assert Potential.read(mine).sha256 == Potential.read(other).sha256


def test_a_finished_run_is_left_alone(finished):
    before = {p: p.stat().st_mtime_ns for p in finished.folder.rglob("*")}
    assert run(finished)
    assert {p: p.stat().st_mtime_ns for p in finished.folder.rglob("*")} == before


def test_the_command_stops_in_time_and_one_network_is_refused(toy, tmp_path):
    import yaml
    from click.testing import CliRunner

    from mlff_student.train.command_line import active_command

    mapping = copy.deepcopy(TOY)
    mapping["training"] |= {"committee": 2, "steps": 60, "evaluate_every": 60}
    file = tmp_path / "config.yaml"
    shutil.copy(toy / "toy.npz", tmp_path)
    call = lambda: CliRunner().invoke(  # noqa: E731
        active_command, [str(file), "--quiet", "--time-limit", "0.001", "--jobs", "1"]
    )
    file.write_text(yaml.safe_dump(mapping))
    stopped = call()
    assert stopped.exit_code == 0, stopped.output
    assert "stopped by --time-limit; call again to go on" in stopped.output
    mapping["training"]["committee"] = 1
    file.write_text(yaml.safe_dump(mapping))
    refused = call()
    assert refused.exit_code == 1 and "cannot disagree with itself" in refused.output


def test_options_replace_the_configuration(toy, monkeypatch):
    import yaml
    from click.testing import CliRunner

    from mlff_student.train.command_line import active_command

    runs, file = [], toy / "config.yaml"
    monkeypatch.setattr(active_module, "run", lambda active: runs.append(active) or True)
    file.write_text(yaml.safe_dump(TOY))
    options = ["--rounds", "7", "--round-steps", "9", "--steps", "8", "--fusion", "none"]
    done = CliRunner().invoke(active_command, [str(file), *options])
    assert done.exit_code == 0 and done.output == f"{toy / 'active'}: done\n"
    (config,) = (active.config for active in runs)
    assert config.active == Active(rounds=7, steps=9)
    assert (config.training.steps, config.training.fusion, config.training.device) == (8, "none", "cpu")


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"driver": "both"}, "active.driver: 'both' is not known; known: member, mean"),
        ({"check": 0}, "active.check: must be above zero, but is 0"),
        ({"held_out": 1.0}, "active.held_out: must be in [0, 1), but is 1.0"),
        ({"temperatures": []}, "active.temperatures: is empty"),
        ({"check": 50}, "the committee would never be asked"),
    ],
)
def test_configuration_errors(changes, text, tmp_path):
    with pytest.raises(ConfigError) as error:
        configuration(tmp_path, **changes)
    assert text in str(error.value)
