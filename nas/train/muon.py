"""Muon: orthogonalised momentum for the matrices of hidden layers, AdamW beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from nas.errors import InputError, check_positive
from nas.scaffold import EncoderScaffold
from nas.train.optimizers import AdamW, OptimizerFactory


class Muon(OptimizerFactory):
    """Muon (Jordan et al. 2024) as PyTorch has it, with the scale of Liu et al. 2025 (arXiv 2502.16982).

    The update of a hidden layer's matrix is its Nesterov momentum, made nearly orthogonal by a
    Newton-Schulz iteration and scaled to the size of AdamW's, so that one rate and one decay suit
    both. Embeddings, heads, vectors and weights of three axes are AdamW's. Difference from Jordan et al.:
    query, key and value are one matrix here, and orthogonalised together.

    Args:
        lr: peak learning rate, of both.
        momentum: of Muon.
        newton_schulz_steps: iterations.
        beta1: see `nas.train.optimizers.AdamW`, as are the others.
        beta2: decay of the second moment.
        epsilon: added to the denominator.
        weight_decay: of matrices.

    Raises:
        InputError: a value is out of range.
    """

    def __init__(
        self,
        lr: float = 2e-3,
        momentum: float = 0.95,
        newton_schulz_steps: int = 5,
        beta1: float = 0.9,
        beta2: float = 0.98,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        check_positive(**{"optimizer.newton_schulz_steps": newton_schulz_steps})
        if not 0 <= momentum < 1:
            raise InputError(f"optimizer.momentum={momentum!r} must be at least 0 and below 1")
        self.beside = AdamW(lr, beta1, beta2, epsilon, weight_decay)
        self.lr, self.momentum, self.steps = lr, momentum, newton_schulz_steps

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return AdamW: parameters alone do not tell which of them are a hidden layer's."""
        return self.beside.build(parameters)

    def build_for(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return both optimizers as one, over all parameters of ``model``."""
        matrices = hidden_matrices(model)
        if not matrices:
            return self.beside.build(model.parameters())
        held = {id(p) for p in matrices}
        rest = [p for p in model.parameters() if id(p) not in held]
        muon = torch.optim.Muon(
            matrices, lr=self.lr, weight_decay=self.beside.weight_decay, momentum=self.momentum,
            ns_steps=self.steps, adjust_lr_fn="match_rms_adamw",
        )  # fmt: skip
        return Together([muon, *([self.beside.build(rest)] if rest else [])])


class Together(torch.optim.Optimizer):
    """Several optimizers with one state and one list of groups: saved, restored and scheduled as one.

    Args:
        parts: over different parameters.
    """

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        groups = [{**group, "part": index} for index, part in enumerate(parts) for group in part.param_groups]
        super().__init__(groups, {})
        self.parts = parts

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Let each optimizer take its step; a closure is not supported.

        Raises:
            NotImplementedError: a closure was given.
        """
        if closure is not None:
            raise NotImplementedError("step(closure): these optimizers take no closure")
        for index, part in enumerate(self.parts):
            part.state = self.state  # loading a state replaces both
            part.param_groups = [group for group in self.param_groups if group["part"] == index]
            part.step()


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights [out, in] of the encoders' blocks, embedding tables among them left out."""
    encoders = [module for module in model.modules() if isinstance(module, EncoderScaffold)]
    blocks = [block for encoder in encoders for block in encoder.blocks]
    tables = {id(m.weight) for block in blocks for m in block.modules() if isinstance(m, nn.Embedding)}
    every = {id(p): p for block in blocks for p in block.parameters() if p.dim() == 2}
    return [p for key, p in every.items() if key not in tables]
