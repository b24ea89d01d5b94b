"""Several tasks as one question: an encoder is trained anew on each, and judged by the mean of its scores."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Literal

import torch

from nas.configured import Configured
from nas.errors import InputError, not_allowed
from nas.progress import Say
from nas.tasks.base import VALIDATION, Task
from nas.tasks.scoring import IGNORED

SCORE = f"{VALIDATION}/score"
ADJUSTABLE = ("trainer", "optimizer", "schedule")
"""Parts of a run that a member may have settings of its own for."""
_SHARES = ("accuracy", "solved")
_ROWS = 256


class Suite(Configured):
    """Tasks that one encoder list is trained on, one after another, each time with fresh weights.

    It is not a `Task`: it has no batches of its own. A member's score is its accuracy above what
    the most frequent answer would reach, as a share of what is left above that: 0 is no better than
    that guess, 1 is everything right. The suite's score is the mean over its members.

    Args:
        tasks: name to task, in the order in which they are trained.
        settings: by member, what differs from the run's ``trainer``, ``optimizer`` and ``schedule``,
            such as ``{listops: {trainer: {steps: 600}}}``.
        only: the members to train, in this order; null takes all.

    Raises:
        InputError: no member, a name that is none, or a member that has no share of right answers.
    """

    name: ClassVar[str] = "suite"
    objective: ClassVar[str] = SCORE
    direction: ClassVar[Literal["minimize", "maximize"]] = "maximize"

    def __init__(
        self,
        tasks: dict[str, Task],
        settings: dict[str, dict[str, Any]] | None = None,
        only: list[str] | None = None,
    ) -> None:
        self.tasks = {name: tasks[name] for name in chosen(tasks, settings or {}, only)}
        if mistakes := list(_unfit(self.tasks)):
            raise InputError(*mistakes)
        self._guesses: dict[str, float] = {}

    @property
    def largest(self) -> str:
        """The member with the longest rows, as which an encoder is described and costed."""
        return max(self.tasks, key=lambda name: self.tasks[name].seq_length)

    @property
    def vocab_size(self) -> int:
        """V of the largest member."""
        return self.tasks[self.largest].vocab_size

    @property
    def seq_length(self) -> int:
        """T of the largest member."""
        return self.tasks[self.largest].seq_length

    @property
    def longest(self) -> int:
        """The longest row of any split of the largest member."""
        return self.tasks[self.largest].longest

    @property
    def metrics(self) -> tuple[str, ...]:
        """The mean score, each member's score, and each member's metrics under its name."""
        own = (f"{name}/{metric}" for name, task in self.tasks.items() for metric in task.metrics)
        return (SCORE, *(f"{name}/score" for name in self.tasks), *own)

    def prepare(self, cache: Path, say: Say) -> None:
        """Make the data of every member ready.

        Raises:
            InputError: as `Task.prepare`.
        """
        for task in self.tasks.values():
            task.prepare(cache, say)

    def fingerprint(self) -> dict[str, Any]:
        """Return what identifies the members' data."""
        return {name: task.fingerprint() for name, task in self.tasks.items()}

    def evaluated(self, members: Mapping[str, Mapping[str, float] | None]) -> dict[str, float]:
        """Return the metrics of the suite from those of its members, or of the first few of them.

        Args:
            members: name to metrics; None stands for a member that has no result: it scores 0, and
                the shares that it would have are 0.
        """
        scores = {name: self.score(name, found) for name, found in members.items()}
        metrics = {SCORE: fmean(scores.values()), **{f"{name}/score": s for name, s in scores.items()}}
        for name, found in members.items():
            told = self._nothing_right(name) if found is None else found
            metrics |= {f"{name}/{metric}": value for metric, value in told.items()}
        return metrics

    def score(self, name: str, metrics: Mapping[str, float] | None) -> float:
        """Return a member's score in [0, 1]; its task is prepared."""
        if metrics is None:
            return 0.0
        metric = judged_by(self.tasks[name])
        if name not in self._guesses:
            self._guesses[name] = guess(self.tasks[name], *metric.rsplit("/", 1))
        chance = self._guesses[name]
        return max(0.0, (metrics[metric] - chance) / (1 - chance)) if chance < 1 else 0.0

    def _nothing_right(self, name: str) -> dict[str, float]:
        return {m: 0.0 for m in self.tasks[name].metrics if m.endswith(_SHARES)}


def chosen(
    names: Collection[str], settings: Mapping[str, Iterable[str]], only: Iterable[str] | None
) -> list[str]:
    """Return the members to train, in their order.

    Raises:
        InputError: no member, or a name or part that is none; all mistakes together.
    """
    order = list(names if only is None else only)
    known = list(names)
    mistakes = [not_allowed("task.only", name, known) for name in order if name not in names]
    mistakes += [not_allowed("task.settings", name, known) for name in settings if name not in names]
    mistakes += [
        not_allowed(f"task.settings.{name}", part, ADJUSTABLE)
        for name, parts in settings.items()
        for part in parts
        if part not in ADJUSTABLE
    ]
    if len(set(order)) < len(order):
        mistakes.append(f"task.only={order} names a task twice")
    if not order:
        empty = "task.tasks is empty" if only is None else "task.only=[] is empty"
        mistakes.append(f"{empty}: a suite needs a task, such as +task@task.tasks.mqar=mqar")
    if mistakes:
        raise InputError(*mistakes)
    return order


def judged_by(task: Task) -> str:
    """Return the metric that a task's score is made of: its objective if that is a share, else accuracy."""
    return task.objective if task.objective.endswith(_SHARES) else f"{VALIDATION}/accuracy"


def _unfit(tasks: Mapping[str, Task | Suite]) -> Iterator[str]:
    """Yield what is wrong with the members that cannot be scored."""
    for name, task in tasks.items():
        if isinstance(task, Suite):
            yield f"task.tasks.{name} is a suite: members must be single tasks"
        elif (metric := judged_by(task)) not in task.metrics:
            yield f"task.tasks.{name} has no {metric}, which its score is made of, but {list(task.metrics)}"


def guess(task: Task, split: str, measure: str) -> float:
    """Return what always giving the most frequent answer of a split reaches; the task is prepared."""
    batches = list(task.batches(split, _ROWS))
    labels = torch.cat([batch.labels for batch in batches])
    right = labels == labels[labels != IGNORED].mode().values
    if measure == "accuracy":
        return float(right.sum() / (labels != IGNORED).sum())
    return _all_right(right | (labels == IGNORED), batches)


def _all_right(right: torch.Tensor, batches: Iterable[Any]) -> float:
    """Return the share of rows in which everything is right."""
    rows, before = [], 0
    for batch in batches:
        words = batch.inputs["input_word_ids"]
        rows.append(batch.positions // words.shape[1] + before)
        before += len(words)
    wrong = torch.zeros(before, dtype=torch.bool)
    wrong[torch.cat(rows)[~right]] = True
    return 1 - float(wrong.float().mean())
