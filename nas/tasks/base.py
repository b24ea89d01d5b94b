"""The contract of a task: batches that depend on nothing but seed and step, a head, and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from nas.configured import Configured
from nas.progress import Say


@dataclass(frozen=True)
class Batch:
    """One batch for an encoder, and what is asked of it.

    Attributes:
        inputs: the encoder's inputs; ``input_word_ids`` [B, T] int64, ``input_mask`` [B, T] only
            where there is padding, ``input_type_ids`` [B, T] only where there are types.
        positions: [M] int64, the scored tokens as indices into the flattened [B * T].
        labels: [M] int64, the right answers at these positions.
        target_bytes: how many bytes of text the M answers stand for; 0 if it is not text.
    """

    inputs: dict[str, Tensor]
    positions: Tensor
    labels: Tensor
    target_bytes: int = 0

    def to(self, device: Any) -> Batch:
        """Return the batch on another device."""
        return Batch(
            {k: v.to(device, non_blocking=True) for k, v in self.inputs.items()},
            self.positions.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.target_bytes,
        )


class Task(Configured, ABC):
    """What an encoder is trained on and judged by.

    The attributes ``vocab_size`` and ``seq_length`` are known before anything is prepared, so that
    an encoder can be built, shown and costed without data.
    """

    name: ClassVar[str]
    objective: ClassVar[str] = "val/loss"
    """The metric that a search looks at, unless told otherwise."""
    direction: ClassVar[Literal["minimize", "maximize"]] = "minimize"
    metrics: ClassVar[tuple[str, ...]] = ("val/loss", "val/accuracy")
    """What an evaluation returns."""

    vocab_size: int
    seq_length: int

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
    def validation_batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield the validation set: the same batches whatever the seed of the run."""

    @abstractmethod
    def head(self, encoder: nn.Module) -> nn.Module:
        """Return the module that maps (sequence_output [B, T, D], positions [M]) to logits [M, V]."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Return what identifies the prepared data (hashes, sizes) for the run's provenance."""

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the head's forward floating-point operations, averaged over all input tokens."""
        raise NotImplementedError
