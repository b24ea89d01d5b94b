"""The delta rule: a memory of keys and values that every token corrects."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Unpack, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import size_of_heads
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.delta_kernel import delta_rule, delta_rule_flops
from nas.blocks.mixing.scan import both_ways, turn_back, widen
from nas.blocks.mixing.short_conv import ShortConv
from nas.blocks.mixing.ssm import inverse_softplus_of_steps
from nas.errors import check_choice
from nas.masks import PaddingMask, hide_padding, padding_of

KeyNorm = Literal["l2", "sum"]


class DeltaRule(ResidualBlock):
    """A matrix for each head maps keys to values; each token replaces what its key held.

    DeltaNet (Schlag et al. 2021, arXiv 2102.11174; in parallel over tokens: Yang et al. 2024, arXiv
    2406.06484) and, with ``gate``, Gated DeltaNet (Yang et al. 2024, arXiv 2412.06464), where the
    memory also decays. Differences: two directions, which share query, key and value and have their
    own strengths and decays, and whose results are added; the short convolution is centred unless
    causal; padding leaves the memory as it is.

    Args:
        hidden_size: D.
        num_heads: H.
        head_size: K, of keys and values; null: D / H.
        gate: the memory decays, by how much is made from the token.
        output_gate: multiply the result by a projection of the token (with silu).
        key_norm: ``l2`` (2024), or ``sum``: elu + 1 divided by its sum (2021); for queries as well.
        negative_eigenvalues: corrections up to twice as strong, with which the memory can count
            modulo a number (Grazzi et al. 2024, arXiv 2411.12537).
        conv_size: how many tokens the short convolution of all three spans; 0: none.
        bias: of the projections and the convolution.
        causal: one direction, from the first token to the last.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: heads do not divide the hidden size, or ``conv_size`` is even although centred.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        head_size: int | None = None,
        gate: bool = True,
        output_gate: bool = True,
        key_norm: KeyNorm = "l2",
        negative_eigenvalues: bool = False,
        conv_size: int = 3,
        bias: bool = False,
        causal: bool = False,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_choice("key_norm", key_norm, get_args(KeyNorm))
        self.num_heads, self.causal, self.key_norm = num_heads, causal, key_norm
        self.head_size = size_of_heads(hidden_size, num_heads, head_size)
        self.features = num_heads * self.head_size
        self.directions = 1 if causal else 2
        self.strongest = 2.0 if negative_eigenvalues else 1.0
        self.qkv = nn.Linear(hidden_size, 3 * self.features, bias=bias)
        self.conv = ShortConv(3 * self.features, conv_size, bias=bias, causal=causal) if conv_size else None
        shape = (self.directions, num_heads)
        self.strength = nn.Linear(hidden_size, self.directions * num_heads)
        self.step = nn.Linear(hidden_size, self.directions * num_heads, bias=False) if gate else None
        if gate:
            self.log_rate = nn.Parameter(torch.empty(shape).uniform_(1, 16).log())
            self.step_bias = nn.Parameter(inverse_softplus_of_steps(*shape))
        self.output_gate = nn.Linear(hidden_size, self.features, bias=bias) if output_gate else None
        self.value_norm = nn.RMSNorm(self.head_size, eps=1e-5)
        self.output = nn.Linear(self.features, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Name the head size that was chosen."""
        return {**super().effective_config(), "head_size": self.head_size}

    @property
    def label(self) -> str:
        """``gdelta`` if the memory decays, else ``delta``."""
        return "delta" if self.step is None else "gdelta"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of projections, convolution and, in each direction, the products in chunks."""
        linear = (self.qkv, self.strength, self.step, self.output_gate, self.output)
        products = sum(2.0 * m.in_features * m.out_features for m in linear if m is not None)
        conv = 0.0 if self.conv is None else self.conv.flops_per_token
        rule = delta_rule_flops(seq_length, self.head_size)
        return products + conv + self.directions * self.num_heads * rule

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        real = padding_of(attention_mask)
        query, key, value = self._project(data, real)
        strength = hide_padding(self.strongest * widen(self.strength(data)).sigmoid(), real)
        out = delta_rule(
            self._heads(query),
            self._heads(key),
            self._heads(value),
            self._directed(strength),
            self._log_decay(data, real),
        )
        both = turn_back(torch.unflatten(out, 2, (self.directions, -1))).sum(dim=2)
        normed = F.rms_norm(widen(both), (self.head_size,), widen(self.value_norm.weight), 1e-5)
        mixed = normed.to(value.dtype).flatten(2)
        if self.output_gate is not None:
            mixed = mixed * F.silu(self.output_gate(data))
        joined: Tensor = self.output(mixed)
        return joined

    def _project(self, data: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key and value [B, T, H, K]."""
        projected = self.qkv(data)
        if self.conv is not None:
            projected = F.silu(self.conv(hide_padding(projected, real)))
        query, key, value = torch.unflatten(projected, -1, (3, self.num_heads, -1)).unbind(2)
        return self._normalise(query), self._normalise(key), value

    def _normalise(self, data: Tensor) -> Tensor:
        wide = widen(data)
        if self.key_norm == "l2":
            return F.normalize(wide, dim=-1).to(data.dtype)
        wide = F.elu(wide) + 1
        return (wide / (wide.sum(dim=-1, keepdim=True) + 1e-6)).to(data.dtype)

    def _log_decay(self, data: Tensor, real: Tensor | None) -> Tensor | None:
        """Return the logarithm of what the memory keeps at each token, [B, T, directions * H]."""
        if self.step is None:
            return None
        step = widen(self.step(data))
        step = F.softplus(step + self.step_bias.flatten().to(step.dtype))
        return self._directed(hide_padding(-self.log_rate.flatten().to(step.dtype).exp() * step, real))

    def _heads(self, data: Tensor) -> Tensor:
        """Return [B, T, directions * H, K] from [B, T, H, K], the second half reversed."""
        return both_ways(data, self.causal).flatten(2, 3)

    def _directed(self, data: Tensor) -> Tensor:
        """Turn the second half of [B, T, directions * H] around."""
        return turn_back(torch.unflatten(data, 2, (self.directions, -1))).flatten(2)
