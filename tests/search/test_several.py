"""Studies of several objectives without workers: front, knee, replicates, baselines, samplers, failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.files import read_json
from nas.search.baselines import Baselines
from nas.search.display import along_the_front, leaderboard_table
from nas.search.gate import Gate
from nas.search.objectives import Objective
from nas.search.question import Question
from nas.search.samplers import NSGA2, TPE, LocalSearch, Random, RegularizedEvolution, Surrogate
from nas.search.spaces.space import Space
from nas.search.storages.journal import Journal
from nas.search.study import Study

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = {"encoder.hidden_cls": {"slots": 4, "choices": ["a", "b", "c", "d"]}}
BOTH = (Objective("val/loss", "minimize"), Objective("cost/parameters", "minimize"))
WIDTHS = {"a": 1, "b": 2, "c": 4, "d": 8}


class _Sizes:
    """Prices a list by its blocks: the dear ones are also the good ones."""

    def costs(self, changes: dict[str, Any]) -> dict[str, float]:
        return {"cost/parameters": float(sum(WIDTHS[name] for name in changes["encoder.hidden_cls"]))}


def opened(folder: Path, sampler: Any = None, **more: Any) -> Study:
    folder.mkdir(exist_ok=True)
    question = Question(name="s", space=Space(SPACE), base=(), config={}, objectives=BOTH, task="t", seed=0)
    gate = Gate(question.space, _Sizes(), wanted=("cost/parameters",))  # type: ignore[arg-type]
    if more.pop("baselines", False):
        more["baselines"] = Baselines(gate, _Sizes(), 2, 0)  # type: ignore[arg-type]
    sampler = sampler or Random(seed=0)
    return Study(question, folder, Journal().open(folder), sampler, None, gate=gate, **more)


def train(study: Study, order: Any, loss: float | None = None, status: str = "done") -> int:
    blocks = order.values[0].partition("=")[2].strip("[]").split(",")
    size = sum(WIDTHS[name] for name in blocks)
    facts = {"string": "-".join(blocks), "hash": str(blocks), "parameters": size, "flops_per_token": 9.0}
    if study.identify(order.number, str(order.values), facts):
        value = 100 / size + blocks.count("b") if loss is None else loss
        result = {"status": status, "metrics": {"val/loss": value}, "seconds": 1.0, "reason": None}
        study.succeed(order.number, result)
    return int(order.number)


def test_an_architecture_is_on_the_front_once(tmp_path: Path) -> None:
    study = opened(tmp_path / "s")
    facts = {"string": "a", "hash": "same", "parameters": 4, "flops_per_token": 9.0}
    result = {"status": "done", "metrics": {"val/loss": 1.0}, "seconds": 1.0, "reason": None}
    first, second = study.ask(), study.ask()
    assert first is not None
    assert second is not None
    assert study.identify(first.number, "key", facts)
    study.succeed(first.number, result)
    assert not study.identify(second.number, "key", facts)  # it has the first one's result
    rows = study.rows()
    assert [row["values"] for row in rows] == [rows[0]["values"]] * 2
    assert [row["front"] for row in rows] == [True, False]


def test_the_front_comes_first_and_its_knee_before_it(tmp_path: Path) -> None:
    study = opened(tmp_path / "s")
    for _ in range(20):
        train(study, study.ask())
    train(study, study.ask(), float("inf"))  # a disaster breaks nothing
    train(study, study.ask(), 1.0, status="diverged")
    rows = study.rows()
    done = [row for row in rows if row["state"] == "COMPLETE"]
    front = [row for row in done if row["front"]]
    assert done[: len(front)] == front
    assert [row["knee"] for row in front] == [True] + [False] * (len(front) - 1)
    assert sum(row["state"] == "FAIL" for row in rows) == 2
    for row in done:
        better = [
            other for other in done
            if other["values"] != row["values"]
            and all(other["values"][k] <= v for k, v in row["values"].items())
        ]  # fmt: skip
        assert row["front"] == (not better)
        assert row["values"]["cost/parameters"] == row["parameters"]
        assert row["value"] == row["values"]["val/loss"]
    shown = along_the_front(rows)
    assert [row["value"] for row in shown] == sorted({row["value"] for row in front})
    assert leaderboard_table(rows, BOTH).row_count == len(shown)
    assert opened(tmp_path / "s").rows() == rows


@pytest.mark.parametrize("sampler", [Random, RegularizedEvolution, LocalSearch, Surrogate, NSGA2, TPE])
def test_every_sampler_searches_a_front(tmp_path: Path, sampler: Any) -> None:
    study = opened(tmp_path / "s", sampler(seed=0))
    for _ in range(14):
        train(study, study.ask())
    assert study.asked() == 14
    assert sum(row["front"] for row in study.rows()) >= 2


def test_replicates_and_baselines_of_several_objectives(tmp_path: Path) -> None:
    study = opened(tmp_path / "s", replicates=2, baselines=True)
    while study.lacks(14):
        order = study.next(14)
        train(study, order, None if order.number % 2 else 2.0 + order.number)
    study.write(workers=1, n_trials=14, sampler="random", seconds=1.0, finished=True)
    told = read_json(tmp_path / "s" / "study.json")
    assert [noise["objective"] for noise in told["noise"]] == ["val/loss"]  # a cost has none
    assert told["baselines"].keys() == {"search", "random", "largest"}
    assert all(0 <= kind["best"] <= 1 for kind in told["baselines"].values())
    assert any("Share of the common hypervolume at equal budget" in remark for remark in told["remarks"])
    again = [row for row in study.rows() if row["runs"] == 2]
    assert again
    assert all(row["means"].keys() == {"val/loss", "cost/parameters"} for row in again)


def test_what_cannot_be_priced_is_not_trained(tmp_path: Path) -> None:
    from nas.errors import InputError

    class Picky(_Sizes):
        def costs(self, changes: dict[str, Any]) -> dict[str, float]:
            if "d" in changes["encoder.hidden_cls"]:
                raise InputError("d does not fit")
            return super().costs(changes)

    study = opened(tmp_path / "s")
    study.gate._pricing = Picky()  # type: ignore[assignment]
    for _ in range(8):
        train(study, study.ask())
    assert not any("d" in row["architecture"].split("-") for row in study.rows())
