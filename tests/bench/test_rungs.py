"""The bench of rungs on curves and tables whose outcome is known, and on those that come along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from nas.bench import rungs
from nas.bench.drawn import Drawn
from nas.bench.entrants import ranked
from nas.bench.lists import Lists
from nas.bench.proposed import Proposed
from nas.bench.replay import Finish, Replay
from nas.bench.rungs import RungBench
from nas.bench.searchers import MAKERS, SAMPLERS
from nas.errors import InputError
from nas.search.rungs import reports
from nas.search.rungs.halving import SuccessiveHalving

PARALLEL = [{0.25: 4.0 + n, 0.5: 3.0 + n, 1.0: 2.0 + n} for n in range(16)]
SHARES = [0.25, 0.5, 1.0]


def finished(rungs: SuccessiveHalving | None, shares: list[float]) -> list[Finish]:
    return list(Replay(Drawn(ranked(PARALLEL), seed=1), rungs, shares, workers=2, seed=1).finished())


def test_to_the_end_every_candidate_costs_one_training() -> None:
    ends = finished(None, [1.0])
    assert sorted((end.value, end.rank) for end in ends) == [(2.0 + n, 1 + n) for n in range(16)]
    assert [end.at for end in ends] == [2.0 * (1 + n // 2) for n in range(16)]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_with_rungs_the_best_of_all_is_found_for_less(workers: int) -> None:
    halves = SuccessiveHalving(bold=0.0, hopeless=None)
    replay = Replay(Drawn(ranked(PARALLEL), seed=1), halves, SHARES, workers, seed=1)
    ends = list(replay.finished())
    assert min(ends, key=lambda end: end.value)[1:] == (2.0, 1)
    # 16 reach the first rung, 8 of them the second, 4 of those the end; luck of the order lets more pass
    assert 16 * 0.25 + 8 * 0.25 + 4 * 0.5 <= replay.work < 12
    assert replay.work <= max(end.at for end in ends) + 1e-9


def bench(**more: Any) -> RungBench:
    settings = {"end": {"evaluate_at": [1.0]}, "halves": {"evaluate_at": SHARES}}
    return RungBench(settings, **{"yardstick": "end", "budgets": [4, 8], "orders": 2, "tables": [], **more})


def test_the_curves_that_come_along_are_raced() -> None:
    results = bench().measure(0, lambda line: None)
    text, late = results["recordings"]
    for told in (text, late):
        assert told["candidates"] > 50
        assert [row["name"] for row in told["rows"]] == ["end", "halves"]
        end, halves = told["rows"]
        assert end["work"] == told["candidates"]
        assert end["mean"][-1] == 1
        assert end["beside"] == {"mean": [0.0] * 3, "error": [0.0] * 3}
        assert halves["beside"]["mean"][0] == pytest.approx(halves["mean"][0] - end["mean"][0])
        assert halves["work"] < 0.75 * end["work"]
        assert all(1 <= mean <= told["candidates"] for row in told["rows"] for mean in row["mean"])
    assert list(text["agreement"].values()) == sorted(text["agreement"].values())
    assert late["agreement"][0.25] < text["agreement"][0.25]
    question, table, beside, line, *_ = bench().tables(results)
    assert question == text["question"]
    assert table.row_count == beside.row_count == 2  # type: ignore[union-attr]
    assert "0.25: " in str(line)


def test_who_learns_late_is_missed_where_nobody_is_bold() -> None:
    """One candidate is the worst until it is the best: only a bold one shows it."""
    late = [*PARALLEL[1:], {0.25: 99.0, 0.5: 99.0, 1.0: 0.0}]

    def best(bold: float) -> float:
        rungs = SuccessiveHalving(bold=bold, hopeless=None)
        return min(
            end.value for end in Replay(Drawn(ranked(late), seed=1), rungs, SHARES, 2, seed=1).finished()
        )

    assert best(0.0) == 3.0
    assert best(1.0) == 0.0


def test_curves_of_ones_own_and_files_that_are_none(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"shares": SHARES, "curves": [list(curve.values()) for curve in PARALLEL]}))
    assert bench(curves=str(own)).measure(0, lambda line: None)["recordings"][0]["rows"][1]["work"] < 12
    own.write_text("{}")
    with pytest.raises(InputError, match=r"bench\.yardstick='half'"):
        bench(yardstick="half")
    for path in (own, tmp_path / "none.json"):
        with pytest.raises(InputError, match=r"bench\.curves="):
            bench(curves=str(path))
    own.write_text(json.dumps({"shares": [0.5, 1.0], "curves": [[3.0, 2.0], [2.0, 1.0]]}))
    [told] = bench(curves=str(own)).measure(0, lambda line: None)["recordings"]
    assert [row["name"] for row in told["rows"]] == ["end"]
    with pytest.raises(
        InputError, match=r"bench\.yardstick='halves' looks at .*, bench.curves has \[0\.5, 1\.0\]"
    ):
        bench(curves=str(own), yardstick="halves")


def table(runs: int = 1, direction: str = "minimize") -> dict[str, Any]:
    """Return all lists of two blocks of four; the first one is the best, and no two curves cross."""
    lists = [[first, second] for first in "abcd" for second in "abcd"]
    sign = 1 if direction == "minimize" else -1
    curves = [[sign * value for value in curve.values()] for curve in PARALLEL]
    rows = [[names, 100, [curve] * runs] for names, curve in zip(lists, curves, strict=True)]
    names = ["hidden_cls.0", "hidden_cls.1"]
    return {"study": "tiny", "direction": direction, "rungs": SHARES, "names": names, "rows": rows}


def test_a_search_without_rungs_finds_what_its_sampler_proposes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rungs, "packaged", lambda: {"tiny": table()})
    made = bench(tables=["tiny"], samplers=["random"], searches=3, workers=1)
    results = made.measure(5, lambda line: None)
    [told] = results["tables"]
    land = Lists(table()).landscape
    expected = []
    for seed in (5, 6, 7):
        searcher = MAKERS["random"](land, seed)
        ranks = []
        for _ in range(8):
            params = searcher.ask()
            ranks.append(1 + land.rows.index(params))
            searcher.tell(params, -float(ranks[-1]))
        expected.append([min(ranks[:4]), min(ranks)])
    [search] = told["searches"]
    end, halves = search["rows"]
    assert end["mean"] == pytest.approx(np.mean(expected, axis=0))
    assert end["error"] == pytest.approx(np.std(expected, axis=0) / 2**0.5)
    assert halves["name"] == "halves"
    assert told["agreement"] == {0.25: 1.0, 0.5: 1.0}
    shown, said = made.tables(results)[-2:]
    assert shown.row_count == 2  # type: ignore[union-attr]
    assert "0.25: 1.00" in str(said)


def searched(sampler: str, rungs: SuccessiveHalving) -> tuple[list[Finish], Proposed]:
    lists = Lists(table())
    entrants = Proposed(SAMPLERS[sampler](lists.landscape, 1), lists.landscape, lists.candidates(1))
    return list(Replay(entrants, rungs, SHARES, workers=2, seed=1).finished(until=12)), entrants


@pytest.mark.parametrize("sampler", ["auto", "random"])
def test_a_samplers_trials_are_paused_and_continued(sampler: str) -> None:
    ends, entrants = searched(sampler, SuccessiveHalving(bold=0.0))
    assert [end.at for end in ends] == sorted(end.at for end in ends)
    assert ends[-1].at <= 12
    assert all(end.value == 1 + end.rank for end in ends)
    trials = entrants.trials()
    assert len(trials) > 12
    told = {word for trial in trials for word in reports.decided(trial).values()}
    assert told >= {reports.BEST, reports.PAUSED, reports.CONTINUED}
    complete = [trial.values[0] for trial in trials if trial.state is TrialState.COMPLETE]
    assert sorted(complete) == sorted(end.value for end in ends)
    assert sum(map(reports.is_paused, trials)) > 2


def test_a_samplers_trials_end_at_a_rung_where_nothing_is_paused() -> None:
    _, entrants = searched("random", SuccessiveHalving(bold=0.0, pause=False))
    ended = [trial for trial in entrants.trials() if trial.state is TrialState.PRUNED]
    assert len(ended) > 2
    assert all("not among the best" in max(reports.decided(trial).items())[1] for trial in ended)


def test_each_search_sees_one_run_of_a_list_and_is_judged_by_all() -> None:
    told = table(runs=2, direction="maximize")
    told["rows"][0][2] = [[-4.0, -3.0, -2.0], [-14.0, -13.0, -12.0]]  # 7 on average: between two others
    lists = Lists(told)
    seen = [lists.candidates(seed)[0] for seed in range(8)]
    assert {candidate.curve[1.0] for candidate in seen} == {2.0, 12.0}
    assert {candidate.rank for candidate in seen} == {5}
    assert lists.candidates(3) == lists.candidates(3)
    assert len(lists.curves()) == 32


def test_what_a_table_has_not_recorded_is_left_out_and_names_are_checked() -> None:
    assert bench(tables=None).lists.keys() >= {"table_grammar", "table_text"}
    eighth = {"end": {"evaluate_at": [1.0]}, "eighth": {"evaluate_at": [0.125, 1.0], "first": 0.125}}
    made = RungBench(
        eighth, "end", budgets=[2], orders=1,
        tables=["table_grammar", "table_text"], samplers=["random"], searches=1,
    )  # fmt: skip
    found = made.measure(0, lambda line: None)["tables"]
    names = [[row["name"] for row in told["searches"][0]["rows"]] for told in found]
    assert names == [["end"], ["end", "eighth"]]
    with pytest.raises(InputError) as caught:
        bench(tables=["table_tex"], samplers=["autos"])
    tables, samplers = caught.value.mistakes
    assert "bench.tables='table_tex'" in tables
    assert "did you mean 'table_text'?" in tables
    assert "did you mean 'auto'?" in samplers
