"""Every task in conf/task keeps the contract of nas/tasks/base.py."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.tasks.base import Answers, Batch, Task
from nas.tasks.scoring import IGNORED

ROOT = Path(__file__).resolve().parents[2]
APART = ("suite", "classification", "glue_")
"""What needs files of the user's, or is no task: with tests of its own."""
FILES = {p.stem: p for p in sorted((ROOT / "conf/task").glob("*.yaml")) if not p.stem.startswith(APART)}
PRESETS = {name for name, path in FILES.items() if path.read_text().find("\ndefaults:") >= 0}
"""Other settings of a task that is here as well: among the slow tests."""
NAMES = [name for name in FILES if name not in PRESETS]
STEPS = (0, 1, 977)
LEAKS_ARE_TESTED_APART: set[str] = {"compression"}
"""Tasks that ask at places of differing content: their own tests show that it tells nothing."""

LABELS_OF_ANOTHER_KIND: set[str] = {"rtd"}
"""Tasks whose model makes the labels of its answers from those of the batch."""


def marked(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.slow) if name in PRESETS else name


@pytest.fixture(scope="module", params=[marked(name) for name in FILES])
def task(request: pytest.FixtureRequest, make_task: Any) -> Task:
    made: Task = make_task(request.param)
    return made


class Table(nn.Module):
    """The least that a head asks of an encoder."""

    def __init__(self, vocab_size: int, hidden_size: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocab_size, hidden_size))

    def get_embedding_table(self) -> nn.Parameter:
        return self.table


def digest(batch: Batch) -> str:
    parts = [*(batch.inputs[key] for key in sorted(batch.inputs)), batch.positions, batch.labels]
    data = b"".join(part.numpy().tobytes() for part in parts)
    return hashlib.sha256(data + str(batch.target_bytes).encode()).hexdigest()


def test_the_yaml_names_its_task(task: Task, request: pytest.FixtureRequest) -> None:
    assert task.name in NAMES
    assert task.objective.rsplit("/", 1)[0] in task.splits
    assert task.direction in ("minimize", "maximize")


def test_shapes_are_static_and_numbers_are_in_range(task: Task) -> None:
    batches = [task.train_batch(step, 8, 0) for step in STEPS]
    for batch in batches:
        assert {k: v.shape for k, v in batch.inputs.items()} == {
            k: v.shape for k, v in batches[0].inputs.items()
        }
        assert batch.inputs["input_word_ids"].shape == (8, task.seq_length)
        assert batch.positions.shape == batch.labels.shape == batches[0].labels.shape
        for numbers in (batch.inputs["input_word_ids"], batch.positions, batch.labels):
            assert numbers.dtype == torch.int64
            assert numbers.is_contiguous()
        assert batch.inputs["input_word_ids"].min() >= 0
        assert batch.inputs["input_word_ids"].max() < task.vocab_size
        assert ((batch.labels >= 0) | (batch.labels == IGNORED)).all()
        kinds = task.vocab_size if task.name in LABELS_OF_ANOTHER_KIND else task.num_answers
        assert batch.labels.max() < kinds
        assert batch.positions.unique().numel() == batch.positions.numel()
        assert (batch.positions.sort().values == batch.positions).all()
        assert batch.positions.max() < 8 * task.seq_length


def test_a_batch_depends_on_its_arguments_alone(task: Task) -> None:
    first = {step: digest(task.train_batch(step, 8, 3)) for step in STEPS}
    for step in reversed(STEPS):
        assert digest(task.train_batch(step, 8, 3)) == first[step]
    assert len(set(first.values())) == len(STEPS)
    assert digest(task.train_batch(0, 8, 4)) != first[0]


def test_a_batch_does_not_share_memory_with_the_data(task: Task) -> None:
    before = digest(task.train_batch(0, 8, 0))
    task.train_batch(0, 8, 0).inputs["input_word_ids"].zero_()
    assert digest(task.train_batch(0, 8, 0)) == before
    before = digest(next(iter(task.batches("val", 8))))
    next(iter(task.batches("val", 8))).inputs["input_word_ids"].zero_()
    assert digest(next(iter(task.batches("val", 8)))) == before


def test_splits_are_the_same_for_every_batch_size_and_after_training(task: Task) -> None:
    for split in task.splits:
        whole = list(task.batches(split, 10**6))
        assert len(whole) == 1
        task.train_batch(5, 8, 9)
        parts = list(task.batches(split, 7))
        for key in whole[0].inputs:
            assert torch.equal(torch.cat([p.inputs[key] for p in parts]), whole[0].inputs[key])
        assert torch.equal(torch.cat([p.labels for p in parts]), whole[0].labels)
        assert sum(p.target_bytes for p in parts) == whole[0].target_bytes
        assert digest(next(iter(task.batches(split, 7)))) == digest(parts[0])
        assert whole[0].inputs["input_word_ids"].shape[1] <= task.longest
        assert whole[0].inputs["input_word_ids"].max() < task.vocab_size


def test_validation_comes_first(task: Task) -> None:
    assert task.splits[0] == "val"
    assert set(task.metrics) >= {"val/loss", task.objective}


def test_answers_are_hidden(task: Task) -> None:
    for split in task.splits:
        batch = next(iter(task.batches(split, 64)))
        shown = batch.inputs["input_word_ids"].flatten()[batch.positions]
        shown = shown[batch.labels != IGNORED]
        assert task.name in LEAKS_ARE_TESTED_APART or (shown == shown[0]).all()


def test_the_head_scores_the_asked_positions(task: Task) -> None:
    batch = task.train_batch(0, 4, 0)
    head = task.head(Table(task.vocab_size, 16))
    logits = head(torch.randn(4, task.seq_length, 16), batch.positions)
    assert logits.shape == (batch.labels.numel(), task.num_answers)
    assert task.head_flops_per_token(16) > 0


def test_metrics_have_the_objective(task: Task) -> None:
    """A guess that prefers nothing has the loss of chance."""
    if task.name in LABELS_OF_ANOTHER_KIND:
        return
    metrics: dict[str, float] = {}
    for split in task.splits:
        scores = task.scores()
        for batch in task.batches(split, 256):
            logits = torch.zeros(batch.labels.numel(), task.num_answers)
            rows = batch.positions // batch.inputs["input_word_ids"].shape[1]
            scores.add(Answers(logits, batch.labels, rows), batch.target_bytes)
        metrics |= scores.metrics(split)
    assert metrics.keys() == set(task.metrics)
    assert metrics["val/loss"] == pytest.approx(torch.tensor(float(task.num_answers)).log().item())
    assert all(0 <= value <= 1 for name, value in metrics.items() if name.endswith(("accuracy", "solved")))


def test_preparing_again_is_free_and_finds_the_same(
    task: Task, request: pytest.FixtureRequest, make_task: Any, cache: Path
) -> None:
    lines: list[str] = []
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    task.prepare(cache, lines.append)
    assert digest(make_task(request.node.callspec.params["task"]).train_batch(0, 8, 0)) == digest(
        task.train_batch(0, 8, 0)
    )
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    assert lines == []


def test_the_fingerprint_is_json(task: Task) -> None:
    import json

    assert json.loads(json.dumps(task.fingerprint()))


PRINT_DIGESTS = """
import importlib.util, sys
from pathlib import Path
def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(sys.argv[1]) / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
build, digest = load("conftest").build_task, load("test_task_contract").digest
for name in sys.argv[3:]:
    task = build(name)
    task.prepare(Path(sys.argv[2]), lambda line: None)
    print(digest(task.train_batch(977, 8, 3)), digest(next(iter(task.batches("val", 32)))))
"""


def test_another_process_makes_the_same_batches(make_task: Any, tmp_path: Path) -> None:
    """Also with another hash seed, another cache and another current folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", PRINT_DIGESTS, str(Path(__file__).parent), str(tmp_path), *NAMES]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = []
    for name in NAMES:
        task = make_task(name)
        first = digest(next(iter(task.batches("val", 32))))
        here.append(f"{digest(task.train_batch(977, 8, 3))} {first}")
    assert done.stdout.splitlines() == here
