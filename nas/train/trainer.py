"""The settings of a training run: its budget, batch, precision and when it is looked at."""

from __future__ import annotations

import math
from typing import get_args

from nas.configured import Configured
from nas.errors import InputError, not_allowed
from nas.train.compile import Compile
from nas.train.precision import Precision

MOST_THREADS = 1024
"""More than any CPU has; of very many, PyTorch would end the process without a word."""


class Trainer(Configured):
    """How one run is trained; exactly one of ``steps``, ``tokens`` and ``seconds`` is the budget.

    Args:
        steps: budget in optimizer steps.
        tokens: budget in input tokens.
        seconds: budget in seconds of training (evaluation left out); such a run is not reproducible
            to the bit.
        batch_size: sequences in a step, over all processes and micro-batches.
        accumulate: micro-batches that a process cuts its share of the batch into, one after another:
            less memory, the same gradient. Dropout draws anew for each.
        activation_checkpointing: keep only what goes from slot to slot, and compute the inside of a
            slot again in the backward pass (Chen et al. 2016, arXiv 1604.06174): less memory, a
            third more work, the same gradient.
        clip_norm: the gradient's norm is cut to this.
        precision: ``fp32``; ``tf32``: its products rounded by a GPU's tensor cores; ``bf16`` or
            ``fp16``: autocast, the latter with scaled gradients; ``auto``: bf16 where it pays on this
            device at this size (see `nas.train.precision`).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``.
        threads: CPU threads of PyTorch; small models are fastest with one, and the number of
            threads changes the last bits of a result.
        compile: ``none``, ``blocks`` or ``model`` (see `nas.train.compile`); ``auto``: where it pays.
        prefetch: make the next batch in a thread; null: on a CUDA device.
        keep_memory: keep freed memory in the process instead of asking the system for it in every
            step; see `nas.train.memory`.
        evaluate_at: shares of the budget at which the validation set is scored; these are the rungs
            of a search, and the end is always among them.
        log_every: steps from one training row to the next.
        checkpoint_seconds: seconds from one checkpoint to the next, beside those at evaluations.

    Raises:
        InputError: no budget or several, or a value out of range; all mistakes together.
    """

    def __init__(
        self,
        steps: int | None = 300,
        tokens: int | None = None,
        seconds: float | None = None,
        batch_size: int = 64,
        accumulate: int = 1,
        activation_checkpointing: bool = False,
        clip_norm: float = 1.0,
        precision: Precision = "auto",
        device: str = "auto",
        threads: int = 1,
        compile: Compile = "auto",
        prefetch: bool | None = None,
        keep_memory: bool = True,
        evaluate_at: list[float] | None = None,
        log_every: int = 10,
        checkpoint_seconds: float = 30.0,
    ) -> None:
        self.budget = {"steps": steps, "tokens": tokens, "seconds": seconds}
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.activation_checkpointing = activation_checkpointing
        self.clip_norm = clip_norm
        self.precision: Precision = precision
        self.device = device
        self.threads = threads
        self.compile: Compile = compile
        self.prefetch = prefetch
        self.keep_memory = keep_memory
        self.evaluate_at = sorted({*(evaluate_at or []), 1.0})
        self.log_every = log_every
        self.checkpoint_seconds = checkpoint_seconds
        mistakes = [*self._budget_mistakes(), *self._range_mistakes(), *self._precision_mistakes()]
        if mistakes:
            raise InputError(*mistakes)

    def progress(self, step: int, tokens_per_step: int, seconds: float) -> float:
        """Return the share of the budget that is spent, at most 1."""
        if (steps := self.budget["steps"]) is not None:
            return min(1.0, step / steps)
        if (tokens := self.budget["tokens"]) is not None:
            return min(1.0, step * tokens_per_step / tokens)
        assert self.budget["seconds"] is not None
        return min(1.0, seconds / self.budget["seconds"])

    def check_processes(self, count: int) -> None:
        """Raise `InputError` unless every micro-batch of so many processes has a sequence."""
        if self.batch_size < count * self.accumulate:
            micro = f" with trainer.accumulate={self.accumulate}" if self.accumulate > 1 else ""
            raise InputError(
                f"trainer.batch_size={self.batch_size} must be at least {count * self.accumulate}: "
                f"{count} processes{micro} share it"
            )

    def _budget_mistakes(self) -> list[str]:
        given = {k: v for k, v in self.budget.items() if v is not None}
        if not given:
            return ["trainer: a budget is needed: one of trainer.steps, trainer.tokens, trainer.seconds"]
        if len(given) > 1:
            shown = " and ".join(f"trainer.{k}={v}" for k, v in given.items())
            return [
                f"{shown}: only one budget is allowed; set the other to null (such as trainer.steps=null)"
            ]
        return []

    def _range_mistakes(self) -> list[str]:
        positive = {
            **{k: v for k, v in self.budget.items() if v is not None},
            "batch_size": self.batch_size,
            "accumulate": self.accumulate,
            "clip_norm": self.clip_norm,
            "threads": self.threads,
            "log_every": self.log_every,
            "checkpoint_seconds": self.checkpoint_seconds,
        }
        wrong = [f"trainer.{k}={v!r} must be greater than 0" for k, v in positive.items() if not v > 0]
        if self.budget["seconds"] == math.inf:
            wrong.append("trainer.seconds=inf must be finite: such a run never ends")
        if self.threads > MOST_THREADS:
            wrong.append(f"trainer.threads={self.threads} must be at most {MOST_THREADS}")
        outside = [share for share in self.evaluate_at if not 0 < share <= 1]
        if outside:
            wrong.append(f"trainer.evaluate_at={self.evaluate_at} must be shares of the budget in (0, 1]")
        if self.compile not in get_args(Compile):
            wrong.append(not_allowed("trainer.compile", self.compile, get_args(Compile)))
        if self.accumulate > self.batch_size > 0:
            wrong.append(
                f"trainer.accumulate={self.accumulate} is more than the trainer.batch_size={self.batch_size} "
                "sequences of a step"
            )
        return wrong

    def _precision_mistakes(self) -> list[str]:
        if self.precision not in get_args(Precision):
            return [not_allowed("trainer.precision", self.precision, get_args(Precision))]
        if self.precision == "tf32" and self.device == "cpu":
            return [
                "trainer.precision='tf32' needs a CUDA device, not trainer.device='cpu': use fp32 or auto"
            ]
        return []
