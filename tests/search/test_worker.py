"""A worker: the key of what it trains, and what it leaves when its supervisor dies."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from nas.config.build import build
from nas.config.compose import compose
from nas.costs.describe import describe
from nas.search.worker import BEGUN, Identified, Order, begun, trial_key, work

BASE = ("task=mqar", "task.seq_length=16", "encoder.hidden_size=16", "encoder.num_heads=2", "tracker=none",
        "encoder.hidden_cls=[attn,conv]")  # fmt: skip


def key(*more: str) -> str:
    run = build([*BASE, *more])
    return trial_key(run.config, describe(run.encoder, run.task.seq_length)["hash"])


@pytest.mark.parametrize(
    "more",
    [
        ("encoder.hidden_cls=[attn,none,conv]",),
        ("encoder.hidden_cls=[none,attn,conv,none]",),
        ("+block@encoder.blocks.again=mixing/conv", "encoder.hidden_cls=[attn,again]"),
        ("encoder.num_layers=2",),
        ("tracker=wandb",),
        ("study=other", "paths.outputs=elsewhere", "paths.cache=there"),
        ("encoder.blocks.ffn.dropout=0.3",),  # a block of the pool that no slot names
    ],
    ids=" ".join,
)
def test_what_trains_the_same_has_one_key(more: tuple[str, ...]) -> None:
    assert key(*more) == key()


@pytest.mark.parametrize(
    "more",
    [
        "seed=1",
        "optimizer.lr=0.5",
        "trainer.steps=7",
        "task.num_pairs=2",
        "schedule=constant",
        "encoder.hidden_cls=[conv,attn]",
        "encoder.hidden_size=32",
        "encoder.blocks.attn.dropout=0.3",
        "encoder.blocks.attn._partial_=false encoder.hidden_cls=[attn,attn]",
        "encoder.layer_norm_before_pooling=false",
        "embedding.dropout_rate=0.3",
    ],
)
def test_what_trains_otherwise_has_another(more: str) -> None:
    assert key(*more.split()) != key()


def test_a_folder_that_cannot_be_written_ends_no_worker(tmp_path: Path) -> None:
    (tmp_path / "trials").touch()
    with begun(tmp_path / "trials" / "0"):
        pass


def test_a_trial_whose_supervisor_dies_has_not_failed(lab: Any, tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()

    def supervise() -> None:
        with ours:
            ours.send(Order(0, (), (), tmp_path / "0", "s"))
            assert isinstance(ours.recv(), Identified)
            ours.send(True)

    threading.Thread(target=supervise, daemon=True).start()
    before = signal.getsignal(signal.SIGINT)
    try:
        work(theirs, compose("train", lab.overrides()))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (tmp_path / "0" / "error.txt").exists()
    assert (tmp_path / "0" / BEGUN).exists()  # such deaths are counted
