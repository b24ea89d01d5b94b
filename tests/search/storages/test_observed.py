"""The trials of a study at moments: pages that are shared as long as nothing in them changes."""

from __future__ import annotations

import random

import pytest
from optuna.trial import FrozenTrial, create_trial

from nas.search.storages.observed import PAGE, Observed


def trial(number: int) -> FrozenTrial:
    made = create_trial(value=1.0)
    made.number = number
    return made


@pytest.mark.parametrize("seed", range(3))
def test_each_moment_keeps_its_trials(seed: int) -> None:
    stream = random.Random(seed)
    moments = [(Observed(), list[FrozenTrial]())]
    for _ in range(30):
        observed, trials = moments[-1]
        trials = trials.copy()
        numbers = set(stream.sample(range(len(trials)), min(len(trials), stream.randrange(4))))
        numbers |= {*range(len(trials), len(trials) + stream.choice([0, 1, PAGE - 1, 3 * PAGE]))}
        changed = [trial(number) for number in sorted(numbers)]
        for made in changed:
            trials[made.number : made.number + 1] = [made]
        moments.append((observed.after(changed), trials))
    for observed, trials in moments:
        assert observed == trials
        assert trials == observed
        assert len(observed) == len(trials)
        assert all(a is b for a, b in zip(observed, trials, strict=True))
        assert all(observed[i] is trials[i] for i in range(-len(trials), len(trials)))
        assert observed[:-1] == trials[:-1]
        assert observed[3::7] == trials[3::7]
        with pytest.raises(IndexError):
            observed[len(trials)]
