"""Replaced-token detection: which tokens of a text did a small language model write?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from nas.errors import InputError, check_choice, check_positive
from nas.heads import TokenHead
from nas.seeding import generator as stream
from nas.tasks.corpora.base import Corpus
from nas.tasks.label_scores import LabelScores
from nas.tasks.masked_text import MaskedText
from nas.tasks.replaced import DetectionHead, Generator, ReplacedBatch, ReplacedTokenModel, with_chances
from nas.tasks.scoring import Scores
from nas.tasks.tokenizers.base import Tokenizer

WEIGHT = 1 / 50
"""Of the generator's loss where the detector's is 1: ELECTRA's 1 and 50; AdamW does not see the scale."""
GeneratorKind = Literal["separate", "shared"]


class ReplacedTokenDetection(MaskedText):
    """ELECTRA's task (Clark et al. 2020, arXiv 2003.10555): every token is asked, not the hidden ones alone.

    A generator learns to predict hidden tokens; its guesses take their place, and the encoder tells
    for every token whether it is a new one. Few are, so the accuracy says little: look at ``auc``,
    and at ``f1`` (of "replaced", said where it is likelier than not). The loss of both is minimised,
    50 : 1 as in the paper; the generator's part is ``train/aux/generator``.

    ``separate`` is the paper's generator: narrower, of plain transformer layers whatever the
    encoder is made of, on the encoder's embeddings. With ``shared`` the encoder itself predicts
    the hidden tokens in a pass of its own: that costs twice, and a better encoder is given harder
    texts, so losses of different encoders are less comparable than with ``separate``.

    Differences: every row hides the same number of tokens, and rows are not padded (see
    `nas.tasks.masked_text.MaskedText`, also for the other arguments); tokens are drawn by one random
    number each, which the batch brings along, in place of Gumbel noise over the vocabulary: the
    distribution is the same, and a run that is continued draws the same tokens.

    Args:
        generator: ``separate`` or ``shared``.
        generator_size: width of a separate generator as a share of the encoder's (the paper: 1/4 to 1/2).
        generator_layers: its layers of attention and feed-forward.

    Raises:
        InputError: an argument is out of its range.
    """

    name = "rtd"
    measures = ("loss", "accuracy", "f1", "auc")

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        seq_length: int = 64,
        mask_rate: float = 0.15,
        generator: GeneratorKind = "separate",
        generator_size: float = 0.25,
        generator_layers: int = 2,
        validation_fraction: float = 0.05,
        validation_tokens: int = 65536,
    ) -> None:
        check_choice("task.generator", generator, get_args(GeneratorKind))
        check_positive(**{"task.generator_layers": generator_layers})
        if not 0 < generator_size <= 1:
            raise InputError(f"task.generator_size={generator_size!r} must be above 0 and at most 1")
        super().__init__(
            corpus, tokenizer, seq_length, mask_rate, "mask", validation_fraction, validation_tokens
        )
        self.generator = generator
        self.generator_size = generator_size
        self.generator_layers = generator_layers

    @property
    def num_answers(self) -> int:
        """There before, or replaced."""
        return 2

    def train_batch(self, step: int, batch_size: int, seed: int) -> ReplacedBatch:
        """Return ``batch_size`` rows of training text with hidden tokens and what chance replaces them by.

        Raises:
            InputError: the training text has fewer rows than a batch.
        """
        batch = super().train_batch(step, batch_size, seed)
        return with_chances(batch, _chances(len(batch.labels), seed, "replace", step))

    def batches(self, split: str, batch_size: int) -> Iterator[ReplacedBatch]:
        """Yield the validation rows; what is hidden and by what chance it is replaced is always the same."""
        chances = _chances(len(self._validation[0]) * self.masked_per_row, 0, "rtd", "validation")
        start = 0
        for batch in super().batches(split, batch_size):
            end = start + len(batch.labels)
            yield with_chances(batch, chances[start:end].clone())
            start = end

    def head(self, encoder: nn.Module) -> nn.Module:
        """Return the head that judges tokens."""
        return DetectionHead(_width(encoder))

    def model(self, encoder: nn.Module) -> nn.Module:
        """Return the encoder with its generator."""
        made = None
        if self.generator == "separate":
            made = Generator(encoder, self._generator_width(_width(encoder)), self.generator_layers)
        prior = None if self._text is None else torch.from_numpy(self._text.counts)
        return ReplacedTokenModel(encoder, self.head(encoder), made, self.vocab_size, WEIGHT, prior)

    def scores(self) -> Scores:
        """Return scores of the class "replaced"."""
        return LabelScores(self.measures)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of judging and predicting tokens, the generator's layers left out."""
        width = self._generator_width(hidden_size) if self.generator == "separate" else hidden_size
        share = self.masked_per_row / self.seq_length
        return DetectionHead.flops(hidden_size) + TokenHead.flops(width, self.vocab_size) * share

    def _generator_width(self, hidden_size: int) -> int:
        """Return G: the share of D, rounded to a multiple of 8."""
        return max(8, round(self.generator_size * hidden_size / 8) * 8)


def _chances(count: int, seed: int, *names: str | int) -> torch.Tensor:
    """Draw numbers in [0, 1)."""
    return torch.from_numpy(stream(seed, *names).random(count, np.float32))


def _width(encoder: nn.Module) -> int:
    """Return D: of an encoder, or of the table where it does not tell."""
    table = encoder.get_embedding_table()  # type: ignore[operator]
    return int(getattr(encoder, "hidden_size", table.shape[1]))
