"""What all transformer layers share: two mixers, and the norms, residuals and dropouts around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from nas.blocks.activations import Activation, ActivationName, get_activation
from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.base import Block, ResidualBlock, Role
from nas.blocks.chosen import is_tokenwise, pick
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.growth import silence
from nas.blocks.norms import NormType, make_norm
from nas.blocks.transformer.parts import mix
from nas.errors import check_positive, check_probability


class TransformerLayer(Block):
    """A mixer over tokens, then one within tokens (Vaswani et al. 2017, arXiv 1706.03762).

    Args:
        hidden_size: D.
        attention: the mixer over tokens.
        feedforward: the mixer within tokens.
        norm_first: normalise what the mixers read, not the sums.
        norm_type: of attention's norm.
        feedforward_norm_type: of the feed-forward's.
        norm_epsilon: added to the variance.
        dropout: applied to what both mixers return.
        key_value_norm: see `TransformerScaffold`, as is ``feedforward_residual``.
        query_residual: attention's result is added to what it read; false: it replaces it.
        output_range: compute the first so many tokens only; null: all.

    Raises:
        InputError: a number is out of range, or a choice is unknown.
    """

    role: ClassVar[Role] = "transformer"

    def __init__(
        self,
        hidden_size: int,
        attention: ResidualBlock,
        feedforward: ResidualBlock,
        *,
        norm_first: bool,
        norm_type: NormType = "layer",
        feedforward_norm_type: NormType = "layer",
        norm_epsilon: float,
        dropout: float,
        key_value_norm: bool = True,
        query_residual: bool = True,
        feedforward_residual: bool = True,
        output_range: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(
            hidden_size=hidden_size,
            norm_epsilon=norm_epsilon,
            output_range=1 if output_range is None else output_range,
        )
        check_probability(dropout=dropout)
        self.attention, self.feedforward = attention, feedforward
        self.__dict__["mask_cls"] = attention.mask_cls  # the scaffold makes the mask that it needs
        self.norm_first, self.query_residual = norm_first, query_residual
        self.key_value_norm = key_value_norm or not norm_first
        self.feedforward_residual = feedforward_residual or norm_first
        self.output_range = output_range
        self.attention_norm = make_norm(norm_type, hidden_size, norm_epsilon)
        self.feedforward_norm = (
            make_norm(feedforward_norm_type, hidden_size, norm_epsilon)
            if self.feedforward_residual
            else nn.Identity()
        )
        self.dropout = nn.Dropout(dropout)

    def effective_config(self) -> dict[str, Any]:
        """Say what the mixers are, instead of how they were asked for."""
        config = super().effective_config()
        used = {"key_value_norm": self.key_value_norm, "feedforward_residual": self.feedforward_residual}
        return {
            **{key: None if key in TOLD_BY_MIXERS else value for key, value in config.items()},
            **{key: value for key, value in used.items() if key in config},
            "attention": _described(self.attention),
            "feedforward": _described(self.feedforward),
        }

    @property
    def is_plain(self) -> bool:
        """Whether attention is the standard one."""
        return type(self.attention) is MultiHeadAttention and self.attention.label == "mha"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of both mixers, per token that comes in."""
        attention = self.attention.mix_flops(seq_length)
        feedforward = self.feedforward.mix_flops(seq_length)
        if self.output_range is None or self.output_range >= seq_length:
            return attention + feedforward
        share = self.output_range / seq_length
        keys = key_value_flops(self.attention)
        return keys + share * (attention - keys + feedforward)

    def start_as_identity(self) -> None:
        """Silence both mixers.

        Raises:
            InputError: the layer normalises its sums, has no residual, or returns fewer tokens.
        """
        adds = self.norm_first and self.query_residual and self.output_range is None
        last = [mixer.last_weights() for mixer in (self.attention, self.feedforward)] if adds else [[]]
        if not all(last) or self.recursive:
            super().start_as_identity()
        silence(weight for weights in last for weight in weights)

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map ``data`` [B, T, D] to [B, T, D] (or its first ``output_range`` tokens).

        The mask is None, [B, T] or [B, T, T].

        Raises:
            InputError: the mask does not fit the data.
        """
        self.check_inputs(data, attention_mask)
        query, key_value = self._read(data, attention_mask)
        mixed = mix(self.attention, query, rows_of(attention_mask, self.output_range), key_value)
        return self._finish(data, query, mixed, attention_mask)

    def can_choose(self, attention_mask: Any) -> bool:
        """Return whether `at` applies: the mixers are standard ones, and one norm serves all they read."""
        attention = self.attention
        plain = type(self).forward is TransformerLayer.forward and self.output_range is None
        return (
            plain
            and self.key_value_norm
            and isinstance(attention, MultiHeadAttention)
            and attention.can_choose(attention_mask)
            and is_tokenwise(self.feedforward)
        )

    def at(self, data: Tensor, attention_mask: Tensor | None, chosen: Tensor) -> Tensor:
        """Return `forward` at chosen tokens [B, m], as [B, m, D]: every key, but no other query is used."""
        assert isinstance(self.attention, MultiHeadAttention)
        self.check_inputs(data, attention_mask)
        query, _ = self._read(data, attention_mask)
        asked = pick(query, chosen)
        mixed = self.attention.mix_at(query, attention_mask, chosen, asked)
        return self._finish(asked if query is data else pick(data, chosen), asked, mixed, None)

    def _read(self, data: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return what queries, and what keys and values are made of; None: the same."""
        read = self.attention_norm(data) if self.norm_first else data
        query = self.query_of(read, attention_mask)
        key_value = read if self.key_value_norm else data
        return query, None if key_value is query else key_value

    def _finish(self, data: Tensor, query: Tensor, mixed: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return the layer's output from what attention returned, and from what it and the layer read."""
        stream = data[:, : self.output_range] if self.norm_first else query
        data = self._join(stream, self.dropout(mixed))
        if self.norm_first:
            return data + self._within(self.feedforward_norm(data), attention_mask)
        update = self._within(data, attention_mask)
        if not self.feedforward_residual:
            return update.to(data.dtype)
        out: Tensor = self.feedforward_norm(data + update)
        return out

    def query_of(self, read: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return what the queries are made of: [B, T, D], or its first ``output_range`` tokens."""
        return read if self.output_range is None else read[:, : self.output_range]

    def _join(self, data: Tensor, mixed: Tensor) -> Tensor:
        """Add attention's result to the residual stream, and normalise the sum in post-norm."""
        data = data + mixed if self.query_residual else mixed.to(data.dtype)
        return data if self.norm_first else self.attention_norm(data)

    def _within(self, data: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return the feed-forward's result [B, T, D]."""
        if attention_mask is not None and self.output_range is not None:
            attention_mask = columns_of(attention_mask, self.output_range)
        update: Any = self.feedforward.mix(data, attention_mask)
        out: Tensor = self.dropout(update)
        return out


TOLD_BY_MIXERS = frozenset(
    (
        *("attention_cls", "attention_cfg", "feedforward_cls", "feedforward_cfg"),
        *("num_attention_heads", "num_kv_heads", "key_dim", "use_bias", "position", "rope_theta"),
        *("attention_dropout", "attention_dropout_rate", "softmax_axis"),
        *("src_block_size", "tgt_block_size", "sigmoid_attn_bias"),
        *("linformer_dim", "linformer_shared_kv_projection", "max_seq_length"),
        *("reuse_attention", "layer_idx", "max_reuse_layer_idx", "has_state", "head_size"),
        *("use_relative_pe", "pe_max_seq_length"),
        *("inner_dim", "inner_activation", "inner_dropout"),
        *("intermediate_size", "intermediate_activation", "intermediate_dropout"),
    )
)
"""Arguments of layers that only shape their mixers."""


def rows_of(attention_mask: Tensor | None, output_range: int | None) -> Tensor | None:
    """Return the mask of the first queries: [B, r, T] of [B, T, T]; a mask of keys [B, T] as it is."""
    if attention_mask is None or output_range is None or attention_mask.dim() == 2:
        return attention_mask
    return attention_mask[..., :output_range, :]


def columns_of(attention_mask: Tensor, output_range: int) -> Tensor:
    """Return the mask among the first tokens: [B, r] or [B, r, r]."""
    rows = rows_of(attention_mask, output_range)
    assert rows is not None
    return rows[..., :output_range]


def key_value_flops(attention: ResidualBlock) -> float:
    """Return what keys and values cost per token: what a shorter output does not save."""
    size = getattr(attention, "num_kv_heads", 0) * getattr(attention, "head_size", 0)
    return 4.0 * size * int(attention.config["hidden_size"])


def standard_mlp(
    hidden_size: int, inner_dim: int | None, activation: str | Activation, inner_dropout: float = 0.0
) -> MLP:
    """Return a layer's own feed-forward network: with biases, without norm."""
    get_activation(activation, "inner_activation")  # a wrong one is told under the layer's own name
    return MLP(
        hidden_size,
        inner_dim=inner_dim,
        activation=cast(ActivationName, activation),  # `MLP` offers names, and takes functions
        bias=True,
        inner_dropout=inner_dropout,
        norm="none",
    )


def initialize(layer: nn.Module, kernel_initializer: Callable[[Tensor], object]) -> None:
    """Fill every projection's weight, and its bias with 0."""
    for module in layer.modules():
        if isinstance(module, nn.Linear):
            kernel_initializer(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _described(mixer: ResidualBlock) -> dict[str, Any]:
    kind = type(mixer)
    return {"class": f"{kind.__module__}.{kind.__qualname__}", **mixer.effective_config()}
