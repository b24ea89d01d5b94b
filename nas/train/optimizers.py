"""Optimizers with the grouping of parameters that encoders want."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

from nas.configured import Configured
from nas.errors import InputError, check_positive


class OptimizerFactory(Configured, ABC):
    """Makes a PyTorch optimizer; ``lr`` is the peak rate that the schedule scales."""

    lr: float

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer over ``parameters``."""

    def build_for(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer over a model's parameters; a subclass may look where they stand."""
        return self.build(model.parameters())


class AdamW(OptimizerFactory):
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), fused, without decay on norms and biases.

    Args:
        lr: peak learning rate.
        beta1: decay of the first moment.
        beta2: decay of the second moment; ModernBERT's 0.98 suits short runs.
        epsilon: added to the denominator.
        weight_decay: decoupled decay of matrices, per unit of learning rate.
    """

    def __init__(
        self,
        lr: float = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.98,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        check_positive(**{"optimizer.lr": lr, "optimizer.epsilon": epsilon})
        betas = {"optimizer.beta1": beta1, "optimizer.beta2": beta2}
        wrong = [f"{k}={v!r} must be at least 0 and below 1" for k, v in betas.items() if not 0 <= v < 1]
        if not weight_decay >= 0:
            wrong.append(f"optimizer.weight_decay={weight_decay!r} must not be negative")
        if wrong:
            raise InputError(*wrong)
        self.lr = lr
        self.betas = (beta1, beta2)
        self.epsilon = epsilon
        self.weight_decay = weight_decay

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return fused AdamW over two groups: matrices with decay, vectors without."""
        every = list(parameters)
        groups = [
            {"params": [p for p in every if p.dim() >= 2], "weight_decay": self.weight_decay},
            {"params": [p for p in every if p.dim() < 2], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.epsilon, fused=True)
