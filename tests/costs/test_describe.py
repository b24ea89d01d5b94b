"""The description of an encoder that run folders, reports and drawings read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nas.costs.describe import describe
from nas.costs.encoder import cost
from nas.costs.read import build

T = 16
Configure = Callable[..., dict[str, Any]]


def test_it_tells_every_slot_in_plain_values(encoder_of: Configure) -> None:
    names = ("attention/mha", "feedforward/mlp", "mixing/conv", "none", "recursive/reuse", "recursive/reuse")
    encoder = build(encoder_of(*names, shared=("recursive/reuse",)), T)
    description, total = describe(encoder, T, batch=2), cost(encoder, 2, T)
    assert json.loads(json.dumps(description)) == description
    assert description["string"] == "mha-mlp-conv-reuse*2"
    for key in ("parameters", "flops_per_token", "training_flops_per_token", "activation_bytes"):
        assert description[key] == getattr(total, key)
    assert (description["hidden_size"], description["seq_length"], description["batch_size"]) == (32, T, 2)
    slots = description["slots"]
    assert [slot["label"] for slot in slots] == ["mha", "mlp", "conv", "none", "reuse", "reuse"]
    assert [slot["role"] for slot in slots][:4] == ["attention", "feedforward", "mixing", "none"]
    assert [slot["shared_with"] for slot in slots] == [None, None, None, None, None, 4]
    assert [slot["state_kind"] for slot in slots[4:]] == ["attention_scores"] * 2
    assert [slot["state_kinds"] for slot in slots[3:]] == [[], ["attention_scores"], ["attention_scores"]]
    assert slots[0]["settings"]["num_heads"] == 4
    assert set(slots[0]) == {
        "label", "role", "class", "settings", "parameters", "flops_per_token", "training_flops_per_token",
        "activation_bytes", "shared_with", "recursive", "state_kind", "state_kinds",
    }  # fmt: skip


def test_blocks_inside_a_block_are_told_with_their_cost_in_one_pass(encoder_of: Configure) -> None:
    slot, _ = describe(build(encoder_of("recursive/loop", "recursive/parallel"), T), T)["slots"]
    assert (slot["num_loops"], slot["layout"]) == (3, "sequence")
    assert [block["label"] for block in slot["inner"]] == ["mha", "mlp"]
    assert slot["flops_per_token"] == 3 * sum(block["flops_per_token"] for block in slot["inner"])
    assert slot["parameters"] == sum(block["parameters"] for block in slot["inner"])
