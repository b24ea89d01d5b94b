"""The original's relative attention and Transformer-XL block, which take biases and encodings as inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.blocks.attention.relative import RelativeAttention, Segments, attend_relative
from nas.blocks.attention.softmax import merge_heads, split_heads
from nas.blocks.transformer.xl import TransformerXLBlock
from nas.errors import InputError
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.attention import keras_attention
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.heads import fill_attention
from nas.interop.model_garden.weights import Weights
from nas.masks import attention_bias


class Relative(nn.Module):
    """`RelativeAttention` under the original's call: MultiHeadRelativeAttention."""

    def __init__(self, attention: RelativeAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        content_attention_bias: Tensor,
        positional_attention_bias: Tensor,
        key: Tensor | None = None,
        relative_position_encoding: Tensor | None = None,
        segment_matrix: Tensor | None = None,
        segment_encoding: Tensor | None = None,
        segment_attention_bias: Tensor | None = None,
        state: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Return [B, T, D]; ``state`` [B, M, D] stands before keys and values."""
        terms = Terms(
            content_attention_bias,
            positional_attention_bias,
            relative_position_encoding,
            _segments(segment_matrix, segment_encoding, segment_attention_bias),
        )
        key = value if key is None else key
        asked = Asked(self.attention, _before(state, key), _before(state, value), terms)
        return asked.output(asked.attend(asked.queries(query), attention_mask))


class TwoStream(nn.Module):
    """`RelativeAttention` under the original's call: TwoStreamRelativeAttention."""

    def __init__(self, attention: RelativeAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(
        self,
        content_stream: Tensor,
        content_attention_bias: Tensor,
        positional_attention_bias: Tensor,
        query_stream: Tensor | None = None,
        relative_position_encoding: Tensor | None = None,
        target_mapping: Tensor | None = None,
        segment_matrix: Tensor | None = None,
        segment_encoding: Tensor | None = None,
        segment_attention_bias: Tensor | None = None,
        state: Tensor | None = None,
        content_attention_mask: Tensor | None = None,
        query_attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the content [B, T, D] and the query stream [B, P, D], which sees the same keys."""
        terms = Terms(
            content_attention_bias,
            positional_attention_bias,
            relative_position_encoding,
            _segments(segment_matrix, segment_encoding, segment_attention_bias),
        )
        read = _before(state, content_stream)
        asked = Asked(self.attention, read, read, terms)
        content = asked.output(asked.attend(asked.queries(content_stream), content_attention_mask))
        if query_stream is None:
            return content, None
        queries = asked.queries(query_stream)
        if target_mapping is None:
            return content, asked.output(asked.attend(queries, query_attention_mask))
        mapping = target_mapping[:, None].to(queries.dtype)  # [B, 1, P, T]
        gathered = asked.attend(mapping.transpose(-2, -1) @ queries, query_attention_mask)
        return content, asked.output(mapping @ gathered)


class XLBlock(nn.Module):
    """`TransformerXLBlock` under the original's call, with one stream or two."""

    def __init__(self, block: TransformerXLBlock, *, two_stream: bool) -> None:
        super().__init__()
        self.block, self.two_stream = block, two_stream

    def forward(
        self,
        content_stream: Tensor,
        content_attention_bias: Tensor,
        positional_attention_bias: Tensor,
        relative_position_encoding: Tensor | None = None,
        segment_matrix: Tensor | None = None,
        segment_encoding: Tensor | None = None,
        segment_attention_bias: Tensor | None = None,
        state: Tensor | None = None,
        content_attention_mask: Tensor | None = None,
        query_stream: Tensor | None = None,
        query_attention_mask: Tensor | None = None,
        target_mapping: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return ``content_attention`` [B, T, D] and, with two streams, ``query_attention`` [B, P, D]."""
        attended = TwoStream(self.block.attention)(
            content_stream,
            content_attention_bias,
            positional_attention_bias,
            query_stream if self.two_stream else None,
            relative_position_encoding,
            target_mapping,
            segment_matrix,
            segment_encoding,
            segment_attention_bias,
            state,
            content_attention_mask,
            query_attention_mask,
        )
        out = {"content_attention": self._finish(content_stream, attended[0])}
        if self.two_stream:
            if query_stream is None or attended[1] is None:
                raise InputError("TransformerXLBlock with two_stream=True needs a query_stream")
            out["query_attention"] = self._finish(query_stream, attended[1])
        return out

    def _finish(self, stream: Tensor, attended: Tensor) -> Tensor:
        attention = self.block.attention
        data = attention.norm_after(stream + attention.dropout(attended))
        out: Tensor = self.block.feedforward(data)
        return out


class Terms:
    """What the original's scores are made of besides queries and keys."""

    def __init__(
        self,
        content_bias: Tensor,
        position_bias: Tensor,
        encoding: Tensor | None,
        segments: Segments | None,
    ) -> None:
        if encoding is None:
            raise InputError("relative attention needs a relative_position_encoding [B, L, D]")
        self.content_bias, self.position_bias = content_bias, position_bias
        self.encoding, self.segments = encoding, segments


class Asked:
    """Projected keys, values and distances, for one stream of queries or two."""

    def __init__(self, attention: RelativeAttention, key: Tensor, value: Tensor, terms: Terms) -> None:
        self.attention, self.terms = attention, terms
        self.key, self.value = self._heads(key, 1), self._heads(value, 2)
        self.places = split_heads(attention.distances(terms.encoding), attention.num_heads)

    def queries(self, stream: Tensor) -> Tensor:
        """Return [B, H, T, K]."""
        return self._heads(stream, 0)

    def attend(self, query: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return [B, H, T, K]; the mask is [B, T, S], [B, 1, T, S] or None."""
        terms = self.terms
        dropout = self.attention.attention_dropout if self.attention.training else 0.0
        bias = attention_bias(attention_mask, query.dtype)
        parts = (terms.content_bias, terms.position_bias, terms.segments)
        return attend_relative(query, self.key, self.value, self.places, bias, *parts, dropout=dropout)

    def output(self, heads: Tensor) -> Tensor:
        """Map [B, H, T, K] to [B, T, D]."""
        out: Tensor = self.attention.output(merge_heads(heads))
        return out

    def _heads(self, data: Tensor, part: int) -> Tensor:
        """Project by the first, second or third part of ``qkv``: queries, keys or values."""
        qkv = self.attention.qkv
        bias = None if qkv.bias is None else qkv.bias.chunk(3)[part]
        projected = nn.functional.linear(data, qkv.weight.chunk(3)[part], bias)
        return split_heads(projected, self.attention.num_heads)


def relative_attention(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build what is called as the original's MultiHeadRelativeAttention is."""
    return Relative(_attention(arguments, weights, context))


def two_stream_attention(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build what is called as the original's TwoStreamRelativeAttention is."""
    return TwoStream(_attention(arguments, weights, context))


def xl_block(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build what is called as the original's TransformerXLBlock is."""
    arguments.ignore("vocab_size")
    block = TransformerXLBlock(
        arguments.get("hidden_size"),
        arguments.get("num_attention_heads"),
        head_size=arguments.get("head_size"),
        inner_size=arguments.get("inner_size"),
        dropout_rate=arguments.get("dropout_rate"),
        attention_dropout_rate=arguments.get("attention_dropout_rate"),
        inner_dropout=arguments.get("inner_dropout", 0.0),
        inner_activation=arguments.activation("inner_activation", "relu"),
        biases=False,
        norm_epsilon=arguments.get("norm_epsilon", 1e-12),
    )
    _fill(block.attention, weights.below("attention_layer"))
    weights.fill(block.attention, norm_after=weights.norm("attention_layer_norm"))
    weights.fill(
        block.feedforward,
        inner=weights.dense("inner_dense"),
        output=weights.dense("output_dense"),
        norm_after=weights.norm("output_layer_norm"),
    )
    return XLBlock(block, two_stream=arguments.get("two_stream", False))


def _attention(arguments: Arguments, weights: Weights, context: Context) -> RelativeAttention:
    settings = keras_attention(arguments, context, wider_values=False)
    del settings["position"]
    attention = RelativeAttention(context.hidden_size, biases=False, **settings)
    _fill(attention, weights)
    return attention


def _fill(attention: RelativeAttention, weights: Weights) -> None:
    fill_attention(attention, weights)
    weights.fill(attention, distances=weights.to_heads("encoding_dense"))


def _segments(different: Tensor | None, encoding: Tensor | None, bias: Tensor | None) -> Segments | None:
    if different is None:
        return None
    if encoding is None or bias is None:
        raise InputError("segment_matrix needs segment_encoding [2, H, K] and segment_attention_bias [H, K]")
    return Segments(different, encoding, bias)


def _before(state: Tensor | None, data: Tensor) -> Tensor:
    """Return the memory and the data, [B, M + T, D]; a memory of fewer axes is none, as there."""
    return data if state is None or state.dim() < 2 else torch.cat([state, data], dim=1)


TRANSLATORS: dict[str, Translator] = {
    "MultiHeadRelativeAttention": relative_attention,
    "TwoStreamRelativeAttention": two_stream_attention,
    "TransformerXLBlock": xl_block,
}
