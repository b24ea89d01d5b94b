"""The model of replaced-token detection: a generator writes, the encoder finds what it wrote."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.losses import add_loss
from nas.blocks.span import Span
from nas.heads import TokenHead
from nas.tasks.base import Answers, Batch

HEAD_SIZES = (64, 32, 16, 8, 4, 2)


@dataclass(frozen=True)
class ReplacedBatch(Batch):
    """A batch with hidden tokens, and the chance by which others take their place.

    Attributes:
        chances: [M] numbers in [0, 1); which token of the generator's distribution is taken.
    """

    chances: Tensor = field(kw_only=True)

    def to(self, device: Any) -> ReplacedBatch:
        """Return the batch on another device."""
        return with_chances(super().to(device), self.chances.to(device, non_blocking=True))

    def part(self, start: int, stop: int) -> ReplacedBatch:
        """Return some of the rows with what is hidden in them."""
        length = self.inputs["input_word_ids"].shape[1]
        first, last = torch.searchsorted(self.positions, torch.tensor([start, stop]) * length).tolist()
        return with_chances(super().part(start, stop), self.chances[first:last])


def with_chances(batch: Batch, chances: Tensor) -> ReplacedBatch:
    """Return the batch with its chances [M]."""
    given = {field.name: getattr(batch, field.name) for field in fields(Batch)}
    return ReplacedBatch(**given, chances=chances)


class ReplacedTokenModel(nn.Module):
    """Hidden tokens are replaced by what the generator says; each token is then judged: is it a new one?

    A replaced token that happens to be the right one counts as not replaced. Nothing is learned
    through the choice of tokens, which has no gradient.

    Args:
        encoder: the discriminator.
        head: maps (sequence [B, T, D], positions [M]) to logits [M, 2].
        generator: None: the encoder itself.
        vocab_size: V.
        weight: of the generator's loss beside the discriminator's.
        prior: [V] how often each token occurs, if that is known.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        generator: Generator | None,
        vocab_size: int,
        weight: float,
        prior: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.generator = generator
        self.token_head = TokenHead(encoder if generator is None else generator, vocab_size, prior)
        self.weight = weight

    def forward(self, batch: ReplacedBatch) -> Answers:
        """Return, for each of B * T tokens, the logits of (there before, replaced)."""
        logits = self._generated(batch)
        add_loss("generator", self.weight * F.cross_entropy(logits, batch.labels))
        hidden = batch.inputs["input_word_ids"]
        sampled = sample(logits.detach(), batch.chances)
        shown = hidden.flatten().index_copy(0, batch.positions, sampled)
        original = hidden.flatten().index_copy(0, batch.positions, batch.labels)
        inputs = {**batch.inputs, "input_word_ids": shown.view_as(hidden)}
        sequence = self.encoder.sequence_output(inputs)  # type: ignore[operator]
        every = torch.arange(hidden.numel(), device=hidden.device)
        judged: Tensor = self.head(sequence, every)
        return Answers(judged.float(), (shown != original).long(), every // hidden.shape[1])

    def _generated(self, batch: Batch) -> Tensor:
        """Return the generator's logits [M, V] at the hidden tokens."""
        if self.generator is None:
            sequence = self.encoder.sequence_output(batch.inputs)  # type: ignore[operator]
        else:
            embedded = self.encoder.embedding(batch.inputs)  # type: ignore[operator]
            sequence = self.generator(embedded[0] if isinstance(embedded, tuple | list) else embedded)
        logits: Tensor = self.token_head(sequence, batch.positions)
        return logits.float()


def sample(logits: Tensor, chances: Tensor) -> Tensor:
    """Return the token of each row's distribution that its chance falls on: [M] from [M, V] and [M].

    Drawn from outside, one number each, the tokens are the same again when a run continues.
    """
    reached = logits.softmax(-1).cumsum(-1)
    return (reached <= chances[:, None] * reached[:, -1:]).sum(-1).clamp(max=logits.shape[-1] - 1)


class Generator(nn.Module):
    """A narrow transformer on the encoder's own embeddings, which it learns together with it.

    Clark et al. 2020 (arXiv 2003.10555): tokens and positions are embedded alike for both, a
    projection leads to the generator's width; the answers go back through the table of tokens.

    Args:
        encoder: offers ``hidden_size`` and ``get_embedding_table()``.
        hidden_size: G, the generator's width.
        num_layers: of attention and feed-forward.
    """

    def __init__(self, encoder: nn.Module, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self._table: Callable[[], Tensor] = encoder.get_embedding_table  # type: ignore[assignment]
        self.hidden_size = hidden_size
        self.projection = nn.Linear(encoder.hidden_size, hidden_size)  # type: ignore[arg-type]
        heads = max(1, hidden_size // next(s for s in HEAD_SIZES if hidden_size % s == 0))
        attention = functools.partial(MultiHeadAttention, num_heads=heads)
        layers = [(f"attention_{i}", attention) for i in range(num_layers)]
        feedforward = [(f"feedforward_{i}", MLP) for i in range(num_layers)]
        pairs = zip(layers, feedforward, strict=True)
        self.span = Span(dict(block for pair in pairs for block in pair), hidden_size)

    def get_embedding_table(self) -> Tensor:
        """Return the encoder's table of tokens [V, W]."""
        return self._table()

    def flops_per_token(self, seq_length: int) -> float:
        """Return the forward operations, the answers left out."""
        width = self.projection.in_features
        return 2.0 * width * self.hidden_size + self.span.flops_per_token(seq_length)

    def forward(self, embedded: Tensor) -> Tensor:
        """Map embeddings [B, T, D] of rows without padding to [B, T, G]."""
        data = self.projection(embedded)
        out: Tensor = self.span(data, self.span.masks(data, None), {})[0]
        return out


class DetectionHead(nn.Module):
    """Judges chosen tokens: a layer as wide as the encoder, then one of two answers, as in ELECTRA.

    Args:
        hidden_size: D.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.output = nn.Linear(hidden_size, 2)

    def forward(self, sequence_output: Tensor, positions: Tensor) -> Tensor:
        """Map sequence_output [B, T, D] and positions [M] to logits [M, 2]."""
        chosen = sequence_output.flatten(0, 1).index_select(0, positions)
        logits: Tensor = self.output(F.gelu(self.inner(self.norm(chosen))))
        return logits

    @staticmethod
    def flops(hidden_size: int) -> float:
        """Return the operations for one token."""
        return 2.0 * hidden_size * (hidden_size + 2)
