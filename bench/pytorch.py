"""Energy and forces of the benchmark's systems with PyTorch, eager and otherwise.

    python bench/pytorch.py FOLDER THREADS|cuda [CASE ...]

FOLDER is what bench/make_system.py wrote and, in FOLDER/forces, bench_network --forces or
bench_device. A CASE reads ARCHITECTURE/SYSTEM/MODE, with one of these modes:

    eager           the network as it is
    script          torch.jit.trace, frozen
    graph           eager, recorded once as a CUDA graph
    compile         torch.compile with the system's shapes
    compile-graph   the compiled network, recorded as a CUDA graph

Cases are read from the command line or, without any, one a line from standard input; each is
answered by one line of JSON. The first time a case is named it is prepared (neighbour list,
compilation) and its energy and forces are compared with the library's (`energy_deviation`,
`force_deviation`); each further time it is timed. Weights take no gradients. On a GPU everything
is there beforehand, TF32 is off, and only the latest system is kept.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import warnings
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch._dynamo

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "python"), str(Path(__file__).resolve().parent)]

from make_system import System, find_system  # noqa: E402
from mlff_student.networks import energies_and_forces, from_potential  # noqa: E402
from mlff_student.potential import Potential  # noqa: E402
from mlff_student.reference import Edges, find_edges  # noqa: E402

TOLERANCE = 1e-4  # of the largest force, and eV/atom
SECONDS = 0.3  # a measurement takes at least one evaluation and this long
BATCHES = 10  # a GPU's time is the median of so many parts
MODES = ("eager", "script", "graph", "compile", "compile-graph")
MANY = 2000  # atoms; find_edges looks at every pair

Evaluate = Callable[[], tuple[torch.Tensor, torch.Tensor]]


def edges_of(system: System, along: int, cutoff: float) -> Edges:
    """Edges of a system repeated along each axis, copy by copy."""
    if system.cell is None and len(system.elements) > MANY:
        return edges_of_molecules(system, cutoff)
    edges = find_edges(system.positions, system.cell, cutoff)
    if along == 1:
        return edges
    apart = system.positions[edges.neighbour] - system.positions[edges.centre]
    shift = np.rint((edges.vectors - apart) / system.edge).astype(np.int64)
    cells = np.stack(np.meshgrid(*[np.arange(along)] * 3, indexing="ij"), -1).reshape(-1, 3)
    other = (cells[:, None, :] + shift) % along @ np.array([along**2, along, 1])
    n = len(system.elements)
    return Edges(
        (n * np.arange(len(cells))[:, None] + edges.centre).ravel(),
        (n * other + edges.neighbour).ravel(),
        np.tile(edges.vectors, (len(cells), 1)),
    )


def edges_of_molecules(system: System, cutoff: float) -> Edges:
    """Edges without a cell, of many atoms."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(system.positions).query_pairs(cutoff, output_type="ndarray")
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.lexsort((j, i))
    i, j = i[order], j[order]
    return Edges(i, j, system.positions[j] - system.positions[i])


class Prepared:
    """One system with one network, on its device."""

    def __init__(self, folder: Path, architecture: str, name: str, device: str) -> None:
        potential = load_potential(folder, architecture)
        system, along = find_system(folder, name)
        edges = edges_of(system, along, potential.cutoff)
        elements = np.tile(system.elements, along**3)
        self.atoms = len(elements)
        self.species = torch.from_numpy(elements.astype(np.int64)).to(device)
        ends = np.stack([edges.neighbour, edges.centre]).astype(np.int64)
        self.edge_index = torch.from_numpy(ends).to(device)
        self.edge_vec = torch.from_numpy(edges.vectors).float().to(device)
        self.network = from_potential(potential, torch.float32).requires_grad_(False).to(device)
        self.offset = float(potential.tensor("atomic_energies")[elements].sum())
        self.expected = np.loadtxt(folder / "forces" / f"{architecture}_{system.name}.txt")
        self.copies = along**3

    @cached_property
    def compiled(self) -> torch.nn.Module:
        return torch.compile(self.network, dynamic=False)

    def scripted(self) -> torch.nn.Module:
        with warnings.catch_warnings():  # that TorchScript is old
            warnings.simplefilter("ignore")
            vectors = self.edge_vec.clone().requires_grad_(True)
            traced = torch.jit.trace(self.network, (self.species, self.edge_index, vectors))
            return torch.jit.freeze(traced)

    def eager(self, network: torch.nn.Module) -> Evaluate:
        """Interaction energies [N] and forces [N, 3]."""
        arguments = (self.species, self.edge_index, self.edge_vec)
        return lambda: energies_and_forces(network, *arguments)[:2]

    def mode(self, mode: str) -> Evaluate:
        if mode == "script":
            evaluate = self.eager(self.scripted())
            for _ in range(4):  # it optimises itself in the first calls
                evaluate()
            return evaluate
        evaluate = self.eager(self.compiled if mode.startswith("compile") else self.network)
        return recorded(evaluate) if mode.endswith("graph") else evaluate


def give_memory_back() -> None:
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()


def recorded(evaluate: Evaluate) -> Evaluate:
    """The same as a CUDA graph; the results are overwritten by each call."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            evaluate()
    torch.cuda.current_stream().wait_stream(stream)
    give_memory_back()  # the graph has a pool of its own
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = evaluate()

    def replay() -> tuple[torch.Tensor, torch.Tensor]:
        graph.replay()
        return results

    return replay


class Case:
    """One system with one network in one mode, ready to be evaluated."""

    def __init__(self, folder: Path, device: str, architecture: str, name: str, mode: str) -> None:
        known = MODES if device == "cuda" else ("eager", "script", "compile")
        if mode not in known:
            raise ValueError(f"mode {mode!r} is none of {', '.join(known)}")
        self.device = device
        self.prepared = prepare(folder, architecture, name, device)
        self.atoms = self.prepared.atoms
        self.evaluate = self.prepared.mode(mode)

    def deviations(self) -> dict[str, float]:
        """Energy (eV/atom) and forces (of the largest) against the library's.

        Raises RuntimeError beyond TOLERANCE.
        """
        energies, forces = self.evaluate()
        total = float(energies.double().sum()) + self.prepared.offset
        expected, copies = self.prepared.expected, self.prepared.copies
        energy = abs(total - copies * expected[0, 0]) / self.atoms
        forces = forces.cpu().numpy().reshape(copies, -1, 3)
        force = float(np.abs(forces - expected[1:]).max() / np.abs(expected[1:]).max())
        if not (energy < TOLERANCE and force < TOLERANCE):
            raise RuntimeError(
                f"PyTorch and the library disagree: {energy:.1e} eV/atom, forces {force:.1e}"
            )
        return {"energy_deviation": energy, "force_deviation": force}

    def time(self) -> dict[str, float]:
        """Wall seconds of one evaluation and more."""
        times = self.time_on_gpu() if self.device == "cuda" else self.time_on_cpu()
        return times | {"atoms": self.atoms}

    def time_on_cpu(self) -> dict[str, float]:
        """Wall and CPU seconds of one evaluation, the mean over at least SECONDS."""
        evaluations, wall, cpu = 0, time.perf_counter(), time.process_time()
        while evaluations == 0 or time.perf_counter() - wall < SECONDS:
            self.evaluate()
            evaluations += 1
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"wall": wall / evaluations, "cpu": cpu / evaluations, "evaluations": evaluations}

    def time_on_gpu(self) -> dict[str, float]:
        """Wall seconds of one evaluation: median, least and largest of BATCHES."""
        self.batch(2)  # warm
        evaluations = max(1, int(SECONDS / BATCHES / self.batch(2)))
        times = [self.batch(evaluations) for _ in range(BATCHES)]
        wall = {"wall": median(times), "wall least": min(times), "wall largest": max(times)}
        return wall | {"evaluations": BATCHES * evaluations}

    def batch(self, evaluations: int) -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(evaluations):
            self.evaluate()
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) / evaluations


@lru_cache
def load_potential(folder: Path, architecture: str) -> Potential:
    return Potential.read(folder / f"{architecture}.yaml")


@lru_cache(maxsize=1)
def prepare(folder: Path, architecture: str, name: str, device: str) -> Prepared:
    return Prepared(folder, architecture, name, device)


def set_up(device: str) -> None:
    if device == "cuda":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    else:
        torch.set_num_threads(int(device))
    # each case compiles the same code for its own shapes
    torch._dynamo.config.recompile_limit = 1000
    torch._dynamo.config.accumulated_recompile_limit = 1000


def main(folder: Path, device: str, lines) -> None:
    set_up(device)
    cases: dict[str, Case] = {}
    system = ""
    for line in lines:
        title = line.strip()
        answer: dict[str, object] = {"case": title}
        if device != "cuda":
            answer["threads"] = int(device)
        try:
            if title in cases:
                answer |= cases[title].time()
            else:
                if device == "cuda":
                    case = None
                    cases.clear()
                    if system != (system := title.rpartition("/")[0]):
                        prepare.cache_clear()
                    give_memory_back()
                begin = time.perf_counter()
                case = Case(folder, "cuda" if device == "cuda" else "cpu", *title.split("/"))
                answer |= case.deviations()
                answer["preparation"] = time.perf_counter() - begin
                cases[title] = case
        except Exception as error:  # answered, so that the other cases are measured
            answer["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:] or sys.stdin)
