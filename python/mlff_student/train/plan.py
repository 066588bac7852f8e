"""The pieces that labelling consists of: each is done in one go and has a seed of its own."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from .config import Config, ConfigError, Molecule, Sampler

JOINT = ("contact", "cluster", "liquid")  # samplers of several molecules
MOVED = ("force_field", "cluster", "liquid")  # samplers that need the force field


@dataclass(frozen=True)
class Task:
    """A piece of the labelling that is done in one go: one trajectory, or one batch of frames."""

    group: str
    members: tuple[Molecule, ...]  # one, or all molecules of a pair, a cluster or a box
    sampler: Sampler
    temperature: float
    frames: int
    seed: int = 0

    @property
    def group_class(self) -> str:
        """What the group is in tables of errors: a liquid is one of its own."""
        if self.sampler.kind == "liquid":
            return _liquid_name(self.members)
        return f"{self.sampler.kind}s" if self.sampler.kind in JOINT else self.members[0].group

    @property
    def part(self) -> str:
        """Where the group goes, if not as dealt."""
        return self.sampler.part if self.sampler.kind in JOINT else self.members[0].part

    @property
    def has_start(self) -> bool:
        """Whether the force field makes the structures (see starts.py)."""
        return all(molecule.smiles for molecule in self.members)


def recipe(config: Config) -> dict[str, Any]:
    """What determines the labels: the teacher, the data section with its molecules, and the seed."""
    data = dataclasses.asdict(config.data)
    for name in ("file", "compact"):
        del data[name]
    if config.data.smiles:
        listed = [dataclasses.astuple(molecule) for molecule in config.molecules]
        data["smiles_sha256"] = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    return {"teacher": dataclasses.asdict(config.teacher), "data": data, "seed": config.seed}


def recipe_hash(config: Config) -> str:
    """SHA-256 of the recipe."""
    return hashlib.sha256(json.dumps(recipe(config), sort_keys=True).encode()).hexdigest()


def tasks(config: Config) -> list[Task]:
    """All pieces of the labelling, in a fixed order, each with a seed of its own."""
    found = []
    for k, sampler in enumerate(config.data.sampling):
        chosen = _chosen(config, sampler)
        if not chosen:
            raise ConfigError(
                f"data.sampling[{k}]: no molecule has the molecules, heavy_atoms and part that it asks "
                "for; change them or leave it out"
            )
        with_smiles = {bool(molecule.smiles) for molecule in chosen}
        if sampler.kind in MOVED and False in with_smiles:
            raise ConfigError(
                f"data.sampling[{k}]: {sampler.kind} needs the SMILES of each molecule, but "
                f"{next(m.name for m in chosen if not m.smiles)} has a structure; name others"
            )
        if sampler.kind in JOINT and len(with_smiles) > 1:
            raise ConfigError(
                f"data.sampling[{k}]: {sampler.kind} mixes molecules that have SMILES with some that "
                "have structures; name only the ones or the others"
            )
        if sampler.kind in JOINT:
            found += _joint(sampler, chosen, np.random.default_rng([config.seed, k]))
            continue
        temperatures = sampler.temperatures or [0.0]
        for molecule in chosen:
            total = sampler.frames * molecule.repeats
            for t, temperature in enumerate(temperatures):
                share = total * (t + 1) // len(temperatures) - total * t // len(temperatures)
                found += _pieces(molecule.name, (molecule,), sampler, temperature, share)
    seeds = np.random.SeedSequence(config.seed).generate_state(len(found), np.uint64)
    return [dataclasses.replace(task, seed=int(s)) for task, s in zip(found, seeds)]


def _chosen(config: Config, sampler: Sampler) -> list[Molecule]:
    """The molecules of a sampler. Those of another part mix with others only where they are named."""
    fewest, most = sampler.heavy_atoms or (0, 10**9)
    names = sampler.molecules
    return [
        m
        for m in config.molecules
        if (not names or m.name in names or m.group in names)
        and fewest <= m.heavy_atoms <= most
        and (sampler.kind not in JOINT or names or m.part == sampler.part)
    ]


def _joint(sampler: Sampler, chosen: list[Molecule], rng: np.random.Generator) -> list[Task]:
    """Pieces of pairs, clusters or boxes; without `count`, all pairs."""
    if not sampler.count:
        pairs = list(itertools.combinations_with_replacement(chosen, 2))
    else:
        low, high = sampler.size or (2, 2)
        sizes = rng.integers(low, high + 1, sampler.count)
        pairs = [tuple(chosen[i] for i in rng.integers(len(chosen), size=n)) for n in sizes]
    found = []
    for k, members in enumerate(pairs):
        temperatures = sampler.temperatures or [0.0]
        temperature = temperatures[k % len(temperatures)]
        found += _pieces(
            _joint_name(members, sampler), members, sampler, temperature, sampler.frames
        )
    return found


def _joint_name(members: tuple[Molecule, ...], sampler: Sampler) -> str:
    counts = collections.Counter(m.name for m in members)
    if sampler.kind == "contact" and not sampler.count:
        name = "+".join(m.name for m in members)
    elif sampler.kind == "liquid":
        name = _liquid_name(members)
    else:
        name = "+".join(f"{n} {name}" if n > 1 else name for name, n in sorted(counts.items()))
    return f"{name} ({sampler.part})" if sampler.part in ("validation", "test") else name


def _liquid_name(members: tuple[Molecule, ...]) -> str:
    return "liquid " + "+".join(sorted({m.name for m in members}))


def _pieces(
    group: str, members: tuple[Molecule, ...], sampler: Sampler, temperature: float, frames: int
) -> list[Task]:
    sizes = [sampler.run] * (frames // sampler.run)
    if frames % sampler.run:
        sizes.append(frames % sampler.run)
    return [Task(group, members, sampler, temperature, size) for size in sizes]
