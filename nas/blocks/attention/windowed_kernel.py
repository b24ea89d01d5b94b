"""Kernel attention that sees the last chunks only."""

from __future__ import annotations

from typing import ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.attention.kernel_attention import KernelAttention, KernelSettings, with_ones
from nas.blocks.base import Role
from nas.errors import InputError, check_positive


class WindowedKernelAttention(KernelAttention):
    """`KernelAttention` over chunks: a token sees its own chunk and those just before it.

    The Model Garden's ``use_causal_windowed``. Inside a chunk both directions are seen, so that
    only ``chunk_size: 1`` is causal in the strict sense (and not with ``expplus``, whose features
    are made with means over the whole sequence). Differences: any length (there it must be
    a multiple of the chunk, or ``causal_padding`` be set; this is its ``right``), sums over the
    window are exact (there differences of running sums), ``begin_kernel`` works.

    Args:
        hidden_size: D.
        num_heads: H.
        chunk_size: tokens in a chunk.
        window: chunks that are seen, the own one included.
        decay: what each step back multiplies a chunk's weight by; null: 1.
        **settings: see `KernelAttention`; ``normalizer`` can not be ``softmax``.

    Raises:
        InputError: see `KernelAttention`; a size is not positive, or ``decay`` not in (0, 1].
    """

    role: ClassVar[Role] = "attention"

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        chunk_size: int = 16,
        window: int = 2,
        decay: float | None = None,
        **settings: Unpack[KernelSettings],
    ) -> None:
        super().__init__(hidden_size, num_heads, **settings)
        check_positive(chunk_size=chunk_size, window=window)
        if decay is not None and not 0 < decay <= 1:
            raise InputError(f"decay={decay} must be above 0 and at most 1")
        if self.normalizer == "softmax":
            raise InputError("normalizer='softmax' has no windowed form: use 'sum' or 'length'")
        if self.begin_kernel % chunk_size:
            raise InputError(
                f"begin_kernel={self.begin_kernel} must be a multiple of chunk_size={chunk_size}: "
                "queries that use the kernel begin with a chunk"
            )
        self.chunk_size, self.window = chunk_size, window
        self.decay = 1.0 if decay is None else decay

    @property
    def label(self) -> str:
        """Always ``windowkernel``."""
        return "windowkernel"

    def _average(self, query: Tensor, key: Tensor, value: Tensor, real: Tensor | None) -> Tensor:
        tokens, skipped = query.shape[2], key.shape[2] - query.shape[2]
        ones = with_ones(value)
        if self.normalizer == "length":
            seen = ones[..., -1:] if real is None else real[:, None, :, None].to(value.dtype)
            counts = self._windows(self._chunked(seen).sum(-2, keepdim=True))
            ones = value
        sums = self._windows(self._chunked(key).transpose(-2, -1) @ self._chunked(ones))
        first = skipped // self.chunk_size
        summed = self._chunked(query) @ sums[:, :, first:]
        if self.normalizer == "length":
            return _joined(summed / counts[:, :, first:].clamp(min=1), tokens)
        return self._divided(_joined(summed, tokens))

    def _average_flops(self, seq_length: int, begin: float) -> float:
        per_token = super()._average_flops(seq_length, begin)
        return per_token * -(-seq_length // self.chunk_size) * self.chunk_size / seq_length

    def _chunked(self, x: Tensor) -> Tensor:
        """Cut [B, H, T, K] into [B, H, N, chunk, K]; the last chunk is filled up with 0.

        An exported graph, which is for any T, fills up one chunk more: export refuses N = 1.
        """
        size, tokens = self.chunk_size, x.shape[2]
        if torch.compiler.is_exporting():
            number = tokens // size + 2
            places = torch.arange(number * size, device=x.device).view(number, size)
            return F.pad(x, (0, 0, 0, 2 * size))[:, :, places]
        padded = F.pad(x, (0, 0, 0, -tokens % size))
        return padded.view(*x.shape[:2], -1, size, x.shape[-1])

    def _windows(self, sums: Tensor) -> Tensor:
        """Add to each chunk's sums [B, H, N, ...] those of the window before it, with their decay."""
        total, shifted, number = sums, sums, sums.shape[2]
        for _ in range(self.window - 1):
            shifted = self.decay * F.pad(shifted, (0, 0, 0, 0, 1, 0))[:, :, :number]
            total = total + shifted
        return total


def _joined(chunks: Tensor, tokens: int) -> Tensor:
    """Join [B, H, N, chunk, K] to [B, H, T, K]."""
    joined = chunks.flatten(2, 3)
    if torch.compiler.is_exporting():
        return joined[:, :, torch.arange(tokens, device=joined.device)]
    return joined[:, :, :tokens]
