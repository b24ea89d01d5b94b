"""``dry_run=true``: what a search would do, what its candidates cost, and how long it would take."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

from nas.config.build import run_of
from nas.config.compose import with_values
from nas.errors import InputError, let_interrupt_pass
from nas.progress import duration, quantity, say
from nas.search.faults import reason
from nas.search.pace import STEPS, Pace, pace
from nas.search.plan import Plan
from nas.search.spaces.space import Space

SAMPLES = 5
_BUSY = 1.5
"""A machine on which everything takes so many times as long as alone is said to be busy."""


def preview(plan: Plan) -> None:
    """Print the space, its size, five samples with their cost, and an estimate of the time."""
    space, config = plan.question.space, plan.config
    print(
        f"study {plan.question.name}: {config['n_trials']} trials, "
        f"{plan.workers} at a time, {plan.sampler} sampler"
    )
    print(f"{plan.question.in_words()} on {plan.question.task}\n\nspace")
    for key, words in space.describe().items():
        print(f"  {key}: {words}")
    for key, told in plan.question.rules.items():
        if told:
            print(f"  {key}: {told}")
    print(f"size: {size_in_words(space)}\n\n{SAMPLES} samples")
    stream = random.Random(plan.question.seed)
    paces: list[Pace] = []
    for _ in range(SAMPLES):
        drawn = plan.gate.sample(stream)
        assert drawn is not None  # a plan without any is refused
        values = plan.gate.judge(drawn).overrides
        try:
            run = run_of(with_values(plan.composed, "train", values))
        except InputError as error:  # each choice fits, but not together: such a trial fails
            print(f"  cannot be built: {'; '.join(error.mistakes)}\n    {' '.join(values)}")
            continue
        facts = run.description
        run.task.prepare(Path(config["paths"]["cache"]).expanduser(), say)
        try:
            paces.append(pace(run))
        except Exception as error:  # of a block of the user's: such a trial fails, and the search goes on
            let_interrupt_pass(error)
            print(f"  {facts['string']}: fails: {reason(error)}\n    {' '.join(values)}")
            continue
        size, flops = quantity(facts["parameters"]), quantity(facts["flops_per_token"])
        cost = f"{size} parameters, {flops} FLOPs per token, about {duration(paces[-1].alone)}"
        print(f"  {facts['string']}: {cost}\n    {' '.join(values)}")
    if paces:
        print(f"\n{_in_all(plan, paces)}")


def _in_all(plan: Plan, paces: Sequence[Pace]) -> str:
    """Return how long the search will take, in words."""
    share = plan.config["n_trials"] / plan.workers / len(paces)
    alone, now = share * sum(p.alone for p in paces), share * sum(p.now for p in paces)
    pruned = " if no trial stays at a rung" if plan.config["rungs"] else ""
    told = f"about {duration(alone)} in all{pruned} (measured over {STEPS} steps of each sample)"
    busy = f"; {duration(now)} as long as other programs use the cores as they do now"
    return told + (busy if now > _BUSY * alone else "")


def size_in_words(space: Space) -> str:
    """Return the number of configurations, continuous ranges named."""
    continuous = [p.name for p in space.parameters() if p.size() == math.inf]
    at_most = "at most " if space.is_restricted() else ""
    ranges = [f"a continuous {name}" for name in continuous]
    return " x ".join([f"{at_most}{space.discrete_size():,.0f}", *ranges])
