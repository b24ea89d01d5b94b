"""Trials that inherit weights: whose, at what budget, and what is trained again from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.config.build import build
from nas.errors import InputError
from nas.files import read_json
from nas.search.census import KEY
from nas.search.inheritance import Inherit, Inheritance
from nas.search.objectives import Objective
from nas.search.purposes import FINAL, INHERITED, SCRATCH
from nas.search.question import Question
from nas.search.spaces.space import Space
from nas.search.worker import trial_key

SPACE = {
    "encoder.hidden_cls": {"slots": 3, "choices": ["attn", "conv", "mlp", "none"]},
    "optimizer.lr": {"low": 0.1, "high": 1.0},
    "encoder.hidden_size": [16, 32],
}


def of(blocks: str, value: float, number: int, **attributes: Any) -> FrozenTrial:
    """Return a finished trial of a list such as ``acm``."""
    attributes = {KEY: str(number), **attributes}
    trial = create_trial(
        params=params(blocks), distributions=DISTRIBUTIONS, value=value, user_attrs=attributes
    )
    trial.number = number
    return trial


def params(blocks: str, hidden_size: int = 16) -> dict[str, Any]:
    names = {"a": "attn", "c": "conv", "m": "mlp", "-": "none"}
    slots = {f"encoder.hidden_cls.{i}": names[b] for i, b in enumerate(blocks)}
    return {**slots, "optimizer.lr": 0.5, "encoder.hidden_size": hidden_size}


DISTRIBUTIONS = {p.name: p.distribution() for p in Space(SPACE).parameters()}


def inheritance(folder: Path, trained: int = 9, **settings: Any) -> Inheritance:
    for number in range(trained):
        (folder / "trials" / str(number) / "checkpoint").mkdir(parents=True, exist_ok=True)
    asked = Question("s", Space(SPACE), (), {}, (Objective("val/loss", "minimize"),), "mqar", 0)
    return Inheritance(Inherit(**settings), asked, folder, {"trainer.steps": 50})


@pytest.mark.parametrize(
    ("blocks", "parent"),
    [
        ("mma", 2),  # one edit from 2, two from the others
        ("acc", 0),  # one edit from 0 and from 1, of which 0 is better
        ("acm", 1),  # equal to 0, whose weights would be trained twice as long
        ("---", None),
    ],
)
def test_the_parent_is_the_nearest_finished_trial(tmp_path: Path, blocks: str, parent: int | None) -> None:
    known = [of("acm", 1.0, 0), of("aca", 2.0, 1), of("mmm", 0.5, 2)]
    assert inheritance(tmp_path)._parent(params(blocks), known) == parent


def test_what_could_not_be_inherited_is_no_parent(tmp_path: Path) -> None:
    known = [of("acm", 1.0, 0)]
    own = inheritance(tmp_path)
    assert own._parent(params("acc", hidden_size=32), known) is None
    assert inheritance(tmp_path / "without", trained=0)._parent(params("acc"), known) is None
    twin = of("acm", 1.0, 0)
    del twin.user_attrs[KEY]
    assert own._parent(params("acc"), [twin]) is None


def test_a_trial_keeps_its_parent(tmp_path: Path) -> None:
    study = optuna.create_study()
    study.add_trial(of("acm", 1.0, 0))
    study.enqueue_trial(params("acc"))
    trial = study.ask(DISTRIBUTIONS)
    own = inheritance(tmp_path)
    told = {"checkpoint": f"{tmp_path}/trials/0", "transfer": "inherit", "trainer.steps": 50}
    assert own.settings(trial, study.trials) == told
    assert trial.user_attrs[INHERITED] == {"of": 0}
    assert own.settings(trial, [*study.trials, of("acc", 0.1, 2)]) == told


def test_a_trial_without_a_parent_is_trained_as_always(tmp_path: Path) -> None:
    study = optuna.create_study()
    trial = study.ask(DISTRIBUTIONS)
    assert inheritance(tmp_path).settings(trial, []) == {}
    assert trial.user_attrs == {SCRATCH: True}


def test_the_best_are_trained_again_once_all_others_have_ended(tmp_path: Path) -> None:
    own = inheritance(tmp_path, final=2)
    heir = {INHERITED: {"of": 0}}
    done = [
        of("acm", 0.1, 0),
        of("acc", 0.3, 1, **heir),
        of("aca", 0.2, 2, **heir),
        of("aaa", 0.4, 3, **heir),
    ]
    running = create_trial(state=TrialState.RUNNING)
    assert own.due([*done, running]) is None
    assert own.due(done) == (params("aca"), {FINAL: 2})
    assert own.due([*done, of("aca", 0.6, 4, **{FINAL: 2})]) == (params("acc"), {FINAL: 1})
    again = [of("aca", 0.6, 4, **{FINAL: 2}), of("acc", 0.5, 5, **{FINAL: 1})]
    assert own.due([*done, *again]) is None
    [remark] = own.remarks([*done, *again])
    assert remark.startswith("3 of 6 finished trials inherited weights")
    assert "0.2 -> 0.6 (trial 2), 0.3 -> 0.5 (trial 1)" in remark


def test_equal_trials_answer_each_other_only_if_both_inherit_or_neither() -> None:
    plain = {"seed": 0}
    heirs = [{**plain, "starts_from": {"sha256": s, "transfer": "inherit"}} for s in ("one", "other")]
    grown = {**plain, "starts_from": {"sha256": "one", "transfer": "grow"}}
    assert trial_key(heirs[0], "hash") == trial_key(heirs[1], "hash")
    assert len({trial_key(config, "hash") for config in (plain, heirs[0], grown)}) == 3


def config(**changes: Any) -> dict[str, Any]:
    return {"match": None, "replicates": 1, "task": {}, **changes}


@pytest.mark.parametrize(
    ("space", "changes", "told"),
    [
        ({"optimizer.lr": [0.1, 0.2]}, {}, "varies no list of blocks"),
        (SPACE, {"match": {"by": "encoder.hidden_size"}}, "match solves for a width"),
        (SPACE, {"replicates": 3}, "replicates=3"),
        (SPACE, {"task": {"tasks": {}}}, "task=suite"),
    ],
)
def test_what_goes_against_it_is_told(space: Any, changes: Any, told: str) -> None:
    [mistake] = Inherit().mistakes(Space(space), config(**changes))
    assert told in mistake


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.5}, {"final": 0}])
def test_wrong_settings_are_told(wrong: Any) -> None:
    with pytest.raises(InputError, match=f"evaluator.{next(iter(wrong))}="):
        Inherit(**wrong)


@pytest.mark.slow  # a whole search
def test_a_search_with_inherited_weights(lab: Any) -> None:
    sweep = lab.sweep("heirs", {"encoder.hidden_cls": {"slots": 3, "choices": ["attn", "conv", "mlp"]}})
    arguments = [sweep, "evaluator=inherit", "evaluator.final=2", "sampler=random", "workers=2", "rungs=null"]
    assert lab.search(*arguments, "n_trials=6") == 0
    rows = lab.rows("heirs")
    heirs = [row for row in rows if "inherited" in row]
    assert len(rows) == 8
    assert len(heirs) >= 3
    assert rows[-len(heirs) :] == heirs  # after those that are from scratch
    for row in heirs:
        assert f"inherited from trial {row['inherited']['from']}: " in row["reason"]
        assert 0 < row["inherited"]["slots"] <= row["inherited"]["of"]
        assert "trainer.steps=6" in row["overrides"]
    again = [row for row in rows if "again, from scratch" in str(row["reason"])]
    assert len(again) == 2
    assert not any("transfer=inherit" in row["overrides"] for row in again)

    def value(row: dict[str, Any]) -> float:
        alone = [*row["overrides"], *lab.paths, "tracker=none", f"paths.outputs={lab.folder / 'alone'}"]
        return float(build(alone).train(report=lambda _: None).metrics["val/loss"])

    assert value(heirs[0]) == heirs[0]["value"]
    assert value(again[0]) == again[0]["value"]
    _, remark = read_json(lab.outputs / "heirs" / "study.json")["remarks"]
    assert "finished trials inherited weights" in remark
    best = (lab.outputs / "heirs" / "best.yaml").read_text()
    assert f"trial {rows[0]['number']}:" in best
    assert "transfer" not in best
