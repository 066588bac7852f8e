"""The training loop of a network or a committee of them: evaluations, log, learning curve,
checkpoints, early stopping, resume."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..atomic_file import replaced_when_complete
from ..networks import NETWORKS, from_potential
from ..potential import Potential
from ..units import SYMBOLS
from .batches import Data, fit_atomic_energies
from .config import CRITERIA, Config, ConfigError, as_plain
from .evaluate import deviations, errors
from .export import export
from .frame_sets import load_frames
from .plot import plot_learning_curve
from .schedule import average_share, learning_rate, should_stop
from .step import Step

CHECKPOINT = "checkpoint.pt"  # in the run's folder
EXPLODED = 0.1  # the share of steps without a loss and a gradient at which training gives up


class Fit:
    """A training run in a folder; `run` starts it or continues where its checkpoint ends.

    All members of a committee take their steps together. They differ in the initial weights, in
    the order of the batches and, if so configured, in the draw of training frames; member k of any
    committee is the same network. With potentials to `start` from (default: training.start)
    training begins from their weights instead.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        restart: bool = False,
        start: list[Potential] | None = None,
    ) -> None:
        self.config, self.folder = config, folder
        files = [config.folder / file for file in config.training.start]
        self.start = start or [Potential.read(file) for file in files]
        self.frames, self.parts, first = load_frames(config)
        self.elements = [SYMBOLS[n - 1] for n in np.unique(self.frames.numbers)]
        for potential in self.start:
            self._fits(potential)
        # What the first file decides stays as it is when frames join: shapes are compiled for.
        known = self.parts["train"][self.parts["train"] < first]
        if self.start:
            self.atomic_energies = np.array(self.start[0].tensor("atomic_energies"))
        else:
            self.atomic_energies = fit_atomic_energies(self.frames, known, self.elements)
        self.device = device_of(config.training.device)
        self.dtype = getattr(torch, config.training.precision)
        to = {"device": self.device, "dtype": self.dtype}
        self.data = Data(
            self.frames, self.elements, self.atomic_energies, config.network.cutoff, **to
        )
        members = config.training.committee
        self.networks = [self._make_network(k) for k in range(members)]
        self.size = self.data.size(config.training.batch_size, known)
        weights = self.frames.counts[known] ** float(config.training.size_weight)
        divisor = config.training.batch_size * float(weights.mean())
        self.step = Step(self.networks, self.data, self.size, divisor, config.training)
        self.averaged = self._make_network(0)
        self.done, self.seconds = 0, 0.0
        self.histories: list[list[dict[str, Any]]] = [[] for _ in range(members)]
        self.best: list[dict[str, Tensor]] = [{} for _ in range(members)]
        self.orders = [_Order(self, k) for k in range(members)]
        self.machine = _machine(self.device)
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists() and not restart:
            self._resume()

    @property
    def checkpoint(self) -> Path:
        """The file that a later call continues from."""
        return self.folder / CHECKPOINT

    def run(self, time_limit: float = math.inf, progress: bool = True) -> bool:
        """Train to the last step, early stopping or time_limit (s), for one step at least; whether it is
        finished."""
        from tqdm import tqdm

        settings = self.config.training
        begin, before = time.monotonic(), self.seconds
        self.machine = _machine(self.device)
        finished = self._finished()
        bar = tqdm(total=settings.steps, initial=self.done, unit="step", disable=not progress)
        criterion = self.criterion()
        while not finished:
            rate = learning_rate(self.done, settings, criterion)
            self.step(self._batches(), rate, average_share(self.done, settings))
            self.done += 1
            bar.update(1)
            if self.done % settings.evaluate_every == 0 or self.done == settings.steps:
                self.seconds = before + time.monotonic() - begin
                self._evaluate(rate)
                bar.set_postfix_str(_summary(self.history[-1]))
                criterion, finished = self.criterion(), self._finished()
            late = time.monotonic() - begin > time_limit
            if self.done % settings.checkpoint_every == 0 or finished or late:
                self.seconds = before + time.monotonic() - begin
                self.save(write=finished or late)
            if late:
                break
        bar.close()
        return finished

    @property
    def history(self) -> list[dict[str, Any]]:
        """The evaluations, each the mean over the members."""
        if len(self.histories) == 1:
            return self.histories[0]
        return [
            {**{name: float(np.mean([e[name] for e in entries])) for name in entries[0]},
             "step": entries[0]["step"]}
            for entries in zip(*self.histories)
        ]  # fmt: skip

    def criterion(self, member: int | None = None) -> list[float]:
        """The values of training.criterion at the evaluations so far, of a member or their mean;
        the lowest is the best."""
        name = CRITERIA[self.config.training.criterion]
        history = self.history if member is None else self.histories[member]
        return [entry[name] for entry in history]

    def best_network(self, member: int = 0) -> torch.nn.Module:
        """The averaged weights of a member with the lowest value of the criterion so far."""
        if not self.best[member]:
            raise ConfigError("no evaluation has been made yet; train for evaluate_every steps")
        self._load(self.best[member])
        return self.averaged

    def potential_path(self, member: int) -> Path:
        """The file that a member's potential is written to."""
        return potential_path(self.config, self.folder, member)

    def _make_network(self, member: int) -> torch.nn.Module:
        torch.manual_seed(_seed(self.config.seed, member))
        options = dataclasses.asdict(self.config.network)
        network = NETWORKS[options.pop("architecture")](self.elements, **options)
        if self.start:
            network.load_state_dict(from_potential(self.start[member]).state_dict())
        network = network.to(device=self.device, dtype=self.dtype)
        network.atomic_energies = torch.as_tensor(self.atomic_energies, device=self.device)
        return network

    def _fits(self, potential: Potential) -> None:
        """ConfigError if training cannot begin from this potential."""
        if len(self.start) != self.config.training.committee:
            raise ConfigError(
                f"training.committee: {self.config.training.committee} networks, but "
                f"{len(self.start)} potentials to begin from; give one for each"
            )
        wanted = {**dataclasses.asdict(self.config.network), "elements": self.elements}
        del wanted["epsilon"]  # smooths a norm and has no weights: a later stage may choose another
        for name, value in wanted.items():
            given = getattr(potential, name)
            if given != value:
                raise ConfigError(
                    f"{potential.file}: {name}: is {given}, but the network to be trained has "
                    f"{value}; begin from a potential of the same kind"
                )

    def _batches(self) -> Tensor:
        """Frames of the next step of each member [K, size.frames]."""
        return torch.stack([order.next() for order in self.orders])

    def _finished(self) -> bool:
        stop = should_stop(self.criterion(), self.config.training)
        return stop or self.done >= self.config.training.steps

    def _load(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.averaged.named_parameters():
                parameter.copy_(weights[name])

    def _evaluate(self, rate: float) -> None:
        """Add an entry to each history; keep averaged weights that are the best so far."""
        steps = self.done - (self.histories[0][-1]["step"] if self.histories[0] else 0)
        exploded = self.step.exploded.long().tolist()
        if max(exploded) > EXPLODED * steps:
            raise ConfigError(
                f"training: in {max(exploded)} of the {steps} steps up to {self.done} the loss or its "
                "gradient was no number; lower training.learning_rate or data.force_limit"
            )
        losses = [
            total / max(1, steps - without)
            for total, without in zip(self.step.loss_sum.tolist(), exploded)
        ]
        self.step.loss_sum.zero_()
        self.step.exploded.zero_()
        for k, history in enumerate(self.histories):
            self._load(self.step.averages[k])
            found = deviations(
                self.averaged, self.data, self.parts["validation"], self.config.training
            )
            history.append(
                {
                    "step": self.done,
                    "learning_rate": rate,
                    "train_loss": losses[k],
                    "exploded": exploded[k],
                    "validation_loss": float(found["loss"].mean()),
                    **errors(found),
                    "seconds": round(self.seconds, 1),
                }
            )
            *earlier, newest = self.criterion(k)
            if newest < min(earlier, default=math.inf):
                self.best[k] = {name: t.clone() for name, t in self.step.averages[k].items()}

    def save(self, write: bool = True) -> None:
        """Checkpoint, learning curve and, unless not to `write` them, the best potentials so far;
        then the log, so that a run that it calls finished is so."""
        saved = {
            "identity": self._identity(),
            "done": self.done,
            "seconds": self.seconds,
            "machine": self.machine,
            "orders": [order.place for order in self.orders],
            "histories": json.dumps(self.histories),
            "state": {name: t.cpu() for name, t in self.step.state().items()},
            "best": [{name: t.cpu() for name, t in best.items()} for best in self.best],
        }
        with replaced_when_complete(self.checkpoint, binary=True) as stream:
            torch.save(saved, stream)
        plot_learning_curve(self.history, self.folder / "learning_curve.png")
        if write and all(self.best):
            for member in range(len(self.networks)):
                export(self, member)
        log = {
            "config": as_plain(self.config),
            "history": self.history,
            "finished": self._finished(),
        }
        if len(self.histories) > 1:
            log["members"] = self.histories
        with replaced_when_complete(self.folder / "log.json") as stream:
            json.dump(log, stream, indent=1)

    def _resume(self) -> None:
        saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if saved["identity"] != self._identity():
            raise ConfigError(
                f"{self.checkpoint}: was made with another configuration or other data; use "
                "--restart to start anew, or another --output folder"
            )
        self.step.restore(saved["state"])
        self.best = [
            {name: t.to(self.device) for name, t in best.items()} for best in saved["best"]
        ]
        self.done, self.seconds = saved["done"], saved["seconds"]
        self.machine = saved["machine"]
        self.histories = json.loads(saved["histories"])
        for order, place in zip(self.orders, saved["orders"]):
            order.place = tuple(place)

    def _identity(self) -> str:
        """Hash of what must not change between the parts of a run."""
        plain = as_plain(self.config)
        # more steps stretch the schedule, knowingly; files may lie elsewhere
        free = ("steps", "device", "fusion", "more_frames", "start")
        training = {k: v for k, v in plain["training"].items() if k not in free}
        start = [potential.sha256 for potential in self.start]
        kept = [plain[name] for name in ("seed", "split", "network")]
        kept += [training, self.frames.hash(), start]
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


class _Order:
    """The batches of a member: a function of the seed and of `place`, so that a resumed run goes
    on alike."""

    def __init__(self, fit: Fit, member: int) -> None:
        self.fit, self.seed = fit, _seed(fit.config.seed, member)
        self.place = (0, 0)  # epoch, batch in it
        self.frames = fit.parts["train"]
        if fit.config.training.bootstrap:
            rng = np.random.default_rng([self.seed, 2])
            self.frames = np.sort(rng.choice(self.frames, len(self.frames)))
        self._planned = -1

    def next(self) -> Tensor:
        """Frames of the next batch [size.frames]."""
        epoch, batch = self.place
        if epoch != self._planned:
            self._plan(epoch)
        last = batch + 1 == len(self._rows)
        self.place = (epoch + 1, 0) if last else (epoch, batch + 1)
        return self._rows[batch]

    def _plan(self, epoch: int) -> None:
        data, size = self.fit.data, self.fit.size
        order = np.random.default_rng([self.seed, 1, epoch]).permutation(self.frames)
        batches = data.plan(order, size)
        if len(batches) > 1 and 2 * len(batches[-1]) < self.fit.config.training.batch_size:
            batches.pop()  # a small batch makes a noisy step
        self._rows = data.fill(batches, size)
        self._planned = epoch


def _seed(seed: int, member: int) -> int:
    """Seed of a member of a committee; the first one's is the configuration's."""
    return seed if member == 0 else int(np.random.SeedSequence([seed, member]).generate_state(1)[0])


def potential_path(config: Config, folder: Path, member: int) -> Path:
    """The file that a training run in this folder writes a member's potential to."""
    path = Path(config.output.file or f"{config.name}.yaml")
    if config.training.committee > 1:
        path = path.with_name(f"{path.stem}-{member + 1}{path.suffix}")
    return folder / path


def is_finished(folder: Path) -> bool:
    """Whether the training run in a folder came to its end, as its log says."""
    log = folder / "log.json"
    return log.exists() and json.loads(log.read_text())["finished"]


def best_entry(folder: Path) -> dict[str, Any]:
    """The evaluation with the lowest criterion (means over the members) in a run's log."""
    log = json.loads((folder / "log.json").read_text())
    name = CRITERIA[log["config"]["training"]["criterion"]]
    return min(log["history"], key=lambda entry: entry[name])


def device_of(name: str) -> torch.device:
    """The device that training.device names."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "training.device: cuda asked for, but PyTorch finds no GPU; known: auto, cpu"
        )
    torch.backends.cuda.matmul.allow_tf32 = False  # float32 is float32
    return torch.device(name)


def _machine(device: torch.device) -> dict[str, str]:
    """What the steps are made on, for the provenance."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"device": name, "torch": str(torch.__version__)}


def _summary(entry: dict[str, Any]) -> str:
    energy, force = entry["energy_mae_meV_per_atom"], entry["force_mae_meV_per_A"]
    return f"validation: {energy:.2f} meV/atom, {force:.1f} meV/A"
