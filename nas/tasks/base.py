"""The contract of a task: batches that depend on nothing but seed and step, a model, and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.configured import Configured
from nas.progress import Say
from nas.tasks.scoring import IGNORED, Scores

VALIDATION = "val"


@dataclass(frozen=True)
class Batch:
    """One batch for an encoder, and what is asked of it.

    Attributes:
        inputs: the encoder's inputs; ``input_word_ids`` [B, T] int64, ``input_mask`` [B, T] only
            where there is padding, ``input_type_ids`` [B, T] only where there are types.
        positions: [M] int64, the scored tokens as indices into the flattened [B * T], ascending.
        labels: [M] int64, the right answers at these positions; `IGNORED` where a row asks fewer
            than others, so that shapes are static.
        target_bytes: how many bytes of text the M answers stand for; 0 if it is not text.
        even: whether every row asks equally many, M / B; `IGNORED` ones count.
    """

    inputs: dict[str, Tensor]
    positions: Tensor
    labels: Tensor
    target_bytes: int = 0
    even: bool = False

    def part(self, start: int, stop: int) -> Batch:
        """Return some of the rows with what is asked of them; ``target_bytes`` stays that of the whole."""
        length = self.inputs["input_word_ids"].shape[1]
        first, last = torch.searchsorted(self.positions, torch.tensor([start, stop]) * length).tolist()
        return Batch(
            {name: values[start:stop] for name, values in self.inputs.items()},
            self.positions[first:last] - start * length,
            self.labels[first:last],
            self.target_bytes,
            self.even,
        )

    def to(self, device: Any) -> Batch:
        """Return the batch on another device."""
        return Batch(
            {k: v.to(device, non_blocking=True) for k, v in self.inputs.items()},
            self.positions.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.target_bytes,
            self.even,
        )


class Answers(NamedTuple):
    """What a model says to a batch, beside what is right.

    Attributes:
        logits: [M, C] float32, C kinds of answers.
        labels: [M] int64; `IGNORED` where nothing is asked.
        rows: [M] int64, the row of the batch that each answer belongs to.
    """

    logits: Tensor
    labels: Tensor
    rows: Tensor


class Task(Configured, ABC):
    """What an encoder is trained on and judged by.

    The attributes are known before anything is prepared, so that an encoder can be built, shown
    and costed without data.

    Attributes:
        vocab_size: V, different tokens in the input.
        seq_length: T, tokens in a training row.
        num_answers: C, kinds of answers; V unless said otherwise.
        longest: tokens in the longest row of any split; T unless said otherwise.
        splits: what an evaluation scores: ``val``, and further ones that are out of the training
            distribution.
    """

    name: ClassVar[str]
    objective: ClassVar[str] = "val/loss"
    """The metric that a search looks at, unless told otherwise."""
    direction: ClassVar[Literal["minimize", "maximize"]] = "minimize"
    measures: tuple[str, ...] = ("loss", "accuracy")
    """What is measured in each split; see `nas.tasks.scoring`."""
    note: ClassVar[str] = ""
    """What has to be said wherever scores are printed, such as that they are not a published table's."""

    vocab_size: int
    seq_length: int
    splits: tuple[str, ...] = (VALIDATION,)

    @property
    def num_answers(self) -> int:
        """C, kinds of answers."""
        return self.vocab_size

    @property
    def longest(self) -> int:
        """Tokens in the longest row of any split: what an encoder must take."""
        return self.seq_length

    @property
    def metrics(self) -> tuple[str, ...]:
        """What an evaluation returns, such as ``val/loss``."""
        return tuple(f"{split}/{measure}" for split in self.splits for measure in self.measures)

    @abstractmethod
    def prepare(self, cache: Path, say: Say) -> None:
        """Make the data ready under ``cache``, or find it there; calling it again costs nothing.

        Raises:
            InputError: the data is missing, empty, not text or too small.
        """

    @abstractmethod
    def train_batch(self, step: int, batch_size: int, seed: int) -> Batch:
        """Return the batch of one step: a pure function of its arguments, so that a run resumes."""

    @abstractmethod
    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        """Yield a split of ``splits``: the same rows whatever the seed of the run."""

    @abstractmethod
    def head(self, encoder: nn.Module) -> nn.Module:
        """Return the module that maps (sequence_output [B, T, D], positions [M]) to logits [M, C]."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Return what identifies the prepared data (hashes, sizes) for the run's provenance."""

    def keep(self, folder: Path) -> None:
        """Write into a run folder what its weights are of no use without, such as a tokenizer."""

    def model(self, encoder: nn.Module) -> nn.Module:
        """Return the module that maps a `Batch` to `Answers`; ``encoder`` is its submodule of that name."""
        return TaskModel(encoder, self.head(encoder))

    def loss(self, answers: Answers) -> Tensor:
        """Return what is minimised [], before the auxiliary losses of blocks."""
        return F.cross_entropy(answers.logits, answers.labels, ignore_index=IGNORED)

    def scores(self) -> Scores:
        """Return what collects the answers of a split into ``measures``."""
        return Scores(self.measures)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the head's forward floating-point operations, averaged over all input tokens."""
        raise NotImplementedError


class TaskModel(nn.Module):
    """An encoder and the head of its task; only the scored positions go through the head."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, batch: Batch) -> Answers:
        """Return the answers at the batch's positions."""
        count, length = batch.inputs["input_word_ids"].shape
        rows = batch.positions // length
        if batch.even and getattr(self.head, "reads_chosen", False):
            chosen = (batch.positions - rows * length).view(count, -1)
            sequence = self.encoder.chosen_output(batch.inputs, chosen)  # type: ignore[operator]
            logits: Tensor = self.head(sequence, None)
        else:
            sequence = self.encoder.sequence_output(batch.inputs)  # type: ignore[operator]
            logits = self.head(sequence, batch.positions)
        return Answers(logits.float(), batch.labels, rows)
