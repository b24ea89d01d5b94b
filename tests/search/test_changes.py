"""What has changed in a study: as whoever compares every trial finds it."""

from __future__ import annotations

import random
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from nas.search.changes import Changes
from nas.search.rungs.reports import DECIDED, PAUSED, paused_at
from nas.search.storages.journal import Journal

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_a_comparison_of_all_finds(tmp_path: Path, seed: int) -> None:
    stream = random.Random(seed)
    study = optuna.create_study(storage=Journal().open(tmp_path))
    changes, before = Changes(), list[FrozenTrial]()
    for _ in range(150):
        for _ in range(stream.choice([0, 1, 1, 3])):
            _do_something(study, stream)
        now = study.get_trials(deepcopy=False)
        told = changes.take(now)
        wanted = {t.number for i, t in enumerate(now) if i >= len(before) or t is not before[i]}
        assert {t.number for t in told} == wanted
        assert all(t is now[t.number] for t in told)
        assert len(told) == len({t.number for t in told})
        unended = [t for t in now if not t.state.is_finished()]
        assert sorted(changes.going) == [t.number for t in unended if paused_at(t) is None]
        paused = {t.number: (t, rung) for t in unended if (rung := paused_at(t)) is not None}
        assert changes.paused == paused
        assert study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) == unended
        before = now


def _do_something(study: optuna.Study, stream: random.Random) -> None:
    """Begin, end, pause, continue or annotate a trial."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if not running or stream.random() < 0.4:
        study.ask()
        return
    trial = optuna.Trial(study, stream.choice(running)._trial_id)
    match stream.randrange(4):
        case 0:
            study.tell(trial, stream.random())
        case 1:
            trial.set_user_attr(DECIDED, {stream.choice(["25", "50"]): PAUSED})
        case 2:
            trial.set_user_attr(DECIDED, {"25": "continued"})
        case _:
            trial.report(stream.random(), stream.randrange(1000))
