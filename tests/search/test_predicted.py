"""The screen by prediction: silent while it knows little or nothing, and then for the better part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.files import read_json
from nas.search.census import KEY
from nas.search.objectives import Objective
from nas.search.predicted import LEAST, PredictedScreen, learn
from nas.search.proxies.scores import SCORES
from nas.search.purposes import INHERITED
from nas.search.screen import MEASURED
from nas.search.spaces.space import Space

BLOCKS = ("attn", "conv", "mlp")
SPACE = Space({"encoder.hidden_cls": {"slots": 4, "choices": list(BLOCKS)}})
WORTH = {"attn": 1.0, "conv": 0.5, "mlp": 0.0}


def trials(count: int, seed: int = 0, luck: bool = False, **attributes: Any) -> list[FrozenTrial]:
    """Return finished trials whose loss is a sum over their blocks, or luck; their sizes are about equal."""
    stream, made = np.random.default_rng(seed), []
    for number in range(count):
        params = {f"encoder.hidden_cls.{i}": BLOCKS[stream.integers(3)] for i in range(4)}
        loss = stream.normal() if luck else 9 - sum(WORTH[block] for block in params.values())
        scores = {name: float(stream.normal()) for name in SCORES} | {"parameters": 1000.0 + number % 7}
        trial = create_trial(
            value=loss, params=params, user_attrs={KEY: str(number), MEASURED: scores, **attributes},
            distributions=dict.fromkeys(params, CategoricalDistribution(BLOCKS)),
        )  # fmt: skip
        trial.number = number
        made.append(trial)
    return made


def proposed(known: list[FrozenTrial], block: str) -> FrozenTrial:
    """Return a trial of one kind of block that runs."""
    params = {f"encoder.hidden_cls.{i}": block for i in range(4)}
    trial = create_trial(
        state=TrialState.RUNNING, params=params, user_attrs={MEASURED: known[0].user_attrs[MEASURED]},
        distributions=dict.fromkeys(params, CategoricalDistribution(BLOCKS)),
    )  # fmt: skip
    trial.number = len(known)
    return trial


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_is_predicted_to_be_among_the_worse_is_refused(direction: Any) -> None:
    known = trials(40)
    for trial in known:
        trial.value = trial.values[0] * (1 if direction == "minimize" else -1)
    screen = PredictedScreen(0.5, SPACE, Objective("val/x", direction))
    good, bad = proposed(known, "attn"), proposed(known, "mlp")
    assert screen.refusal(good, [*known, good]) is None
    told = screen.refusal(bad, [*known, bad])
    assert told is not None
    assert told.startswith("predicted ")
    assert told.endswith(" is not among the best 21 of 41")
    [remark] = screen.remarks(known)
    assert "Predicted val/x over 40 trials" in remark
    assert remark.endswith(": proposals are screened by it.")


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (trials(LEAST - 1), "Fewer than 12 finished trials"),
        (trials(40, luck=True), "not distinguishable from 0 at similar size, so every proposal is trained"),
        (trials(40, **{INHERITED: {"of": 0}}), "Fewer than 12 finished trials"),
    ],
    ids=["few", "luck", "inherited"],
)
def test_while_it_knows_nothing_everything_is_let_through(known: list[FrozenTrial], told: str) -> None:
    screen = PredictedScreen(0.5, SPACE, Objective("val/loss", "minimize"))
    bad = proposed(known, "mlp")
    assert screen.refusal(bad, [*known, bad]) is None
    [remark] = screen.remarks(known)
    assert told in remark


def test_size_alone_is_not_trusted() -> None:
    stream = np.random.default_rng(0)
    sizes = np.repeat([100.0, 200.0, 400.0, 800.0], 10)
    learned = learn(np.log(sizes)[:, None], list(np.log(sizes) + 0.1 * stream.normal(size=40)), list(sizes))
    assert learned.every.low > 0.3
    assert not learned.trusted


@pytest.mark.slow  # a search
def test_a_search_screened_by_prediction(lab: Any) -> None:
    sweep = lab.sweep("predicted", {"encoder.hidden_cls": {"slots": 3, "choices": ["attn", "conv", "mlp"]}})
    more = ("screen={score: predicted}", "n_trials=14", "rungs=null", "workers=2", "sampler=random")
    assert lab.search(sweep, *more) == 0
    told = read_json(lab.outputs / "predicted" / "study.json")["remarks"]
    assert any("Predicted val/loss over" in line or "Fewer than 12" in line for line in told)
