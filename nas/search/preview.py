"""``dry_run=true``: what a search would do, what its candidates cost, and how long it would take."""

from __future__ import annotations

import math
import random
import statistics
import tempfile
import time
from pathlib import Path

from nas.config.build import AnyRun, SuiteRun, run_of
from nas.config.compose import with_values
from nas.errors import InputError, let_interrupt_pass
from nas.progress import duration, quantity, say
from nas.search.faults import reason
from nas.search.plan import Plan
from nas.search.spaces.space import Space

SAMPLES, TIMED_STEPS = 5, 6


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
    seconds = []
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
            seconds.append(seconds_per_trial(run))
        except Exception as error:  # of a block of the user's: such a trial fails, and the search goes on
            let_interrupt_pass(error)
            print(f"  {facts['string']}: fails: {reason(error)}\n    {' '.join(values)}")
            continue
        size, flops = quantity(facts["parameters"]), quantity(facts["flops_per_token"])
        cost = f"{size} parameters, {flops} FLOPs per token, about {duration(seconds[-1])}"
        print(f"  {facts['string']}: {cost}\n    {' '.join(values)}")
    if not seconds:
        return
    whole = sum(seconds) / len(seconds) * config["n_trials"] / plan.workers
    pruned = " if no trial stays at a rung" if config["rungs"] else ""
    print(f"\nabout {duration(whole)} in all{pruned} (measured over {TIMED_STEPS} steps of each sample)")


def size_in_words(space: Space) -> str:
    """Return the number of configurations, continuous ranges named."""
    continuous = [p.name for p in space.parameters() if p.size() == math.inf]
    at_most = "at most " if space.is_restricted() else ""
    ranges = [f"a continuous {name}" for name in continuous]
    return " x ".join([f"{at_most}{space.discrete_size():,.0f}", *ranges])


def seconds_per_trial(run: AnyRun) -> float:
    """Return how long a run would take, from its first steps; evaluations are not counted."""
    from nas.train.loop import TrainingLoop

    if isinstance(run, SuiteRun):
        return sum(map(seconds_per_trial, run.members.values()))
    parts = run.parts
    if (budget := parts["trainer"].budget["seconds"]) is not None:
        return float(budget)
    with tempfile.TemporaryDirectory() as folder:
        model = run.task.model(run.encoder)
        loop = TrainingLoop(
            parts["trainer"], model, run.task, parts["optimizer"], parts["schedule"],
            run.config["seed"], Path(folder), "", say,
        )  # fmt: skip
        times = []
        for _ in range(TIMED_STEPS):
            began = time.monotonic()
            loop.step()
            times.append(time.monotonic() - began)
    return statistics.median(times[1:]) * loop.steps_in_all()  # the first step warms up
