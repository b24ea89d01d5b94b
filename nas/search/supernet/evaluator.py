"""``evaluator=supernet``: a supernet ranks lists, and what it ranks is trained by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from optuna.trial import FrozenTrial, TrialState

from nas.config.compose import Composed
from nas.configured import Configured
from nas.errors import InputError, check_positive
from nas.search.correlation import kendall, spearman
from nas.search.evaluation import Evaluation, Proposal
from nas.search.gate import Gate
from nas.search.purposes import RANKED
from nas.search.question import Question
from nas.search.spaces.parameters import Choice
from nas.search.spaces.slots import Slots
from nas.search.spaces.space import Space
from nas.search.supernet.ranking import LIST, Ranked, Ranker

HELD = ("optimizer", "schedule")
"""What may vary beside the list: the supernet, and what is trained after it, have the shared values."""


class SupernetEvaluator(Configured):
    """Trains a supernet, ranks lists with its weights, and has some of them trained by themselves.

    Of ``n_trials``, the first ``verify`` are spread evenly over the ranking: they tell its rank
    correlation with training from scratch. The others are the best of the ranking, one after another.

    Args:
        steps: of the supernet's training.
        lists: how many are ranked at most.
        batches: of the validation set that each list is scored on; None: all.
        verify: trials that are spread over the ranking.

    Raises:
        InputError: a number is not positive.
    """

    name: ClassVar[str] = "supernet"

    def __init__(
        self, steps: int = 2000, lists: int = 2000, batches: int | None = 4, verify: int = 12
    ) -> None:
        check_positive(steps=steps, lists=lists, batches=1 if batches is None else batches)
        if verify < 0:
            raise InputError(f"evaluator.verify={verify} must be at least 0")
        self.steps, self.lists, self.batches, self.verify = steps, lists, batches, verify

    def mistakes(self, space: Space, config: Mapping[str, Any]) -> list[str]:
        """Return what one set of shared weights can not hold, a sentence for each key."""
        entries = {entry.name: entry for entry in space.entries}
        found = [
            f"space.{name} varies: evaluator=supernet shares weights between lists of blocks alone, so take "
            f"it out of the space"
            for name in entries
            if name != LIST and name.split(".")[0] not in HELD
        ]
        slots = entries.get(LIST)
        if not isinstance(slots, Slots):
            found.append(
                f"evaluator=supernet ranks lists of blocks: space.{LIST} must have slots or a pattern"
            )
        elif isinstance(slots.tie, Choice):
            found.append(f"space.{LIST}.tie varies: evaluator=supernet needs it true or false")
        if config["match"] is not None:
            found.append("match solves for a width, which evaluator=supernet can not share weights over")
        encoder = config["encoder"]
        if encoder["_target_"] != "nas.pool.encoder_from_pool":
            found.append(
                f"encoder._target_={encoder['_target_']!r}: evaluator=supernet needs a pool of blocks"
            )
        found += [
            f"encoder.{key}=true: evaluator=supernet can not share what depends on a slot's number"
            for key in ("feed_layer_idx", "layer_idx_as_attention_seed")
            if encoder.get(key)
        ]
        if "tasks" in config["task"]:
            found.append("task=suite: evaluator=supernet needs one task")
        return found

    def begin(self, question: Question, composed: Composed, gate: Gate, folder: Path) -> RankedLists:
        """Train the supernet and rank lists; the arguments are those of `nas.search.study.Study`.

        Raises:
            InterruptedRunError: stopped by a signal; the same call continues.
            NasError: the supernet diverged.
        """
        ranker = Ranker(self.steps, self.lists, self.batches, question, composed, gate, folder)
        return RankedLists(tuple(ranker.ranking()), self.verify)


@dataclass(frozen=True)
class RankedLists(Evaluation):
    """What a supernet has ranked: some of it to verify the ranking, then the best.

    Attributes:
        ranked: lists, the best first.
        verify: how many are spread over the ranking.
    """

    ranked: tuple[Ranked, ...]
    verify: int

    def proposal(self, asked: int) -> Proposal | None:
        """Return the list that is trained by itself after so many others."""
        rank = self._order()[asked]
        ranked = self.ranked[rank]
        told = {
            "rank": rank + 1,
            "value": ranked.value,
            "of": len(self.ranked),
            "verifies": asked < self.verify,
        }
        return dict(ranked.params), {RANKED: told}

    def exhausted(self, asked: int) -> str:
        """Say so when every list of the ranking is trained."""
        count = len(self.ranked)
        return f"all {count:,} lists that the supernet has ranked are trained" if asked >= count else ""

    def remarks(self, trials: Sequence[FrozenTrial]) -> list[str]:
        """Tell the rank correlation of the supernet with training from scratch."""
        done = [
            t
            for t in trials
            if t.state is TrialState.COMPLETE and t.user_attrs.get(RANKED, {}).get("verifies")
        ]
        if len(done) < 2:
            return []
        there, alone = [t.user_attrs[RANKED]["value"] for t in done], [t.values[0] for t in done]
        return [
            f"The supernet's ranking and training from scratch, over {len(done)} lists spread over it "
            f"({len(self.ranked):,} in all): Kendall's tau {kendall(there, alone)}, Spearman's rho "
            f"{spearman(there, alone)} (95 % intervals; 0: it tells nothing)."
        ]

    def _order(self) -> list[int]:
        """Return ranks from 0 in the order in which they are trained."""
        count, spread = len(self.ranked), min(self.verify, len(self.ranked))
        first = [round(i * (count - 1) / max(spread - 1, 1)) for i in range(spread)]
        return [*first, *(rank for rank in range(count) if rank not in set(first))]
