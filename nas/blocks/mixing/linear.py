"""Linear mixing: two learnt matrices, one over tokens and one over features."""

from __future__ import annotations

import math
from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.fixed_length import check_length, known_length, leading
from nas.masks import PaddingMask, hide_padding, padding_of


class LinearMixing(ResidualBlock):
    """``A data W``: A [N, N] mixes tokens by their places, W [D, D] mixes features.

    The linear mixing of FNet (Lee-Thorp et al. 2021, arXiv 2105.03824) and Sparse Mixers. Differences:
    sequences may be shorter than N (then A's first rows and columns are used), padding is 0 before
    the mixing (there masks are ignored), and A starts so that the output is as large as the input.

    Args:
        hidden_size: D.
        max_seq_length: N, the longest sequence; null: a scaffold says the embedding's.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is missing or not positive; when called, a sequence is too long.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self, hidden_size: int, max_seq_length: int | None = None, **composition: Unpack[Composition]
    ) -> None:
        super().__init__(hidden_size, **composition)
        max_seq_length = known_length("linear (LinearMixing)", max_seq_length)
        self.max_seq_length = max_seq_length
        self.over_features = nn.Linear(hidden_size, hidden_size, bias=False)
        self.over_tokens = nn.Parameter(
            torch.randn(max_seq_length, max_seq_length) / math.sqrt(max_seq_length)
        )

    @property
    def label(self) -> str:
        """Always ``linear``."""
        return "linear"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of both products."""
        return 2.0 * self.over_features.in_features * (self.over_features.in_features + seq_length)

    def last_weights(self) -> list[Tensor]:
        """Return those over features: mixing tokens adds nothing to 0."""
        return [self.over_features.weight]

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used.

        Raises:
            InputError: T is above ``max_seq_length``.
        """
        mixed = hide_padding(self.over_features(data), padding_of(attention_mask))
        return self._weights(data.shape[1]).to(mixed.dtype) @ mixed

    def _weights(self, tokens: int) -> Tensor:
        """Return A for the first tokens, [T, T]."""
        check_length("linear (LinearMixing)", tokens, self.max_seq_length)
        return leading(leading(self.over_tokens, 0, tokens), 1, tokens)
