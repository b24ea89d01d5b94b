"""Geometric attention: every token reads the nearest token that matches."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import AttentionSettings, MultiHeadAttention
from nas.blocks.attention.softmax import repeat_heads
from nas.blocks.base import Role

NEVER = -60.0
"""The lowest score and logarithm of a weight: exponentials of lower ones are 10 to 30 times slower."""


class GeometricAttention(MultiHeadAttention):
    """Weighs key j by the probability that it matches and that no key nearer to the query does.

    The Neural Data Router's attention (Csordas et al. 2021, arXiv 2110.07732): a match has the
    probability ``P[i, j] = sigmoid(score)``, and ``A[i, j] = P[i, j] * prod(1 - P[i, k])`` over
    the keys k nearer to i; of two equally near ones the later comes first. No token sees itself.
    The score knows the direction through one learnt number per head and side, read from the
    query's token. Differences: the paper's learnt scale and offset of the scores are left to the
    weights and to the direction's bias; other settings of `MultiHeadAttention` may be combined
    with it (the paper's form is ``position: none``); computed in log space by a cumulative sum over
    keys in the order of their distance (there a kernel of its own).

    Args:
        hidden_size: D.
        num_heads: H.
        direction: whether scores may prefer earlier or later keys.
        normalize: divide each query's weights by their sum, as the authors' code does.
        **settings: see `MultiHeadAttention`.

    Raises:
        InputError: see `MultiHeadAttention`.
    """

    role: ClassVar[Role] = "attention"

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        direction: bool = True,
        normalize: bool = True,
        **settings: Unpack[AttentionSettings],
    ) -> None:
        super().__init__(hidden_size, num_heads, **settings)
        self.direction = nn.Linear(hidden_size, 2 * num_heads) if direction else None
        self.normalize = normalize

    @property
    def label(self) -> str:
        """Always ``geometric``."""
        return "geometric"

    def mix_flops(self, seq_length: int) -> float:
        """Return attention's cost and the direction's product."""
        sides = 0 if self.direction is None else self.direction.weight.numel()
        return super().mix_flops(seq_length) + 2.0 * sides

    def mix(
        self, data: Tensor, attention_mask: Tensor | None, *state: Any, key_value: Tensor | None = None
    ) -> Tensor:
        """Map [B, T, D] to [B, T, D]; see `MultiHeadAttention`."""
        query, key, value = self._project(data, key_value)
        scores = self._scores(query, key, attention_mask)
        weights = nearest_match(self._prefer(scores, data))
        value = repeat_heads(value, self.num_heads)
        out = F.dropout(weights, self._dropout_now()).to(value.dtype) @ value
        if self.normalize:
            out = (out / weights.sum(dim=-1, keepdim=True).clamp(min=1e-12)).to(value.dtype)
        return self._merge(out, data)

    def _prefer(self, scores: Tensor, data: Tensor) -> Tensor:
        """Return the scores [B, H, T, S] with what they gain by direction."""
        if self.direction is None:
            return scores
        before, after = self.direction(data).transpose(1, 2)[..., None].chunk(2, dim=1)
        later = _distance(scores) > 0
        return torch.addcmul(scores + before, after - before, later.to(scores.dtype))


def nearest_match(scores: Tensor) -> Tensor:
    """Return the weights A of `GeometricAttention`, [B, H, T, S], from scores of that shape.

    Float32 at least; keys with a very negative score match never (1e-26) and hide nothing. As ``log(1 - P)``
    is ``-softplus(score)`` and ``log(P)`` is the score more, a weight is the exponential of its
    score less the sum of softplus up to itself, in the order of distance.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    distance = _distance(scores)
    order = (2 * distance.abs() - (distance > 0).long()).argsort(dim=-1)  # 0, 1, -1, 2, -2, ...
    scores = scores.clamp(min=NEVER).masked_fill(distance == 0, NEVER)
    ordered = scores.gather(-1, order.expand_as(scores))
    weights = (ordered - F.softplus(ordered).cumsum(dim=-1)).clamp(min=NEVER).exp()
    return weights.gather(-1, order.argsort(dim=-1).expand_as(scores))


def _distance(scores: Tensor) -> Tensor:
    """Return the key's place less the query's, [T, S]."""
    queries, keys = scores.shape[-2:]
    key = torch.arange(keys, device=scores.device)
    return key - torch.arange(queries, device=scores.device)[:, None]
