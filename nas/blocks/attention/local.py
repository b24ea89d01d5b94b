"""Sliding-window attention: every token sees its neighbours only."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.attention.kernel import attend, repeat_heads
from nas.blocks.attention.mha import MultiHeadAttention, Position
from nas.blocks.base import NormSite, Role
from nas.blocks.norms import NormType
from nas.errors import check_positive
from nas.masks import attention_bias

CHUNK = 64
"""Queries that are computed together, or more if the window is larger."""
CHUNKED_FROM = 256
"""Below this many tokens, hiding most of the T x T scores is faster than cutting chunks (measured)."""


class LocalAttention(MultiHeadAttention):
    """`MultiHeadAttention` in which token t sees tokens t - window to t + window.

    The sliding window of Longformer (Beltagy et al. 2020, arXiv 2004.05150). Differences: no
    global tokens, no dilation, one set of projections; ``window`` counts the tokens to each side
    (ModernBERT's 128 is 64 here).

    Args:
        hidden_size: D.
        num_heads: H.
        window: how many tokens to each side are seen.
        num_kv_heads: see `MultiHeadAttention`, as are all others.

    Raises:
        InputError: see `MultiHeadAttention`; ``window`` is not positive.
    """

    role: ClassVar[Role] = "attention"

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        window: int = 16,
        num_kv_heads: int | None = None,
        head_size: int | None = None,
        position: Position = "rope",
        rope_theta: float = 10000.0,
        qk_norm: bool = False,
        bias: bool = False,
        attention_dropout: float = 0.0,
        norm: NormSite = "pre",
        norm_type: NormType = "layer",
        norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            hidden_size,
            num_heads,
            num_kv_heads=num_kv_heads,
            head_size=head_size,
            position=position,
            rope_theta=rope_theta,
            qk_norm=qk_norm,
            bias=bias,
            attention_dropout=attention_dropout,
            norm=norm,
            norm_type=norm_type,
            norm_epsilon=norm_epsilon,
            dropout=dropout,
        )
        check_positive(window=window)
        self.window = window

    @property
    def label(self) -> str:
        """Always ``local``, whatever the number of key heads."""
        return "local"

    def flops_per_token(self, seq_length: int) -> float:
        """Return what is computed: all keys in short sequences, a chunk and two windows in long ones."""
        keys: float = seq_length
        if self._chunked(seq_length):
            padded = -(-seq_length // self._chunk) * self._chunk
            keys = (self._chunk + 2 * self.window) * padded / seq_length
        return self._projection_flops() + self._attention_flops(keys)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        bias, dropout = attention_bias(attention_mask, query.dtype), self._dropout_now()
        if torch.compiler.is_exporting() or not self._chunked(query.shape[2]):
            return attend_banded(query, key, value, bias, self.window, dropout)
        key, value = repeat_heads(key, self.num_heads), repeat_heads(value, self.num_heads)
        return attend_chunked(
            query, key, value, bias, Chunks(query.shape[2], self._chunk, self.window), dropout
        )

    @property
    def _chunk(self) -> int:
        return max(CHUNK, self.window)

    def _chunked(self, tokens: int) -> bool:
        return tokens >= max(CHUNKED_FROM, 4 * self.window)


def attend_banded(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, window: int, dropout: float
) -> Tensor:
    """Compute all T x T scores and hide those outside the band; shapes as in `attend`.

    Keys outside the band are excluded (-inf, every query sees itself), padding inside it only
    discouraged (``bias``): a token whose whole window is padding averages its window.
    """
    places = torch.arange(query.shape[2], device=query.device)
    outside = (places[:, None] - places).abs() > window
    return attend(query, key, value, _hide(bias, outside, query.dtype), dropout)


class Chunks(NamedTuple):
    """T tokens cut into N chunks of queries; each sees its own keys and a window to both sides."""

    tokens: int
    size: int
    window: int

    @property
    def extra(self) -> int:
        """How many queries the last chunk lacks."""
        return -self.tokens % self.size

    @property
    def keys(self) -> int:
        """How many keys a chunk sees: S."""
        return self.size + 2 * self.window

    def pad(self) -> tuple[int, int]:
        """Return how many keys to add before the first and after the last."""
        return self.window, self.window + self.extra


def attend_chunked(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, chunks: Chunks, dropout: float
) -> Tensor:
    """Compute the same as `attend_banded`, chunk by chunk.

    Shapes: query, key and value [B, H, T, K]; bias [B, 1, 1, T], [B, 1, T, T] or None.
    """
    batch, heads, tokens, head_size = query.shape
    query = F.pad(query, (0, 0, 0, chunks.extra)).view(batch, heads, -1, chunks.size, head_size)
    query = query.transpose(1, 2).flatten(0, 1)
    key, value = _cut_keys(key, chunks), _cut_keys(value, chunks)
    hidden = _hide(_cut_bias(bias, chunks), _outside(chunks, key.device), key.dtype)
    hidden = hidden.expand(batch, -1, -1, -1, -1).flatten(0, 1)
    out = attend(query, key, value, hidden, dropout).view(batch, -1, heads, chunks.size, head_size)
    return out.transpose(1, 2).flatten(2, 3)[:, :, :tokens]


def _cut_keys(x: Tensor, chunks: Chunks) -> Tensor:
    """Cut [B, H, T, K] into [B * N, H, S, K]."""
    padded = F.pad(x, (0, 0, *chunks.pad()))
    return padded.unfold(2, chunks.keys, chunks.size).permute(0, 2, 1, 4, 3).flatten(0, 1)


def _outside(chunks: Chunks, device: torch.device) -> Tensor:
    """Return which keys a chunk's queries must not see, [N, 1, chunk, S] booleans."""
    query = torch.arange(chunks.size, device=device)[:, None] + chunks.window
    far = (query - torch.arange(chunks.keys, device=device)).abs() > chunks.window
    before, after = chunks.pad()
    place = torch.arange(-before, chunks.tokens + after, device=device).unfold(0, chunks.keys, chunks.size)
    missing = (place < 0) | (place >= chunks.tokens)
    return far | missing[:, None, None, :]


def _cut_bias(bias: Tensor | None, chunks: Chunks) -> Tensor | None:
    """Cut [B, 1, 1 or T, T] into [B, N, 1, 1 or chunk, S]."""
    if bias is None:
        return None
    if bias.shape[2] == 1:
        padded = F.pad(bias, chunks.pad())
        return padded.unfold(3, chunks.keys, chunks.size).permute(0, 3, 1, 2, 4)
    padded = F.pad(bias, (*chunks.pad(), 0, chunks.extra))
    every = padded.unfold(2, chunks.size, chunks.size).unfold(3, chunks.keys, chunks.size)
    own: Tensor = every.diagonal(dim1=2, dim2=3)  # of [B, 1, N, N, chunk, S]: [B, 1, chunk, S, N]
    return own.permute(0, 4, 1, 2, 3)


def _hide(bias: Tensor | None, outside: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the bias with the lowest number where ``outside`` is true.

    It is far below a masked key's bias, so that even a window of padding outweighs what lies outside;
    -inf would make the fused kernel's gradients NaN there.
    """
    if bias is None:
        bias = torch.zeros((), dtype=dtype, device=outside.device)
    return bias.masked_fill(outside, torch.finfo(dtype).min)
