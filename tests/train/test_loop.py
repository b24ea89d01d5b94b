from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import nas
from nas.errors import DivergedError
from nas.seeding import seed_torch
from nas.track.jsonl import read_rows
from nas.train import checkpoint
from nas.train.interrupt import StopRequest
from nas.train.loop import TrainingLoop
from nas.train.rung import GO_ON, STOP, Answer


class Recorder:
    """Keeps what a loop tells; prunes at the rung named ``prune_at``."""

    def __init__(self, prune_at: float = 2.0) -> None:
        self.rows: list[dict[str, Any]] = []
        self.shares: list[float] = []
        self.rungs: list[float] = []
        self.prune_at = prune_at

    def row(self, row: dict[str, Any], progress: float) -> None:
        self.rows.append(row)
        self.shares.append(progress)

    def rung(self, progress: float, metrics: dict[str, float]) -> Answer:
        self.rungs.append(progress)
        return GO_ON if progress < self.prune_at else STOP

    def train_losses(self) -> list[float]:
        return [row["train/loss"] for row in self.rows if "train/loss" in row]

    def evaluated(self) -> list[int]:
        return [row["step"] for row in self.rows if "val/loss" in row]


def loop_of(run: nas.config.build.Run, folder: Path, said: list[str] | None = None) -> TrainingLoop:
    parts = run.parts
    run.task.prepare(folder / "cache", lambda line: None)
    seed_torch(0, "head")
    model = run.task.model(run.encoder)
    seed_torch(0, "dropout")
    return TrainingLoop(
        parts["trainer"], model, run.task, parts["optimizer"], parts["schedule"],
        0, folder, "hash", (said if said is not None else []).append,
    )  # fmt: skip


def trained(run: nas.config.build.Run, folder: Path, **recorder: float) -> tuple[TrainingLoop, Recorder]:
    loop, told = loop_of(run, folder), Recorder(**recorder)
    loop.run(told, StopRequest())
    return loop, told


def test_only_masked_positions_are_projected(make: Any, tmp_path: Path) -> None:
    loop = loop_of(make(), tmp_path)
    loop.model.eval()
    batch = loop.task.train_batch(0, 4, 0)
    logits, labels, _ = loop.model(batch)
    assert logits.shape == (4 * 2, loop.task.vocab_size)
    everything = loop.model.head(
        loop.model.encoder.sequence_output(batch.inputs), torch.arange(4 * loop.task.seq_length)
    )
    torch.testing.assert_close(logits, everything[batch.positions])
    torch.testing.assert_close(
        F.cross_entropy(logits, labels), F.cross_entropy(everything[batch.positions], batch.labels)
    )


def test_the_loss_of_memorised_text_falls(make: Any, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(12):
        start = number % 7
        (texts / f"{number}.txt").write_text(("abcdefghij"[start:] + "abcdefghij" * 60) + str(number))
    run = nas.build(
        [
            "tracker=none", "encoder=hybrid", "encoder.hidden_cls=[attn,ffn]", "encoder.hidden_size=16",
            "encoder.num_heads=2", "task=mlm", "corpus=text", f"corpus.path={texts}", "task.seq_length=16",
            "task.validation_fraction=0.2", "trainer.steps=120", "trainer.batch_size=16",
            "optimizer.lr=0.02", f"paths.outputs={tmp_path}/o", f"paths.cache={tmp_path}/c",
        ]
    )  # fmt: skip
    result = run.train(report=lambda line: None)
    losses = [row["train/loss"] for row in read_rows(run.folder / "metrics.jsonl") if "train/loss" in row]
    assert losses[-1] < 0.5 * losses[0]
    assert set(result.metrics) == {"val/loss", "val/accuracy", "val/bits_per_byte"}
    assert result.metrics["val/accuracy"] > 0.5


def test_recall_is_learned_in_training(make: Any, tmp_path: Path) -> None:
    run = make("task.train_examples=8", "trainer.steps=100", "optimizer.lr=0.01")
    losses = trained(run, tmp_path)[1].train_losses()
    assert losses[-1] < 0.6 * losses[0]


def test_steps_logs_and_rungs(make: Any, tmp_path: Path) -> None:
    run = make("trainer.steps=20", "trainer.log_every=5", "trainer.evaluate_at=[0.3,0.5]")
    loop, told = trained(run, tmp_path)
    assert loop.position.step == 20
    assert [row["step"] for row in told.rows if "train/loss" in row] == [5, 10, 15, 20]
    assert told.evaluated() == [6, 10, 20]
    assert told.rungs == [0.3, 0.5]  # the end is no rung
    assert told.shares == sorted(told.shares)
    assert loop.steps_in_all() == 20


def test_a_row_holds_the_mean_since_the_last(make: Any, tmp_path: Path) -> None:
    every = trained(make("trainer.log_every=1"), tmp_path / "a")[1].train_losses()
    fifth = trained(make("trainer.log_every=5"), tmp_path / "b")[1].train_losses()
    means = [sum(every[i : i + 5]) / 5 for i in range(0, 30, 5)]
    assert fifth == pytest.approx(means)


def test_the_rate_follows_the_schedule(make: Any, tmp_path: Path) -> None:
    run = make("schedule=one_cycle", "optimizer.lr=0.5", "trainer.steps=10", "trainer.log_every=1",
               "trainer.clip_norm=1e-9")  # fmt: skip
    rates = [row["lr"] for row in trained(run, tmp_path)[1].rows if "lr" in row]
    expected = [0.5 * run.parts["schedule"].factor(step / 10) for step in range(10)]
    assert rates == pytest.approx(expected)


def test_a_budget_in_tokens(make: Any, tmp_path: Path) -> None:
    tokens = 10 * 8 * 16
    loop, told = trained(make("trainer.steps=null", f"trainer.tokens={tokens - 5}"), tmp_path)
    assert loop.position.step == 10  # the step that reaches it is the last
    assert loop.steps_in_all() == pytest.approx(10, rel=0.01)
    assert told.evaluated()[-1] == 10


def test_a_budget_in_seconds_ends_in_time(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) / 64)  # a step takes a 64th of a second
    monkeypatch.setattr("nas.train.loop.time", clock)
    loop = loop_of(make("trainer.steps=null", "trainer.seconds=0.5"), tmp_path)
    loop.run(Recorder(), StopRequest())
    assert 0.5 <= loop.position.train_seconds <= 0.5 + 1 / 64


def test_pruning_stops_at_the_rung_and_is_remembered(make: Any, tmp_path: Path) -> None:
    loop, told = trained(make("trainer.evaluate_at=[0.2,0.5]"), tmp_path, prune_at=0.5)
    assert (loop.position.step, loop.position.pruned) == (15, True)
    assert told.rungs == [0.2, 0.5]
    again = loop_of(make("trainer.evaluate_at=[0.2,0.5]"), tmp_path)
    assert again.resume() == 15
    assert again.run(Recorder(), StopRequest()).step == 15


def test_the_best_evaluation_is_kept(make: Any, tmp_path: Path) -> None:
    worsening = make(
        "schedule=constant",
        "optimizer.lr=0.15",
        "task.train_examples=8",
        "trainer.steps=60",
        "trainer.evaluate_at=[0.1,0.2,0.4,0.6,0.8]",
    )
    loop, told = trained(worsening, tmp_path)
    losses = [row["val/loss"] for row in told.rows if "val/loss" in row]
    assert losses[-1] != min(losses), "the case shall be one where the last is not the best"
    assert loop.position.best_loss == min(losses)
    again = loop_of(make(), tmp_path)
    again.resume()
    assert again.position.best_loss == min(losses)


def test_nan_diverges(make: Any, tmp_path: Path) -> None:
    loop = loop_of(make(), tmp_path)
    with torch.no_grad():
        loop.model.head.bias.fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"training loss nan at step 1 \(first nan\)"):
        loop.run(Recorder(), StopRequest())


def test_a_validation_loss_that_is_not_finite_diverges(make: Any, tmp_path: Path) -> None:
    loop = loop_of(make(), tmp_path)
    with torch.no_grad():
        loop.model.head.bias.fill_(float("inf"))
    with pytest.raises(DivergedError, match="validation loss nan at step 0"):
        loop.evaluate()


def test_evaluation_leaves_training_as_it_was(make: Any, tmp_path: Path) -> None:
    plain = trained(make(), tmp_path / "a")[1].train_losses()
    often = trained(make("trainer.evaluate_at=[0.1,0.3,0.5,0.7,0.9]"), tmp_path / "b")[1].train_losses()
    assert plain == often


def test_one_warning_for_checkpoints_that_cannot_be_written(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    said: list[str] = []
    loop = loop_of(make("trainer.checkpoint_seconds=0.001"), tmp_path, said)
    assert loop.run(Recorder(), StopRequest()).step == 30
    assert len(said) == 1
    assert said[0].startswith("warning: no checkpoint written in ")
