"""Attention masks: modules that make one from the padding mask, and how a block reads one."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.configured import Configured
from nas.errors import InputError, check_positive

MASKED = -1e9
"""Added to the score of a masked key: without any real key, a row stays finite (and uniform)."""
MASKED_HALF = -32752.0
"""The same in float16, where -1e9 would be -inf: half of its lowest number."""


class SelfAttentionMask(Configured, nn.Module):
    """Lets every query see the real keys (the original's default ``mask_cls``).

    Only keys are masked: queries at padding keep attending. Values are not made 0 or 1.
    """

    def forward(self, data: Tensor, mask: Tensor) -> Tensor:
        """Return [B, T, T] in ``data``'s dtype, a view of ``mask`` [B, T]; ``data`` is [B, T, D].

        Raises:
            InputError: ``mask`` is not [B, T].
        """
        _check_padding_mask(data, mask)
        return mask[:, None, :].to(data.dtype).expand(-1, data.shape[1], -1)


class PaddingMask(Configured, nn.Module):
    """Hands over which tokens are real, for blocks that need no T x T mask."""

    def forward(self, data: Tensor, mask: Tensor) -> Tensor:
        """Return ``mask`` [B, T] as booleans; ``data`` is [B, T, D].

        Raises:
            InputError: ``mask`` is not [B, T].
        """
        _check_padding_mask(data, mask)
        return mask.bool()


class KernelMask(PaddingMask):
    """`PaddingMask` as numbers (the original's mask for kernel attention)."""

    def forward(self, data: Tensor, mask: Tensor) -> Tensor:
        """Return ``mask`` [B, T] in ``data``'s dtype; ``data`` is [B, T, D].

        Raises:
            InputError: ``mask`` is not [B, T].
        """
        _check_padding_mask(data, mask)
        return mask.to(data.dtype)


class BlockedMask(NamedTuple):
    """What `BigBirdMasks` makes; every block takes it as the padding mask that it was made from.

    N blocks of b tokens; the last may be filled up with padding.

    Attributes:
        band: which keys of the three blocks around it a query sees, [B, 1, N - 4, b, 3 b].
        queries: which queries are real, [B, 1, T, 1].
        keys: which keys are real, [B, 1, 1, T].
        blocked: which tokens are real, [B, N, b].
    """

    band: Tensor
    queries: Tensor
    keys: Tensor
    blocked: Tensor


class BigBirdMasks(Configured, nn.Module):
    """The four masks of the original's BigBird attention.

    Difference: any length (there it must be a multiple of the block size).

    Args:
        block_size: b.

    Raises:
        InputError: it is not positive.
    """

    def __init__(self, block_size: int) -> None:
        super().__init__()
        check_positive(block_size=block_size)
        self.block_size = block_size

    def forward(self, data: Tensor, mask: Tensor) -> BlockedMask:
        """Return the masks in ``data``'s dtype from ``mask`` [B, T]; ``data`` is [B, T, D].

        Raises:
            InputError: ``mask`` is not [B, T].
        """
        _check_padding_mask(data, mask)
        mask = mask.to(data.dtype)
        padded = F.pad(mask, (0, -mask.shape[1] % self.block_size))
        blocked = padded.view(len(mask), -1, self.block_size)
        around = torch.cat([blocked[:, 1:-3], blocked[:, 2:-2], blocked[:, 3:-1]], dim=2)
        band = blocked[:, 2:-2, :, None] * around[:, :, None]
        return BlockedMask(band[:, None], mask[:, None, :, None], mask[:, None, None], blocked)


def padding_of(attention_mask: Tensor | BlockedMask | None) -> Tensor | None:
    """Return which keys any query may see, [B, T] booleans, or None if there is no mask.

    Args:
        attention_mask: None, [B, T], [B, T, T], [B, H, T, T], or what `BigBirdMasks` made.

    Raises:
        InputError: the mask has another number of axes.
    """
    attention_mask = _unblocked(attention_mask)
    if attention_mask is None:
        return None
    _check_axes(attention_mask)
    real = attention_mask.bool()
    while real.dim() > 2:
        real = real.any(dim=1)
    return real


def hide_padding(data: Tensor, real: Tensor | None) -> Tensor:
    """Return [B, T, C] with 0 where ``real`` [B, T] is false."""
    return data if real is None else data.masked_fill(~real[..., None], 0.0)


def attention_bias(attention_mask: Tensor | BlockedMask | None, dtype: torch.dtype) -> Tensor | None:
    """Return what a mask adds to the scores [B, H, T, S], or None: [B, 1, 1, S] or [B, 1, T, S].

    It is ``(1 - mask) * -1e9`` (-32752 in float16), so that masks need not be 0 or 1. A mask that
    is one row expanded to all queries (`SelfAttentionMask`) gives one row: T times less to add.

    Args:
        attention_mask: None, [B, T], [B, T, T], [B, H, T, T], or what `BigBirdMasks` made.
        dtype: of the scores.

    Raises:
        InputError: the mask has another number of axes.
    """
    attention_mask = _unblocked(attention_mask)
    if attention_mask is None:
        return None
    _check_axes(attention_mask)
    if attention_mask.dim() > 2 and attention_mask.stride(-2) == 0:
        attention_mask = attention_mask[..., :1, :]
    mask = attention_mask.to(dtype)
    if mask.dim() == 2:
        mask = mask[:, None, None]
    elif mask.dim() == 3:
        mask = mask[:, None]
    return (1 - mask) * (MASKED_HALF if dtype is torch.float16 else MASKED)


def check_mask(attention_mask: Tensor | BlockedMask | None, data: Tensor) -> None:
    """Raise `InputError` unless the mask is None or fits ``data`` [B, T, D]."""
    if mistake := mask_mistake(attention_mask, data):
        raise InputError(mistake)


def mask_mistake(attention_mask: Tensor | BlockedMask | None, data: Tensor) -> str:
    """Say why a mask does not fit ``data`` [B, T, D]: "" if it is None or does."""
    attention_mask = _unblocked(attention_mask)
    if attention_mask is None:
        return ""
    if attention_mask.dim() not in (2, 3, 4):
        return _wrong_axes(attention_mask)
    batch, tokens = data.shape[:2]
    fits = attention_mask.shape[0] == batch and all(n == tokens for n in _token_axes(attention_mask))
    if fits:
        return ""
    return (
        f"attention_mask of shape {list(attention_mask.shape)} does not fit data of shape "
        f"{list(data.shape)}: expected {[batch, tokens]} or {[batch, tokens, tokens]}"
    )


def _unblocked(attention_mask: Tensor | BlockedMask | None) -> Tensor | None:
    """Return a mask as a tensor: [B, T] if it was made by `BigBirdMasks`."""
    if isinstance(attention_mask, BlockedMask):
        return attention_mask.keys[:, 0, 0]
    return attention_mask


def _token_axes(attention_mask: Tensor) -> torch.Size:
    return attention_mask.shape[1:] if attention_mask.dim() == 2 else attention_mask.shape[-2:]


def _check_axes(attention_mask: Tensor) -> None:
    if attention_mask.dim() not in (2, 3, 4):
        raise InputError(_wrong_axes(attention_mask))


def _wrong_axes(attention_mask: Tensor) -> str:
    shape = list(attention_mask.shape)
    return f"attention_mask of shape {shape} is not one of [B, T], [B, T, T], [B, 1, T, T]"


def _check_padding_mask(data: Tensor, mask: Tensor) -> None:
    if mask.shape != data.shape[:2]:
        raise InputError(
            f"mask of shape {list(mask.shape)} does not fit data of shape {list(data.shape)}: "
            f"expected {list(data.shape[:2])}"
        )
