"""Several candidates of equal shape trained together: every weight has a leading axis of candidates."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from nas.errors import InputError
from nas.tasks.base import Batch, Task
from nas.train.optimizers import AdamW
from nas.train.precision import autocast
from nas.train.schedules import Schedule


class Stack:
    """Trains K models of one architecture at once, as K runs of `TrainingLoop` would, each by itself.

    They may differ in initial weights, seed of the data and learning rate. What a run has beside its
    steps (checkpoints, rows, rungs, auxiliary losses, dropout that repeats a single run's) is not here.
    Horizontal fusion as in HFTA (Wang et al. 2021, arXiv 2102.02344), by `torch.func.vmap`. Losses are
    those of single runs up to the order of sums.

    `nas-bench stacked` measures where it pays.

    Args:
        models: of the task, on encoders that differ in weights alone; `store` writes into them.
        task: prepared.
        seeds: of each one's data.
        rates: each one's peak learning rate.
        optimizer: the other settings.
        schedule: scales the rates.
        steps: the budget.
        batch_size: rows of each candidate.
        clip_norm: of each candidate's gradient.
        device: where they are trained.
        dtype: of products.

    Raises:
        InputError: the models do not have the same parameters, or the numbers of things differ.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        task: Task,
        seeds: Sequence[int],
        rates: Sequence[float],
        optimizer: AdamW,
        schedule: Schedule,
        *,
        steps: int,
        batch_size: int,
        clip_norm: float = 1.0,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        _check(models, seeds, rates)
        self.models, self.task, self.seeds = list(models), task, list(seeds)
        self.optimizer, self.schedule = optimizer, schedule
        self.steps, self.batch_size, self.clip_norm = steps, batch_size, clip_norm
        self.device, self.dtype = device or torch.device("cpu"), dtype
        for model in self.models:
            model.to(self.device).train()
        parameters, self.buffers = stack_module_state(self.models)
        self.parameters: dict[str, Tensor] = {k: v.detach().requires_grad_() for k, v in parameters.items()}
        self.rates = torch.tensor(rates, device=self.device)
        self.moments = {k: (torch.zeros_like(v), torch.zeros_like(v)) for k, v in self.parameters.items()}
        self.taken = 0
        self._form = copy.deepcopy(self.models[0])

    def step(self) -> Tensor:
        """Take one optimizer step with every candidate; return their losses [K]."""
        batches = [self.task.train_batch(self.taken, self.batch_size, seed) for seed in self.seeds]
        with autocast(self.device, self.dtype), self._attention():
            losses = vmap(self._loss, randomness="different")(
                self.parameters, self.buffers, *_stacked([batch.to(self.device) for batch in batches])
            )
        every = list(self.parameters.values())
        gradients = torch.autograd.grad(losses.sum(), every, allow_unused=True)
        factor = self.schedule.factor(self.taken / self.steps)
        self.taken += 1
        self._update(dict(zip(self.parameters, gradients, strict=True)), factor)
        return losses.detach()

    def _attention(self) -> AbstractContextManager[None]:
        """Return the context of attention: the CPU's fused kernel knows no axis of candidates."""
        return sdpa_kernel(SDPBackend.MATH) if self.device.type == "cpu" else nullcontext()

    def store(self) -> list[nn.Module]:
        """Write the weights into the models that were given, and return those."""
        with torch.no_grad():
            for index, model in enumerate(self.models):
                for name, parameter in model.named_parameters():
                    parameter.copy_(self.parameters[name][index])
        return self.models

    def _loss(
        self,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        inputs: dict[str, Tensor],
        positions: Tensor,
        labels: Tensor,
    ) -> Tensor:
        # a candidate's own `Batch`; `even` was checked where the batches were stacked
        batch = Batch(inputs, positions, labels, even=True)
        answers: Any = functional_call(self._form, (parameters, buffers), (batch,))
        return self.task.loss(answers)

    @torch.no_grad()
    def _update(self, gradients: dict[str, Tensor | None], factor: float) -> None:
        """AdamW as PyTorch has it, with the rate and the clipping of each candidate."""
        there = {name: gradient for name, gradient in gradients.items() if gradient is not None}
        squares = torch.stack([g.flatten(1).square().sum(1) for g in there.values()])
        scale = (self.clip_norm / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1.0)
        beta1, beta2 = self.optimizer.betas
        for name, gradient in there.items():
            parameter, (first, second) = self.parameters[name], self.moments[name]
            gradient = gradient * _along(scale, gradient)
            rate = _along(self.rates * factor, parameter)
            if parameter.dim() > 2:  # a matrix, with the axis of candidates
                parameter.mul_(1 - rate * self.optimizer.weight_decay)
            first.lerp_(gradient, 1 - beta1)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            root = (second / (1 - beta2**self.taken)).sqrt_().add_(self.optimizer.epsilon)
            parameter.sub_(rate / (1 - beta1**self.taken) * first / root)


def _along(values: Tensor, like: Tensor) -> Tensor:
    """Return [K] with as many axes as ``like`` [K, ...]."""
    return values.view(-1, *[1] * (like.dim() - 1))


def _stacked(batches: Sequence[Batch]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return inputs [K, B, T], positions and labels [K, M].

    Raises:
        InputError: rows ask unequally many answers.
    """
    if not all(batch.even for batch in batches):
        raise InputError("a task whose rows ask unequally many answers can not be trained in a stack")
    inputs = {name: torch.stack([b.inputs[name] for b in batches]) for name in batches[0].inputs}
    positions, labels = ([getattr(b, name) for b in batches] for name in ("positions", "labels"))
    return inputs, torch.stack(positions), torch.stack(labels)


def _check(models: Sequence[nn.Module], seeds: Sequence[int], rates: Sequence[float]) -> None:
    if not len(models) == len(seeds) == len(rates) > 0:
        raise InputError(
            f"{len(models)} models, {len(seeds)} seeds and {len(rates)} rates: a stack needs one of each "
            "for every candidate"
        )
    shapes = [{name: p.shape for name, p in model.named_parameters()} for model in models]
    for index, other in enumerate(shapes[1:], start=1):
        if other != shapes[0]:
            differing = sorted(k for k in {*other, *shapes[0]} if other.get(k) != shapes[0].get(k))
            raise InputError(f"models[{index}] differs from models[0] in the shape of {differing[:3]}")
