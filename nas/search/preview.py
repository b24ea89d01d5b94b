"""``dry_run=true``: what a search would do, what its candidates cost, and how long it would take."""

from __future__ import annotations

import math
import random
import statistics
import tempfile
import time
from pathlib import Path

from nas.config.build import Run
from nas.config.compose import with_values
from nas.errors import InputError
from nas.progress import duration, quantity, say
from nas.search.plan import Plan
from nas.search.space import Choice, Parameter, Range, Scalar, Space

SAMPLES, TIMED_STEPS = 5, 6


def preview(plan: Plan) -> None:
    """Print the space, its size, five samples with their cost, and an estimate of the time."""
    space, config = plan.question.space, plan.config
    print(
        f"study {plan.question.name}: {config['n_trials']} trials, "
        f"{plan.workers} at a time, {plan.sampler} sampler"
    )
    print(f"{plan.question.direction} {plan.question.objective} on {plan.question.task}\n\nspace")
    for key, words in space.describe().items():
        print(f"  {key}: {words}")
    print(f"size: {size_in_words(space)}\n\n{SAMPLES} samples")
    stream = random.Random(plan.question.seed)
    seconds = []
    for _ in range(SAMPLES):
        values = space.render(lambda parameter: draw(parameter, stream))
        try:
            run = Run(with_values(plan.composed, "train", values))
        except InputError as error:  # each choice fits, but not together: such a trial fails
            print(f"  cannot be built: {'; '.join(error.mistakes)}\n    {' '.join(values)}")
            continue
        facts = run.description
        run.task.prepare(Path(config["paths"]["cache"]).expanduser(), say)
        seconds.append(seconds_per_trial(run))
        size, flops = quantity(facts["parameters"]), quantity(facts["flops_per_token"])
        cost = f"{size} parameters, {flops} FLOPs per token, about {duration(seconds[-1])}"
        print(f"  {facts['string']}: {cost}\n    {' '.join(values)}")
    if not seconds:
        return
    whole = sum(seconds) / len(seconds) * config["n_trials"] / plan.workers
    pruned = " if no trial is stopped at a rung" if config["pruner"] else ""
    print(f"\nabout {duration(whole)} in all{pruned} (measured over {TIMED_STEPS} steps of each sample)")


def size_in_words(space: Space) -> str:
    """Return the number of configurations, continuous ranges named."""
    continuous = [p.name for p in space.parameters() if p.size() == math.inf]
    return " x ".join([f"{space.discrete_size():,.0f}", *(f"a continuous {name}" for name in continuous)])


def draw(parameter: Parameter, stream: random.Random) -> Scalar:
    """Return a uniform sample of one parameter."""
    if isinstance(parameter, Choice):
        return stream.choice(parameter.choices)
    if parameter.integer or parameter.step is not None:
        return _draw_step(parameter, stream)
    if parameter.log:
        return math.exp(stream.uniform(math.log(parameter.low), math.log(parameter.high)))
    return stream.uniform(parameter.low, parameter.high)


def _draw_step(parameter: Range, stream: random.Random) -> float:
    step = parameter.step or 1
    value = parameter.low + step * stream.randrange(int(parameter.size()))
    return int(value) if parameter.integer else value


def seconds_per_trial(run: Run) -> float:
    """Return how long a run would take, from its first steps; evaluations are not counted."""
    from nas.train.loop import Model, TrainingLoop

    parts = run.parts
    if (budget := parts["trainer"].budget["seconds"]) is not None:
        return float(budget)
    with tempfile.TemporaryDirectory() as folder:
        model = Model(run.encoder, run.task.head(run.encoder))
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
