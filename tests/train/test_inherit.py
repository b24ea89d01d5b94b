"""Weights that are taken over by an encoder of another architecture: what fits, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import nas
from nas.errors import InputError
from nas.train.inherit import matched

SMALL = ("encoder.hidden_cls=[attn,ffn,conv]",)


@pytest.fixture(scope="module")
def parent(arguments: Any, tmp_path_factory: pytest.TempPathFactory) -> nas.Run:
    """A finished run, its model in memory."""
    folder = tmp_path_factory.mktemp("parent")
    run = nas.build(arguments(folder / "outputs", *SMALL, "trainer.steps=4"))
    run.train(report=lambda line: None)
    return run


def heir(make: Any, parent: nas.Run, slots: str, *more: str) -> tuple[nas.Run, Any, str]:
    """Return a run that inherits, what it takes over, and what it says."""
    from nas.config.starting import form_of

    run = make(f"encoder.hidden_cls={slots}", f"checkpoint={parent.folder}", "transfer=inherit", *more)
    assert run.start is not None
    plan = run.start.plan(run.description, form_of(run.encoder), run.encoder)
    return run, plan, plan.load(run.task.model(run.encoder), run.task.name)


def equal(one: nn.Module, other: nn.Module) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_unchanged_slots_embedding_and_head_are_the_parents(make: Any, parent: nas.Run) -> None:
    run, plan, told = heir(make, parent, "[attn,mlp,none,conv]")
    assert (plan.slots, plan.count) == ((0, 3), 3)
    assert told.endswith("2 of 3 slots, embedding, output_layer_norm, pooler_layer, head")
    old, new = parent.encoder.hidden_layers, run.encoder.hidden_layers
    assert equal(new[0], old[0])
    assert equal(new[3], old[2])
    assert equal(run.encoder.embedding, parent.encoder.embedding)


def test_what_shares_weights_takes_one_of_the_trained(make: Any, parent: nas.Run) -> None:
    tied = "encoder.blocks.attn._partial_=false"
    run, plan, _ = heir(make, parent, "[attn,ffn,attn]", tied)
    assert plan.slots == (0, 1)
    assert equal(run.encoder.hidden_layers[2], parent.encoder.hidden_layers[0])


def test_another_vocabulary_starts_anew_in_embedding_and_head(make: Any, parent: nas.Run) -> None:
    _, plan, told = heir(make, parent, "[attn,ffn,conv]", "task.vocab_size=20")
    assert plan.slots == (0, 1, 2)
    assert "embedding" not in told
    assert "head" not in told


def test_nothing_that_fits_is_told(make: Any, parent: nas.Run) -> None:
    with pytest.raises(InputError, match=r"^checkpoint=.*: no part of it fits this encoder$"):
        heir(make, parent, "[attn]", "encoder.hidden_size=32", "encoder.pooled_output_dim=8")


def test_a_run_trains_on_and_says_what_it_inherited(make: Any, parent: nas.Run) -> None:
    said: list[str] = []
    run = make(
        "encoder.hidden_cls=[attn,ffn]", f"checkpoint={parent.folder}", "transfer=inherit", "trainer.steps=2"
    )
    run.train(report=said.append)
    assert any(line.startswith("inherited from ") and "2 of 2 slots" in line for line in said)
    source = json.loads((Path(run.folder) / "provenance.json").read_text())["checkpoint"]
    assert (source["transfer"], source["inherited"], source["slots"]) == ("inherit", [0, 1], 2)


def slot(name: str) -> dict[str, Any]:
    return {"class": name, "settings": {}}


@pytest.mark.parametrize(
    ("old", "new", "places"),
    [
        ("abc", "abc", [0, 1, 2]),
        ("abc", "axc", [0, None, 2]),
        ("abc", "abxc", [0, 1, None, 2]),
        ("abc", "ac", [0, 2]),
        ("abc", "acb", [0, 2, None]),
        ("abc", "xyz", [None, None, None]),
    ],
)
def test_slots_are_matched_in_order_as_many_as_possible(old: str, new: str, places: list[int | None]) -> None:
    assert matched([*map(slot, old)], [*map(slot, new)], [nn.Identity() for _ in new]) == places
