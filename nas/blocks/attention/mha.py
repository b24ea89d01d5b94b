"""Softmax multi-head attention, with fewer key heads than query heads if asked."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

from torch import Tensor, nn

from nas.blocks.attention.kernel import attend, merge_heads, split_heads
from nas.blocks.base import NormSite, ResidualBlock, Role
from nas.blocks.norms import NormType, RMSNorm
from nas.blocks.positions import rotate
from nas.errors import InputError, check_choice, check_positive, check_probability
from nas.masks import attention_bias

Position = Literal["rope", "none"]


class MultiHeadAttention(ResidualBlock):
    """Every token averages the values of all real tokens, weighted by query-key products.

    Vaswani et al. 2017 (arXiv 1706.03762); one key head for all queries is multi-query attention
    (Shazeer 2019, arXiv 1911.02150), some are grouped-query attention (Ainslie et al. 2023, arXiv
    2305.13245). Differences: query, key and value are one projection (``qkv``, in that order);
    queries may be turned (RoPE) and normalised (RMSNorm per head, after Henry et al. 2020, arXiv
    2010.04245, with their learnt scale left to the norm's weights).

    Args:
        hidden_size: D.
        num_heads: H.
        num_kv_heads: key and value heads; null: H; 1: multi-query.
        head_size: K; null: D / H.
        position: ``rope`` turns queries and keys by their place; ``none`` leaves order unseen.
        rope_theta: the base of RoPE's angles.
        qk_norm: normalise queries and keys before their product.
        bias: of both projections.
        attention_dropout: applied to the weights.
        norm: see `ResidualBlock`, as are ``norm_type``, ``norm_epsilon`` and ``dropout``.

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
        position: Position = "rope",
        rope_theta: float = 10000.0,
        qk_norm: bool = False,
        bias: bool = False,
        attention_dropout: float = 0.0,
        norm: NormSite = "pre",
        norm_type: NormType = "layer",
        norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            hidden_size, norm=norm, norm_type=norm_type, norm_epsilon=norm_epsilon, dropout=dropout
        )
        check_choice("position", position, get_args(Position))
        check_positive(rope_theta=rope_theta)
        check_probability(attention_dropout=attention_dropout)
        self.num_heads = num_heads
        self.head_size = size_of_heads(hidden_size, num_heads, head_size)
        self.num_kv_heads = _groups_of_heads(num_heads, num_kv_heads)
        if position == "rope" and self.head_size % 2:
            raise InputError(
                f"position='rope' turns pairs of features, so head_size={self.head_size} must be even "
                f"(hidden_size={hidden_size}, num_heads={num_heads})"
            )
        self.rope_theta = rope_theta if position == "rope" else None
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(hidden_size, (num_heads + 2 * self.num_kv_heads) * self.head_size, bias=bias)
        self.query_norm = RMSNorm(self.head_size, eps=norm_epsilon) if qk_norm else nn.Identity()
        self.key_norm = RMSNorm(self.head_size, eps=norm_epsilon) if qk_norm else nn.Identity()
        self.output = nn.Linear(num_heads * self.head_size, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Leave out RoPE's base where nothing is turned, and name the sizes that were chosen."""
        config = super().effective_config()
        sizes = {"num_kv_heads": self.num_kv_heads, "head_size": self.head_size}
        return {**config, **sizes, "rope_theta": self.rope_theta}

    @property
    def label(self) -> str:
        """``mha``, ``gqa`` or ``mqa``, by the number of key heads."""
        if self.num_kv_heads == self.num_heads:
            return "mha"
        return "mqa" if self.num_kv_heads == 1 else "gqa"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the products' cost: projections, scores and averages over all tokens."""
        return self._projection_flops() + self._attention_flops(seq_length)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; the mask is None, [B, T], [B, T, T] or [B, 1, T, T]."""
        query, key, value = self._project(data)
        out: Tensor = self.output(merge_heads(self._attend(query, key, value, attention_mask)))
        return out

    def _project(self, data: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return query [B, H, T, K], key and value [B, G, T, K] in one dtype."""
        widths = [n * self.head_size for n in (self.num_heads, self.num_kv_heads, self.num_kv_heads)]
        query, key, value = self.qkv(data).split(widths, dim=-1)
        query = self.query_norm(split_heads(query, self.num_heads))
        key = self.key_norm(split_heads(key, self.num_kv_heads))
        if self.rope_theta is not None:
            query, key = rotate(query, key, theta=self.rope_theta)
        return query, key, split_heads(value, self.num_kv_heads)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return [B, H, T, K]; a subclass may see less than every key."""
        return attend(query, key, value, attention_bias(attention_mask, query.dtype), self._dropout_now())

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


def _groups_of_heads(num_heads: int, num_kv_heads: int | None) -> int:
    if num_kv_heads is None:
        return num_heads
    check_positive(num_kv_heads=num_kv_heads)
    if num_heads % num_kv_heads:
        raise InputError(f"num_heads={num_heads} is not a multiple of num_kv_heads={num_kv_heads}")
    return num_kv_heads
