"""The embedding for packed sequences: several texts in one row, each with its own places and mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.embeddings.tables import EmbeddingSettings, TableEmbedding
from nas.errors import InputError
from nas.inputs import INPUT_NAMES, Inputs, read_inputs
from nas.masks import SelfAttentionMask


class PackedSequenceEmbedding(TableEmbedding):
    """The default embedding, at any width, that can tell apart texts packed into one row.

    The Model Garden's network of this name. With ``pack_multiple_sequences``, every token that equals
    the row's first ([CLS]) starts a text: places count from there, and the attention mask that is
    returned lets tokens see their own text alone. Blocks that read which tokens are real, and no
    T x T mask (mixing, convolution), do not see the borders.

    Args:
        vocab_size: V, rows of the word table.
        hidden_size: D.
        max_seq_length: rows of the position table; null: ``seq_length``.
        embedding_width: columns of all tables; null: D. Another width is projected, after the norm.
        use_position_id: inputs have a fourth, ``position_ids`` [B, T]: the place of each token.
        pack_multiple_sequences: whether rows hold several texts.
        projection_bias: of the product to D, if there is one.
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
        use_position_id: bool = False,
        pack_multiple_sequences: bool = False,
        projection_bias: bool = False,
        **settings: Unpack[EmbeddingSettings],
    ) -> None:
        super().__init__(vocab_size, hidden_size, max_seq_length, **settings)
        width = self.hidden_size if embedding_width is None else embedding_width
        self.build_tables(width, width)
        self.use_position_id = use_position_id
        self.pack_multiple_sequences = pack_multiple_sequences
        self.mask_layer = SelfAttentionMask()
        if width != self.hidden_size:
            self.after = self.make_projection(width, bias=projection_bias)

    def forward(self, inputs: Inputs) -> Any:
        """Return embeddings [B, T, D]; with packed texts also the attention mask [B, T, T].

        Raises:
            InputError: an input is unknown, missing, of a wrong shape or dtype, or too long.
        """
        places = None
        if self.use_position_id:
            inputs, places = _without_positions(inputs)
        read = read_inputs(inputs)
        if places is not None and places.shape != read.word_ids.shape:
            raise InputError(
                f"position_ids has shape {list(places.shape)}: expected that of the ids, "
                f"{list(read.word_ids.shape)}"
            )
        if not self.pack_multiple_sequences:
            return self.embed(read, places)
        text = texts_of(read.word_ids)
        embedded = self.embed(read, places_in(text) if places is None else places)
        mask = torch.ones_like(text) if read.mask is None else read.mask
        same = text[:, :, None] == text[:, None, :]
        return embedded, self.mask_layer(embedded, mask) * same


def texts_of(word_ids: Tensor) -> Tensor:
    """Return the number of each token's text, [B, T], from 1: a text starts at the row's first token's id."""
    return (word_ids == word_ids[:, :1]).cumsum(dim=1)


def places_in(text: Tensor) -> Tensor:
    """Return the place of each token within its text, [B, T], from the texts' numbers."""
    place = torch.arange(text.shape[1], device=text.device).expand_as(text)
    starts = text > F.pad(text, (1, 0))[:, :-1]
    return place - torch.where(starts, place, 0).cummax(dim=1).values


def _without_positions(inputs: Inputs) -> tuple[Inputs, Tensor]:
    """Return the other inputs, and the position ids: named, or last of four."""
    if isinstance(inputs, Mapping):
        found = inputs.get("position_ids")
        rest: Inputs = {name: value for name, value in inputs.items() if name != "position_ids"}
    elif isinstance(inputs, Sequence) and len(inputs) == len(INPUT_NAMES) + 1:
        found, rest = inputs[-1], list(inputs[:-1])
    else:
        found, rest = None, inputs
    if not isinstance(found, Tensor) or found.is_floating_point():
        raise InputError(
            "use_position_id=True needs an input position_ids: integers [B, T], named or as the fourth"
        )
    return rest, found
