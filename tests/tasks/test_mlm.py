"""Masked-language modelling: masks, rows, bytes, and what it says about wrong settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nas.errors import InputError
from nas.progress import silent
from nas.seeding import generator
from nas.tasks.base import Answers
from nas.tasks.corpora.text import TextCorpus
from nas.tasks.masking import choose, hide
from nas.tasks.mlm import MaskedLanguageModelling
from nas.tasks.tokenizers.base import Tokenizer
from nas.tasks.tokenizers.bpe import BPETokenizer
from nas.tasks.tokenizers.bytes import BytesTokenizer


def text_task(path: Path, cache: Path, tokenizer: Tokenizer | None = None, **settings: Any) -> Any:
    task = MaskedLanguageModelling(TextCorpus(str(path)), tokenizer or BytesTokenizer(), **settings)
    task.prepare(cache, silent)
    return task


def shown(batch: Any) -> torch.Tensor:
    """Return the text with the answers put back."""
    tokens = batch.inputs["input_word_ids"].flatten().clone()
    tokens[batch.positions] = batch.labels
    return tokens.view_as(batch.inputs["input_word_ids"])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 40), st.floats(0.01, 0.99), st.integers(0, 2**32))
def test_every_row_hides_the_same_number(rows: int, length: int, rate: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 6, (rows, length))
    count = max(1, round(rate * length))
    chosen = choose(tokens, count, rng)
    assert chosen.shape == (rows, count)
    assert (np.diff(chosen, axis=1) > 0).all()
    special = np.take_along_axis(tokens, chosen, axis=1) < Tokenizer.specials
    ordinary = (tokens >= Tokenizer.specials).sum(axis=1)
    assert (special.sum(axis=1) == np.maximum(0, count - ordinary)).all()


def test_positions_are_uniform() -> None:
    chosen = choose(np.full((20_000, 20), 9), 6, np.random.default_rng(0))
    counts = np.bincount(chosen.ravel(), minlength=20) / 20_000
    assert np.abs(counts - 0.3).max() < 0.015


def test_80_10_10() -> None:
    tokens = np.full((2000, 20), 9)
    rng = np.random.default_rng(0)
    chosen = choose(tokens, 6, rng)
    hidden = hide(tokens, chosen, "80/10/10", 259, rng)
    there = np.take_along_axis(hidden, chosen, axis=1)
    assert (there == Tokenizer.mask).mean() == pytest.approx(0.8, abs=0.015)
    assert (there == 9).mean() == pytest.approx(0.1 + 0.1 / 256, abs=0.015)
    random = there[(there != Tokenizer.mask) & (there != 9)]
    assert random.min() >= Tokenizer.specials
    assert len(np.unique(random)) > 240
    untouched = np.ones(tokens.shape, bool)
    np.put_along_axis(untouched, chosen, False, axis=1)
    assert (hidden[untouched] == 9).all()
    assert (tokens == 9).all()


def test_an_epoch_shows_every_row_once_and_the_next_another_way(make_task: Any) -> None:
    task = make_task("mlm")
    stream = torch.from_numpy(task._prepared.train.astype(np.int64))
    rows = (len(stream) - 63) // 64
    shift = int(generator(5, "shift", 0).integers(64))
    expected = stream[shift : shift + rows * 64].view(rows, 64)
    steps = rows // 64
    seen = torch.cat([shown(task.train_batch(step, 64, 5)) for step in range(steps)])
    known = {row.numpy().tobytes() for row in expected}
    assert all(row.numpy().tobytes() in known for row in seen)
    assert len({row.numpy().tobytes() for row in seen}) > 0.97 * len(seen)  # equal rows occur in code
    again = shown(task.train_batch(steps, 64, 5))
    assert not torch.equal(again, seen[:64])


def test_no_validation_row_is_in_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "texts"
    folder.mkdir()
    for i in range(60):
        (folder / f"{i}.txt").write_text("".join(map(chr, rng.integers(97, 123, 500))))
    task = text_task(folder, tmp_path / "cache", seq_length=16)
    training = task.tokenizer.decode(task._prepared.train)
    for row in torch.cat([shown(batch) for batch in task.batches("val", 64)]).numpy():
        for part in task.tokenizer.decode(row[:8]), task.tokenizer.decode(row[8:]):
            assert part not in training or len(part) < 6


def test_validation_is_capped_and_spread_over_the_text(make_task: Any) -> None:
    task = make_task("mlm", validation_tokens=1024)
    (batch,) = task.batches("val", 1000)
    assert batch.inputs["input_word_ids"].shape == (16, 64)
    stream = task._prepared.validation
    last = shown(batch)[-1].numpy()
    there = len(stream) // 64
    start = 15 * there // 16 * 64
    assert np.array_equal(stream[start : start + 64], last)


def test_bits_per_byte_of_a_uniform_guess_are_eight(make_task: Any) -> None:
    task = make_task("mlm")
    scores = task.scores()
    for batch in task.batches("val", 256):
        logits = torch.full((batch.labels.numel(), task.vocab_size), -1e9)
        logits[:, Tokenizer.specials :] = 0.0
        scores.add(Answers(logits, batch.labels, batch.positions // task.seq_length), batch.target_bytes)
    assert scores.metrics("val")["val/bits_per_byte"] == pytest.approx(8.0, rel=1e-4)


def test_the_head_starts_from_the_frequencies_of_the_training_text(make_task: Any) -> None:
    """With nothing to tell positions apart, the loss is the cross-entropy of the frequencies."""
    task = make_task("mlm")
    encoder = nn.Module()
    table = nn.Parameter(torch.zeros(task.vocab_size, 8))
    encoder.get_embedding_table = lambda: table  # type: ignore[assignment]
    (batch,) = task.batches("val", 10_000)
    logits = task.head(encoder)(torch.randn(*batch.inputs["input_word_ids"].shape, 8), batch.positions)
    scores = task.scores()
    scores.add(Answers(logits, batch.labels, batch.positions // task.seq_length), batch.target_bytes)
    share = (task._prepared.counts + 1) / (task._prepared.counts + 1).sum()
    assert scores.metrics("val")["val/loss"] == pytest.approx(
        -np.log(share[batch.labels.numpy()]).mean(), rel=1e-4
    )


def test_bytes_behind_bpe_tokens_are_counted(shared: Path, tmp_path: Path) -> None:
    task = text_task(shared / "data/wikitext2_valid.txt", tmp_path, BPETokenizer(512), seq_length=128)
    pieces = task.tokenizer.pieces()
    batch = task.train_batch(3, 16, 0)
    assert batch.target_bytes == sum(len(pieces[i]) for i in batch.labels)
    assert task.vocab_size == 512
    assert task.tokenizer.decode(shown(batch)[0].tolist()).decode("utf-8", "ignore")


def test_one_single_file(shared: Path, tmp_path: Path) -> None:
    task = text_task(shared / "data/tinyshakespeare.txt", tmp_path)
    meta = task.fingerprint()
    assert meta["documents"] == 1
    assert meta["train_documents"] > 200  # cut into sections
    assert meta["validation_bytes"] / meta["bytes"] == pytest.approx(0.05, abs=0.01)
    assert meta["train_bytes"] + meta["validation_bytes"] == meta["bytes"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seq_length": 0}, "task.seq_length=0 must be greater than 0"),
        ({"mask_rate": 0.0}, "task.mask_rate=0.0 must be above 0 and below 1"),
        ({"mask_rate": 1.0, "validation_fraction": 2}, "mask_rate=1.0.*\n.*validation_fraction=2"),
        ({"replace": "bert"}, "replace='bert' is not one of"),
        ({"validation_tokens": -1}, "validation_tokens=-1"),
    ],
)
def test_wrong_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MaskedLanguageModelling(TextCorpus("x"), BytesTokenizer(), **change)


def test_a_corpus_smaller_than_a_row_or_a_batch(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"line {i}\n\n" for i in range(300)))
    with pytest.raises(InputError, match=r"validation part has \d+ tokens.*task\.seq_length=512"):
        text_task(tmp_path / "a.txt", tmp_path / "cache", seq_length=512)
    task = text_task(tmp_path / "a.txt", tmp_path / "cache", seq_length=16)
    with pytest.raises(
        InputError, match=r"trainer\.batch_size=1000 is more than the \d+ rows of task\.seq_l"
    ):
        task.train_batch(0, 1000, 0)
    assert task.train_batch(0, task._epochs.count, 0).labels.numel() > 0


def test_sizes_are_known_before_anything_is_read() -> None:
    task = MaskedLanguageModelling(TextCorpus("/does/not/exist"), BPETokenizer(777), seq_length=48)
    assert (task.vocab_size, task.seq_length) == (777, 48)
    assert task.head_flops_per_token(64) == 2 * 64 * 777 * 14 / 48
    with pytest.raises(RuntimeError, match=r"task\.prepare"):
        task.train_batch(0, 1, 0)
