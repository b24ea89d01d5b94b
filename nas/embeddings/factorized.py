"""The factorized embedding: narrow tables, and a product to the hidden size."""

from __future__ import annotations

from typing import Literal, Unpack, get_args

from nas.embeddings.tables import EmbeddingSettings, TableEmbedding
from nas.errors import check_choice

Projected = Literal["sum", "word"]


class FactorizedEmbedding(TableEmbedding):
    """Tables of W columns and a product W to D: V W + W D weights in place of V D.

    ALBERT (Lan et al. 2019, arXiv 1909.11942): with ``projected="sum"`` the normalised sum of narrow
    word, position and type vectors is projected, as in the Model Garden's AlbertEncoder and
    BertEncoder; with ``word`` the word vectors alone are, before positions and types of width D are
    added, as with its FactorizedEmbedding layer.

    Args:
        vocab_size: V, rows of the word table.
        hidden_size: D.
        max_seq_length: rows of the position table; null: ``seq_length``.
        embedding_width: W; null: D / 4, at least 1.
        projected: what is projected, ``sum`` or ``word``.
        projection_bias: of the product.
        **settings: see `nas.embeddings.tables.TableEmbedding`.

    Raises:
        InputError: a size is missing or out of range.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        hidden_size: int | None = None,
        max_seq_length: int | None = None,
        *,
        embedding_width: int | None = None,
        projected: Projected = "sum",
        projection_bias: bool = True,
        **settings: Unpack[EmbeddingSettings],
    ) -> None:
        super().__init__(vocab_size, hidden_size, max_seq_length, **settings)
        check_choice("projected", projected, get_args(Projected))
        width = max(1, self.hidden_size // 4) if embedding_width is None else embedding_width
        self.build_tables(width, width if projected == "sum" else self.hidden_size)
        projection = self.make_projection(width, bias=projection_bias)
        if projected == "sum":
            self.after = projection
        else:
            self.before = projection
