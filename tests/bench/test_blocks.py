"""The bench ``blocks`` on tiny shapes: what it measures, says and refuses."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

from nas.bench import blocks as bench
from nas.bench.base import Shape
from nas.bench.blocks import OURS, PLAIN, BlockBench, Field
from nas.bench.library import block_names, build_block, choose_blocks
from nas.bench.peers.base import Peer, PreNorm
from nas.blocks.base import Block
from nas.errors import InputError
from nas.progress import silent

TINY = Shape(2, 16, 16, 2)
CPU = torch.device("cpu")


def fake(name: str, build: Any, **ours: Any) -> Peer:
    return Peer("feedforward/mlp", name, build, ours)


def missing(*_: Any) -> nn.Module:
    raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")


def changed(*_: Any) -> nn.Module:
    raise TypeError("no such argument")


def linear(ours: Block, shape: Shape) -> nn.Module:
    return PreNorm(nn.Linear(shape.hidden_size, shape.hidden_size), shape.hidden_size)


RIVALS = [
    fake("linear", linear),
    fake("linear2", linear, bias=True, norm="post"),
    fake("absent", missing),
    fake("changed", changed),
]


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "peers_of", lambda name: RIVALS if name == "feedforward/mlp" else [])
        made = BlockBench(["mlp", "mha", "fourier"], [[2, 16, 16, 2], [1, 8, 8, 2]], seconds=0.01)
        return {"settings": made.config, **made.measure(0, silent)}


def test_results_are_json_with_known_keys(measured: dict[str, Any]) -> None:
    assert json.loads(json.dumps(measured)) == measured
    assert len(measured["rows"]) == 6
    for row in measured["rows"]:
        assert set(row) == {
            "block", "shape", "best", "rivals", "parameters", "milliseconds", "rounds",
        }  # fmt: skip
        assert list(row["shape"]) == ["batch", "tokens", "hidden_size", "num_heads"]
        times = row["milliseconds"]
        assert 0 < times["low"] <= times["median"] <= times["high"]
        for rival in row["rivals"]:
            if "absent" in rival:
                continue
            assert rival["interval"][0] <= rival["ratio"] <= rival["interval"][1]
            assert rival["ratio"] > 0
            assert rival["parameters"] > 0


def test_rivals_of_a_block(measured: dict[str, Any]) -> None:
    row = measured["rows"][0]
    assert row["block"] == "feedforward/mlp"
    assert {r["name"]: r.get("settings", r.get("absent")) for r in row["rivals"]} == {
        "linear": {},
        "linear2": {"bias": True, "norm": "post"},
        "absent": "nowhere is not installed",
        "changed": "TypeError: no such argument",
    }
    ratios = [r["ratio"] for r in row["rivals"] if "ratio" in r]
    assert row["best"]["ratio"] == min(ratios)
    assert row["best"]["ratio"] < 0.95
    assert any(told.startswith("feedforward/mlp 2x16x16x2") for told in measured["slower"])


def test_a_plain_form_is_no_public_module(measured: dict[str, Any]) -> None:
    row = next(row for row in measured["rows"] if row["block"] == "attention/mha")
    assert [r["name"] for r in row["rivals"]] == [PLAIN]
    assert row["best"] is None
    assert not [told for told in measured["slower"] if "mha" in told]


def test_the_table(measured: dict[str, Any]) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    for part in BlockBench(["mlp"]).tables(measured):
        console.print(part)
    text = console.export_text()
    for words in (
        "2x16x16x2", "1x8x8x2", "feedforward/mlp", "linear2 (ours with bias=True, norm=post)", PLAIN,
        "nowhere is not installed", "no public counterpart, no fast path", "slower than 0.95",
    ):  # fmt: skip
        assert words in text, text


def test_a_rival_meets_ours_with_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "peers_of", lambda name: RIVALS)
    field = Field("feedforward/mlp", TINY, 0, CPU, half=False)
    assert list(field.calls) == [OURS, "linear", "ours with {'bias': True, 'norm': 'post'}", "linear2"]
    assert [(c.rival, c.ours) for c in field.contests] == [
        ("linear", OURS),
        ("linear2", "ours with {'bias': True, 'norm': 'post'}"),
    ]


@pytest.mark.parametrize("half", [False, True])
def test_every_block_is_timed_to_all_its_gradients(half: bool) -> None:
    for name in ("feedforward/mlp", "attention/local", "recursive/reuse"):
        seeded = build_block(name, TINY, 0, {})
        step = bench.step_of(seeded, torch.randn(2, 16, 16), half)
        gradients = step()
        assert len(gradients) == 1 + sum(1 for _ in seeded.parameters()), name
        assert gradients[0] is not None, name
        assert gradients[0].shape == (2, 16, 16), name
        assert all(p.grad is None for p in seeded.parameters()), "nothing is left behind"


def test_blocks_are_chosen_by_name_last_part_or_folder() -> None:
    every = block_names()
    assert {"attention/mha", "mixing/conv"} <= set(every)
    assert "none" not in every
    assert choose_blocks(None) == list(every)
    assert choose_blocks(["mha", "attention/mha"]) == ["attention/mha"]
    assert choose_blocks(["feedforward"]) == [n for n in every if n.startswith("feedforward/")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"blocks": ["mhaa", "mlpp"]}, r"bench.blocks='mhaa' is not one of .*did you mean 'mha'\?"),
        ({"blocks": ["mhaa", "mlpp"]}, r"bench.blocks='mlpp' is not one of .*did you mean 'mlp'\?"),
        ({"shapes": [[1, 2, 3]]}, r"bench.shapes: \[1, 2, 3\] must be four positive numbers"),
        ({"shapes": [[1, 2, 0, 1]]}, r"bench.shapes: \[1, 2, 0, 1\] must be four positive numbers"),
        ({"seconds": 0.0}, r"seconds=0.0 must be greater than 0"),
        ({"threads": 0}, r"threads=0 must be greater than 0"),
        ({"precision": "fp16"}, r"precision='fp16' is not one of"),
        ({"device": "tpu"}, r"device='tpu' is not one of"),
    ],
)
def test_wrong_settings(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        BlockBench(**arguments)


def test_no_device() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match="no CUDA device"):
        BlockBench(device="cuda")


def test_a_shape_that_a_block_does_not_take_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "peers_of", lambda name: [])
    made = BlockBench(["mha", "mlp"], [[2, 16, 10, 4]], seconds=0.01)
    mha, mlp = made.measure(0, silent)["rows"]
    assert "num_heads=4" in mha["error"]
    assert mlp["rounds"] >= 5
