"""Selective state space model (Mamba-2): a decaying memory that each token writes and reads."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.scan import full_precision, widen
from nas.blocks.mixing.short_conv import ShortConv
from nas.blocks.mixing.ssm_kernel import selective_scan, selective_scan_flops
from nas.errors import InputError, check_positive
from nas.masks import PaddingMask, hide_padding, padding_of


class SelectiveSSM(ResidualBlock):
    """``state = exp(-a dt) state + dt write x'``, ``y = read' state + skip x`` for every head.

    Mamba-2 (Dao and Gu 2024, arXiv 2405.21060), the chunked form of Mamba's selective scan (Gu and
    Dao 2023, arXiv 2312.00752): dt, write and read are made from the token; the result is gated,
    normalised and projected. Differences: two directions, after Vision Mamba (Zhu et al. 2024,
    arXiv 2401.09417), whose results are added; the short convolution is centred unless causal;
    padding leaves the state as it is.

    Args:
        hidden_size: D.
        num_heads: H; the features of a head decay together.
        state_size: N, numbers remembered for each feature.
        expand: the features are ``expand * D``.
        share_directions: one write, read, dt and decay for both directions.
        conv_size: how many tokens the short convolution spans; 0: none.
        bias: of the projections and the convolution.
        causal: one direction, from the first token to the last.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: heads do not divide ``expand * D``, a size is not positive, or ``conv_size`` is even
            although centred.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        state_size: int = 32,
        expand: int = 2,
        share_directions: bool = False,
        conv_size: int = 3,
        bias: bool = False,
        causal: bool = False,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(num_heads=num_heads, state_size=state_size, expand=expand)
        if expand * hidden_size % num_heads:
            raise InputError(
                f"expand * hidden_size={expand * hidden_size} is not a multiple of num_heads={num_heads}"
            )
        self.num_heads, self.state_size, self.causal = num_heads, state_size, causal
        self.features = expand * hidden_size
        self.groups = 1 if causal or share_directions else 2
        self.directions = 1 if causal else 2
        self.convolved = self.features + 2 * self.groups * state_size
        widths = self.features + self.convolved + self.groups * num_heads
        self.input = nn.Linear(hidden_size, widths, bias=bias)
        self.conv = ShortConv(self.convolved, conv_size, bias=bias, causal=causal) if conv_size else None
        self.log_rate = nn.Parameter(torch.empty(self.groups, num_heads).uniform_(1, 16).log())
        self.step_bias = nn.Parameter(inverse_softplus_of_steps(self.groups, num_heads))
        self.skip = nn.Parameter(torch.ones(num_heads))
        self.gate_norm = nn.RMSNorm(self.features, eps=1e-5)
        self.output = nn.Linear(self.features, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Leave out what only two directions use."""
        config = super().effective_config()
        return {**config, "share_directions": None} if self.causal else config

    @property
    def label(self) -> str:
        """Always ``ssm``."""
        return "ssm"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of projections, convolution and the products in chunks.

        The sums over chunks, element by element, are not counted, nor does torch's counter see them.
        """
        conv = 0.0 if self.conv is None else self.conv.flops_per_token
        products = self.output.out_features * (self.input.out_features + self.features)
        scan = selective_scan_flops(seq_length, self.directions, self.features, self.state_size)
        return 2.0 * products + conv + scan

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        real = padding_of(attention_mask)
        widths = [self.features, self.convolved, self.groups * self.num_heads]
        gate, inner, step = torch.split(self.input(data), widths, dim=-1)
        if self.conv is not None:
            inner = self.conv(hide_padding(inner, real))
        wide = widen(F.silu(inner))
        step = F.softplus(widen(step) + self.step_bias.flatten().to(wide.dtype))
        with full_precision(data.device):
            mixed = self._scan(wide, hide_padding(step, real)).to(gate.dtype)
        mixed = mixed * F.silu(gate)
        normed: Tensor = F.rms_norm(widen(mixed), (self.features,), widen(self.gate_norm.weight), 1e-5)
        out: Tensor = self.output(normed.to(gate.dtype))
        return out

    def _scan(self, inner: Tensor, step: Tensor) -> Tensor:
        """Return [B, T, features] from the convolved features and the steps [B, T, G * H]."""
        n = self.groups * self.state_size
        values, write, read = torch.split(inner, [self.features, n, n], dim=-1)
        values = torch.unflatten(values, -1, (self.num_heads, -1))
        write, read, step = (
            torch.unflatten(x, -1, (self.groups, -1)).expand(-1, -1, self.directions, -1)
            for x in (write, read, step)
        )
        log_decay = -self.log_rate.to(step.dtype).exp() * step
        mixed = selective_scan(values, step, log_decay, write, read)
        skipped: Tensor = self.skip.to(values.dtype)[:, None] * values
        return (mixed + skipped).flatten(2)


def inverse_softplus_of_steps(*shape: int) -> Tensor:
    """Return biases whose softplus is spread evenly, in the logarithm, from 0.001 to 0.1."""
    steps = torch.empty(*shape).uniform_(math.log(1e-3), math.log(1e-1)).exp()
    return steps + torch.log(-torch.expm1(-steps))
