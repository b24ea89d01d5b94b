"""A short depthwise convolution over tokens."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from nas.blocks.base import NormSite, ResidualBlock, Role
from nas.blocks.norms import NormType
from nas.errors import InputError, check_positive
from nas.masks import PaddingMask, padding_of


class DepthwiseConv(ResidualBlock):
    """Every feature is filtered over its neighbours: project, gate, convolve, project back.

    After the convolution module of LightConv (Wu et al. 2019, arXiv 1901.10430) and ConvBERT
    (Jiang et al. 2020, arXiv 2008.02496). Differences: each feature has its own free weights, not
    softmax-normalised, shared or made from the input; padding is 0 before the convolution, as is
    what lies outside the sequence.

    Args:
        hidden_size: D.
        kernel_size: how many tokens a filter spans; odd, so that it is centred.
        gate: a gated linear unit before the convolution (twice the input projection).
        bias: of the projections and the convolution.
        norm: see `ResidualBlock`, as are ``norm_type``, ``norm_epsilon`` and ``dropout``.

    Raises:
        InputError: ``kernel_size`` is even or not positive.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        *,
        kernel_size: int = 7,
        gate: bool = True,
        bias: bool = False,
        norm: NormSite = "pre",
        norm_type: NormType = "layer",
        norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            hidden_size, norm=norm, norm_type=norm_type, norm_epsilon=norm_epsilon, dropout=dropout
        )
        check_positive(kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise InputError(
                f"kernel_size={kernel_size} must be odd, so that the filter is centred: "
                f"{kernel_size - 1} or {kernel_size + 1}"
            )
        self.input = nn.Linear(hidden_size, hidden_size * (2 if gate else 1), bias=bias)
        self.gate = nn.GLU() if gate else nn.Identity()
        self.conv = nn.Conv1d(
            hidden_size, hidden_size, kernel_size, padding=kernel_size // 2, groups=hidden_size, bias=bias
        )
        self.output = nn.Linear(hidden_size, hidden_size, bias=bias)

    @property
    def label(self) -> str:
        """Always ``conv``."""
        return "conv"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of both projections and the filters."""
        hidden_size = self.output.in_features
        products = hidden_size * (self.input.out_features + self.output.out_features)
        return 2.0 * (products + hidden_size * self.conv.kernel_size[0])

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        features = self.gate(self.input(data))
        real = padding_of(attention_mask)
        if real is not None:
            features = features.masked_fill(~real[..., None], 0.0)
        mixed = self.conv(features.transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.output(mixed)
        return out
