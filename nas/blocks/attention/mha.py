"""Softmax multi-head attention, with fewer key heads than query heads if asked."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.flex import attend_flex, flex_fits
from nas.blocks.attention.softmax import (
    Band,
    add_biases,
    attend,
    attention_scores,
    hide_later,
    merge_heads,
    repeat_heads,
    split_heads,
)
from nas.blocks.base import Framing, ResidualBlock, Role
from nas.blocks.chosen import hides_keys_alone, pick
from nas.blocks.norms import RMSNorm
from nas.blocks.positions.choose import SETTINGS_OF, AttentionPosition, make_positions
from nas.errors import InputError, check_positive, check_probability
from nas.masks import attention_bias


class AttentionSettings(Framing, total=False):
    """The arguments of `MultiHeadAttention` that its subclasses pass on."""

    num_kv_heads: int | None
    head_size: int | None
    position: AttentionPosition
    rope_theta: float
    t5_buckets: int
    t5_max_distance: int
    causal: bool
    qk_norm: bool
    soft_cap: float | None
    bias: bool
    attention_dropout: float


class MultiHeadAttention(ResidualBlock):
    """Every token averages the values of all real tokens, weighted by query-key products.

    Vaswani et al. 2017 (arXiv 1706.03762); one key head for all queries is multi-query attention
    (Shazeer 2019, arXiv 1911.02150), some are grouped-query attention (Ainslie et al. 2023, arXiv
    2305.13245). Differences: query, key and value are one projection (``qkv``, in that order);
    places enter by `nas.blocks.positions`; queries and keys may be normalised (RMSNorm per head,
    after Henry et al. 2020, arXiv 2010.04245, with their learnt scale left to the norm's weights),
    and scores soft-capped (Gemma 2, arXiv 2408.00118).

    A subclass that weighs otherwise overrides `_attend`; `_scores` has all that these settings say.

    Args:
        hidden_size: D.
        num_heads: H.
        num_kv_heads: key and value heads, G; null: H; 1: multi-query.
        head_size: K; null: D / H.
        position: ``rope`` turns queries and keys by their place, ``alibi`` and ``t5`` add a bias by
            distance to the scores, ``sinusoid`` adds the place to what queries and keys read,
            ``none`` leaves order unseen.
        rope_theta: the base of RoPE's angles.
        t5_buckets: see `T5Bias`, as is ``t5_max_distance``.
        causal: see no later token.
        qk_norm: normalise queries and keys before their product.
        soft_cap: bound scores smoothly to this size; null: not.
        bias: of both projections.
        attention_dropout: applied to the weights.
        **framing: see `ResidualBlock`.

    Raises:
        InputError: heads do not divide the hidden size or each other, or RoPE meets an odd K.
    """

    role: ClassVar[Role] = "attention"

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        head_size: int | None = None,
        position: AttentionPosition = "rope",
        rope_theta: float = 10000.0,
        t5_buckets: int = 32,
        t5_max_distance: int = 128,
        causal: bool = False,
        qk_norm: bool = False,
        soft_cap: float | None = None,
        bias: bool = False,
        attention_dropout: float = 0.0,
        **framing: Unpack[Framing],
    ) -> None:
        super().__init__(hidden_size, **framing)
        check_probability(attention_dropout=attention_dropout)
        check_positive(soft_cap=1 if soft_cap is None else soft_cap)
        self.num_heads, self.causal, self.soft_cap = num_heads, causal, soft_cap
        self.head_size = size_of_heads(hidden_size, num_heads, head_size)
        self.num_kv_heads = groups_of_heads(num_heads, num_kv_heads)
        self.positions = make_positions(
            position,
            num_heads,
            self.head_size,
            rope_theta=rope_theta,
            t5_buckets=t5_buckets,
            t5_max_distance=t5_max_distance,
            causal=causal,
        )
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(hidden_size, sum(self._widths), bias=bias)
        epsilon = framing.get("norm_epsilon", 1e-6)
        self.query_norm = RMSNorm(self.head_size, eps=epsilon) if qk_norm else nn.Identity()
        self.key_norm = RMSNorm(self.head_size, eps=epsilon) if qk_norm else nn.Identity()
        self.output = nn.Linear(num_heads * self.head_size, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Leave out what other position schemes read, and name the sizes that were chosen."""
        config = super().effective_config()
        unread = [key for key, scheme in SETTINGS_OF.items() if scheme != config["position"]]
        sizes = {"num_kv_heads": self.num_kv_heads, "head_size": self.head_size}
        return {**config, **sizes, **dict.fromkeys(unread)}

    @property
    def label(self) -> str:
        """``mha``, ``gqa`` or ``mqa``, by the number of key heads."""
        if self.num_kv_heads == self.num_heads:
            return "mha"
        return "mqa" if self.num_kv_heads == 1 else "gqa"

    def mix_flops(self, seq_length: int) -> float:
        """Return the products' cost: projections, scores and averages over all tokens."""
        return self._projection_flops() + self._attention_flops(seq_length)

    def mix(
        self, data: Tensor, attention_mask: Tensor | None, *state: Any, key_value: Tensor | None = None
    ) -> Any:
        """Map [B, T, D] to [B, T, D]; the mask is None, [B, S], [B, T, S] or [B, 1, T, S].

        ``key_value`` [B, S, D] is what keys and values are made of, if not ``data``.
        """
        query, key, value = self._project(data, key_value)
        return self._merge(self._attend(query, key, value, attention_mask), data)

    def can_choose(self, attention_mask: Any) -> bool:
        """Return whether `at` applies: no later key is hidden, and no bias depends on the query's place."""
        own = type(self)
        standard = own._attend is MultiHeadAttention._attend and own.mix is MultiHeadAttention.mix
        placeless = not (self.causal or self.positions.biases)
        return standard and placeless and hides_keys_alone(attention_mask)

    def at(self, data: Tensor, attention_mask: Tensor | None, chosen: Tensor) -> Tensor:
        """Return `forward` at chosen tokens [B, m], as [B, m, D]: every key, but no other query is used."""
        self.check_inputs(data, attention_mask)
        read = self.norm_before(data)
        asked = pick(read, chosen)
        mixed = self.dropout(self.norm_mixed(self.mix_at(read, attention_mask, chosen, asked)))
        stream = asked if read is data else pick(data, chosen)
        out: Tensor = self.norm_after(self.residual(stream, mixed))
        return out

    def mix_at(self, data: Tensor, attention_mask: Tensor | None, chosen: Tensor, asked: Tensor) -> Tensor:
        """Return `mix` at chosen tokens [B, m], as [B, m, D]; ``asked`` is ``data`` there."""
        if self.positions.turns or self.positions.adds:  # by places, which the chosen ones have lost
            query, key, value = self._project(data)
            query = pick(query.transpose(1, 2), chosen).transpose(1, 2)
        else:
            query, key, value = self._project(asked, data)
        return self._merge(self._attend(query, key, value, attention_mask), asked)

    @property
    def _widths(self) -> list[int]:
        """How many features of ``qkv`` are query, key and value."""
        return [n * self.head_size for n in (self.num_heads, self.num_kv_heads, self.num_kv_heads)]

    def _project(self, data: Tensor, key_value: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return query [B, H, T, K], key and value [B, G, S, K] in one dtype."""
        if key_value is None and not self.positions.adds:
            query, key, value = self.qkv(data).split(self._widths, dim=-1)
        else:
            query, key, value = self._project_each(data, data if key_value is None else key_value)
        query = self.query_norm(split_heads(query, self.num_heads))
        key = self.key_norm(split_heads(key, self.num_kv_heads))
        query, key = self.positions.turn(query, key)
        return query, key, split_heads(value, self.num_kv_heads)

    def _project_each(self, data: Tensor, key_value: Tensor) -> list[Tensor]:
        """Return query [B, T, H * K], key and value [B, S, G * K], which read different things."""
        ours, *theirs = self._widths
        if not self.positions.adds:  # keys and values read the same
            query, both = self._linear([data, key_value], [ours, sum(theirs)])
            return [query, *torch.split(both, theirs, dim=-1)]
        add = self.positions.add
        return self._linear([add(data), add(key_value), key_value], self._widths)

    def _linear(self, read: list[Tensor], widths: list[int]) -> list[Tensor]:
        """Return what parts of ``qkv`` make of different things."""
        weights = torch.split(self.qkv.weight, widths)
        biases = [None] * len(read) if self.qkv.bias is None else torch.split(self.qkv.bias, widths)
        return [F.linear(x, weight, bias) for x, weight, bias in zip(read, weights, biases, strict=True)]

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return [B, H, T, K]; a subclass may see less than every key, or weigh otherwise."""
        if self._modifies_scores and flex_fits(query, attention_mask, self._dropout_now()):
            band = Band(key.shape[2], 0) if self.causal else None
            return attend_flex(query, key, value, attention_mask, self.positions, band, self.soft_cap)
        return attend(
            query,
            key,
            value,
            self._bias(query, key, attention_mask),
            self._dropout_now(),
            causal=self.causal,
            soft_cap=self.soft_cap,
        )

    @property
    def _modifies_scores(self) -> bool:
        """Whether scores are more than a product and a mask, which PyTorch's fused kernels know."""
        return self.positions.biases or self.soft_cap is not None

    def _scores(self, query: Tensor, key: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return the scores [B, H, T, S] with all that is added to them, later keys hidden if causal."""
        bias = self._bias(query, key, attention_mask)
        if self.causal:
            bias = hide_later(bias, query, key)
        return attention_scores(query, repeat_heads(key, self.num_heads), bias, soft_cap=self.soft_cap)

    def _bias(self, query: Tensor, key: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        """Return what mask and places add to the scores, broadcastable to [B, H, T, S], or None."""
        by_place = self.positions.bias(query.shape[2], key.shape[2], query.device)
        if by_place is not None:
            by_place = by_place.to(query.dtype)
        return add_biases(attention_bias(attention_mask, query.dtype), by_place)

    def _merge(self, heads: Tensor, data: Tensor) -> Tensor:
        """Map the heads' averages [B, H, T, K] to [B, T, D]; ``data`` is what queries are made of."""
        out: Tensor = self.output(merge_heads(heads))
        return out

    def _dropout_now(self) -> float:
        return self.attention_dropout if self.training else 0.0

    def _projection_flops(self) -> float:
        weights = self.qkv.in_features * self.qkv.out_features
        return 2.0 * (weights + self.output.in_features * self.output.out_features)

    def _attention_flops(self, keys: float) -> float:
        """Return the cost of one token's scores and average over so many keys."""
        return 4.0 * keys * self.num_heads * self.head_size


def size_of_heads(hidden_size: int, num_heads: int, head_size: int | None = None) -> int:
    """Return K: ``head_size``, or an equal share of the hidden size.

    Raises:
        InputError: a number is not positive, or ``num_heads`` does not divide ``hidden_size``.
    """
    check_positive(num_heads=num_heads, head_size=1 if head_size is None else head_size)
    if head_size is not None:
        return head_size
    if hidden_size % num_heads:
        raise InputError(f"hidden_size={hidden_size} is not a multiple of num_heads={num_heads}")
    return hidden_size // num_heads


def groups_of_heads(num_heads: int, num_kv_heads: int | None) -> int:
    """Return G: ``num_kv_heads``, or H.

    Raises:
        InputError: it is not positive, or does not divide ``num_heads``.
    """
    if num_kv_heads is None:
        return num_heads
    check_positive(num_kv_heads=num_kv_heads)
    if num_heads % num_kv_heads:
        raise InputError(f"num_heads={num_heads} is not a multiple of num_kv_heads={num_kv_heads}")
    return num_kv_heads
