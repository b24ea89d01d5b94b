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

from nas.tasks.base import Batch, Task
from nas.tasks.scoring import Scores

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "conf/task").glob("*.yaml"))
STEPS = (0, 1, 977)


@pytest.fixture(scope="module", params=NAMES)
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
    assert task.objective.startswith("val/")
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
        assert batch.labels.min() >= 0
        assert batch.labels.max() < task.vocab_size
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
    before = digest(next(iter(task.validation_batches(8))))
    next(iter(task.validation_batches(8))).inputs["input_word_ids"].zero_()
    assert digest(next(iter(task.validation_batches(8)))) == before


def test_validation_is_the_same_for_every_batch_size_and_after_training(task: Task) -> None:
    whole = list(task.validation_batches(10**6))
    assert len(whole) == 1
    task.train_batch(5, 8, 9)
    parts = list(task.validation_batches(7))
    for key in whole[0].inputs:
        assert torch.equal(torch.cat([p.inputs[key] for p in parts]), whole[0].inputs[key])
    assert torch.equal(torch.cat([p.labels for p in parts]), whole[0].labels)
    assert sum(p.target_bytes for p in parts) == whole[0].target_bytes
    assert digest(next(iter(task.validation_batches(7)))) == digest(parts[0])


def test_answers_are_hidden(task: Task) -> None:
    batch = next(iter(task.validation_batches(64)))
    shown = batch.inputs["input_word_ids"].flatten()[batch.positions]
    assert (shown == shown[0]).all()  # the mask token, which is never an answer
    assert (batch.labels != shown[0]).all()


def test_the_head_scores_the_asked_positions(task: Task) -> None:
    batch = task.train_batch(0, 4, 0)
    head = task.head(Table(task.vocab_size, 16))
    logits = head(torch.randn(4, task.seq_length, 16), batch.positions)
    assert logits.shape == (batch.labels.numel(), task.vocab_size)
    share = batch.labels.numel() / (4 * task.seq_length)
    assert task.head_flops_per_token(16) == pytest.approx(2 * 16 * task.vocab_size * share)


def test_metrics_have_the_objective(task: Task) -> None:
    scores = Scores()
    for batch in task.validation_batches(256):
        scores.add(torch.zeros(batch.labels.numel(), task.vocab_size), batch)
    metrics = scores.metrics()
    assert metrics[task.objective] == pytest.approx(torch.tensor(float(task.vocab_size)).log().item())
    assert 0 <= metrics["val/accuracy"] <= 1


def test_preparing_again_is_free_and_finds_the_same(task: Task, make_task: Any, cache: Path) -> None:
    lines: list[str] = []
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    task.prepare(cache, lines.append)
    assert digest(make_task(task.name).train_batch(0, 8, 0)) == digest(task.train_batch(0, 8, 0))
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
    print(digest(task.train_batch(977, 8, 3)), digest(next(iter(task.validation_batches(32)))))
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
        first = digest(next(iter(task.validation_batches(32))))
        here.append(f"{digest(task.train_batch(977, 8, 3))} {first}")
    assert done.stdout.splitlines() == here
