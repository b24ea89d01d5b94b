"""The short depthwise convolution inside other mixers: centred, or causal."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import InputError, check_positive


class ShortConv(nn.Conv1d):
    """Filter every feature of [B, T, C] over its neighbours, with free weights of its own.

    What lies outside the sequence is 0, as the caller makes padding.

    Args:
        features: C.
        kernel_size: how many tokens a filter spans; odd if it is centred.
        bias: one number for each feature.
        causal: a filter ends at its token.
        key: the argument that messages name.

    Raises:
        InputError: ``kernel_size`` is not positive, or even although centred.
    """

    def __init__(
        self, features: int, kernel_size: int, *, bias: bool, causal: bool, key: str = "conv_size"
    ) -> None:
        check_kernel_size(key, kernel_size, causal)
        super().__init__(features, features, kernel_size, groups=features, bias=bias)
        after = 0 if causal else kernel_size // 2
        self.around = (kernel_size - 1 - after, after)

    @property
    def flops_per_token(self) -> float:
        """Two for each weight."""
        return 2.0 * self.in_channels * self.kernel_size[0]

    def forward(self, data: Tensor) -> Tensor:
        """Map [B, T, C] to [B, T, C].

        On a CPU, a two-dimensional filter of height 1 reads features as they lie, next to each other:
        without copies that turn tokens and features, half of the time (measured).
        """
        if data.is_cuda:
            return super().forward(F.pad(data.transpose(1, 2), self.around)).transpose(1, 2)
        image = F.pad(data, (0, 0, *self.around)).transpose(1, 2)[:, :, None]
        filtered = F.conv2d(image, self.weight[:, :, None], self.bias, groups=self.groups)
        return filtered[:, :, 0].transpose(1, 2)


def check_kernel_size(key: str, kernel_size: int, causal: bool) -> None:
    """Raise `InputError` unless a filter of that size can be centred, or need not be."""
    check_positive(**{key: kernel_size})
    if kernel_size % 2 == 0 and not causal:
        raise InputError(
            f"{key}={kernel_size} must be odd, so that the filter is centred: "
            f"{kernel_size - 1} or {kernel_size + 1}"
        )
