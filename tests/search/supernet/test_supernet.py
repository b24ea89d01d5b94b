"""The supernet: its paths are the encoders that lists make, and a list trains its own blocks alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.config.compose import Composed, compose
from nas.config.parts import build_encoder
from nas.files import read_json
from nas.search.pricing import Pricing
from nas.search.spaces.base import Base
from nas.search.spaces.space import Space
from nas.search.supernet.bank import build_supernet, items_of
from nas.search.supernet.evaluator import RankedLists, SupernetEvaluator
from nas.search.supernet.network import Supernet
from nas.search.supernet.ranking import Ranked

LISTS = [
    ["attn", "ffn", "none"],
    ["none", "conv", "reuse"],
    ["reuse", "attn", "reuse"],
    ["reuse", "none", "reuse", "loop"],
    ["none", "none"],
]


@pytest.fixture(scope="module")
def shared() -> Composed:
    small = ("encoder.hidden_size=16", "encoder.num_heads=2", "task=mqar", "task.seq_length=16")
    return compose("train", small)


def supernet(shared: Composed, lists: list[list[Any]], tied: bool = False) -> Supernet:
    candidate = Pricing(Base(shared)).candidate({"encoder.hidden_cls": items_of(lists)})
    return build_supernet(candidate, lists, tied, seed=0)


def alone(shared: Composed, slots: list[Any]) -> Any:
    from nas.config.build import run_of
    from nas.config.compose import with_values

    run = run_of(with_values(shared, "train", [f"encoder.hidden_cls={json.dumps(slots)}".replace('"', "")]))
    return build_encoder(run.config, run.task)


@pytest.mark.parametrize("index", range(len(LISTS)))
def test_a_path_is_the_encoder_of_its_list(shared: Composed, index: int) -> None:
    """The same blocks with the same settings: with the weights of the path, the same function."""
    net = supernet(shared, LISTS).eval()
    encoder = alone(shared, LISTS[index]).eval()
    path = net.paths[index]
    working = [slot.block for slot in encoder.slots if encoder.blocks[slot.block].role != "none"]
    for own, part in zip(working, path, strict=False):
        encoder.blocks[own].load_state_dict(net.blocks[net.slots[part].block].state_dict())
    encoder.embedding.load_state_dict(net.embedding.state_dict())
    encoder.output_layer_norm.load_state_dict(net.output_layer_norm.state_dict())
    ids = torch.randint(1, 30, (2, 16))
    net.choose(path)
    torch.testing.assert_close(net.sequence_output([ids]), encoder.sequence_output([ids]))


def test_a_step_trains_one_path_alone(shared: Composed) -> None:
    net = supernet(shared, LISTS).train()
    torch.manual_seed(1)
    net.sequence_output([torch.randint(1, 30, (2, 16))]).sum().backward()
    trained = {i for i, block in enumerate(net.blocks) if any(p.grad is not None for p in block.parameters())}
    assert any(trained == {i for i in path if [*net.blocks[i].parameters()]} for path in net.paths)
    assert len(net.slots) == len(net.blocks)  # a forward pass leaves them as they were


def test_every_path_is_drawn_in_training_and_evaluations_take_turns(shared: Composed) -> None:
    net = supernet(shared, LISTS[:3]).train()
    assert {net._next_path() for _ in range(60)} == set(net.paths)
    net.eval()
    first = [net._next_path() for _ in range(4)]
    assert first == [*net.paths, net.paths[0]]
    net.eval()
    assert net._next_path() == net.paths[0]


def test_what_is_tied_is_one_module_wherever_it_stands(shared: Composed) -> None:
    assert len(supernet(shared, [["attn", "conv"], ["conv", "attn"]]).blocks) == 4
    assert len(supernet(shared, [["attn", "conv"], ["conv", "attn"]], tied=True).blocks) == 2


def config(**changes: Any) -> dict[str, Any]:
    encoder = {"_target_": "nas.pool.encoder_from_pool", **changes.pop("encoder", {})}
    return {"match": None, "replicates": 1, "task": {}, "encoder": encoder, **changes}


SLOTS = {"encoder.hidden_cls": {"slots": 2, "choices": ["attn", "conv"]}}


@pytest.mark.parametrize(
    ("space", "changes", "told"),
    [
        ({**SLOTS, "encoder.hidden_size": [16, 32]}, {}, "space.encoder.hidden_size varies"),
        (
            {**SLOTS, "encoder.blocks.attn.num_heads": [1, 2]},
            {},
            "space.encoder.blocks.attn.num_heads varies",
        ),
        ({"optimizer.lr": [0.1, 0.2]}, {}, "space.encoder.hidden_cls must have slots"),
        ({"encoder.hidden_cls": {**SLOTS["encoder.hidden_cls"], "tie": [True, False]}}, {}, "hidden_cls.tie"),
        (SLOTS, {"match": {"by": "encoder.hidden_size"}}, "match solves for a width"),
        (SLOTS, {"task": {"tasks": {}}}, "task=suite"),
        (SLOTS, {"encoder": {"feed_layer_idx": True}}, "encoder.feed_layer_idx=true"),
    ],
)
def test_what_can_not_be_shared_is_refused_by_key(space: Any, changes: Any, told: str) -> None:
    [mistake] = SupernetEvaluator().mistakes(Space(space), config(**changes))
    assert told in mistake
    assert "\n" not in mistake


def test_the_optimizer_may_vary_beside_the_lists() -> None:
    space = Space({**SLOTS, "optimizer.lr": {"low": 0.1, "high": 1.0}, "schedule": ["cosine", "wsd"]})
    assert SupernetEvaluator().mistakes(space, config()) == []


def test_first_the_ranking_is_verified_then_the_best_are_trained() -> None:
    lists = RankedLists(tuple(Ranked({"n": i}, float(i)) for i in range(9)), verify=3)
    proposals = [lists.proposal(asked) for asked in range(9)]
    assert [params["n"] for params, _ in filter(None, proposals)] == [0, 4, 8, 1, 2, 3, 5, 6, 7]
    assert [told["ranked"]["verifies"] for _, told in filter(None, proposals)] == [True] * 3 + [False] * 6
    assert not lists.exhausted(8)
    assert "all 9 lists" in lists.exhausted(9)


@pytest.mark.slow  # whole searches
def test_a_search_ranks_verifies_and_goes_on(lab: Any, capsys: Any) -> None:
    slots = {"slots": {"low": 1, "high": 3}, "choices": ["attn", "conv", "reuse", "none", ["attn", "mlp"]]}
    rules = {"forbid": ["count(encoder.hidden_cls, 'conv') > 1"]}
    sweep = lab.sweep("ranks", {"encoder.hidden_cls": slots}, **rules)
    arguments = [
        sweep,
        "evaluator=supernet",
        "evaluator.steps=20",
        "evaluator.lists=40",
        "evaluator.verify=5",
    ]
    assert lab.search(*arguments, "n_trials=6") == 0
    told = read_json(lab.outputs / "ranks" / "study.json")
    [remark] = [text for text in told["remarks"] if "Kendall's tau" in text]
    assert "over 5 lists spread over it" in remark
    assert remark in capsys.readouterr().out
    assert "Kendall&#39;s tau" in (lab.outputs / "ranks" / "report.html").read_text()
    rows = lab.rows("ranks")
    assert {row["state"] for row in rows} == {"COMPLETE"}
    assert all("supernet: rank " in row["reason"] for row in rows)
    assert all(row["architecture"].count("conv") <= 1 for row in rows)

    scores = lab.outputs / "ranks" / "supernet" / "ranking.jsonl"
    whole = scores.read_text().splitlines()
    scores.write_text("\n".join([*whole[:7], whole[7][:3]]))  # as a kill leaves it
    assert lab.search(*arguments, "n_trials=7") == 0
    assert scores.read_text().splitlines() == whole
    assert "supernet is finished" in capsys.readouterr().err
    assert len(lab.rows("ranks")) == 7


@pytest.mark.slow  # a process that is killed
def test_a_supernet_is_killed_and_goes_on(lab: Any, capfd: Any) -> None:
    settings = ("evaluator=supernet", "evaluator.steps=400", "evaluator.lists=4", "evaluator.verify=1",
                "n_trials=1", "workers=1", "trainer.checkpoint_seconds=0.05",
                lab.sweep("lists", SLOTS))  # fmt: skip
    killed = lab.overrides(*settings, "study=killed")
    nas_search = str(Path(sys.executable).parent / "nas-search")
    process = subprocess.Popen([nas_search, *killed], stderr=subprocess.PIPE, text=True)
    checkpoint = lab.outputs / "killed" / "supernet" / "checkpoint"
    deadline = time.monotonic() + 120
    while not checkpoint.is_dir():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert lab.search(*settings, "study=killed") == 0
    assert "supernet: continuing" in capfd.readouterr().err
    assert lab.search(*settings, "study=whole") == 0
    scores = [
        (lab.outputs / study / "supernet" / "ranking.jsonl").read_text() for study in ("killed", "whole")
    ]
    assert scores[0] == scores[1]
