"""The position schemes that score-based attention offers, by name."""

from __future__ import annotations

from typing import Literal, get_args

from nas.blocks.positions.alibi import ALiBi
from nas.blocks.positions.rope import RoPE
from nas.blocks.positions.scheme import PositionScheme
from nas.blocks.positions.sinusoid import Sinusoid
from nas.blocks.positions.t5 import T5Bias
from nas.errors import check_choice

AttentionPosition = Literal["rope", "alibi", "t5", "sinusoid", "none"]

SETTINGS_OF = {"rope_theta": "rope", "t5_buckets": "t5", "t5_max_distance": "t5"}
"""Which scheme reads which setting."""


def make_positions(
    position: AttentionPosition,
    num_heads: int,
    head_size: int,
    *,
    rope_theta: float,
    t5_buckets: int,
    t5_max_distance: int,
    causal: bool,
) -> PositionScheme:
    """Return the scheme of that name for H = ``num_heads`` heads of K = ``head_size``.

    Raises:
        InputError: the name is unknown, or the scheme refuses its settings.
    """
    check_choice("position", position, get_args(AttentionPosition))
    if position == "rope":
        return RoPE(head_size, rope_theta)
    if position == "alibi":
        return ALiBi(num_heads)
    if position == "t5":
        return T5Bias(num_heads, t5_buckets, t5_max_distance, causal=causal)
    return Sinusoid() if position == "sinusoid" else PositionScheme()
