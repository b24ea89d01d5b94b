"""Relative attention: scores of content and of distance, over the tokens and a memory before them."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import size_of_heads
from nas.blocks.attention.projections import project_heads
from nas.blocks.attention.softmax import add_biases, attend, hide, merge_heads, split_heads
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.errors import InputError, check_probability
from nas.masks import attention_bias


class Segments(NamedTuple):
    """XLNet's third part of the scores: whether query and key are in the same segment.

    Attributes:
        different: [B, T, S] booleans.
        encoding: one vector for the same, one for different segments, [2, H, K].
        bias: added to the query, [H, K].
    """

    different: Tensor
    encoding: Tensor
    bias: Tensor


class RelativeAttention(ResidualBlock):
    """Attention whose scores add a query-key product and a query-distance product.

    Transformer-XL (Dai et al. 2019, arXiv 1901.02860), as XLNet (Yang et al. 2019, arXiv
    1906.08237) uses it: ``((q + u) . k + (q + v) . W e(i - j)) / sqrt(K)`` with learnt u and v, and
    sinusoids e of the distance. Differences: both directions are seen unless ``causal``; the
    memory is an argument of the call; u and v are each block's own, and start at 0. The distances'
    projection is made once for all examples of a batch.

    Args:
        hidden_size: D.
        num_heads: H.
        head_size: K; null: D / H.
        causal: see no later token.
        biases: whether u and v are there.
        bias: of the projections, but not of the distances'.
        attention_dropout: applied to the weights.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: ``num_heads`` does not divide ``hidden_size``; a number is not allowed.
    """

    role: ClassVar[Role] = "attention"
    content_bias: nn.Parameter | None
    position_bias: nn.Parameter | None

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        head_size: int | None = None,
        causal: bool = False,
        biases: bool = True,
        bias: bool = False,
        attention_dropout: float = 0.0,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_probability(attention_dropout=attention_dropout)
        self.num_heads, self.causal = num_heads, causal
        self.head_size = size_of_heads(hidden_size, num_heads, head_size)
        self.attention_dropout = attention_dropout
        width = num_heads * self.head_size
        self.qkv = nn.Linear(hidden_size, 3 * width, bias=bias)
        self.distances = nn.Linear(hidden_size, width, bias=False)
        self.output = nn.Linear(width, hidden_size, bias=bias)
        for name in ("content_bias", "position_bias"):
            start = nn.Parameter(torch.zeros(num_heads, self.head_size)) if biases else None
            self.register_parameter(name, start)

    def effective_config(self) -> dict[str, Any]:
        """Name the head size that was chosen."""
        return {**super().effective_config(), "head_size": self.head_size}

    @property
    def label(self) -> str:
        """Always ``relative``."""
        return "relative"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost without a memory, for a batch of one: others share the distances' projection."""
        width = self.num_heads * self.head_size
        return 2.0 * width * (6 * self.qkv.in_features + 4 * seq_length)

    def forward(
        self, data: Tensor, attention_mask: Tensor | None = None, memory: Tensor | None = None
    ) -> Tensor:
        """Map ``data`` [B, T, D] to [B, T, D].

        Args:
            data: [B, T, D].
            attention_mask: None, [B, T] or [B, T, T]; all of the memory is seen.
            memory: what stood before, [B, M, D], such as this block's earlier input; it gets no gradient.

        Raises:
            InputError: mask or memory do not fit the data.
        """
        if memory is not None and (memory.dim() != 3 or memory.shape[::2] != data.shape[::2]):
            raise InputError(
                f"memory of shape {list(memory.shape)} does not fit data of shape {list(data.shape)}: "
                f"expected [{data.shape[0]}, M, {data.shape[2]}]"
            )
        read = None if memory is None else self.norm_before(memory.detach())
        out: Tensor = super().forward(data, attention_mask, read)
        return out

    def mix(
        self,
        data: Tensor,
        attention_mask: Tensor | None,
        *state: Any,
        key_value: Tensor | None = None,
    ) -> Tensor:
        """Map [B, T, D] to [B, T, D].

        Keys and values are made of ``key_value`` [B, T, D], if not ``data``, after a memory
        [B, M, D], if there is one in ``state``.
        """
        memory: Tensor | None = state[0] if state else None
        bias = attention_bias(attention_mask, data.dtype)
        if memory is not None:
            key_value = torch.cat([memory.to(data.dtype), data if key_value is None else key_value], dim=1)
            bias = None if bias is None else F.pad(bias, (memory.shape[1], 0))
        query, key, value = project_heads(self.qkv, data, key_value, self.num_heads)
        tokens, keys = query.shape[2], key.shape[2]
        distance = torch.arange(keys, -tokens, -1, device=data.device)
        encoded = encode_distances(distance, data.shape[-1]).to(data.dtype)
        places = split_heads(self.distances(encoded[None]), self.num_heads)
        if self.causal:
            bias = hide(bias, shift(distance[None].expand(tokens, -1), keys)[None, None] < 0, query.dtype)
        heads = attend_relative(
            query,
            key,
            value,
            places,
            bias,
            self.content_bias,
            self.position_bias,
            dropout=self.attention_dropout if self.training else 0.0,
        )
        out: Tensor = self.output(merge_heads(heads))
        return out


def attend_relative(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    places: Tensor,
    bias: Tensor | None,
    content_bias: Tensor | None,
    position_bias: Tensor | None,
    segments: Segments | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Return the values averaged by relative attention's weights, [B, H, T, K].

    Args:
        query: [B, H, T, K].
        key: [B, H, S, K].
        value: [B, H, S, K].
        places: projected distances S, S - 1, ..., 1 - T: [1 or B, H, S + T, K].
        bias: what the mask adds to the scores, broadcastable to [B, H, T, S], or None.
        content_bias: u, [H, K], or None.
        position_bias: v, likewise.
        segments: XLNet's, or None.
        dropout: the probability to drop a weight now.
    """
    by_place = shift(_plus(query, position_bias) @ places.transpose(-2, -1), key.shape[2])
    if segments is not None:
        by_place = by_place + _by_segment(query, segments)
    added = add_biases(bias, by_place / query.shape[-1] ** 0.5)
    return attend(_plus(query, content_bias), key, value, added, dropout)


def shift(by_distance: Tensor, keys: int) -> Tensor:
    """Return the scores [..., T, S] of places from those of distances S, S - 1, ..., [..., T, L].

    Row i, column j takes number T - i + j of row i: moving each row by one more is one reshape.
    """
    tokens, distances = by_distance.shape[-2:]
    moved = by_distance.flatten(-2)[..., tokens:].view(*by_distance.shape[:-1], distances - 1)
    return moved[..., :keys]


def encode_distances(distance: Tensor, hidden_size: int) -> Tensor:
    """Return sines, then cosines, of falling frequency for each distance: [L, D] in float32."""
    evens = torch.arange(0, hidden_size, 2, device=distance.device, dtype=torch.float32)
    angles = distance[:, None] * 10000.0 ** (-evens / hidden_size)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :hidden_size]


def _by_segment(query: Tensor, segments: Segments) -> Tensor:
    """Return what segments add, before scaling: [B, H, T, S]."""
    both = _plus(query, segments.bias) @ segments.encoding.permute(1, 2, 0)
    return torch.where(segments.different[:, None].bool(), both[..., 1:], both[..., :1])


def _plus(query: Tensor, bias: Tensor | None) -> Tensor:
    return query if bias is None else query + bias[:, None].to(query.dtype)
