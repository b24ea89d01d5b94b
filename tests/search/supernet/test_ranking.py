"""Which lists a supernet ranks: different ones, as many as are wanted or as there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.config.compose import Composed, compose
from nas.search.gate import Gate
from nas.search.objectives import Objective
from nas.search.question import Question
from nas.search.spaces.space import Space
from nas.search.supernet import ranking
from nas.search.supernet.ranking import Ranker

SPACE = {"encoder.hidden_cls": {"slots": {"low": 1, "high": 2}, "choices": ["attn", "ffn", "none"]}}


@pytest.fixture(scope="module")
def composed() -> Composed:
    return compose("train", ("task=mqar",))


def drawn(composed: Composed, lists: int, forbid: tuple[str, ...] = ()) -> list[list[str]]:
    space = Space(SPACE, forbid)
    loss = (Objective("val/loss", "minimize"),)
    question = Question("s", space, composed.overrides, composed.plain, loss, "mqar", 0)
    ranker = Ranker(10, lists, None, question, composed, Gate(space), Path("s"))
    return [space.changes(params)["encoder.hidden_cls"] for params in ranker.draw()]


def test_all_that_there_are_are_found_soon(composed: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    walked = []
    walk = Space.walk
    monkeypatch.setattr(Space, "walk", lambda *given: (walked.append(1), walk(*given))[1])
    found = drawn(composed, lists=10_000)
    working = {tuple(name for name in slots if name != "none") for slots in found}
    one, two = {("attn",), ("ffn",)}, {(a, b) for a in ("attn", "ffn") for b in ("attn", "ffn")}
    assert len(found) == len(working) == 7
    assert working == {(), *one, *two}
    assert len(walked) < 10 * ranking._ATTEMPTS * ranking._LEAST  # and not 20 for each of 10,000


def test_no_more_than_are_wanted_and_none_that_is_forbidden(composed: Composed) -> None:
    assert len(drawn(composed, lists=3)) == 3
    assert drawn(composed, lists=3) == drawn(composed, lists=3)
    assert all(
        "attn" not in slots for slots in drawn(composed, 50, ("count(encoder.hidden_cls, 'attn') > 0",))
    )
