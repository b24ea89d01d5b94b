"""The MobileBERT layer: attention and a stack of feed-forward networks inside a bottleneck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from nas.blocks.activations import Activation, get_activation
from nas.blocks.attention.softmax import attend, attention_weights, merge_heads, split_heads
from nas.blocks.base import Block, Role
from nas.errors import InputError, check_choice, check_positive, check_probability
from nas.masks import attention_bias

Normalization = Literal["no_norm", "layer_norm"]


class NoNorm(nn.Module):
    """``data * weight + bias`` in place of a norm: what MobileBERT's student uses.

    Args:
        hidden_size: D.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, data: Tensor) -> Tensor:
        """Scale and shift each feature of [..., D]."""
        return (data * self.weight + self.bias).to(data.dtype)


class MobileBertTransformer(Block):
    """Narrow to a bottleneck, attend and feed forward there, widen again; post-norm throughout.

    Sun et al. 2020 (arXiv 2004.02984), with the argument names of the Model Garden's layer. Queries
    and keys read one narrowed copy, values the full width. Difference from the Model Garden: sizes left
    out follow the hidden size (there they are those of the published model).

    Args:
        hidden_size: D.
        num_attention_heads: H, divides the bottleneck.
        intra_bottleneck_size: the width inside; null: D / 4, at least H.
        intermediate_size: the width inside each feed-forward network; null: D.
        num_feedforward_networks: how many follow each other.
        use_bottleneck_attention: queries, keys and values all read the layer's narrowed input;
            ``key_query_shared_bottleneck`` has no effect then.
        key_query_shared_bottleneck: queries and keys read a narrowed copy of their own; else they
            read the full width, as values do.
        normalization_type: ``no_norm`` scales and shifts; ``layer_norm`` is the teacher's.
        intermediate_act_fn: a name (see `nas.blocks.activations`) or a function of one tensor.
        hidden_dropout_prob: applied after widening.
        attention_probs_dropout_prob: applied to the attention weights.

    Raises:
        InputError: H does not divide the bottleneck, or a size or name is not allowed.
    """

    role: ClassVar[Role] = "transformer"

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        *,
        intra_bottleneck_size: int | None = None,
        intermediate_size: int | None = None,
        num_feedforward_networks: int = 4,
        use_bottleneck_attention: bool = False,
        key_query_shared_bottleneck: bool = True,
        normalization_type: Normalization = "no_norm",
        intermediate_act_fn: str | Callable[[Tensor], Tensor] = "relu",
        hidden_dropout_prob: float = 0.0,
        attention_probs_dropout_prob: float = 0.0,
    ) -> None:
        super().__init__()
        heads = num_attention_heads
        inner = hidden_size if intermediate_size is None else intermediate_size
        check_positive(
            hidden_size=hidden_size,
            num_attention_heads=heads,
            intermediate_size=inner,
            num_feedforward_networks=num_feedforward_networks,
        )
        check_probability(
            hidden_dropout_prob=hidden_dropout_prob,
            attention_probs_dropout_prob=attention_probs_dropout_prob,
        )
        check_choice("normalization_type", normalization_type, get_args(Normalization))
        narrow = _bottleneck(intra_bottleneck_size, hidden_size, heads)
        self.num_heads, self.attention_dropout = heads, attention_probs_dropout_prob
        self.queries_read = "narrow" if use_bottleneck_attention else "data"
        if key_query_shared_bottleneck and not use_bottleneck_attention:
            self.queries_read = "shared"
        self.narrow = _Normed(hidden_size, narrow, normalization_type)
        self.shared = (
            _Normed(hidden_size, narrow, normalization_type) if self.queries_read == "shared" else None
        )
        self.query_key = nn.Linear(hidden_size if self.queries_read == "data" else narrow, 2 * narrow)
        self.value = nn.Linear(narrow if use_bottleneck_attention else hidden_size, narrow)
        self.attended = nn.Linear(narrow, narrow)
        self.attention_norm = _norm(narrow, normalization_type)
        activation = get_activation(intermediate_act_fn, "intermediate_act_fn")
        self.feedforwards = nn.ModuleList(
            _FeedForward(narrow, inner, activation, normalization_type)
            for _ in range(num_feedforward_networks)
        )
        self.widen = nn.Linear(narrow, hidden_size)
        self.dropout = nn.Dropout(hidden_dropout_prob)
        self.output_norm = _norm(hidden_size, normalization_type)

    def effective_config(self) -> dict[str, Any]:
        """Name the sizes that were chosen; a bottleneck that nothing reads is none."""
        config = super().effective_config()
        sizes = {
            "intra_bottleneck_size": self.widen.in_features,
            "intermediate_size": config["intermediate_size"] or self.widen.out_features,
        }
        if config["use_bottleneck_attention"]:
            config["key_query_shared_bottleneck"] = None
        return {**config, **sizes}

    @property
    def label(self) -> str:
        """Always ``mobilebert``."""
        return "mobilebert"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of all products, and of attention over all tokens."""
        linear = (m for m in self.modules() if isinstance(m, nn.Linear))
        products = sum(2.0 * m.in_features * m.out_features for m in linear)
        return products + 4.0 * seq_length * self.widen.in_features

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map ``data`` [B, T, D] to [B, T, D]; the mask is None, [B, T] or [B, T, T].

        Raises:
            InputError: the mask does not fit the data.
        """
        self.check_inputs(data, attention_mask)
        narrow = self.narrow(data)
        inside = self.attention_norm(self._attend(data, narrow, attention_mask) + narrow)
        for feedforward in self.feedforwards:
            inside = feedforward(inside)
        out: Tensor = self.output_norm(self.dropout(self.widen(inside)) + data)
        return out

    def attention_scores(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return the weights of attention [B, H, T, T] for the layer's input [B, T, D]."""
        query, key, _ = self._heads(data, self.narrow(data))
        return attention_weights(query, key, attention_bias(attention_mask, query.dtype))

    def _attend(self, data: Tensor, narrow: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return [B, T, bottleneck] from the data [B, T, D] and its narrowed copy."""
        query, key, value = self._heads(data, narrow)
        dropout = self.attention_dropout if self.training else 0.0
        heads = attend(query, key, value, attention_bias(attention_mask, query.dtype), dropout)
        out: Tensor = self.attended(merge_heads(heads))
        return out

    def _heads(self, data: Tensor, narrow: Tensor) -> tuple[Tensor, ...]:
        """Return query, key and value, [B, H, T, K] each."""
        if self.shared is not None:
            read = self.shared(data)
        else:
            read = narrow if self.queries_read == "narrow" else data
        value = self.value(narrow if self.queries_read == "narrow" else data)
        query, key = self.query_key(read).chunk(2, dim=-1)
        return tuple(split_heads(part, self.num_heads) for part in (query, key, value))


class _Normed(nn.Module):
    """A product and a norm: D features to fewer."""

    def __init__(self, hidden_size: int, narrow: int, normalization_type: Normalization) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, narrow)
        self.norm = _norm(narrow, normalization_type)

    def forward(self, data: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, narrow]."""
        out: Tensor = self.norm(self.dense(data))
        return out


class _FeedForward(nn.Module):
    """``norm(data + network(data))`` with a network of two layers."""

    def __init__(
        self, hidden_size: int, inner_dim: int, activation: Activation, normalization_type: Normalization
    ) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden_size, inner_dim)
        self.activation = activation
        self.output = nn.Linear(inner_dim, hidden_size)
        self.norm = _norm(hidden_size, normalization_type)

    def forward(self, data: Tensor) -> Tensor:
        """Map [B, T, narrow] to the same shape."""
        out: Tensor = self.norm(self.output(self.activation(self.inner(data))) + data)
        return out


def _norm(width: int, normalization_type: Normalization) -> nn.Module:
    return NoNorm(width) if normalization_type == "no_norm" else nn.LayerNorm(width, eps=1e-12)


def _bottleneck(size: int | None, hidden_size: int, heads: int) -> int:
    """Return the width inside: what was given, or the multiple of the heads nearest to D / 4."""
    if size is None:
        return heads * max(1, round(hidden_size / 4 / heads))
    check_positive(intra_bottleneck_size=size)
    if size % heads:
        raise InputError(f"num_attention_heads={heads} must divide intra_bottleneck_size={size}")
    return size
