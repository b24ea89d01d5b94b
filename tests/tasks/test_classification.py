"""Classification: rows, buckets, labels and what it says about files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nas.embeddings.default import TransformerEmbedding
from nas.errors import InputError
from nas.progress import silent
from nas.scaffold import EncoderScaffold
from nas.tasks.base import Batch
from nas.tasks.buckets import BucketEpochs
from nas.tasks.text_classification import FileClassification
from nas.tasks.tokenizers.bpe import BPETokenizer
from nas.tasks.tokenizers.bytes import BytesTokenizer

REVIEWS = [(f"text number {i} " + "word " * (i % 9), "good" if i % 3 else "bad") for i in range(120)]
LINES = [f"{text}\t{label}" for text, label in REVIEWS]


def written(folder: Path, name: str, lines: list[str]) -> str:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    return written(tmp_path, "reviews.tsv", ["text\tlabel", *LINES])


def prepared(path: str, cache: Path, **settings: Any) -> FileClassification:
    task = FileClassification(settings.pop("tokenizer", BytesTokenizer()), path, **settings)
    task.prepare(cache / "cache", silent)
    return task


def texts(batch: Batch) -> list[bytes]:
    """Return what stands between the first two separators of each row."""
    rows = batch.inputs["input_word_ids"].tolist()
    return [bytes(token - 3 for token in row[1 : row.index(1, 1)]) for row in rows]


def test_rows_are_the_texts_of_the_file(reviews: str, tmp_path: Path) -> None:
    task = prepared(reviews, tmp_path)
    found = {}
    for part in (*task.batches("val", 10**6), *(task.train_batch(step, 4, 0) for step in range(27))):
        for text, label in zip(texts(part), part.labels.tolist(), strict=True):
            found[text.decode()] = task.labels[label]
    assert found == dict(REVIEWS)
    assert task.labels == ["bad", "good"]
    assert task.num_answers == 2


def test_padding_is_masked_and_lengths_are_few(reviews: str, tmp_path: Path) -> None:
    task = prepared(reviews, tmp_path, seq_length=64)
    assert task.lengths == [8, 16, 24, 32, 40, 48, 56, 64]
    sizes = set()
    for step in range(200):
        inputs = task.train_batch(step, 8, 0).inputs
        ids, mask = inputs["input_word_ids"], inputs["input_mask"]
        sizes.add(ids.shape[1])
        longest = int(mask.sum(1).max())
        assert ids.shape[1] == next(length for length in task.lengths if length >= longest)
        assert ((ids == 0) == (mask == 0)).all()
        assert (mask.diff(dim=1) <= 0).all()
        assert "input_type_ids" not in inputs
    assert {24, 64} < sizes <= {*task.lengths}


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 20), st.integers(1, 9), st.integers(1, 60), st.integers(0, 2**32))
def test_every_row_comes_once_in_an_epoch_and_near_its_like(
    some: int, size: int, more: int, seed: int
) -> None:
    lengths = np.random.default_rng(seed).integers(1, 100, size * some + more % size)
    epochs = BucketEpochs(lengths, "rows")
    rows = np.concatenate([epochs.rows(step, size, seed % 1000) for step in range(some)])
    assert len(set(rows.tolist())) == some * size
    assert (
        not np.array_equal(
            rows, np.concatenate([epochs.rows(some + s, size, seed % 1000) for s in range(some)])
        )
        or size * some < 8
    )
    spread = np.mean([np.ptp(lengths[epochs.rows(step, size, 0)]) for step in range(some)])
    assert spread <= np.ptp(lengths)


def test_buckets_spare_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 129, 4096)
    epochs = BucketEpochs(lengths, "rows")
    longest = [lengths[epochs.rows(step, 32, 0)].max() for step in range(128)]
    assert np.mean(longest) < 0.6 * 128
    assert longest != sorted(longest)


def test_pairs_have_types_and_the_longer_text_is_cut_first(tmp_path: Path) -> None:
    lines = [json.dumps({"a": "x" * (i % 50), "b": "y" * 9, "score": i / 10}) for i in range(60)]
    path = written(tmp_path, "pairs.jsonl", lines)
    task = prepared(path, tmp_path, text="a", text_b="b", label="score", regression=True, seq_length=24)
    batch = task.train_batch(0, 32, 0)
    ids, types = batch.inputs["input_word_ids"], batch.inputs["input_type_ids"]
    x, y = ord("x") + 3, ord("y") + 3
    assert (ids == y).sum(1).tolist() == [9] * 32
    assert ids.shape[1] <= 24
    assert (types[ids == y] == 1).all()
    assert (types[ids == x] == 0).all()
    assert ((ids == 1).sum(1) == 3).all()
    assert batch.labels.dtype == torch.float32
    assert task.metrics == ("val/loss", "val/pearson")


def test_both_texts_are_cut_if_both_are_long(tmp_path: Path) -> None:
    rows = [f'"{"x" * 40}, ""quoted""",{"y" * 40},{label}' for label in "ab" * 10]
    path = written(tmp_path, "pairs.csv", rows)
    task = prepared(
        path, tmp_path, text_b="more", columns=["text", "more", "label"], seq_length=23, validation=path
    )
    ids = task.train_batch(0, 8, 0).inputs["input_word_ids"]
    assert (ids == ord("x") + 3).sum(1).tolist() == (ids == ord("y") + 3).sum(1).tolist() == [10] * 8


class Copy(nn.Module):
    def __init__(self, hidden_size: int = 16) -> None:
        super().__init__()

    def forward(self, data: torch.Tensor, mask: Any = None) -> torch.Tensor:
        return data


@pytest.mark.parametrize("dict_outputs", [False, True])
def test_the_pooled_output_is_classified(reviews: str, tmp_path: Path, dict_outputs: bool) -> None:
    task = prepared(reviews, tmp_path)
    encoder = EncoderScaffold(
        12,
        embedding_cls=TransformerEmbedding(task.vocab_size, 16, task.longest),
        hidden_cls=Copy,
        dict_outputs=dict_outputs,
    )
    model = task.model(encoder).eval()
    batch = task.train_batch(0, 8, 0)
    answers = model(batch)
    assert answers.logits.shape == (8, 2)
    assert answers.rows.tolist() == list(range(8))
    shares = model.head.output.bias.softmax(-1).tolist()
    assert shares[1] == pytest.approx(2 / 3, abs=0.1)  # it starts from how frequent the classes are
    assert task.loss(answers) > 0
    loss = task.loss(answers)
    loss.backward()
    assert encoder.pooler_layer.weight.grad.abs().sum() > 0
    scores = task.scores()
    scores.add(answers)
    assert scores.metrics("val").keys() == set(task.metrics)


def test_equal_texts_are_on_one_side_whatever_their_order(tmp_path: Path) -> None:
    doubled = ["text\tlabel", *LINES, *LINES[::-1]]
    task = prepared(written(tmp_path, "twice.tsv", doubled), tmp_path, validation_fraction=0.3)
    (whole,) = task.batches("val", 1000)
    validation = set(texts(whole))
    training = {text for step in range(20) for text in texts(task.train_batch(step, 8, 0))}
    assert not validation & training
    assert len(validation) == 36
    other = prepared(
        written(tmp_path, "once.tsv", ["text\tlabel", *LINES[::-1]]), tmp_path, validation_fraction=0.3
    )
    assert set(texts(next(other.batches("val", 1000)))) == validation


def test_a_fitted_tokenizer_is_found_again(reviews: str, tmp_path: Path) -> None:
    first = prepared(reviews, tmp_path, tokenizer=BPETokenizer(300))
    second = prepared(reviews, tmp_path, tokenizer=BPETokenizer(300))
    assert second.tokenizer.pieces() == first.tokenizer.pieces()
    assert torch.equal(
        first.train_batch(3, 8, 0).inputs["input_word_ids"],
        second.train_batch(3, 8, 0).inputs["input_word_ids"],
    )


def test_a_changed_file_is_read_again(reviews: str, tmp_path: Path) -> None:
    before = prepared(reviews, tmp_path).fingerprint()
    written(tmp_path, "reviews.tsv", ["text\tlabel", *LINES, "one more\tgood"])
    after = prepared(reviews, tmp_path).fingerprint()
    assert before["train_sha256"] != after["train_sha256"]
    (tmp_path / "reviews.tsv").touch()
    assert prepared(reviews, tmp_path).fingerprint() == after
    assert sum(after[f"{s}_texts"] for s in ("train", "val")) == 121


def test_labels_that_are_numbers_are_ordered_as_such(tmp_path: Path) -> None:
    lines = ["text\tlabel", *(f"text {i}\t{i % 11}" for i in range(110))]
    assert prepared(written(tmp_path, "a.tsv", lines), tmp_path).labels == [str(i) for i in range(11)]


BAD = {
    "empty": ("a.tsv", [], {}, r"task\.path=.*a\.tsv is empty"),
    "header": ("a.tsv", ["text\tlabel"], {}, r"has no row under its header"),
    "column": (
        "a.tsv",
        ["txt\tlabel", "x\ty"],
        {},
        r"task\.text='text' is no column of .*\['txt', 'label'\]; did you mean 'txt'",
    ),
    "broken": ("a.tsv", ["text\tlabel", "a\tb\tc"], {}, r"a\.tsv line 2 has 3 columns, not 2"),
    "suffix": ("a.parquet", ["x"], {}, r"must end in one of \['\.tsv', '\.csv', '\.jsonl'\]"),
    "single": (
        "a.tsv",
        ["text\tlabel", *(f"t{i}\tyes" for i in range(9))],
        {},
        r"have the label 'yes'.*two classes",
    ),
    "few": ("a.tsv", ["text\tlabel", "a\tb"], {}, r"1 texts cannot be divided.*task\.validation"),
    "unlabelled": ("a.tsv", ["text\tlabel", "a\t "], {}, r"line 2 has no label in column 'label'"),
    "json": ("a.jsonl", ['{"text": "a", "label": 1}', "{"], {}, r"a\.jsonl line 2 is not JSON"),
    "array": ("a.jsonl", ["[1]"], {}, r"line 1 is not a JSON object"),
    "no text": ("a.jsonl", ['{"text": 3, "label": 1}'], {}, r"line 1: task\.text holds int, not text"),
    "quote": ("a.csv", ["text,label", '"a,b'], {}, r"a\.csv line \d cannot be read"),
    "number": ("a.tsv", ["text\tlabel", "a\tx", "b\t1"], {"regression": True}, r"label 'x' is not a number"),
    "unknown": (
        "a.tsv",
        ["text\tlabel", *LINES],
        {"labels": ["goo", "bad"]},
        r"label 'good' is none of the classes.*'goo'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_files_are_told_by_name(case: str, tmp_path: Path) -> None:
    name, lines, settings, message = BAD[case]
    path = written(tmp_path, name, lines)
    with pytest.raises(InputError, match=message):
        prepared(path, tmp_path, **settings)
    assert not list((tmp_path / "cache").glob("*/*"))  # nothing half-written is left


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task\.path=.*none\.tsv cannot be read: No such file"):
        prepared(str(tmp_path / "none.tsv"), tmp_path)
    (tmp_path / "a.tsv").write_bytes(b"text\tlabel\n\xff\xfe\ta\n")
    with pytest.raises(InputError, match=r"a\.tsv is not text; expected UTF-8"):
        prepared(str(tmp_path / "a.tsv"), tmp_path)


def test_a_label_of_validation_alone(reviews: str, tmp_path: Path) -> None:
    other = written(tmp_path, "other.tsv", ["text\tlabel", "a\tgood", "b\tugly"])
    with pytest.raises(
        InputError, match=r"other\.tsv line 3: label 'ugly' is none of the classes \['bad', 'good'\]"
    ):
        prepared(reviews, tmp_path, validation=other)


def test_a_class_that_only_the_validation_part_has(tmp_path: Path) -> None:
    lines = [f"text number {i},c{i}" for i in range(40)]
    task = prepared(written(tmp_path, "many.csv", ["text,label", *lines]), tmp_path)
    assert task.labels is not None
    assert sorted(task.labels) == sorted(f"c{i}" for i in range(40))


def test_classes_and_columns_may_be_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", [f"text number {i},{i % 2}" for i in range(40)])
    task = prepared(path, tmp_path, columns=[0, 1], text="0", label="1", labels=[1, 0])
    assert task.labels == ["1", "0"]


def test_a_json_text_may_hold_any_separator(tmp_path: Path) -> None:
    odd = "one\u2028two\u0085three\x0c"
    rows = [{"text": f"{odd}{i}", "label": i % 2} for i in range(40)]
    path = written(tmp_path, "a.jsonl", [json.dumps(row, ensure_ascii=False) for row in rows])
    [first, *_] = texts(next(iter(prepared(path, tmp_path).batches("val", 1))))
    assert first.decode().startswith(odd)


def test_a_batch_of_more_than_there_is(reviews: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trainer\.batch_size=500 is more than the 108 training texts"):
        prepared(reviews, tmp_path).train_batch(0, 500, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["accurcy"]}, r"task\.metrics='accurcy'.*did you mean 'accuracy'"),
        ({"metrics": ["mcc"], "regression": True}, r"task\.metrics='mcc'"),
        ({"lengths": [200]}, r"task\.lengths=\[200\] must be above 0 and at most task\.seq_length=128"),
        ({"seq_length": 3}, r"^task\.seq_length=3 must be at least 4$"),
        ({"labels": ["a"]}, r"task\.labels=\['a'\] must be two"),
        ({"validation_fraction": 0.0}, r"task\.validation_fraction=0\.0"),
        ({"dropout": 1.0}, r"task\.dropout=1\.0"),
    ],
)
def test_wrong_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FileClassification(BytesTokenizer(), "a.tsv", **change)
