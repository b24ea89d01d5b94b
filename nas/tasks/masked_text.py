"""Rows of real text with some tokens hidden: what tasks that learn from them share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from nas.errors import InputError, check_choice, check_positive
from nas.progress import Say
from nas.seeding import generator
from nas.tasks.base import Batch, Task
from nas.tasks.corpora.base import Corpus
from nas.tasks.epochs import Epochs
from nas.tasks.masking import Ids, Replace, choose, hide
from nas.tasks.prepared import PreparedText, prepare_text
from nas.tasks.tokenizers.base import Tokenizer
from nas.tasks.tokenizers.saved import keep_tokenizer


class MaskedText(Task):
    """Text made into rows of equal length, of which every row hides the same number of tokens.

    Documents follow each other without padding, so a row may hold the end of one and the start of
    the next, with a separator between. Separators are not hidden unless a row has too little else.
    Where rows begin is shifted in every epoch.

    Args:
        corpus: where the documents come from.
        tokenizer: how they become numbers.
        seq_length: T, tokens in a row.
        mask_rate: share of a row's tokens that is hidden, above 0 and below 1.
        replace: what stands in their place: always the mask token, or in 80 % of cases, with a
            random token in 10 % and the token itself in 10 %.
        validation_fraction: share of the corpus's bytes that is kept for validation.
        validation_tokens: at most this many tokens are evaluated, spread over the validation text.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        seq_length: int,
        mask_rate: float,
        replace: Replace,
        validation_fraction: float,
        validation_tokens: int,
    ) -> None:
        check_positive(**{"task.seq_length": seq_length, "task.validation_tokens": validation_tokens})
        check_choice("task.replace", replace, get_args(Replace))
        wrong = {"task.mask_rate": mask_rate, "task.validation_fraction": validation_fraction}
        wrong = {key: value for key, value in wrong.items() if not 0 < value < 1}
        if wrong:
            raise InputError(*(f"{k}={v!r} must be above 0 and below 1" for k, v in wrong.items()))
        self.corpus = corpus
        self.tokenizer = tokenizer
        self.seq_length = seq_length
        self.vocab_size = tokenizer.vocab_size
        self.replace = replace
        self.validation_fraction = validation_fraction
        self.validation_tokens = validation_tokens
        self.masked_per_row = max(1, round(mask_rate * seq_length))
        self._text: PreparedText | None = None

    def prepare(self, cache: Path, say: Say) -> None:
        """Make the corpus into tokens under ``cache``, or find it there.

        Raises:
            InputError: the corpus is missing, empty, not text or too small.
        """
        if self._text is not None:
            return
        text = prepare_text(self.corpus, self.tokenizer, self.validation_fraction, cache, say)
        for part, tokens in (("training", text.train), ("validation", text.validation)):
            if len(tokens) < self._least(part):
                raise InputError(
                    f"corpus: the {part} part has {len(tokens)} tokens, fewer than "
                    f"task.seq_length={self.seq_length} needs ({self._least(part)}); give more text, shorter "
                    "rows or another task.validation_fraction"
                )
        self._text = text

    def train_batch(self, step: int, batch_size: int, seed: int) -> Batch:
        """Return ``batch_size`` rows of training text with their hidden tokens.

        Raises:
            InputError: the training text has fewer rows than a batch.
        """
        epoch = self._epochs.epoch(step, batch_size)
        shift = generator(seed, "shift", epoch).integers(self.seq_length)
        starts = self._epochs.rows(step, batch_size, seed) * self.seq_length + shift
        tokens = _rows(self._prepared.train, starts, self.seq_length)
        rng = generator(seed, "mask", step)
        chosen = choose(tokens, self.masked_per_row, rng)
        return self._batch(tokens, hide(tokens, chosen, self.replace, self.vocab_size, rng), chosen)

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        """Yield the validation rows; what is hidden depends on neither seed nor batch size."""
        tokens, hidden, chosen = self._validation
        for start in range(0, len(tokens), batch_size):
            part = slice(start, start + batch_size)
            yield self._batch(tokens[part], hidden[part].copy(), chosen[part])

    def keep(self, folder: Path) -> None:
        """Write the tokenizer into a run folder."""
        keep_tokenizer(self.tokenizer, folder)

    def fingerprint(self) -> dict[str, Any]:
        """Return the hashes and sizes of the prepared text."""
        return {key: value for key, value in self._prepared.meta.items() if key != "files"}

    @property
    def _prepared(self) -> PreparedText:
        if self._text is None:
            raise RuntimeError("task.prepare(cache, say) has to be called first")
        return self._text

    def _least(self, part: str) -> int:
        # a training row begins anywhere in the first seq_length tokens
        return self.seq_length if part == "validation" else 2 * self.seq_length - 1

    @cached_property
    def _epochs(self) -> Epochs:
        rows = (len(self._prepared.train) - self.seq_length + 1) // self.seq_length
        return Epochs(rows, f"rows of task.seq_length={self.seq_length} in the training text")

    @cached_property
    def _validation(self) -> tuple[Ids, Ids, Ids]:
        stream = self._prepared.validation
        there = len(stream) // self.seq_length
        wanted = min(there, max(1, self.validation_tokens // self.seq_length))
        starts = np.arange(wanted) * there // wanted * self.seq_length
        tokens = _rows(stream, starts, self.seq_length)
        rng = generator(0, "mlm", "validation")
        chosen = choose(tokens, self.masked_per_row, rng)
        return tokens, hide(tokens, chosen, self.replace, self.vocab_size, rng), chosen

    def _batch(self, tokens: Ids, hidden: Ids, chosen: Ids) -> Batch:
        positions = (chosen + np.arange(len(tokens))[:, None] * self.seq_length).ravel()
        labels = tokens.ravel()[positions]
        return Batch(
            {"input_word_ids": torch.from_numpy(hidden)},
            torch.from_numpy(positions),
            torch.from_numpy(labels),
            int(self._prepared.token_bytes[labels].sum()),
            even=True,
        )


def _rows(stream: np.ndarray[Any, Any], starts: Ids, length: int) -> Ids:
    """Return rows [B, length] of a stream, copied."""
    rows: Ids = stream[starts[:, None] + np.arange(length)].astype(np.int64)
    return rows
