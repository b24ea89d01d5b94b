"""The screen: who is let through by a zero-cost score, and that samplers pass the others by."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.config.build import build
from nas.errors import InputError
from nas.files import read_json
from nas.search.proxies.agreement import in_words
from nas.search.proxies.measured import scores_of
from nas.search.samplers.reader import Reader
from nas.search.screen import MEASURED, PASSED, SCREENED, Screen, read_screen

NUMBERS = itertools.count()


def trial(score: float, **attributes: Any) -> FrozenTrial:
    made = create_trial(state=TrialState.PRUNED, user_attrs={MEASURED: {"size": score}, **attributes})
    made.number = next(NUMBERS)
    return made


def test_the_better_half_so_far_is_let_through() -> None:
    screen = Screen("size", 0.5)
    known = [trial(1.0)]
    assert screen.refusal(known[0], known) is None
    for score, refused in ((2.0, False), (1.5, False), (0.5, True), (3.0, False), (1.2, True)):
        known.append(trial(score))
        assert (screen.refusal(known[-1], known) is not None) == refused, score
    assert screen.refusal(known[-1], known) == "size 1.2 is not among the best 3 of 6"


def test_what_was_let_through_stays_so_and_in_the_end_something_is() -> None:
    screen, good = Screen("size", 0.5), [trial(9.0), trial(8.0)]
    worst = trial(0.0)
    assert screen.refusal(worst, [*good, worst]) is not None
    passed = trial(0.0, **{PASSED: True})
    assert screen.refusal(passed, [*good, passed]) is None
    refused = [trial(0.0, **{SCREENED: True}) for _ in range(20)]
    assert screen.refusal(worst, [*good, *refused, worst]) is None


def test_samplers_ask_for_no_screened_trial_again_and_believe_nothing_of_it() -> None:
    study = optuna.create_study()
    space = {"x": CategoricalDistribution(("a", "b", "c"))}
    study.add_trial(create_trial(params={"x": "a"}, distributions=space, value=1.0))
    told = {"state": TrialState.PRUNED, "user_attrs": {SCREENED: True}}
    study.add_trial(create_trial(params={"x": "b"}, distributions=space, **told))
    _, history = Reader().read(study, without=-1)
    assert len(history.rows) == len(history.values) == 1
    assert len(history.asked) == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"score": "jacobian"}, ["screen.score='jacobian' is not one of"]),
        ({"score": "parameters", "keep": 1.5}, ["screen.keep=1.5 must be a share"]),
        (
            {"scor": "parameters"},
            ["screen.scor is not a key here; did you mean 'score'?", "screen.score=None"],
        ),
    ],
)
def test_a_wrong_screen_is_told(given: Any, told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read_screen(given)
    assert len(caught.value.mistakes) == len(told)
    assert all(start in mistake for start, mistake in zip(told, caught.value.mistakes, strict=True))


def test_what_scores_are_worth_is_said_beside_parameters_alone() -> None:
    sizes = [100.0, 105.0, 200.0, 210.0, 400.0]
    scores = [{"parameters": s, "luck": s % 7} for s in sizes]
    [told] = in_words(scores, sizes, "val/loss")
    assert "over 5 trials" in told
    assert "the 2 pairs of similar size" in told
    assert "parameters +1.00 / +1.00" in told
    assert "; luck " in told
    assert in_words(scores[:3], sizes[:3], "val/loss") == []


@pytest.mark.slow  # two runs and a search
def test_a_search_with_a_screen(lab: Any) -> None:
    sweep = lab.sweep("screened", {"encoder.hidden_cls": {"slots": 3, "choices": ["attn", "conv", "mlp"]}})
    more = (
        "screen={score: parameters, keep: 0.5}",
        "n_trials=6",
        "rungs=null",
        "workers=2",
        "sampler=random",
    )
    assert lab.search(sweep, *more) == 0
    rows, told = lab.rows("screened"), read_json(lab.outputs / "screened" / "study.json")
    assert len(rows) == 6
    assert told["refused"] > 0
    assert any("Zero-cost scores and val/loss over 6 trials" in remark for remark in told["remarks"])
    arguments = [*rows[0]["overrides"], *lab.paths, "tracker=none", f"paths.outputs={lab.folder / 'alone'}"]
    run = build(arguments)
    assert scores_of(run)["parameters"] > 0
    assert run.train(report=lambda _: None).metrics["val/loss"] == rows[0]["value"]  # as if nobody had looked
    assert Path(run.folder).is_dir()
