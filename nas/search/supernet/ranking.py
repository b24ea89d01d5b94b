"""A supernet from its training to the ranking of lists; a kill costs what was not yet written."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nas.config.build import Run
from nas.config.compose import Composed, with_values
from nas.errors import NasError
from nas.progress import quantity, say
from nas.search.gate import Gate
from nas.search.pricing import Pricing
from nas.search.question import Question
from nas.search.spaces.base import Base
from nas.search.spaces.conditions import Values
from nas.search.spaces.parameters import Choice, Parameter
from nas.search.spaces.slots import Slots
from nas.search.supernet.bank import build_supernet, items_of
from nas.search.supernet.network import Supernet
from nas.seeding import derive
from nas.tasks.base import Batch
from nas.train.checkpoint import load_model
from nas.train.precision import autocast, choose_device, choose_dtype

LIST = "encoder.hidden_cls"
FOLDER, FILE = "supernet", "ranking.jsonl"
_ATTEMPTS, _LEAST = 20, 500
"""So many draws in vain for each list that was found, as if at least so many were: the space has no more."""
_SAID = 500


@dataclass(frozen=True)
class Ranked:
    """One list and what it scores with the supernet's weights."""

    params: Mapping[str, Any]
    value: float


class Ranker:
    """Trains the supernet of a question and ranks lists, or goes on where an earlier start was.

    Args:
        steps: of the supernet's training.
        lists: how many are ranked at most.
        batches: of the validation set that each is scored on; None: all.
        question: what is asked.
        composed: the configuration that all trials share.
        gate: which lists may be ranked.
        folder: of the study.
    """

    def __init__(
        self,
        steps: int,
        lists: int,
        batches: int | None,
        question: Question,
        composed: Composed,
        gate: Gate,
        folder: Path,
    ) -> None:
        self.steps, self.lists, self.batches = steps, lists, batches
        self.question, self.gate = question, gate
        self.composed, self.folder = composed, folder / FOLDER
        self.space = question.space
        self._held = _held(self.space.parameters(), composed)

    def ranking(self) -> list[Ranked]:
        """Return the lists, the best first.

        Raises:
            InterruptedRunError: stopped by a signal; the same call continues.
            NasError: the supernet diverged.
        """
        drawn = self.draw()
        values = [self.space.changes(params)[LIST] for params in drawn]
        run = self._run(values)
        result = run.train(report=lambda line: say(f"supernet: {line}"), watch=_watch)
        if result.status != "done":
            raise NasError(f"the supernet {result.reason}: a lower optimizer.lr may help")
        scores = self._scores(run, drawn)
        sign = self.question.objectives[0].sign
        ranked = [Ranked(params, value) for params, value in zip(drawn, scores, strict=True)]
        return sorted(ranked, key=lambda r: sign * r.value if math.isfinite(r.value) else math.inf)

    def draw(self) -> list[dict[str, Any]]:
        """Return the parameters of different lists that may be trained, the same ones each time."""
        stream = random.Random(derive(self.question.seed, "supernet"))
        found: dict[str, dict[str, Any]] = {}
        since = 0  # the last one was found
        while len(found) < self.lists and since < _ATTEMPTS * max(len(found), _LEAST):
            since += 1
            params = self.space.walk(lambda p: self._held[p.name] if p.name in self._held else p.draw(stream))
            key = json.dumps(self._working(params))
            if key not in found and self.gate.allows(params):
                found[key], since = params, 0
        return list(found.values())

    def _working(self, params: Values) -> list[Any]:
        """Return a list without its empty slots: where these stand changes nothing."""
        blocks = self.composed.plain["encoder"]["blocks"]
        slots = self.space.changes(params)[LIST]
        empty = {name for name, node in blocks.items() if _target(node) == "nas.blocks.none.NoBlock"}
        return [item for item in slots if not (isinstance(item, str) and item in empty)]

    def _run(self, lists: list[list[Any]]) -> Run:
        """Return the run that trains the supernet: one of `nas-train`, but for its encoder."""
        settings = ("trainer.tokens=null", "trainer.seconds=null", "trainer.compile=none")
        more = (f"trainer.steps={self.steps}", *settings)
        run = Run(with_values(self.composed, "train", more), self.folder, self.question.name)
        # What makes these weights these: another space begins with another supernet.
        run.config["supernet"] = {"lists": self.lists, "space": self.space.forms(), **self._rules()}
        pricing = Pricing(Base(self.composed))
        slots = next(e for e in self.space.entries if isinstance(e, Slots) and e.key == LIST)
        run.encoder = build_supernet(
            pricing.candidate({LIST: items_of(lists)}), lists, slots.tie is True, self.question.seed
        )
        count = sum(p.numel() for p in run.encoder.parameters())
        say(f"supernet: {len(run.encoder.blocks)} blocks, {quantity(count)} parameters, {len(lists):,} lists")
        return run

    def _rules(self) -> dict[str, Any]:
        return {key: rule for key, rule in self.question.rules.items() if key != "evaluator"}

    def _scores(self, run: Run, drawn: list[dict[str, Any]]) -> list[float]:
        """Score every list; what an earlier start has scored is read."""
        path = self.folder / FILE
        known = _read(path)[: len(drawn)]
        if len(known) == len(drawn):
            return known
        assert isinstance(run.encoder, Supernet)
        score = _Scorer(run, self.batches, self.question.objectives[0].name)
        path.write_text("".join(f"{json.dumps(value)}\n" for value in known))
        with path.open("a") as file:
            for index in range(len(known), len(drawn)):
                known.append(score(run.encoder.paths[index]))
                file.write(f"{json.dumps(known[-1])}\n")
                file.flush()
                if (index + 1) % _SAID == 0:
                    say(f"supernet: {index + 1:,} of {len(drawn):,} lists scored")
        return known


class _Scorer:
    """Scores paths of a trained supernet on the same batches."""

    def __init__(self, run: Run, batches: int | None, objective: str) -> None:
        trainer = run.parts["trainer"]
        self.device = choose_device(trainer.device)
        self.dtype = choose_dtype(trainer.precision, self.device)
        self.task, self.objective = run.task, objective
        self.split = objective.split("/")[0]
        self.task.prepare(Path(run.config["paths"]["cache"]).expanduser(), say)
        self.model = run.task.model(run.encoder).to(self.device).eval()
        load_model(run.folder, self.model)
        every = run.task.batches(self.split, trainer.batch_size)
        self.batches: list[Batch] = [b.to(self.device) for b in itertools.islice(every, batches)]

    def __call__(self, path: tuple[int, ...]) -> float:
        self.model.encoder.choose(path)  # type: ignore[operator,union-attr]
        scores = self.task.scores()
        with torch.inference_mode(), autocast(self.device, self.dtype):
            for batch in self.batches:
                scores.add(self.model(batch), batch.target_bytes)
        return float(scores.metrics(self.split)[self.objective])


def _held(parameters: list[Parameter], composed: Composed) -> dict[str, Any]:
    """Return the values of all parameters that are not of the list: the shared ones, if they are allowed."""
    found: dict[str, Any] = {}
    for p in parameters:
        if p.name.startswith(LIST):
            continue
        shared = Base(composed).lookup({})(p.name)
        if isinstance(p, Choice):
            found[p.name] = shared if shared in p.choices else p.choices[0]
        else:
            found[p.name] = min(max(shared, p.low), p.high)
    return found


def _watch(row: dict[str, Any], progress: float) -> None:
    if "val/loss" in row:
        say(f"supernet: step {row['step']} ({progress:.0%})  val/loss {row['val/loss']:.4f}")


def _target(node: Any) -> str:
    return str(node.get("_target_")) if isinstance(node, dict) else ""


def _read(path: Path) -> list[float]:
    """Return the scores in a file; a half-written last line is left out."""
    if not path.is_file():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [float(json.loads(line)) for line in lines if line.endswith("\n")]
