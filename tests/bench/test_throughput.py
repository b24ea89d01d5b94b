"""The benches ``throughput`` and ``stacked`` on a very small shape: what they measure, say and refuse."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import torch
from rich.console import Console

from nas.bench import limits
from nas.bench import throughput as bench
from nas.bench.limits import peak_memory, training_flops
from nas.bench.markov import MarkovText
from nas.bench.peers.models import RIVALS, ModelShape, Rival
from nas.bench.stacked import StackedBench
from nas.bench.throughput import ThroughputBench
from nas.bench.throughput_tables import best_forms
from nas.errors import InputError
from nas.progress import silent

SHAPE = ModelShape(16, 1, 2, 32, 8, 4, 16)


def broken(shape: ModelShape, form: str) -> Any:
    raise ImportError("No module named 'nowhere'")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_encoder = next(r for r in RIVALS if r.name.startswith("torch"))
    absent = Rival("absent", broken, ("only",), torch_encoder.ours)
    monkeypatch.setattr(bench, "RIVALS", (torch_encoder, absent))
    monkeypatch.setitem(bench.SHAPES, "tiny", SHAPE)
    monkeypatch.setattr(bench, "LOSS_STEPS", 3)
    monkeypatch.setattr(limits, "_TIMES", 1)


def shown(parts: list[Any]) -> str:
    written = io.StringIO()
    console = Console(width=160, file=written)
    for part in parts:
        console.print(part)
    return written.getvalue()


@pytest.mark.usefixtures("small")
def test_every_side_is_measured_and_told() -> None:
    made = ThroughputBench(["tiny"], seconds=0.01, check_loss=True)
    results = {"settings": made.config, **made.measure(0, silent)}
    assert json.loads(json.dumps(results)) == results
    ours, *rivals = [row for row in results["rows"] if "absent" not in row]
    assert "ratio" not in ours
    assert {row["precision"] for row in rivals} == {"fp32", "bf16"}
    for row in rivals:
        low, high = row["interval"]
        assert low <= row["ratio"] <= high
        assert row["ours"] == ours["name"]
    assert all(2 < row["loss"] < 4 and row["utilisation"] > 0 < row["peak_mib"] for row in [ours, *rivals])
    text = shown(made.tables(results))
    assert "best of torch.nn.TransformerEncoder" in text
    assert "No module named 'nowhere'" in text


def test_the_best_form_is_the_one_nearest_to_ours() -> None:
    found = [("a", 2.0), ("a", 1.5), ("b", 1.0)]
    rows: list[dict[str, Any]] = [{"name": "ours"}, *({"rival": r, "ratio": x} for r, x in found)]
    assert [row["ratio"] for row in best_forms(rows)] == [1.5, 1.0]


def test_wrong_settings_are_named() -> None:
    with pytest.raises(InputError, match=r"bench.shapes"):
        ThroughputBench(["huge"])
    with pytest.raises(InputError, match="none of"):
        ThroughputBench(rivals=["nobody"])
    with pytest.raises(InputError, match="candidates"):
        StackedBench(candidates=[0])


def test_operations_of_a_step() -> None:
    products = 6 * 32 * (4 * 16 * 16 + 2 * 16 * 32)
    assert training_flops(SHAPE, 8) == products + 12 * 32 * 8 * 16 + 6 * 8 * 16 * 16


def test_peak_memory_is_what_a_step_holds() -> None:
    size = peak_memory(lambda: torch.zeros(2**20) + torch.zeros(2**20), torch.device("cpu"))
    assert size == pytest.approx(12, rel=0.2)


def test_markov_rows_repeat_and_hide_what_is_asked() -> None:
    task = MarkovText(16, 8, 4)
    first, again = task.train_batch(3, 4, 0), task.train_batch(3, 4, 0)
    assert torch.equal(first.inputs["input_word_ids"], again.inputs["input_word_ids"])
    assert len(set(first.inputs["input_word_ids"].flatten()[first.positions].tolist())) == 1
    assert len(first.labels) == 4 * task.masked_per_row


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_stack_is_measured() -> None:
    made = StackedBench(["tiny"], [2], seconds=0.01)
    results = made.measure(0, silent)
    assert [row["candidates"] for row in results["rows"]] == [2, 2]
    assert "times faster" in shown(made.tables(results))


@pytest.mark.slow
@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
def test_rivals_train(rival: Rival) -> None:
    package = rival.name.split()[0].split(".")[0]
    pytest.importorskip(package)
    task = MarkovText(SHAPE.vocab, SHAPE.tokens, SHAPE.batch)
    for form in rival.forms:
        loss = rival.build(SHAPE, form)(task.train_batch(0, SHAPE.batch, 0))
        loss.backward()
        assert 2 < loss.item() < 4
