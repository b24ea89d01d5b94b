"""Routing of tokens to experts: experts choose tokens, or tokens choose experts."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.losses import add_loss
from nas.errors import InputError, check_positive, check_probability


class Routes(NamedTuple):
    """Which token each place of each expert reads, and what its output counts.

    Shapes: [G, E, C] for G groups of tokens, E experts of C places each. ``tokens`` are places in
    the group; ``weights`` are 0 where a place is empty.
    """

    tokens: Tensor
    weights: Tensor


class RouterSettings(TypedDict):
    """What every router is told: whether scores have a bias, training's noise, and the loss's weight."""

    bias: bool
    jitter_noise: float
    z_loss_weight: float


class Router(nn.Module):
    """Scores every expert for every token; what the two ways of routing have in common.

    Scores are computed in float32 whatever the rest is (Fedus et al. 2021, arXiv 2101.03961), since a
    rounded score may change who is chosen. They may add ``moe_z``, the mean squared logarithm of
    the scores' normaliser (Zoph et al. 2022, arXiv 2202.08906), which keeps them small.

    Args:
        hidden_size: D.
        num_experts: E.
        bias: of the scores.
        jitter_noise: in training each input is multiplied by a number from 1 - this to 1 + this.
        z_loss_weight: of ``moe_z``.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(
        self, hidden_size: int, num_experts: int, *, bias: bool, jitter_noise: float, z_loss_weight: float
    ) -> None:
        super().__init__()
        check_probability(jitter_noise=jitter_noise)
        check_weight("z_loss_weight", z_loss_weight)
        self.scores = nn.Linear(hidden_size, num_experts, bias=bias)
        self.jitter_noise = jitter_noise
        self.z_loss_weight = z_loss_weight

    def probabilities(self, data: Tensor, real: Tensor | None) -> Tensor:
        """Return the probability of each expert, [G, N, E] in float32 or wider.

        Args:
            data: [G, N, D].
            real: [G, N] booleans; padding does not count in the loss. None: all are real.
        """
        wide = torch.promote_types(data.dtype, torch.float32)
        data = data.to(wide)
        if self.training and self.jitter_noise:
            data = data * torch.empty_like(data).uniform_(1 - self.jitter_noise, 1 + self.jitter_noise)
        bias = None if self.scores.bias is None else self.scores.bias.to(wide)
        with nullcontext() if data.is_meta else torch.autocast(data.device.type, enabled=False):
            logits = F.linear(data, self.scores.weight.to(wide), bias)
        if self.z_loss_weight:
            add_loss("moe_z", self.z_loss_weight * mean_of_real(logits.logsumexp(-1).square(), real))
        return logits.softmax(dim=-1)


class ExpertsChoose(Router):
    """Every expert takes the tokens that score highest for it (Zhou et al. 2022, arXiv 2202.09368).

    A token may be taken by several experts or by none; the load is even by construction.
    """

    def forward(self, data: Tensor, real: Tensor | None, places: int, room: Tensor | int) -> Routes:
        """Return the routes.

        Args:
            data: [G, N, D].
            real: [G, N] booleans: padding is never taken. None: all tokens may be.
            places: C.
            room: how many of the C places may be filled, at most N; a number, or one per group [G, 1].
        """
        probabilities = self.probabilities(data, real).transpose(1, 2)  # [G, E, N]
        wanted = probabilities if real is None else probabilities.masked_fill(~real[:, None], -1.0)
        place = torch.arange(places, device=data.device)
        best_first = wanted.argsort(dim=-1, descending=True, stable=True)
        tokens = best_first.index_select(2, place.clamp(max=data.shape[1] - 1))
        weights = probabilities.gather(2, tokens)
        if isinstance(room, Tensor):
            room = room[..., None]
        return Routes(tokens, weights.masked_fill(place >= room, 0.0))


class TokensChoose(Router):
    """Every token goes to the ``top_k`` experts that score highest for it, while they have room.

    One expert: Switch (Fedus et al. 2021, arXiv 2101.03961), weighted by its probability. More:
    GShard (Lepikhin et al. 2020, arXiv 2006.16668), the chosen probabilities scaled to sum to 1. First
    choices go before second ones, and earlier tokens before later ones; whoever finds no room is
    skipped. Adds ``moe_balance``, E times the sum over experts of (share of first choices) times (mean
    probability), which is least when the load is even. Difference from GShard: second choices are
    not dropped at random.

    Args:
        hidden_size: D.
        num_experts: E.
        top_k: experts for each token.
        balance_loss_weight: of ``moe_balance``.
        **scores: see `Router`.

    Raises:
        InputError: a number is out of range, or ``top_k`` is more than E.
    """

    def __init__(
        self,
        hidden_size: int,
        num_experts: int,
        top_k: int,
        balance_loss_weight: float,
        **scores: Unpack[RouterSettings],
    ) -> None:
        super().__init__(hidden_size, num_experts, **scores)
        check_positive(top_k=top_k)
        check_weight("balance_loss_weight", balance_loss_weight)
        if top_k > num_experts:
            raise InputError(f"top_k={top_k} is more than num_experts={num_experts}")
        self.top_k = top_k
        self.balance_loss_weight = balance_loss_weight

    def forward(self, data: Tensor, real: Tensor | None, places: int, room: Tensor | int) -> Routes:
        """Return the routes; arguments as in `ExpertsChoose.forward`, padding goes nowhere."""
        probabilities = self.probabilities(data, real)
        groups, _, experts = probabilities.shape
        weights, chosen = probabilities.topk(self.top_k, dim=-1)  # [G, N, k]
        if self.top_k > 1:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        self._add_balance_loss(probabilities, chosen[..., 0], real)
        expert, weight = (x.transpose(1, 2).flatten(1) for x in (chosen, weights))  # [G, k * N]
        taken = F.one_hot(expert, experts)
        if real is not None:
            taken = taken * real.repeat(1, self.top_k)[..., None]
        place = (taken.cumsum(1) * taken).sum(-1) - 1  # in the queue of its expert; -1: padding
        fits = (place >= 0) & (place < room)
        spare = experts * places  # where those that do not fit are written, and cut off
        target = torch.where(fits, expert * places + place, spare)
        token = torch.arange(data.shape[1], device=data.device).repeat(self.top_k).expand_as(target)
        filled = token.new_zeros(groups, spare + 1).scatter(1, target, token)
        counted = weight.new_zeros(groups, spare + 1).scatter(1, target, weight)
        shape = (groups, experts, places)
        return Routes(filled[:, :spare].reshape(shape), counted[:, :spare].reshape(shape))

    def _add_balance_loss(self, probabilities: Tensor, first: Tensor, real: Tensor | None) -> None:
        """Add E * sum over experts of (share of first choices) * (mean probability)."""
        if not self.balance_loss_weight:
            return
        experts = probabilities.shape[-1]
        share = mean_of_real(F.one_hot(first, experts).to(probabilities.dtype), real)
        balance = experts * (share * mean_of_real(probabilities, real)).sum()
        add_loss("moe_balance", self.balance_loss_weight * balance)


def mean_of_real(values: Tensor, real: Tensor | None) -> Tensor:
    """Return the mean over real tokens of ``values`` [G, N, ...]; 0 without any."""
    if real is None:
        return values.mean(dim=(0, 1))
    counted = real.reshape(*real.shape, *[1] * (values.dim() - 2)).to(values.dtype)
    return (values * counted).sum(dim=(0, 1)) / counted.sum().clamp(min=1)


def check_weight(name: str, value: float) -> None:
    """Raise `InputError` unless a loss's weight is 0 or greater."""
    if value < 0:
        raise InputError(f"{name}={value!r} must be 0 or greater")
