"""One optimisation step of every member of a committee: loss, its gradient by the weights, Adam,
and the moving average.

On a GPU a step is a thousand small kernels, and launching them takes longer than running them. All
shapes are fixed, so the step is recorded once as a CUDA graph and replayed (`fusion: graph`); with
`fusion: compile` the loss and both its gradients are first traced into one graph of operations,
which torch.compile fuses, once for all members. Neither changes what is computed beyond rounding.
`auto` is graph on a GPU and none elsewhere. The members are branches of the recorded graph that
run side by side, as none of them fills a GPU, and share one launch of the optimiser.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..networks import energies_and_forces
from .batches import Batch, Data, Size
from .config import ConfigError, Training


def residuals(network: Callable, batch: Batch, train: bool) -> tuple[Tensor, Tensor]:
    """Deviations of the energies per atom [B] (eV; 0 for empty places) and of the forces [A, 3]
    (eV/Angstrom; 0 for padding, which has no edges within the cutoff)."""
    species, edge_index, vec = batch.graph()
    energies, forces, _ = energies_and_forces(network, species, edge_index, vec, train)
    deviation = sum_by_frame(energies, batch) - batch.energies
    return deviation / batch.counts.clamp(min=1), forces - batch.forces


def sum_by_frame(values: Tensor, batch: Batch) -> Tensor:
    """Sums [B] of numbers of the atoms [A]."""
    frames = batch.counts.shape[0]
    return values.new_zeros(frames + 1).index_add(0, batch.frame, values)[:frames]


def frame_losses(energy: Tensor, force: Tensor, batch: Batch, settings: Training) -> Tensor:
    """Loss of each frame [B]: energy_weight h(dE/n) + force_weight sum_i h(|dF_i|) / 3n."""
    energies = _huber(energy.square(), settings.energy_huber)
    forces = sum_by_frame(_huber(force.square().sum(dim=1), settings.force_huber), batch)
    forces = forces / (3 * batch.counts.clamp(min=1))
    return settings.energy_weight * energies + settings.force_weight * forces


def _huber(square: Tensor, scale: float) -> Tensor:
    """Pseudo-Huber function of the square of a deviation: the square itself where it is small,
    2 scale |deviation| where it is large; a scale of 0: always the square."""
    if scale == 0:
        return square
    return 2 * square / (1 + torch.sqrt(1 + square / scale**2))


def _compare(compiled: list[Tensor], plain: tuple[Tensor, ...], tolerance: float) -> None:
    """ConfigError if torch.compile changed the gradients beyond rounding, as PyTorch 2.15 can."""
    pairs = list(zip(compiled, plain))
    change = sum(float((a - b).double().square().sum()) for a, b in pairs)
    size = sum(float(b.double().square().sum()) for _, b in pairs)
    if not change <= tolerance**2 * size:
        raise ConfigError(
            "training.fusion: compile computes other gradients than PyTorch does without it "
            f"(relative deviation {(change / size) ** 0.5:.1e}, PyTorch {torch.__version__}); use "
            "graph or none"
        )


class Step:
    """Weights, optimiser and moving averages of K networks that differ in their weights alone;
    calling it does one step of each on the frames of its row of an index."""

    def __init__(
        self,
        networks: list[nn.Module],
        data: Data,
        size: Size,
        divisor: float,  # of the sum of the losses of a batch's frames
        settings: Training,
    ) -> None:
        self.data, self.size, self.divisor, self.settings = data, size, divisor, settings
        self.network = networks[0]  # what is called, with the weights of each
        self.weights = [dict(network.named_parameters()) for network in networks]
        self.averages = [
            {name: p.detach().clone() for name, p in weights.items()} for weights in self.weights
        ]
        device, dtype = data.positions.device, data.positions.dtype
        self.cuda = device.type == "cuda"
        rehearsal = data.plan(np.arange(len(data)), size)[0]
        self.index = data.fill([rehearsal] * len(networks), size)
        self.share = torch.zeros((), dtype=dtype, device=device)
        self.loss_sum = torch.zeros(len(networks), dtype=dtype, device=device)
        self.exploded = torch.zeros_like(self.loss_sum)  # steps without a loss and a gradient
        self.optimizer = self._make_optimizer(device)
        self.fusion = settings.fusion
        if self.fusion == "auto":
            self.fusion = "graph" if self.cuda else "none"
        self._gradients: Callable = self._eager_gradients
        self._graph: torch.cuda.CUDAGraph | None = None
        branches = len(networks) if self.cuda and len(networks) > 1 else 0
        self._streams = [torch.cuda.Stream() for _ in range(branches)]
        if self.fusion == "compile":
            self._gradients = self._compiled_gradients()
        if self.cuda and self.fusion != "none":
            self._record()

    def __call__(self, index: Tensor, learning_rate: float, share: float) -> None:
        """One step of each network on its frames `index` [K, size.frames]; `share` is the new
        weights' part in the moving averages. Adds the losses to loss_sum [K], or, where they or
        the gradients are no numbers, 1 to exploded [K]; then the gradient counts as zero."""
        self._set_learning_rate(learning_rate)
        self.share.fill_(share)
        self.index.copy_(index)
        if self._graph is None:
            self._run()
        else:
            self._graph.replay()

    def state(self) -> dict[str, Tensor]:
        """All tensors that a step changes (not copies)."""
        found = {"loss_sum": self.loss_sum, "exploded": self.exploded}
        for k, (weights, average) in enumerate(zip(self.weights, self.averages), start=1):
            found |= {f"{k}.weights.{name}": p.detach() for name, p in weights.items()}
            found |= {f"{k}.average.{name}": t for name, t in average.items()}
            for name, p in weights.items():
                for key, value in self.optimizer.state[p].items():
                    found[f"{k}.optimizer.{name}.{key}"] = value
        return found

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
        parameters = [p for weights in self.weights for p in weights.values()]
        optimizer = kinds[self.settings.optimizer](
            parameters,
            lr=torch.zeros((), device=device) if self.cuda else 0.0,
            weight_decay=self.settings.weight_decay,
            **speed,
        )
        for p in parameters:
            p.grad = torch.zeros_like(p)
        optimizer.step()  # at a learning rate of zero: makes the state's tensors, moves nothing
        for p in parameters:
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
        with self._matrix_products():
            self._all_gradients()
        self.optimizer.step()
        with torch.no_grad():
            average = [t for member in self.averages for t in member.values()]
            weights = [p for member in self.weights for p in member.values()]
            change = torch._foreach_sub(weights, average)
            torch._foreach_mul_(change, self.share)
            torch._foreach_add_(average, change)

    @contextlib.contextmanager
    def _matrix_products(self) -> Iterator[None]:
        """Products of matrices in TF32 if the configuration says so, and never elsewhere."""
        torch.backends.cuda.matmul.allow_tf32 = self.settings.matmul == "tf32"
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = False

    def _all_gradients(self) -> None:
        """Gradients of all members, each on a stream of its own where there are any."""
        if not self._streams:
            for k in range(len(self.weights)):
                self._member_gradients(k)
            return
        main = torch.cuda.current_stream()
        for k, stream in enumerate(self._streams):
            stream.wait_stream(main)
            with torch.cuda.stream(stream):
                self._member_gradients(k)
        for stream in self._streams:
            main.wait_stream(stream)

    def _member_gradients(self, k: int) -> None:
        weights = self.weights[k]
        loss, gradients = self._gradients(weights, self.data.select(self.index[k], self.size))
        with torch.no_grad():
            # A network explodes on atoms much closer than those that it has learnt.
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            finite = torch.isfinite(loss) & torch.isfinite(flat).all()
            parts = torch.where(finite, flat, 0.0).split([p.numel() for p in weights.values()])
            for p, part in zip(weights.values(), parts):
                p.grad = part.view_as(p)
            self.loss_sum[k] += torch.where(finite, loss, 0.0)
            self.exploded[k] += torch.where(finite, 0.0, 1.0)
        if self.settings.clip > 0:
            nn.utils.clip_grad_norm_(weights.values(), self.settings.clip, foreach=True)

    def _loss(self, weights: dict[str, Tensor], batch: Batch) -> Tensor:
        def network(*graph: Tensor) -> Tensor:
            return torch.func.functional_call(self.network, weights, graph)

        losses = frame_losses(*residuals(network, batch, True), batch, self.settings)
        if self.settings.size_weight:
            losses = losses * batch.counts.to(losses.dtype) ** self.settings.size_weight
        return losses.sum() / self.divisor

    def _eager_gradients(
        self, weights: dict[str, Tensor], batch: Batch
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = self._loss(weights, batch)
        return loss.detach(), torch.autograd.grad(loss, list(weights.values()))

    def _compiled_gradients(self) -> Callable:
        """The same, traced through both differentiations and compiled."""
        from torch.fx.experimental.proxy_tensor import make_fx

        names = list(self.weights[0])

        def gradients(weights: list[Tensor], tensors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            weights = [w.detach().requires_grad_() for w in weights]
            loss = self._loss(dict(zip(names, weights)), Batch(*tensors))
            return loss.detach(), [g.detach() for g in torch.autograd.grad(loss, weights)]

        def arguments(weights: dict, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
            return [w.detach() for w in weights.values()], list(vars(batch).values())

        example = self.weights[0], self.data.select(self.index[0], self.size)
        with self._matrix_products():
            traced = make_fx(gradients)(*arguments(*example))
            compiled = torch.compile(traced, dynamic=False)

            def run(weights: dict, batch: Batch) -> tuple[Tensor, list[Tensor]]:
                with torch.no_grad():
                    return compiled(*arguments(weights, batch))

            # Near a minimum a gradient is a small difference, in which TF32's rounding shows.
            tolerance = 0.2 if self.settings.matmul == "tf32" else 1e-3
            _compare(run(*example)[1], self._eager_gradients(*example)[1], tolerance)
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
