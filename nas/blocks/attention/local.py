"""Sliding-window attention: every token sees its neighbours only."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.attention.flex import attend_flex, flex_fits
from nas.blocks.attention.mha import AttentionSettings, MultiHeadAttention
from nas.blocks.attention.softmax import Band, add_biases, attend, hide, repeat_heads
from nas.blocks.base import Role
from nas.errors import check_positive
from nas.masks import attention_bias

CHUNK = 64
"""Queries that are computed together, or more if the window is larger."""
CHUNKED_FROM = 256
"""Below this many tokens, hiding most of the T x T scores is faster than cutting chunks (measured)."""


class LocalAttention(MultiHeadAttention):
    """`MultiHeadAttention` in which token t sees tokens t - window to t + window, or to t if causal.

    The sliding window of Longformer (Beltagy et al. 2020, arXiv 2004.05150). Differences: no
    global tokens, no dilation, one set of projections; ``window`` counts the tokens to each side
    (ModernBERT's 128 is 64 here).

    Args:
        hidden_size: D.
        num_heads: H.
        window: how many tokens to each side are seen.
        **settings: see `MultiHeadAttention`.

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
        **settings: Unpack[AttentionSettings],
    ) -> None:
        super().__init__(hidden_size, num_heads, **settings)
        check_positive(window=window)
        self.window = window

    @property
    def label(self) -> str:
        """Always ``local``, whatever the number of key heads."""
        return "local"

    def mix_flops(self, seq_length: int) -> float:
        """Return what is computed: all keys in short sequences, a chunk and its windows in long ones."""
        keys: float = seq_length
        if self._chunked(seq_length):
            chunks = self._chunks(seq_length)
            keys = chunks.keys * (seq_length + chunks.extra) / seq_length
        return self._projection_flops() + self._attention_flops(keys)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        tokens, band = query.shape[2], self._band
        if flex_fits(query, attention_mask, self._dropout_now()):
            return attend_flex(query, key, value, attention_mask, self.positions, band, self.soft_cap)
        settings: dict[str, Any] = {"dropout": self._dropout_now(), "soft_cap": self.soft_cap}
        if torch.compiler.is_exporting() or not self._chunked(tokens) or key.shape[2] != tokens:
            bias = self._bias(query, key, attention_mask)
            return attend_banded(query, key, value, bias, band, **settings)
        chunks = self._chunks(tokens)
        near = self.positions.bias(chunks.size, chunks.keys, query.device, first_key=-band.before)
        near = None if near is None else near.to(query.dtype)
        mask_bias = attention_bias(attention_mask, query.dtype)
        key, value = repeat_heads(key, self.num_heads), repeat_heads(value, self.num_heads)
        return attend_chunked(query, key, value, mask_bias, chunks, near, **settings)

    @property
    def _band(self) -> Band:
        return Band(self.window, 0 if self.causal else self.window)

    def _chunks(self, tokens: int) -> Chunks:
        return Chunks(tokens, max(CHUNK, self.window), self._band)

    def _chunked(self, tokens: int) -> bool:
        return tokens >= max(CHUNKED_FROM, 4 * self.window)


class Chunks(NamedTuple):
    """T tokens cut into N chunks of queries; each sees its own keys and those around it."""

    tokens: int
    size: int
    band: Band

    @property
    def extra(self) -> int:
        """How many queries the last chunk lacks."""
        return -self.tokens % self.size

    @property
    def keys(self) -> int:
        """How many keys a chunk sees: S."""
        return self.size + sum(self.band)

    def pad(self) -> tuple[int, int]:
        """Return how many keys to add before the first and after the last."""
        return self.band.before, self.band.after + self.extra


def attend_banded(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, band: Band, **settings: Any
) -> Tensor:
    """Compute all T x S scores and hide those outside the band; shapes and settings as in `attend`.

    Keys outside the band are excluded (every query sees itself), padding inside it only
    discouraged (``bias``): a token whose whole window is padding averages its window.
    """
    places = torch.arange(max(query.shape[2], key.shape[2]), device=query.device)
    outside = band.hides(places[: key.shape[2]] - places[: query.shape[2], None])
    return attend(query, key, value, hide(bias, outside[None, None], query.dtype), **settings)


def attend_chunked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    chunks: Chunks,
    near: Tensor | None = None,
    **settings: Any,
) -> Tensor:
    """Compute the same as `attend_banded`, chunk by chunk.

    Shapes: query, key and value [B, H, T, K]; bias [B, 1, 1, T], [B, 1, T, T] or None; ``near``,
    what places add, is the same for every chunk: [1, H, chunk, S] or None.
    """
    batch, heads, tokens, head_size = query.shape
    query = F.pad(query, (0, 0, 0, chunks.extra)).view(batch, heads, -1, chunks.size, head_size)
    query = query.transpose(1, 2).flatten(0, 1)
    key, value = _cut_keys(key, chunks), _cut_keys(value, chunks)
    hidden = hide(add_biases(_cut_bias(bias, chunks), near), _outside(chunks, key.device), key.dtype)
    hidden = hidden.expand(batch, -1, -1, -1, -1).flatten(0, 1)
    out = attend(query, key, value, hidden, **settings).view(batch, -1, heads, chunks.size, head_size)
    return out.transpose(1, 2).flatten(2, 3)[:, :, :tokens]


def _cut_keys(x: Tensor, chunks: Chunks) -> Tensor:
    """Cut [B, H, T, K] into [B * N, H, S, K]."""
    padded = F.pad(x, (0, 0, *chunks.pad()))
    return padded.unfold(2, chunks.keys, chunks.size).permute(0, 2, 1, 4, 3).flatten(0, 1)


def _outside(chunks: Chunks, device: torch.device) -> Tensor:
    """Return which keys a chunk's queries must not see, [N, 1, chunk, S] booleans."""
    query = torch.arange(chunks.size, device=device)[:, None] + chunks.band.before
    far = chunks.band.hides(torch.arange(chunks.keys, device=device) - query)
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
