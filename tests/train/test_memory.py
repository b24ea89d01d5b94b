"""Less memory for the same gradient: micro-batches, and slots that are computed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.errors import InputError
from nas.tasks.base import Batch
from nas.tasks.scoring import IGNORED
from nas.track.jsonl import read_rows
from nas.train.objective import shares
from nas.train.trainer import Trainer

NO_DROPOUT = ("encoder.blocks.attn.dropout=0", "encoder.blocks.ffn.dropout=0")
SHORT = ("trainer.steps=6", "trainer.evaluate_at=[]", "trainer.log_every=1")


def losses(run: Any) -> list[float]:
    run.train(report=lambda line: None)
    return [
        value for row in read_rows(run.folder / "metrics.jsonl") for k, value in row.items() if "loss" in k
    ]


def batch() -> Batch:
    ids = torch.arange(5 * 4).view(5, 4)
    positions = torch.tensor([0, 2, 5, 7, 9, 10, 13, 14, 17, 19])
    labels = torch.tensor([1, 2, 3, IGNORED, IGNORED, IGNORED, 4, 5, 6, IGNORED])
    return Batch({"input_word_ids": ids, "input_mask": ids > 0}, positions, labels)


@pytest.mark.parametrize(("size", "parts"), [(1, 1), (1, 5), (2, 1), (2, 2), (5, 1)])
def test_shares_are_the_whole_batch(size: int, parts: int) -> None:
    whole = batch()
    every = [share for rank in range(size) for share in shares(whole, rank, size, parts)]
    assert sum(share.answers for share in every) == pytest.approx(1)
    assert sum(share.rows for share in every) == pytest.approx(1)
    for name, values in whole.inputs.items():
        assert torch.equal(torch.cat([share.batch.inputs[name] for share in every]), values)
    assert torch.equal(torch.cat([share.batch.labels for share in every]), whole.labels)
    asked = [share.batch.inputs["input_word_ids"].flatten()[share.batch.positions] for share in every]
    assert torch.equal(torch.cat(asked), whole.inputs["input_word_ids"].flatten()[whole.positions])


def test_a_share_that_is_asked_nothing_weighs_nothing() -> None:
    nothing = [share for share in shares(batch(), 0, 1, 5) if not share.answers]
    assert len(nothing) == 1
    loss = torch.tensor(float("nan"), requires_grad=True)
    weighed, _ = nothing[0].weigh(loss * 1, {})
    weighed.backward()
    assert weighed == 0
    assert loss.grad == 0


@pytest.mark.parametrize("parts", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_micro_batches_have_the_gradient_of_the_whole(make: Any, tmp_path: Path, parts: int) -> None:
    whole = losses(make(*NO_DROPOUT, *SHORT, outputs=tmp_path / "whole"))
    cut = losses(make(*NO_DROPOUT, *SHORT, f"trainer.accumulate={parts}"))
    assert cut == pytest.approx(whole, rel=1e-5)


RECURSIVE = ("encoder.hidden_cls=[attn,reuse,loop,reuse,ffn]", "encoder.blocks.loop.n_min=1")
HALTING = ("+block@encoder.blocks.halting=recursive/halting", "encoder.hidden_cls=[halting,ffn]")


@pytest.mark.parametrize(
    "more",
    [(), pytest.param(RECURSIVE, marks=pytest.mark.slow), pytest.param(HALTING, marks=pytest.mark.slow)],
    ids=["dropout", "states", "an auxiliary loss"],
)
def test_slots_that_are_computed_again_give_the_same_losses(make: Any, tmp_path: Path, more: Any) -> None:
    again = ("trainer.activation_checkpointing=true",)
    kept = losses(make(*SHORT, *more, outputs=tmp_path / "kept"))
    assert losses(make(*SHORT, *more, *again)) == pytest.approx(kept, rel=1e-6)


def test_they_keep_less() -> None:
    import nas

    def kept(again: bool) -> int:
        run = nas.build(
            ["encoder=hybrid", "encoder.hidden_cls=[attn,ffn,attn,ffn]", "task=mqar", "tracker=none"]
        )
        run.encoder.activation_checkpointing = again
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        data = torch.randint(4, (8, run.task.seq_length))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = run.encoder.train().sequence_output({"input_word_ids": data})
        out.sum().backward()
        weights = {p.untyped_storage().data_ptr() for p in run.encoder.parameters()}
        return sum(size for place, size in sizes.items() if place not in weights)

    assert kept(True) < 0.4 * kept(False)


def test_fp16_scales_its_gradients_and_continues_to_the_same(make: Any, read: Any, tmp_path: Path) -> None:
    half = ("trainer.precision=fp16", "trainer.device=cpu", "trainer.steps=12")
    run = make(*half, "trainer.evaluate_at=[0.5]")
    run.train(report=lambda line: None)
    state = json.loads((run.folder / "checkpoint" / "state.json").read_text())
    assert state["scaler"]["scale"] >= 1.0
    assert json.loads((run.folder / "provenance.json").read_text())["precision"] == "float16"
    full = make("trainer.precision=fp32", "trainer.steps=12", outputs=tmp_path / "full")
    metrics = full.train(report=lambda line: None).metrics
    assert read[1](run.folder)["metrics"]["val/loss"] == pytest.approx(metrics["val/loss"], rel=0.02)


def test_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(InputError, match=r"^trainer.accumulate=9 is more than the trainer.batch_size=8 "):
        Trainer(batch_size=8, accumulate=9)
    with pytest.raises(InputError, match=r"^trainer.precision='tf32' needs a CUDA device, not"):
        Trainer(precision="tf32", device="cpu")
    with pytest.raises(InputError, match=r"^trainer.precision='half' is not one of"):
        Trainer(precision="half")  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match=r"batch_size=3 must be at least 4: 2 processes with trainer.accumul"
    ):
        Trainer(batch_size=3, accumulate=2).check_processes(2)
