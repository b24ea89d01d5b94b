"""What a sampler reads of a study again and again is what one reads that sees it for the first time."""

from __future__ import annotations

import random

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.search.rungs.reports import DECIDED, PAUSED
from nas.search.samplers.reader import Reader

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize("seed", range(4))
def test_reading_again_tells_what_reading_anew_tells(seed: int) -> None:
    stream = random.Random(seed)
    study = optuna.create_study()
    reader = Reader()
    for step in range(120):
        _do_something(study, stream, step)
        if stream.random() < 0.5:
            continue
        known, anew = reader.read(study, without=-1), Reader().read(study, without=-1)
        assert known[0].names == anew[0].names
        for name in ("rows", "values"):
            assert np.array_equal(getattr(known[1], name), getattr(anew[1], name), equal_nan=True)
        assert sorted(map(bytes, known[1].pending)) == sorted(map(bytes, anew[1].pending))
        rows = [*known[1].rows, *known[1].pending]
        assert all(known[1].holds(row) and anew[1].holds(row) for row in rows)


def _do_something(study: optuna.Study, stream: random.Random, step: int) -> None:
    """Begin a trial, or end, pause or continue one."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if not running or stream.random() < 0.4:
        trial = study.ask()
        trial.suggest_categorical("x", ["a", "b", "c"])
        if stream.random() < 0.5:
            trial.suggest_float("y", 0.0, 1.0)
        if step > 60:
            trial.suggest_int("z", 1, 9)
        return
    trial = optuna.Trial(study, stream.choice(running)._trial_id)
    match stream.randrange(5):
        case 0:
            study.tell(trial, stream.random())
        case 1:
            study.tell(trial, state=TrialState.FAIL)
        case 2:
            trial.report(stream.random(), step)
            trial.set_user_attr(DECIDED, {"25": PAUSED})
        case 3:
            trial.set_user_attr(DECIDED, {"25": "continued"})
        case _:
            trial.report(stream.random(), step)
            study.tell(trial, state=TrialState.PRUNED)
