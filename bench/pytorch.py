"""Energy and forces of the benchmark's systems with PyTorch, eager and compiled.

    python bench/pytorch.py FOLDER THREADS [CASE ...]

FOLDER is what bench/make_system.py wrote and, in FOLDER/forces, bench_network --forces. A CASE
reads ARCHITECTURE/SYSTEM/eager or .../compile. Cases are read from the command line or, without
any, one a line from standard input; each is answered by one line of JSON. The first time a case
is named it is prepared (neighbour list, compilation) and its energy and forces are compared with
bench_network's (`energy_deviation`, `force_deviation`); each further time it is timed. Weights
take no gradients.
"""

from __future__ import annotations

import json
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch._dynamo

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "python"), str(Path(__file__).resolve().parent)]

from make_system import read_systems  # noqa: E402
from mlff_student.networks import energies_and_forces, from_potential  # noqa: E402
from mlff_student.potential import Potential  # noqa: E402
from mlff_student.reference import find_edges  # noqa: E402

TOLERANCE = 1e-4  # of the largest force, and eV/atom
SECONDS = 0.3  # a measurement takes at least one evaluation and this long


class Case:
    """One system with one network, ready to be evaluated."""

    def __init__(self, folder: Path, architecture: str, name: str, mode: str) -> None:
        if mode not in ("eager", "compile"):
            raise ValueError(f"mode {mode!r} is neither eager nor compile")
        potential = load_potential(folder, architecture)
        system = next(s for s in read_systems(folder) if s.name == name)
        edges = find_edges(system.positions, system.cell, potential.cutoff)
        self.atoms = len(system.elements)
        self.species = torch.from_numpy(system.elements.astype(np.int64))
        self.edge_index = torch.from_numpy(
            np.stack([edges.neighbour, edges.centre]).astype(np.int64)
        )
        self.edge_vec = torch.from_numpy(edges.vectors).float()
        self.network = from_potential(potential, torch.float32).requires_grad_(False)
        if mode == "compile":
            self.network = torch.compile(self.network, dynamic=False)
        self.offset = float(potential.tensor("atomic_energies")[system.elements].sum())
        self.expected = np.loadtxt(folder / "forces" / f"{architecture}_{name}.txt")

    def evaluate(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Interaction energies [N] and forces [N, 3]."""
        return energies_and_forces(self.network, self.species, self.edge_index, self.edge_vec)[:2]

    def deviations(self) -> dict[str, float]:
        """Energy (eV/atom) and forces (of the largest) against bench_network's.

        Raises RuntimeError beyond TOLERANCE.
        """
        energies, forces = self.evaluate()
        energy = (
            abs(float(energies.double().sum()) + self.offset - self.expected[0, 0]) / self.atoms
        )
        expected = self.expected[1:]
        force = float(np.abs(forces.numpy() - expected).max() / np.abs(expected).max())
        if not (energy < TOLERANCE and force < TOLERANCE):
            raise RuntimeError(
                f"PyTorch and bench_network disagree: {energy:.1e} eV/atom, forces {force:.1e}"
            )
        return {"energy_deviation": energy, "force_deviation": force}

    def time(self) -> dict[str, float]:
        """Wall and CPU seconds of one evaluation, the mean over at least SECONDS."""
        evaluations, wall, cpu = 0, time.perf_counter(), time.process_time()
        while evaluations == 0 or time.perf_counter() - wall < SECONDS:
            self.evaluate()
            evaluations += 1
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"wall": wall / evaluations, "cpu": cpu / evaluations, "evaluations": evaluations}


@lru_cache
def load_potential(folder: Path, architecture: str) -> Potential:
    return Potential.read(folder / f"{architecture}.yaml")


def main(folder: Path, threads: int, lines) -> None:
    torch.set_num_threads(threads)
    torch._dynamo.config.recompile_limit = (
        1000  # each case compiles the same code for its own shapes
    )
    torch._dynamo.config.accumulated_recompile_limit = 1000
    cases: dict[str, Case] = {}
    for line in lines:
        title = line.strip()
        answer: dict[str, object] = {"case": title, "threads": threads}
        try:
            if title in cases:
                answer |= cases[title].time()
            else:
                begin = time.perf_counter()
                case = Case(folder, *title.split("/"))
                answer |= case.deviations()
                answer["preparation"] = time.perf_counter() - begin
                cases[title] = case
        except Exception as error:  # answered, so that the other cases are measured
            answer["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] or sys.stdin)
