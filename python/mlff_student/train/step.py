"""One optimisation step: loss, its gradient by the weights, Adam, and the moving average.

On a GPU a step is a thousand small kernels, and launching them takes longer than running them. All
shapes are fixed, so the step is recorded once as a CUDA graph and replayed (`fusion: graph`); with
`fusion: compile` the loss and both its gradients are first traced into one graph of operations,
which torch.compile fuses. Neither changes what is computed beyond rounding. `auto` is graph on a
GPU and none elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..networks import energies_and_forces
from .batches import Batch
from .config import ConfigError, Training


def residuals(network: nn.Module, batch: Batch, train: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Deviations of the energies per atom [B] (eV) and forces [B, A, 3] (eV/Angstrom, 0 for
    padding), and the number of atoms [B]."""
    species, edge_index, vec = batch.graph()
    energies, forces, _ = energies_and_forces(network, species, edge_index, vec, train)
    count = batch.present.sum(dim=1)
    energy = (energies.view_as(batch.present) * batch.present).sum(dim=1)
    force = (forces.view_as(batch.forces) - batch.forces) * batch.present.unsqueeze(2)
    return (energy - batch.energies) / count, force, count


def frame_losses(energy: Tensor, force: Tensor, count: Tensor, settings: Training) -> Tensor:
    """Loss of each frame [B]: energy_weight (dE/n)^2 + force_weight |dF|^2 / 3n."""
    forces = force.square().sum(dim=(1, 2)) / (3 * count)
    return settings.energy_weight * energy.square() + settings.force_weight * forces


def _compare(compiled: list[Tensor], plain: tuple[Tensor, ...]) -> None:
    """ConfigError if torch.compile changed the gradients beyond rounding, as PyTorch 2.15 can."""
    pairs = list(zip(compiled, plain))
    change = sum(float((a - b).double().square().sum()) for a, b in pairs)
    size = sum(float(b.double().square().sum()) for _, b in pairs)
    if not change <= 1e-6 * size:
        raise ConfigError(
            "training.fusion: compile computes other gradients than PyTorch does without it "
            f"(relative deviation {(change / size) ** 0.5:.1e}, PyTorch {torch.__version__}); use "
            "graph or none"
        )


class Step:
    """Weights, optimiser and moving average; calling it does one step on the frames of an index."""

    def __init__(self, network: nn.Module, data: Batch, settings: Training) -> None:
        self.network, self.data, self.settings = network, data, settings
        self.weights = dict(network.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self.weights.items()}
        device = data.positions.device
        self.cuda = device.type == "cuda"
        self.index = torch.zeros(settings.batch_size, dtype=torch.int64, device=device)
        self.share = torch.zeros((), dtype=data.positions.dtype, device=device)
        self.loss_sum = torch.zeros((), dtype=data.positions.dtype, device=device)
        self.optimizer = self._make_optimizer(device)
        self.fusion = settings.fusion
        if self.fusion == "auto":
            self.fusion = "graph" if self.cuda else "none"
        self._gradients: Callable = self._eager_gradients
        self._graph: torch.cuda.CUDAGraph | None = None
        if self.fusion == "compile":
            self._gradients = self._compiled_gradients()
        if self.cuda and self.fusion != "none":
            self._record()

    def __call__(self, index: Tensor, learning_rate: float, share: float) -> None:
        """One step on the frames `index` [batch_size]; `share` is the new weights' part in the
        moving average. Adds the loss to loss_sum."""
        self._set_learning_rate(learning_rate)
        self.share.fill_(share)
        self.index.copy_(index)
        if self._graph is None:
            self._run()
        else:
            self._graph.replay()

    def state(self) -> dict[str, Tensor]:
        """All tensors that a step changes (not copies)."""
        found = {f"weights.{name}": p.detach() for name, p in self.weights.items()}
        found |= {f"average.{name}": t for name, t in self.average.items()}
        for name, p in self.weights.items():
            for key, value in self.optimizer.state[p].items():
                found[f"optimizer.{name}.{key}"] = value
        return found | {"loss_sum": self.loss_sum}

    def restore(self, saved: dict[str, Tensor]) -> None:
        """Set the tensors of `state` in place, so that a recorded graph stays valid."""
        state = self.state()
        if saved.keys() != state.keys():
            raise KeyError("the saved state belongs to another network or optimiser")
        for name, tensor in state.items():
            tensor.copy_(saved[name])

    def _make_optimizer(self, device: torch.device) -> torch.optim.Optimizer:
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        speed = {"fused": True, "capturable": True} if self.cuda else {"foreach": True}
        optimizer = kinds[self.settings.optimizer](
            self.weights.values(),
            lr=torch.zeros((), device=device) if self.cuda else 0.0,
            weight_decay=self.settings.weight_decay,
            **speed,
        )
        for p in self.weights.values():
            p.grad = torch.zeros_like(p)
        optimizer.step()  # at a learning rate of zero: makes the state's tensors, moves nothing
        for p in self.weights.values():
            for tensor in optimizer.state[p].values():
                tensor.zero_()
        return optimizer

    def _set_learning_rate(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            if self.cuda:
                group["lr"].fill_(value)
            else:
                group["lr"] = value

    def _run(self) -> None:
        batch = self.data.select(self.index)
        loss, gradients = self._gradients(batch)
        for p, gradient in zip(self.weights.values(), gradients):
            p.grad = gradient
        if self.settings.clip > 0:
            nn.utils.clip_grad_norm_(self.weights.values(), self.settings.clip, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            average, weights = list(self.average.values()), list(self.weights.values())
            change = torch._foreach_sub(weights, average)
            torch._foreach_mul_(change, self.share)
            torch._foreach_add_(average, change)
            self.loss_sum += loss

    def _eager_gradients(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = frame_losses(*residuals(self.network, batch, True), self.settings).mean()
        gradients = torch.autograd.grad(loss, list(self.weights.values()))
        return loss.detach(), gradients

    def _compiled_gradients(self) -> Callable:
        """The same, traced through both differentiations and compiled."""
        from torch.fx.experimental.proxy_tensor import make_fx

        names = list(self.weights)

        def gradients(weights: list[Tensor], tensors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            weights = [w.detach().requires_grad_() for w in weights]
            named = dict(zip(names, weights))
            network = lambda *graph: torch.func.functional_call(
                self.network, named, graph
            )  # noqa: E731
            loss = frame_losses(*residuals(network, Batch(*tensors), True), self.settings).mean()
            return loss.detach(), [g.detach() for g in torch.autograd.grad(loss, weights)]

        def arguments(batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
            return [w.detach() for w in self.weights.values()], list(vars(batch).values())

        some = torch.arange(len(self.index), device=self.index.device) % len(self.data.energies)
        example = self.data.select(some)
        traced = make_fx(gradients)(*arguments(example))
        compiled = torch.compile(traced, dynamic=False)

        def run(batch: Batch) -> tuple[Tensor, list[Tensor]]:
            with torch.no_grad():
                return compiled(*arguments(batch))

        _compare(run(example)[1], self._eager_gradients(example)[1])
        return run

    def _record(self) -> None:
        """Record a step as a CUDA graph; what the rehearsals changed is put back."""
        before = {name: tensor.clone() for name, tensor in self.state().items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._run()
        self._graph = graph
        self.restore(before)
