"""The original's small layers by themselves: tables, positions, activations."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.activations import get_activation
from nas.blocks.transformer.mobilebert import NoNorm
from nas.embeddings.packed import texts_of
from nas.embeddings.sinusoid import RelativePositionEmbedding
from nas.embeddings.tables import make_table
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.layer import CALLS
from nas.interop.model_garden.weights import Weights


class Lookup(nn.Module):
    """A table: ids to vectors, scaled, and projected if it is factorized.

    Args:
        vocab_size: V.
        width: W.
        scale: of the vectors.
        hidden_size: D; None: no projection.
    """

    def __init__(self, vocab_size: int, width: int, scale: float, hidden_size: int | None = None) -> None:
        super().__init__()
        self.table = make_table(vocab_size, width, nn.init.normal_)
        self.scale = scale
        self.projection = None if hidden_size is None else nn.Linear(width, hidden_size, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ids [...] to vectors [..., W] or [..., D]."""
        vectors: Tensor = self.table(inputs) * self.scale
        return vectors if self.projection is None else self.projection(vectors)


class Places(nn.Module):
    """A table of position vectors, repeated to the shape of what they would be added to.

    Args:
        rows: the longest input.
        width: W.
        axis: of the input, along which places count.
    """

    def __init__(self, rows: int, width: int, axis: int) -> None:
        super().__init__()
        self.table = make_table(rows, width, nn.init.normal_)
        self.axis = axis

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the vectors in the shape of ``inputs`` [..., W]."""
        shape = [1] * inputs.dim()
        shape[self.axis], shape[-1] = inputs.shape[self.axis], inputs.shape[-1]
        return self.table.weight[: inputs.shape[self.axis]].reshape(shape).expand_as(inputs)


class TextPlaces(nn.Module):
    """A table of position vectors, read at given places, or at the places within packed texts.

    Args:
        rows: the longest input.
        width: W.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = make_table(rows, width, nn.init.normal_)

    def forward(
        self,
        inputs: Tensor,
        position_ids: Tensor | None = None,
        sub_sequence_mask: Tensor | None = None,
    ) -> Tensor:
        """Return vectors in the shape of ``inputs`` [B, T, W]; the mask [B, T, T] tells who share a text."""
        if position_ids is None and sub_sequence_mask is None:
            return self.table.weight[: inputs.shape[1]].expand_as(inputs)
        if position_ids is None:
            assert sub_sequence_mask is not None
            before = sub_sequence_mask.long().cumsum(-1).diagonal(dim1=1, dim2=2)
            position_ids = before - 1
        out: Tensor = self.table(position_ids)
        return out


class SameText(nn.Module):
    """Which tokens are of one packed text."""

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return booleans [B, T, T] for ids [B, T]."""
        text = texts_of(input_ids)
        return text[:, :, None] == text[:, None, :]


class Sinusoids(nn.Module):
    """`RelativePositionEmbedding`, called with data or with a length."""

    def __init__(self, table: RelativePositionEmbedding) -> None:
        super().__init__()
        self.table = table

    def forward(self, inputs: Tensor | None = None, length: int | None = None) -> Tensor:
        """Return [T, D]."""
        if inputs is None:
            return self.table.of_length(length or 0)
        out: Tensor = self.table(inputs)
        return out


class Activations(nn.Module):
    """Every activation of the original on one input, by its name there."""

    FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {  # noqa: RUF012
        "gelu_tanh": get_activation("gelu_tanh"),
        "gelu_erf": get_activation("gelu"),
        "relu": get_activation("relu"),
        "relu6": get_activation("relu6"),
        "hard_swish": get_activation("hard_swish"),
        "simple_swish": get_activation("silu"),
        "mish": get_activation("mish"),
        "hard_sigmoid": lambda data: F.relu6(data + 3) * 0.16667,  # the original's sixth
    }

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return each function's values."""
        return {name: function(inputs) for name, function in self.FUNCTIONS.items()}


def on_device_embedding(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `Lookup`; a factorized one projects."""
    arguments.ignore("use_one_hot", "weight_fallback_dtype", "initializer")
    factorized = arguments.class_name == "FactorizedEmbedding"
    lookup = Lookup(
        arguments.get("vocab_size"),
        arguments.get("embedding_width"),
        arguments.get("scale_factor", None) or 1.0,
        arguments.get("output_dim") if factorized else None,
    )
    weights.fill(lookup, table__weight=weights.take("embeddings"))
    if lookup.projection is not None:
        weights.fill(lookup.projection, **weights.dense("embedding_projection"))
    return lookup


def position_embedding(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build `Places`."""
    arguments.ignore("initializer")
    table = next(name for name in ("position_embeddings", "embeddings") if name in weights)
    rows, width = weights.shape(table)
    arguments.only("max_length", rows)
    places = Places(rows, width, arguments.get("seq_axis", 1))
    weights.fill(places, table__weight=weights.take(table))
    return places


def text_position_embedding(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build `TextPlaces`."""
    arguments.ignore("initializer", "use_dynamic_slicing")
    rows, width = weights.shape("position_embeddings")
    arguments.only("max_sequence_length", None, rows)
    places = TextPlaces(rows, width)
    weights.fill(places, table__weight=weights.take("position_embeddings"))
    return places


def packed_sequence_mask(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build `SameText`."""
    return SameText()


def relative_position_embedding(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `RelativePositionEmbedding`."""
    table = RelativePositionEmbedding(
        arguments.get("hidden_size"),
        min_timescale=arguments.get("min_timescale", 1.0),
        max_timescale=arguments.get("max_timescale", 1.0e4),
    )
    return Sinusoids(table)


def no_norm(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `NoNorm`."""
    norm = NoNorm(context.hidden_size)
    weights.fill(norm, weight=weights.take("scale"), bias=weights.take("bias"))
    return norm


CALLS["activations"] = Activations

TRANSLATORS: dict[str, Translator] = {
    "FactorizedEmbedding": on_device_embedding,
    "NoNorm": no_norm,
    "OnDeviceEmbedding": on_device_embedding,
    "PackedSequenceMask": packed_sequence_mask,
    "PositionEmbeddingWithSubSeqMask": text_position_embedding,
    "PositionEmbedding": position_embedding,
    "RelativePositionEmbedding": relative_position_embedding,
}
