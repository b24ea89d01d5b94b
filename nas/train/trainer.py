"""The settings of a training run: its budget, batch, precision and when it is looked at."""

from __future__ import annotations

from nas.configured import Configured
from nas.errors import InputError
from nas.train.precision import Precision


class Trainer(Configured):
    """How one run is trained; exactly one of ``steps``, ``tokens`` and ``seconds`` is the budget.

    Args:
        steps: budget in optimizer steps.
        tokens: budget in input tokens.
        seconds: budget in seconds of training (evaluation left out); such a run is not reproducible
            to the bit.
        batch_size: sequences in a step.
        clip_norm: the gradient's norm is cut to this.
        precision: ``fp32``, ``bf16`` (autocast) or ``auto`` (bf16 where it pays).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``.
        threads: CPU threads of PyTorch; small models are fastest with one, and the number of
            threads changes the last bits of a result.
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
        clip_norm: float = 1.0,
        precision: Precision = "auto",
        device: str = "auto",
        threads: int = 1,
        evaluate_at: list[float] | None = None,
        log_every: int = 10,
        checkpoint_seconds: float = 30.0,
    ) -> None:
        self.budget = {"steps": steps, "tokens": tokens, "seconds": seconds}
        self.batch_size = batch_size
        self.clip_norm = clip_norm
        self.precision: Precision = precision
        self.device = device
        self.threads = threads
        self.evaluate_at = sorted({*(evaluate_at or []), 1.0})
        self.log_every = log_every
        self.checkpoint_seconds = checkpoint_seconds
        mistakes = [*self._budget_mistakes(), *self._range_mistakes()]
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
            "clip_norm": self.clip_norm,
            "threads": self.threads,
            "log_every": self.log_every,
            "checkpoint_seconds": self.checkpoint_seconds,
        }
        wrong = [f"trainer.{k}={v!r} must be greater than 0" for k, v in positive.items() if v <= 0]
        outside = [share for share in self.evaluate_at if not 0 < share <= 1]
        if outside:
            wrong.append(f"trainer.evaluate_at={self.evaluate_at} must be shares of the budget in (0, 1]")
        return wrong
