"""What samplers are told of a space: rows settle into configurations that the space has, edits too."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest

from nas.search import samplers
from nas.search.samplers.encoding import Encoding
from nas.search.samplers.proposing import ProposingSampler
from nas.search.spaces.guide import Guide
from nas.search.spaces.space import Space

KEY = "encoder.hidden_cls"
DESCRIBED: dict[str, Any] = {
    KEY: {
        "slots": {"low": 1, "high": 4},
        "choices": ["a", "b", {"span": ["a", "b"]}],
        "weights": [8, 1, 1],
        "tie": [False, True],
    },
    "encoder.blocks.b.ratio": [1, 2, 4],
    "encoder.blocks.a.only": ["this"],
    "x": {"low": 0.1, "high": 1.0, "log": True, "when": "len(encoder.hidden_cls) > 2"},
    "y": {"low": 1, "high": 9, "step": 4},
}
FORBID = ["count(encoder.hidden_cls, 'a') > 3"]
OURS = [n for n in samplers.__all__ if n != "auto" and issubclass(getattr(samplers, n), ProposingSampler)]


def made(described: dict[str, Any] | None = None) -> tuple[Space, Guide, Encoding]:
    space = Space(described or DESCRIBED, FORBID)
    guide = Guide(space, lambda values: space.forbidden(values) is None)
    return space, guide, Encoding({k: d for k, d in guide.distributions.items() if not d.single()}, guide)


def check(space: Space, encoding: Encoding, rows: Any) -> None:
    """Every row is a configuration: what it lacks would not be asked for, what it has would be."""
    for row in rows:
        params = {"encoder.blocks.a.only": "this", **encoding.decode(row)}
        values = space.walk(lambda p, params=params: params[p.name])  # type: ignore[misc]
        assert values.keys() - {"encoder.blocks.a.only"} == encoding.decode(row).keys()


def test_random_rows_and_their_neighbours_are_configurations() -> None:
    space, _, encoding = made()
    rng = np.random.default_rng(0)
    rows = encoding.random(rng, 200)
    check(space, encoding, rows)
    for row in rows[:40]:
        check(space, encoding, encoding.neighbours(row, rng))


def test_weights_are_the_samplers_prior() -> None:
    _, _, encoding = made()
    rows = encoding.random(np.random.default_rng(0), 500)
    assert 0.75 < float(np.mean(rows[:, encoding.column[f"{KEY}.0"]] == 0)) < 0.85


def test_edits_swap_take_out_and_put_in() -> None:
    space, _, encoding = made({KEY: {"slots": {"low": 2, "high": 4}, "choices": list("abcd")}})
    rng = np.random.default_rng(0)
    row = encoding.encode({f"{KEY}.length": 3, f"{KEY}.0": "a", f"{KEY}.1": "b", f"{KEY}.2": "c"})
    lists = ["".join(space.changes(encoding.decode(r))[KEY]) for r in encoding.neighbours(row, rng)]
    assert {"bac", "cba", "acb"} <= set(lists)  # swapped
    assert {"bc", "ac", "ab"} <= set(lists)  # taken out
    inserted = [text for text in lists if len(text) == 4]
    assert all(any(text[:i] + text[i + 1 :] == "abc" for i in range(4)) for text in inserted)
    assert {next(i for i in range(4) if text[:i] + text[i + 1 :] == "abc") for text in inserted} >= {0, 1, 2}


@pytest.mark.parametrize("name", [n for n in samplers.__all__ if n not in ("auto", "Grid")])
def test_every_sampler_searches_a_space_of_variable_length(name: str) -> None:
    space, guide, _ = made()
    sampler = getattr(samplers, name)(seed=0)
    if name in OURS:
        sampler.guide(guide)
    study = optuna.create_study(sampler=sampler)
    for _ in range(30):
        trial = study.ask()
        values = space.walk(lambda p, trial=trial: p.suggest(trial))  # type: ignore[misc]
        value = space.changes(values)[KEY]
        study.tell(trial, float(len(value)) + values["y"])  # type: ignore[operator]
    if name in OURS:  # nothing twice, nothing forbidden
        assert len({str(sorted(t.params.items())) for t in study.trials}) == 30
        assert not any(space.forbidden(t.params) for t in study.trials)
    assert study.best_value <= 3.0


@pytest.mark.parametrize("name", OURS)
def test_without_a_guide_conditional_parameters_are_not_asked_for_twice(name: str) -> None:
    study = optuna.create_study(sampler=getattr(samplers, name)(seed=0))

    def objective(trial: optuna.Trial) -> float:
        length = trial.suggest_int("length", 1, 3)
        return float(sum(trial.suggest_categorical(f"slot.{i}", [0, 1]) for i in range(length)))

    study.optimize(objective, n_trials=14)
    different = len({str(sorted(t.params.items())) for t in study.trials})
    assert different >= 12  # of 14; the first trial of each depth is drawn without any knowledge


@pytest.mark.parametrize(
    "form", [{"slots": {"low": 1, "high": 3}}, {"slots": 3}, {"pattern": 2, "repeat": [1, 2]}]
)
def test_what_stands_twice_is_found_in_rows_as_in_values(form: dict[str, Any]) -> None:
    choices = ["a", ["a", "b"], ["c", "c"], {"span": ["a", "b"]}]
    space, _, encoding = made({KEY: {**form, "choices": choices, "tie": [False, True]}})
    rows = encoding.random(np.random.default_rng(0), 200)
    tied = ~np.isnan(rows[:, encoding.column[f"{KEY}.tie"]])
    assert 0 < tied.sum() < 200
    for row in rows:
        params = encoding.decode(row)
        assert space.walk(lambda p, params=params: params[p.name]).keys() == params.keys()  # type: ignore[misc]
