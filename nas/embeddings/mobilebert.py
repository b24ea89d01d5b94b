"""MobileBERT's embedding: each token is made of its own narrow vector and its two neighbours'."""

from __future__ import annotations

from typing import Literal, Unpack, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.transformer.mobilebert import NoNorm
from nas.embeddings.tables import EmbeddingSettings, TableEmbedding
from nas.errors import check_choice
from nas.inputs import EncoderInputs
from nas.masks import hide_padding

Normalization = Literal["no_norm", "layer_norm"]


class MobileBertEmbedding(TableEmbedding):
    """``norm(project([word[next], word[id], word[previous]]) + position[place] + type[type id])``.

    Sun et al. 2020 (arXiv 2004.02984): a narrow table makes up for its width by a convolution over
    three tokens. Difference from the Model Garden: neighbours that are padding count as 0, as those
    beyond the ends do (``padding_as_neighbour`` is how it is there).

    Args:
        vocab_size: V, rows of the word table.
        hidden_size: D.
        max_seq_length: rows of the position table; null: ``seq_length``.
        embedding_width: columns of the word table; null: D / 4, at least 1.
        normalization_type: ``no_norm`` scales and shifts; ``layer_norm`` is the teacher's.
        padding_as_neighbour: the last real token also reads the vector of the padding after it.
        **settings: see `nas.embeddings.tables.TableEmbedding`.

    Raises:
        InputError: a size is missing or out of range, or a name unknown.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        hidden_size: int | None = None,
        max_seq_length: int | None = None,
        *,
        embedding_width: int | None = None,
        normalization_type: Normalization = "no_norm",
        padding_as_neighbour: bool = False,
        **settings: Unpack[EmbeddingSettings],
    ) -> None:
        super().__init__(vocab_size, hidden_size, max_seq_length, **settings)
        check_choice("normalization_type", normalization_type, get_args(Normalization))
        width = max(1, self.hidden_size // 4) if embedding_width is None else embedding_width
        self.build_tables(width, self.hidden_size)
        self.padding_as_neighbour = padding_as_neighbour
        self.before = self.make_projection(3 * width, bias=True)
        if normalization_type == "no_norm":
            self.norm = NoNorm(self.hidden_size)

    def _words(self, read: EncoderInputs) -> Tensor:
        """Return each token's vector between its neighbours', [B, T, 3 W]: next, own, previous."""
        words = super()._words(read)
        around = words
        if read.mask is not None and not self.padding_as_neighbour:
            around = hide_padding(words, read.mask.bool())
        around = F.pad(around, (0, 0, 1, 1))  # zeros beyond both ends
        return torch.cat([around[:, 2:], words, around[:, :-2]], dim=-1)
