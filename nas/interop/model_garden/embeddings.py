"""The original's embedding networks, and the two that its tests and cases define themselves."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from nas.embeddings.factorized import FactorizedEmbedding
from nas.embeddings.packed import PackedSequenceEmbedding
from nas.embeddings.tables import TableEmbedding, make_table
from nas.inputs import mask_of
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.weights import Weights
from nas.masks import SelfAttentionMask


def packed_sequence_embedding(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `PackedSequenceEmbedding`."""
    arguments.ignore("initializer")
    embedding = PackedSequenceEmbedding(
        arguments.get("vocab_size"),
        arguments.get("hidden_size"),
        arguments.get("max_seq_length"),
        embedding_width=arguments.get("embedding_width"),
        use_position_id=arguments.get("use_position_id", False),
        pack_multiple_sequences=arguments.get("pack_multiple_sequences", False),
        type_vocab_size=arguments.get("type_vocab_size"),
        dropout_rate=arguments.get("dropout_rate"),
    )
    fill_tables(embedding, weights)
    return WithMask(embedding) if context.entry.get("kind") == "network" else embedding


def factorized_network(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `FactorizedEmbedding` whose word vectors alone are projected."""
    arguments.ignore("initializer")
    embedding = FactorizedEmbedding(
        arguments.get("vocab_size"),
        arguments.get("hidden_size"),
        arguments.get("max_seq_length"),
        embedding_width=arguments.get("embedding_width"),
        projected="word",
        projection_bias=False,
        type_vocab_size=arguments.get("type_vocab_size"),
        dropout_rate=arguments.get("dropout_rate", 0.0),
    )
    weights.fill(embedding, before=weights.dense("word_embeddings/embedding_projection"))
    fill_tables(embedding, weights)
    return embedding


def two_input_embedding(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `TwoInputEmbedding`."""
    embedding = TwoInputEmbedding(arguments.get("vocab_size"), arguments.get("hidden_size"))
    weights.fill(embedding, embedding_layer__weight=weights.take("embedding_layer/embeddings"))
    return embedding


class WithMask(nn.Module):
    """An embedding as a case by itself: it returns the attention mask as well.

    Args:
        embedding: returns embeddings, or both.
    """

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding
        self.mask_layer = SelfAttentionMask()

    def forward(self, inputs: Any) -> list[Tensor]:
        """Return embeddings [B, T, D] and mask [B, T, T]."""
        made = self.embedding(inputs)
        if isinstance(made, tuple):
            return list(made)
        padding = mask_of(inputs)
        ones = torch.ones(made.shape[:2], device=made.device)
        return [made, self.mask_layer(made, ones if padding is None else padding)]


class TwoInputEmbedding(nn.Module):
    """Word vectors alone, and the default mask of its own making.

    Args:
        vocab_size: V.
        hidden_size: D.
    """

    def __init__(self, vocab_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.embedding_layer = make_table(vocab_size, hidden_size, nn.init.normal_)
        self.mask_layer = SelfAttentionMask()

    def forward(self, inputs: Any) -> tuple[Tensor, Tensor]:
        """Return embeddings [B, T, D] and mask [B, T, T] of ids and padding mask, named or in order."""
        values = inputs.values() if isinstance(inputs, dict) else inputs
        ids, mask = values
        data = self.embedding_layer(ids)
        return data, self.mask_layer(data, mask)


def named_like(weights: Weights, *names: str) -> str:
    """Return the first of the names, alone or with a number after it, that weights lie below.

    Keras numbers the layers of a class that were given no name: ``on_device_embedding_1``.
    """
    for name in names:
        depth = name.count("/") + 1
        for key in weights.names():
            found = "/".join(key.split("/")[:depth])
            if re.fullmatch(rf"{re.escape(name)}(_\d+)?", found):
                return found
    return names[0]


def fill_tables(embedding: TableEmbedding, weights: Weights, names: dict[str, str] | None = None) -> None:
    """Fill tables, norm and the projection after it.

    Args:
        embedding: one of ours.
        weights: where the parts lie.
        names: the original's name of each part, where it is another than a functional network's.
    """
    named = {
        "word": "word_embeddings",
        "position": "position_embedding",
        "type": "type_embeddings",
        "norm": "embeddings/layer_norm",
        "projection": "embedding_projection",
        **(names or {}),
    }
    weights.fill(
        embedding,
        word_embeddings__weight=weights.take(f"{named['word']}/embeddings"),
        norm=weights.norm(named["norm"]),
    )
    if embedding.position_embeddings is not None:
        table = weights.take(f"{named['position']}/position_embeddings")
        weights.fill(embedding, position_embeddings__weight=table)
    if embedding.type_embeddings is not None:
        weights.fill(embedding, type_embeddings__weight=weights.take(f"{named['type']}/embeddings"))
    if isinstance(embedding.after, nn.Linear):
        weights.fill(embedding.after, **weights.dense(named["projection"]))


TRANSLATORS: dict[str, Translator] = {
    "FactorizedEmbeddingNetwork": factorized_network,
    "PackedSequenceEmbedding": packed_sequence_embedding,
    "TwoInputEmbedding": two_input_embedding,
}
