"""The training loop: evaluations, log, learning curve, checkpoints, early stopping, resume."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..networks import NETWORKS
from ..units import SYMBOLS
from .batches import fit_atomic_energies, make_batch
from .config import CRITERIA, Config, ConfigError, as_plain
from .evaluate import deviations, errors
from .export import export
from .frames import Frames, split_frames
from .plot import plot_learning_curve
from .schedule import average_share, learning_rate, should_stop
from .step import Step


class Fit:
    """A training run in a folder; `run` starts it or continues where its checkpoint ends."""

    def __init__(self, config: Config, folder: Path, restart: bool = False) -> None:
        self.config, self.folder = config, folder
        self.frames = Frames.load(config.data_path)
        self.parts = split_frames(self.frames, config.split, config.seed)
        numbers = np.unique(self.frames.numbers)
        self.elements = [SYMBOLS[n - 1] for n in numbers]
        self.atomic_energies = fit_atomic_energies(self.frames, self.parts["train"], self.elements)
        self.device = _device(config.training.device)
        self.dtype = getattr(torch, config.training.precision)
        torch.manual_seed(config.seed)
        self.network = self._make_network()
        to = {"device": self.device, "dtype": self.dtype}
        self.data = make_batch(
            self.frames, self.elements, self.atomic_energies, config.network.cutoff, **to
        )
        self.step = Step(self.network, self.data, config.training)
        self.averaged = self._make_network()
        self.done, self.history, self.seconds = 0, [], 0.0
        self.machine = _machine(self.device)
        self.best: dict[str, Tensor] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists() and not restart:
            self._resume()

    @property
    def checkpoint(self) -> Path:
        """The file that a later call continues from."""
        return self.folder / "checkpoint.pt"

    def run(self, time_limit: float = math.inf, progress: bool = True) -> bool:
        """Train to the last step, early stopping or time_limit (s); whether it is finished."""
        from tqdm import tqdm

        settings = self.config.training
        begin, before = time.monotonic(), self.seconds
        self.machine = _machine(self.device)
        finished = self._finished()
        bar = tqdm(total=settings.steps, initial=self.done, unit="step", disable=not progress)
        while not finished:
            rate = learning_rate(self.done, settings, self.criterion())
            self.step(self._batch(self.done), rate, average_share(self.done, settings))
            self.done += 1
            bar.update(1)
            if self.done % settings.evaluate_every == 0 or self.done == settings.steps:
                self.seconds = before + time.monotonic() - begin
                self._evaluate(rate)
                bar.set_postfix_str(_summary(self.history[-1]))
                finished = self._finished()
            late = self.done % 50 == 0 and time.monotonic() - begin > time_limit
            if self.done % settings.checkpoint_every == 0 or finished or late:
                self.seconds = before + time.monotonic() - begin
                self.save()
            if late:
                break
        bar.close()
        return finished

    def best_network(self) -> torch.nn.Module:
        """The averaged weights with the lowest value of the criterion so far."""
        if not self.best:
            raise ConfigError("no evaluation has been made yet; train for evaluate_every steps")
        self._load(self.best)
        return self.averaged

    def _make_network(self) -> torch.nn.Module:
        options = dataclasses.asdict(self.config.network)
        network = NETWORKS[options.pop("architecture")](self.elements, **options)
        network = network.to(device=self.device, dtype=self.dtype)
        network.atomic_energies = torch.as_tensor(self.atomic_energies, device=self.device)
        return network

    def _batch(self, step: int) -> Tensor:
        """Frames of a step: a function of seed and step, so that a resumed run goes on alike."""
        size, train = self.config.training.batch_size, self.parts["train"]
        epoch, k = divmod(step, max(1, len(train) // size))
        if k == 0 or getattr(self, "_epoch", None) != epoch:
            rng = np.random.default_rng([self.config.seed, epoch])
            order = rng.permutation(train) if len(train) >= size else rng.choice(train, size)
            self._order, self._epoch = torch.as_tensor(order, device=self.device), epoch
        return self._order[k * size : (k + 1) * size]

    def criterion(self) -> list[float]:
        """The values of training.criterion at the evaluations so far; the lowest is the best."""
        name = CRITERIA[self.config.training.criterion]
        return [entry[name] for entry in self.history]

    def _finished(self) -> bool:
        stop = should_stop(self.criterion(), self.config.training)
        return stop or self.done >= self.config.training.steps

    def _load(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.averaged.named_parameters():
                parameter.copy_(weights[name])

    def _evaluate(self, rate: float) -> None:
        """Add an entry to the history; keep the averaged weights if they are the best so far."""
        steps = self.done - (self.history[-1]["step"] if self.history else 0)
        train_loss = float(self.step.loss_sum) / max(1, steps)
        self.step.loss_sum.zero_()
        if not math.isfinite(train_loss):
            raise ConfigError(
                f"training: the loss is {train_loss} at step {self.done}; lower "
                "training.learning_rate or data.force_limit"
            )
        self._load(self.step.average)
        index = self.parts["validation"]
        found = deviations(self.averaged, self.data, index, self.config.training)
        self.history.append(
            {
                "step": self.done,
                "learning_rate": rate,
                "train_loss": train_loss,
                "validation_loss": float(found["loss"].mean()),
                **errors(found),
                "seconds": round(self.seconds, 1),
            }
        )
        *earlier, newest = self.criterion()
        if newest < min(earlier, default=math.inf):
            self.best = {name: t.clone() for name, t in self.step.average.items()}

    def save(self) -> None:
        """Checkpoint, log, learning curve and the best potential so far, each replaced at once."""
        saved = {
            "identity": self._identity(),
            "done": self.done,
            "seconds": self.seconds,
            "machine": self.machine,
            "history": json.dumps(self.history),
            "state": {name: t.cpu() for name, t in self.step.state().items()},
            "best": {name: t.cpu() for name, t in self.best.items()},
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(saved, part)
        os.replace(part, self.checkpoint)
        log = {"config": as_plain(self.config), "history": self.history}
        (self.folder / "log.json").write_text(json.dumps(log, indent=1))
        plot_learning_curve(self.history, self.folder / "learning_curve.png")
        if self.best:
            export(self)

    def _resume(self) -> None:
        saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if saved["identity"] != self._identity():
            raise ConfigError(
                f"{self.checkpoint}: was made with another configuration or other data; use "
                "--restart to start anew, or another --output folder"
            )
        self.step.restore(saved["state"])
        self.best = {name: t.to(self.device) for name, t in saved["best"].items()}
        self.done, self.seconds = saved["done"], saved["seconds"]
        self.machine = saved["machine"]
        self.history = json.loads(saved["history"])

    def _identity(self) -> str:
        """Hash of what must not change between the parts of a run."""
        plain = as_plain(self.config)
        free = ("steps", "device", "fusion")  # more steps stretch the schedule, knowingly
        training = {k: v for k, v in plain["training"].items() if k not in free}
        kept = [plain["seed"], plain["split"], plain["network"], training, self.frames.hash()]
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _device(name: str) -> torch.device:
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
