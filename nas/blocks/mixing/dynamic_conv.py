"""Lightweight and dynamic convolutions: filters whose weights sum to 1 and are shared in a head."""

from __future__ import annotations

from typing import ClassVar, Literal, Unpack, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import size_of_heads
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.short_conv import check_kernel_size
from nas.errors import check_choice
from nas.masks import PaddingMask, hide_padding, padding_of

Kernel = Literal["dynamic", "lightweight"]


class DynamicConv(ResidualBlock):
    """Project, gate, average the neighbours with a head's weights, project back.

    Wu et al. 2019 (arXiv 1901.10430): ``lightweight`` weights are learnt, ``dynamic`` ones made
    from the token by a linear layer; both go through a softmax over the filter. Differences:
    centred unless causal; no weight dropout; padding is 0 before the convolution, as is what lies
    outside the sequence, so that weights at a border do not sum to 1.

    Args:
        hidden_size: D.
        num_heads: H; the features of a head share their weights.
        kernel_size: how many tokens a filter spans; odd if it is centred.
        kernel: where the weights come from.
        gate: a gated linear unit before the convolution (twice the input projection).
        bias: of the projections.
        causal: a filter ends at its token.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: heads do not divide the hidden size, or ``kernel_size`` is even although centred.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        kernel_size: int = 7,
        kernel: Kernel = "dynamic",
        gate: bool = True,
        bias: bool = False,
        causal: bool = False,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        size_of_heads(hidden_size, num_heads)
        check_choice("kernel", kernel, get_args(Kernel))
        check_kernel_size("kernel_size", kernel_size, causal)
        self.num_heads, self.kernel_size = num_heads, kernel_size
        after = 0 if causal else kernel_size // 2
        self.around = (kernel_size - 1 - after, after)
        self.input = nn.Linear(hidden_size, hidden_size * (2 if gate else 1), bias=bias)
        self.gate = nn.GLU() if gate else nn.Identity()
        dynamic = kernel == "dynamic"
        self.make_weights = nn.Linear(hidden_size, num_heads * kernel_size, bias=False) if dynamic else None
        self.weights = None if dynamic else nn.Parameter(0.02 * torch.randn(num_heads, kernel_size))
        self.output = nn.Linear(hidden_size, hidden_size, bias=bias)

    @property
    def label(self) -> str:
        """``dynconv`` or ``lightconv``."""
        return "lightconv" if self.make_weights is None else "dynconv"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of the projections and the filters.

        Torch's counter does not see the filters, which are sums of element-wise products.
        """
        hidden_size = self.output.in_features
        wide = self.input.out_features + self.output.out_features + self.kernel_size
        made = 0 if self.make_weights is None else self.make_weights.out_features
        return 2.0 * hidden_size * (wide + made)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        features = self.gate(self.input(data))
        weights = self._weights(features)
        features = hide_padding(features, padding_of(attention_mask))
        heads = torch.unflatten(features, -1, (self.num_heads, -1))
        padded = F.pad(heads, (0, 0, 0, 0, *self.around))
        mixed = sum(
            weights[..., place, None] * padded.narrow(1, place, data.shape[1])
            for place in range(self.kernel_size)
        )
        out: Tensor = self.output(mixed.flatten(2))  # type: ignore[union-attr]
        return out

    def _weights(self, features: Tensor) -> Tensor:
        """Return the filters, [B, T, H, size] or [H, size], in the features' dtype."""
        if self.make_weights is None:
            assert self.weights is not None
            return self.weights.softmax(dim=-1).to(features.dtype)
        made = torch.unflatten(self.make_weights(features), -1, (self.num_heads, self.kernel_size))
        return made.softmax(dim=-1).to(features.dtype)
