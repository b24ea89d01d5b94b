"""What the embeddings have in common: tables of word, position and type vectors, summed and normalised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict, get_args

import torch
from torch import Tensor, nn

from nas.blocks.growth import NEW_UNITS, Widening
from nas.blocks.transformer.encoder_block import truncated_normal
from nas.configured import Configured
from nas.embeddings.sinusoid import RelativePositionEmbedding
from nas.errors import InputError, not_allowed
from nas.inputs import EncoderInputs, Inputs, read_inputs

Position = Literal["learned", "sinusoid", "none"]


class EmbeddingSettings(TypedDict, total=False):
    """The arguments of `TableEmbedding` that every embedding passes on."""

    type_vocab_size: int
    seq_length: int | None
    position: Position
    word_scale: float
    initializer: Callable[[Tensor], object] | None
    dropout_rate: float


class TableEmbedding(Configured, nn.Module):
    """``after(dropout(norm(before(word[id]) + position[place] + type[type id])))``.

    A subclass says how wide its tables are (`build_tables`), and may replace ``before`` or ``after``,
    which do nothing here, by a projection.

    Args:
        vocab_size: V, rows of the word table.
        hidden_size: D, the width of the result.
        max_seq_length: rows of the position table; null: ``seq_length``.
        type_vocab_size: rows of the type table; 0: no types.
        seq_length: the only length that inputs may have; null: any up to ``max_seq_length``.
        position: ``learned`` adds a vector for each place, ``sinusoid`` a fixed one
            (`RelativePositionEmbedding`); ``none`` leaves order to the blocks.
        word_scale: multiplies word vectors (Vaswani et al. 2017 take the root of D).
        initializer: fills each table in place; null: truncated normal, standard deviation 0.02.
        dropout_rate: applied to the normalised sum.

    Raises:
        InputError: a size is missing or out of range; the message has a line for each.
    """

    def __init__(
        self,
        vocab_size: int | None,
        hidden_size: int | None,
        max_seq_length: int | None,
        *,
        type_vocab_size: int = 2,
        seq_length: int | None = None,
        position: Position = "learned",
        word_scale: float = 1.0,
        initializer: Callable[[Tensor], object] | None = None,
        dropout_rate: float = 0.0,
    ) -> None:
        super().__init__()
        max_seq_length = seq_length if max_seq_length is None else max_seq_length
        mistakes = [
            *size_mistakes(vocab_size=vocab_size, hidden_size=hidden_size),
            *_length_mistakes(max_seq_length, seq_length, position),
            *_number_mistakes(type_vocab_size, dropout_rate, word_scale),
        ]
        if mistakes or vocab_size is None or hidden_size is None:
            raise InputError(*mistakes)
        self.hidden_size = hidden_size
        self.max_seq_length = max_seq_length
        self.seq_length = seq_length
        self.word_scale = word_scale
        self._rows = (vocab_size, max_seq_length if position == "learned" else None, type_vocab_size)
        self._fill = initializer or truncated_normal
        self._places = position
        self.before: nn.Module = nn.Identity()
        self.dropout = nn.Dropout(dropout_rate)
        self.after: nn.Module = nn.Identity()

    def build_tables(self, word_width: int, sum_width: int) -> None:
        """Make the tables and the norm.

        Args:
            word_width: columns of the word table.
            sum_width: columns of the others, and what is normalised.

        Raises:
            InputError: a width is not positive, or odd with sinusoids.
        """
        if mistakes := size_mistakes(embedding_width=word_width):
            raise InputError(*mistakes)
        words, places, types = self._rows
        self.word_embeddings = make_table(words, word_width, self._fill)
        self.position_embeddings = make_table(places, sum_width, self._fill) if places else None
        self.sinusoid = RelativePositionEmbedding(sum_width) if self._places == "sinusoid" else None
        self.type_embeddings = make_table(types, sum_width, self._fill) if types else None
        self.norm: nn.Module = nn.LayerNorm(sum_width, eps=1e-12)

    def make_projection(self, width: int, *, bias: bool) -> nn.Linear:
        """Return a product from ``width`` features to D, its weights filled as the tables are."""
        projection = nn.Linear(width, self.hidden_size, bias=bias)
        self._fill(projection.weight)
        if bias:
            nn.init.zeros_(projection.bias)
        return projection

    @property
    def embedding_layer(self) -> nn.Embedding:
        """The word table [V, W] as a layer."""
        return self.word_embeddings

    @property
    def widenings(self) -> Mapping[str, Mapping[str, Widening]]:
        """``max_seq_length`` may grow: new places get vectors of their own."""
        return {"max_seq_length": {"position_embeddings.weight": NEW_UNITS}}

    @property
    def label(self) -> str:
        """What is summed, such as ``word+position+type``; the words' width where it is not D."""
        width = self.word_embeddings.embedding_dim
        word = "word" if width == self.hidden_size else f"word{width}"
        parts = {
            "position": self.position_embeddings,
            "sinusoid": self.sinusoid,
            "type": self.type_embeddings,
        }
        return "+".join([word, *(name for name, part in parts.items() if part is not None)])

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of projections; tables are read, and nothing is multiplied."""
        linear = (m for m in self.modules() if isinstance(m, nn.Linear))
        return sum(2.0 * m.in_features * m.out_features for m in linear)

    def forward(self, inputs: Inputs) -> Any:
        """Return embeddings [B, T, D] of ids (and types) [B, T].

        Raises:
            InputError: an input is unknown, of a wrong shape or dtype, or too long.
        """
        return self.embed(read_inputs(inputs))

    def embed(self, read: EncoderInputs, places: Tensor | None = None) -> Tensor:
        """Return embeddings [B, T, D] of checked inputs.

        Args:
            read: ids, mask and types.
            places: [B, T], the place of each token; None: 0, 1, 2, ...

        Raises:
            InputError: a length or, on the CPU, an id is beyond the tables; a GPU is not waited for to see.
        """
        self._check(read)
        try:
            out = self._summed(read, places)
        except IndexError:
            if mistakes := self._beyond_tables(read, places):
                raise InputError(*mistakes) from None
            raise
        embedded: Tensor = self.after(self.dropout(self.norm(out)))
        return embedded

    def _summed(self, read: EncoderInputs, places: Tensor | None) -> Tensor:
        out: Tensor = self.before(self._words(read))
        if self.position_embeddings is not None:
            table = self.position_embeddings
            out = out + (table.weight[: read.word_ids.shape[1]] if places is None else table(places))
        elif self.sinusoid is not None:
            out = out + self.sinusoid.at(_counted(read.word_ids) if places is None else places).to(out.dtype)
        if self.type_embeddings is not None:
            out = out + self._types(read.type_ids, self.type_embeddings)
        return out

    def _words(self, read: EncoderInputs) -> Tensor:
        """Return what ``before`` reads, [B, T, W]."""
        words: Tensor = self.word_embeddings(read.word_ids)
        return words if self.word_scale == 1 else words * self.word_scale

    def _types(self, type_ids: Tensor | None, table: nn.Embedding) -> Tensor:
        """Return [B, T, W], or the first type's [W] for every token."""
        types: Tensor = table.weight[0] if type_ids is None else table(type_ids)
        return types

    def _beyond_tables(self, read: EncoderInputs, places: Tensor | None) -> list[str]:
        """Say which ids have no row in their table."""
        looked_up = (
            ("input_word_ids", read.word_ids, self.word_embeddings, "vocab_size"),
            ("position_ids", places, self.position_embeddings, "max_seq_length"),
            ("input_type_ids", read.type_ids, self.type_embeddings, "type_vocab_size"),
        )
        mistakes = []
        for name, ids, table, size in looked_up:
            if ids is not None and table is not None:
                rows = table.num_embeddings
                if len(wrong := ids[(ids < 0) | (ids >= rows)]):
                    told = f"{name} holds {wrong[0].item()}: expected 0 to {rows - 1} ({size}={rows})"
                    mistakes.append(told)
        return mistakes

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


def make_table(rows: int, width: int, fill: Callable[[Tensor], object]) -> nn.Embedding:
    """Return a table filled once: torch's own first filling takes a second on the meta device."""
    table = nn.Embedding(rows, width, _weight=torch.empty(rows, width))
    fill(table.weight)
    return table


def size_mistakes(**sizes: object) -> list[str]:
    """Say which sizes are no integers greater than 0."""
    return [
        f"{key}={value!r} must be an integer greater than 0"
        for key, value in sizes.items()
        if not isinstance(value, int) or isinstance(value, bool) or value < 1
    ]


def _counted(ids: Tensor) -> Tensor:
    return torch.arange(ids.shape[1], device=ids.device)


def _length_mistakes(max_seq_length: int | None, seq_length: int | None, position: str) -> list[str]:
    given = {"max_seq_length": max_seq_length, "seq_length": seq_length}
    mistakes = size_mistakes(**{key: value for key, value in given.items() if value is not None})
    if position not in get_args(Position):
        mistakes.append(not_allowed("position", position, get_args(Position)))
    if max_seq_length is None and position == "learned":
        mistakes.append("max_seq_length=None must be an integer greater than 0 with position='learned'")
    if not mistakes and max_seq_length is not None and (seq_length or 0) > max_seq_length:
        mistakes.append(f"seq_length={seq_length} is greater than max_seq_length={max_seq_length}")
    return mistakes


def _number_mistakes(type_vocab_size: int, dropout_rate: float, word_scale: float) -> list[str]:
    mistakes = []
    if not isinstance(type_vocab_size, int) or type_vocab_size < 0:
        mistakes.append(f"type_vocab_size={type_vocab_size!r} must be an integer, 0 or greater")
    if not isinstance(dropout_rate, int | float) or not 0 <= dropout_rate < 1:
        mistakes.append(f"dropout_rate={dropout_rate!r} must be at least 0 and below 1")
    if not isinstance(word_scale, int | float) or not word_scale > 0:
        mistakes.append(f"word_scale={word_scale!r} must be greater than 0")
    return mistakes
