"""The default embedding: word, position and type vectors, summed and normalised."""

from __future__ import annotations

from typing import Unpack

from nas.embeddings.tables import EmbeddingSettings, TableEmbedding


class TransformerEmbedding(TableEmbedding):
    """``LayerNorm(word[id] + position[place] + type[type id])``, then dropout.

    Devlin et al. 2018 (arXiv 1810.04805), with the Model Garden's epsilon of 1e-12. Differences
    from the Model Garden: an id or type id outside of its table is an error (there, such a type
    adds a zero vector); positions may be sinusoids, and the position and type tables be left out.

    Any module can stand in its place in `nas.EncoderScaffold`: it is called with the encoder's
    inputs as they were given, returns embeddings [B, T, D] or (embeddings, attention_mask), and has
    an integer attribute ``hidden_size``; an attribute ``embedding_layer`` makes its table known.

    Args:
        vocab_size: V, rows of the word table.
        hidden_size: D.
        max_seq_length: rows of the position table; null: ``seq_length``.
        **settings: see `nas.embeddings.tables.TableEmbedding`.

    Raises:
        InputError: a size is missing or out of range.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        hidden_size: int | None = None,
        max_seq_length: int | None = None,
        **settings: Unpack[EmbeddingSettings],
    ) -> None:
        super().__init__(vocab_size, hidden_size, max_seq_length, **settings)
        self.build_tables(self.hidden_size, self.hidden_size)
