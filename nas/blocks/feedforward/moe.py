"""The mixture of experts: several feed-forward networks, each used by a few of the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar, Literal, TypeVar, Unpack, get_args

import torch
from torch import Tensor, nn

from nas.blocks.activations import ActivationName, get_activation
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.feedforward.experts import Experts
from nas.blocks.feedforward.routing import ExpertsChoose, RouterSettings, Routes, TokensChoose
from nas.blocks.growth import Widening
from nas.errors import InputError, check_choice, check_positive, check_probability
from nas.masks import PaddingMask, padding_of

Routing = Literal["experts", "tokens"]
_Count = TypeVar("_Count", int, Tensor)


class MixtureOfExperts(ResidualBlock):
    """Each token's update is the weighted sum of the experts that it is routed to.

    Routing by experts' choice (Zhou et al. 2022, arXiv 2202.09368) or by tokens' choice (Switch, arXiv
    2101.03961; GShard, arXiv 2006.16668); see `nas.blocks.feedforward.routing`. In a group of N
    tokens, every expert has ``round(capacity_factor * N / E)`` places (times ``top_k`` for tokens'
    choice). All products are batched over experts, and no shape depends on the data.

    Differences from the Model Garden's ``MoeLayer``: padding takes no place and has no share in the
    capacity; at least one place is open; tokens are gathered and added, not multiplied by masks of
    N x E x C; the result joins the residual stream; tokens' choice is new.

    Args:
        hidden_size: D.
        num_experts: E.
        inner_dim: the width in between, of each expert; null: ``ratio * D``.
        ratio: used when ``inner_dim`` is null.
        routing: who chooses, ``experts`` or ``tokens``.
        top_k: experts for each token, if tokens choose.
        capacity_factor: 1 has as many places as tokens (times ``top_k``).
        eval_capacity_factor: the same in evaluation; null: as in training.
        examples_per_group: examples whose tokens compete for places; below 1, parts of one. Above 1
            a token's result depends on the other examples of its batch.
        padding_takes_places: padding competes like a real token, and a group too small for one
            place per expert gets none: the Model Garden's numbers.
        jitter_noise: in training, relative noise on what the router reads.
        balance_loss_weight: of the loss that evens the load, if tokens choose.
        z_loss_weight: of the loss that keeps the router's scores small.
        backbone_dim: width of a network that every token passes besides; null: none.
        activation: of all networks.
        bias: of the networks.
        router_bias: of the scores.
        inner_dropout: applied after the activation.
        expert_dropout: applied to what experts return.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size or weight is out of range, or a name unknown.
    """

    role: ClassVar[Role] = "feedforward"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        *,
        num_experts: int = 4,
        inner_dim: int | None = None,
        ratio: float = 4.0,
        routing: Routing = "experts",
        top_k: int = 1,
        capacity_factor: float = 1.0,
        eval_capacity_factor: float | None = None,
        examples_per_group: float = 1.0,
        padding_takes_places: bool = False,
        jitter_noise: float = 0.0,
        balance_loss_weight: float = 0.01,
        z_loss_weight: float = 0.001,
        backbone_dim: int | None = None,
        activation: ActivationName = "gelu",
        bias: bool = True,
        router_bias: bool = True,
        inner_dropout: float = 0.0,
        expert_dropout: float = 0.0,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        inner_dim = max(1, round(ratio * hidden_size)) if inner_dim is None else inner_dim
        evaluating = capacity_factor if eval_capacity_factor is None else eval_capacity_factor
        check_positive(num_experts=num_experts, inner_dim=inner_dim, top_k=top_k)
        check_positive(backbone_dim=1 if backbone_dim is None else backbone_dim, ratio=ratio)
        check_positive(capacity_factor=capacity_factor, eval_capacity_factor=evaluating)
        check_positive(examples_per_group=examples_per_group)
        check_probability(inner_dropout=inner_dropout, expert_dropout=expert_dropout)
        check_choice("routing", routing, get_args(Routing))
        self.factors = (evaluating, capacity_factor)
        self.examples_per_group = examples_per_group
        self.padding_takes_places = padding_takes_places
        scores: RouterSettings = {
            "bias": router_bias,
            "jitter_noise": jitter_noise,
            "z_loss_weight": z_loss_weight,
        }
        self.router = (
            ExpertsChoose(hidden_size, num_experts, **scores)
            if routing == "experts"
            else TokensChoose(hidden_size, num_experts, top_k, balance_loss_weight, **scores)
        )
        self.choices = top_k if routing == "tokens" else 1
        function = get_activation(activation)
        self.experts = Experts(num_experts, hidden_size, inner_dim, function, bias, inner_dropout)
        self.expert_dropout = nn.Dropout(expert_dropout)
        self.backbone = (
            Experts(1, hidden_size, backbone_dim, function, bias, inner_dropout) if backbone_dim else None
        )

    def effective_config(self) -> dict[str, Any]:
        """Leave out what only the other routing uses, and name the width that was chosen."""
        config = {**super().effective_config(), "inner_dim": self.experts.inner.shape[-1], "ratio": None}
        config["eval_capacity_factor"] = self.factors[0]
        if isinstance(self.router, ExpertsChoose):
            config |= {"top_k": None, "balance_loss_weight": None}
        return config

    @property
    def widenings(self) -> Mapping[str, Mapping[str, Widening]]:
        """``inner_dim`` and ``backbone_dim`` may grow."""
        networks = {"inner_dim": "experts", "backbone_dim": "backbone"}
        return {argument: self.experts.widening(name) for argument, name in networks.items()}

    def last_weights(self) -> list[Tensor]:
        """Return those of the second layers of all experts, and of the backbone."""
        networks = [self.experts] if self.backbone is None else [self.experts, self.backbone]
        return [weight for network in networks for weight in network.last_weights()]

    @property
    def label(self) -> str:
        """``moe`` if experts choose; ``switch`` or ``moetop2`` (and so on) if tokens do."""
        if isinstance(self.router, ExpertsChoose):
            return "moe"
        return "switch" if self.router.top_k == 1 else f"moetop{self.router.top_k}"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of scores, of all places of all experts, filled or not, and of the backbone."""
        experts = self.experts.inner.shape[0]
        tokens = self._tokens_per_group(seq_length)
        places = experts * self._places(tokens) / tokens
        scores = 2.0 * self.router.scores.in_features * experts
        backbone = 0.0 if self.backbone is None else self.backbone.flops
        return scores + places * self.experts.flops + backbone

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Any) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used.

        Raises:
            InputError: the batch can not be cut into groups of ``examples_per_group``.
        """
        real = None if self.padding_takes_places else padding_of(attention_mask)
        tokens = self._tokens_per_group(data.shape[1])
        if self.examples_per_group != 1:
            self._check_groups(data, tokens)
        grouped = data.reshape(-1, tokens, data.shape[-1])
        real = None if real is None else real.reshape(-1, tokens)
        routes = self.router(grouped, real, self._places(tokens), self._room(tokens, real))
        out = self._combine(grouped, routes).reshape(data.shape)
        if self.backbone is not None:
            out = out + self.backbone(data.reshape(1, -1, data.shape[-1])).view_as(data)
        return out

    def _combine(self, grouped: Tensor, routes: Routes) -> Tensor:
        """Return [G, N, D]: send the tokens to their places, and add what comes back."""
        groups, tokens, width = grouped.shape
        _, experts, places = routes.tokens.shape
        starts = torch.arange(groups, device=grouped.device)[:, None, None] * tokens
        rows = (routes.tokens + starts).transpose(0, 1).reshape(experts * groups * places)
        sent = grouped.reshape(groups * tokens, width).index_select(0, rows)
        returned = self.expert_dropout(self.experts(sent.view(experts, groups * places, width)))
        weights = routes.weights.transpose(0, 1).reshape(experts * groups * places, 1)
        weighted = returned.reshape(experts * groups * places, width) * weights.to(returned.dtype)
        out = weighted.new_zeros(groups * tokens, width).index_add(0, rows, weighted)
        combined: Tensor = out.view(groups, tokens, width)
        return combined

    def _tokens_per_group(self, seq_length: int) -> int:
        if self.examples_per_group == 1:
            return seq_length
        return int(seq_length * self.examples_per_group)

    def _places(self, tokens: int) -> int:
        """Return C for a group of so many tokens.

        A graph that is exported for any length has at least two: sizes of 1 are special to it.
        """
        if self.padding_takes_places:
            return round(tokens * float(self._share))
        least = 2 if torch.compiler.is_exporting() else 1
        return _between(least, _rounded(tokens, self._share), tokens)

    def _room(self, tokens: int, real: Tensor | None) -> Tensor | int:
        """Return how many places of an expert may be filled: with padding, per group, [G, 1]."""
        if self.padding_takes_places:
            return self._places(tokens)
        if real is None:
            return _between(1, _rounded(tokens, self._share), tokens)
        count = real.sum(dim=1, keepdim=True)
        return _rounded(count, self._share).clamp(min=1).minimum(count)

    @property
    def _share(self) -> Fraction:
        """Places of one expert for each token of a group."""
        places = self.factors[self.training] * self.choices / self.experts.inner.shape[0]
        return Fraction(places).limit_denominator(10_000)

    def _check_groups(self, data: Tensor, tokens: int) -> None:
        if tokens == 0 or (data.shape[0] * data.shape[1]) % tokens:
            raise InputError(
                f"{self.label}: examples_per_group={self.examples_per_group} cuts {data.shape[1]} tokens "
                f"into groups of {tokens}, which do not fill a batch of {data.shape[0]} evenly"
            )


def _rounded(count: _Count, share: Fraction) -> _Count:
    """Return ``count * share`` rounded, in integers alone: equal for a number, a tensor and a symbol."""
    return (2 * count * share.numerator + share.denominator) // (2 * share.denominator)


def _between(least: int, count: int, most: int) -> int:
    """Return ``count``, or the nearer limit (``least`` if they cross); symbolic where a graph is exported."""
    inside: int = torch.sym_max(least, torch.sym_min(count, most))  # type: ignore[no-untyped-call]
    return inside
