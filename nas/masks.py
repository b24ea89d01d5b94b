"""Attention masks: modules that make one from the padding mask, and how a block reads one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.configured import Configured
from nas.errors import InputError

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


def padding_of(attention_mask: Tensor | None) -> Tensor | None:
    """Return which keys any query may see, [B, T] booleans, or None if there is no mask.

    Args:
        attention_mask: None, [B, T], [B, T, T] or [B, H, T, T].

    Raises:
        InputError: the mask has another number of axes.
    """
    if attention_mask is None:
        return None
    _check_axes(attention_mask)
    real = attention_mask.bool()
    while real.dim() > 2:
        real = real.any(dim=1)
    return real


def attention_bias(attention_mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return what a mask adds to the scores [B, H, T, S], or None: [B, 1, 1, S] or [B, 1, T, S].

    It is ``(1 - mask) * -1e9`` (-32752 in float16), so that masks need not be 0 or 1. A mask that
    is one row expanded to all queries (`SelfAttentionMask`) gives one row: T times less to add.

    Args:
        attention_mask: None, [B, T], [B, T, T] or [B, H, T, T].
        dtype: of the scores.

    Raises:
        InputError: the mask has another number of axes.
    """
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


def check_mask(attention_mask: Tensor | None, data: Tensor) -> None:
    """Raise `InputError` unless the mask is None or fits ``data`` [B, T, D]."""
    if attention_mask is None:
        return
    _check_axes(attention_mask)
    batch, tokens = data.shape[:2]
    fits = attention_mask.shape[0] == batch and all(n == tokens for n in _token_axes(attention_mask))
    if not fits:
        raise InputError(
            f"attention_mask of shape {list(attention_mask.shape)} does not fit data of shape "
            f"{list(data.shape)}: expected {[batch, tokens]} or {[batch, tokens, tokens]}"
        )


def _token_axes(attention_mask: Tensor) -> torch.Size:
    return attention_mask.shape[1:] if attention_mask.dim() == 2 else attention_mask.shape[-2:]


def _check_axes(attention_mask: Tensor) -> None:
    if attention_mask.dim() not in (2, 3, 4):
        raise InputError(
            f"attention_mask of shape {list(attention_mask.shape)} is not one of "
            "[B, T], [B, T, T], [B, 1, T, T]"
        )


def _check_padding_mask(data: Tensor, mask: Tensor) -> None:
    if mask.shape != data.shape[:2]:
        raise InputError(
            f"mask of shape {list(mask.shape)} does not fit data of shape {list(data.shape)}: "
            f"expected {list(data.shape[:2])}"
        )
