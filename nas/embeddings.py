"""The default embedding: word, position and type vectors, summed and normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nas.blocks.transformer.encoder_block import truncated_normal
from nas.configured import Configured
from nas.errors import InputError, not_allowed
from nas.inputs import EncoderInputs, Inputs, read_inputs

Position = Literal["learned", "none"]


class TransformerEmbedding(Configured, nn.Module):
    """``LayerNorm(word[id] + position[place] + type[type id])``, then dropout.

    Devlin et al. 2018 (arXiv 1810.04805), with the Model Garden's epsilon of 1e-12. Differences
    from the Model Garden: an id or type id outside of its table is an error (there, such a type
    adds a zero vector), and the position and type tables may be left out.

    Any module can stand in its place in `nas.EncoderScaffold`: it is called with the encoder's
    inputs as they were given, returns embeddings [B, T, D] or (embeddings, attention_mask), and has
    an integer attribute ``hidden_size``; an attribute ``embedding_layer`` makes its table known.

    Args:
        vocab_size: V, rows of the word table.
        hidden_size: D.
        max_seq_length: rows of the position table; null: ``seq_length``.
        type_vocab_size: rows of the type table; 0: no types.
        seq_length: the only length that inputs may have; null: any up to ``max_seq_length``.
        position: ``learned`` adds a vector for each place; ``none`` leaves order to the blocks.
        initializer: fills each table in place; null: truncated normal, standard deviation 0.02.
        dropout_rate: applied to the result.

    Raises:
        InputError: a size is missing or out of range.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        hidden_size: int | None = None,
        max_seq_length: int | None = None,
        *,
        type_vocab_size: int = 2,
        seq_length: int | None = None,
        position: Position = "learned",
        initializer: Callable[[Tensor], object] | None = None,
        dropout_rate: float = 0.0,
    ) -> None:
        super().__init__()
        max_seq_length = seq_length if max_seq_length is None else max_seq_length
        mistakes = [
            *_size_mistakes(vocab_size=vocab_size, hidden_size=hidden_size),
            *_length_mistakes(max_seq_length, seq_length, position),
            *_rate_mistakes(type_vocab_size, dropout_rate),
        ]
        if mistakes or vocab_size is None or hidden_size is None:
            raise InputError(*mistakes)
        self.hidden_size = hidden_size
        self.max_seq_length = max_seq_length
        self.seq_length = seq_length
        places = max_seq_length if position == "learned" and max_seq_length else 0
        fill = initializer or truncated_normal
        self.word_embeddings = _table(vocab_size, hidden_size, fill)
        self.position_embeddings = _table(places, hidden_size, fill) if places else None
        self.type_embeddings = _table(type_vocab_size, hidden_size, fill) if type_vocab_size else None
        self.norm = nn.LayerNorm(hidden_size, eps=1e-12)
        self.dropout = nn.Dropout(dropout_rate)

    @property
    def embedding_layer(self) -> nn.Embedding:
        """The word table [V, D] as a layer."""
        return self.word_embeddings

    @property
    def label(self) -> str:
        """What is summed, such as ``word+position+type``."""
        tables = {"position": self.position_embeddings, "type": self.type_embeddings}
        return "+".join(["word", *(name for name, table in tables.items() if table is not None)])

    def flops_per_token(self, seq_length: int) -> float:
        """Return 0: tables are read, nothing is multiplied."""
        return 0.0

    def forward(self, inputs: Inputs) -> Tensor:
        """Return embeddings [B, T, D] of ids (and types) [B, T].

        Raises:
            InputError: an input is unknown, of a wrong shape or dtype, or too long.
        """
        read = read_inputs(inputs)
        self._check(read)
        out = self.word_embeddings(read.word_ids)
        if self.position_embeddings is not None:
            out = out + self.position_embeddings.weight[: read.word_ids.shape[1]]
        if self.type_embeddings is not None:
            out = out + self._types(read.type_ids, self.type_embeddings)
        embedded: Tensor = self.dropout(self.norm(out))
        return embedded

    def _types(self, type_ids: Tensor | None, table: nn.Embedding) -> Tensor:
        """Return [B, T, D], or the first type's [D] for every token."""
        types: Tensor = table.weight[0] if type_ids is None else table(type_ids)
        return types

    def _check(self, read: EncoderInputs) -> None:
        tokens = read.word_ids.shape[1]
        if self.seq_length is not None and tokens != self.seq_length:
            raise InputError(
                f"input_word_ids has T={tokens} tokens: expected seq_length={self.seq_length} "
                "(leave seq_length out for any length)"
            )
        if self.max_seq_length is not None and tokens > self.max_seq_length:
            raise InputError(
                f"input_word_ids has T={tokens} tokens: at most max_seq_length={self.max_seq_length}"
            )
        if read.type_ids is not None and self.type_embeddings is None:
            raise InputError("input_type_ids was given, but type_vocab_size=0 leaves types out")


def _table(rows: int, hidden_size: int, fill: Callable[[Tensor], object]) -> nn.Embedding:
    """Return a table filled once: torch's own first filling takes a second on the meta device."""
    table = nn.Embedding(rows, hidden_size, _weight=torch.empty(rows, hidden_size))
    fill(table.weight)
    return table


def _size_mistakes(**sizes: object) -> list[str]:
    return [
        f"{key}={value!r} must be an integer greater than 0"
        for key, value in sizes.items()
        if not isinstance(value, int) or isinstance(value, bool) or value < 1
    ]


def _length_mistakes(max_seq_length: int | None, seq_length: int | None, position: str) -> list[str]:
    given = {"max_seq_length": max_seq_length, "seq_length": seq_length}
    mistakes = _size_mistakes(**{key: value for key, value in given.items() if value is not None})
    if position not in get_args(Position):
        mistakes.append(not_allowed("position", position, get_args(Position)))
    if max_seq_length is None and position == "learned":
        mistakes.append("max_seq_length=None must be an integer greater than 0 with position='learned'")
    if not mistakes and max_seq_length is not None and (seq_length or 0) > max_seq_length:
        mistakes.append(f"seq_length={seq_length} is greater than max_seq_length={max_seq_length}")
    return mistakes


def _rate_mistakes(type_vocab_size: int, dropout_rate: float) -> list[str]:
    mistakes = []
    if not isinstance(type_vocab_size, int) or type_vocab_size < 0:
        mistakes.append(f"type_vocab_size={type_vocab_size!r} must be an integer, 0 or greater")
    if not isinstance(dropout_rate, int | float) or not 0 <= dropout_rate < 1:
        mistakes.append(f"dropout_rate={dropout_rate!r} must be at least 0 and below 1")
    return mistakes
