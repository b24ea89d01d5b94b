from __future__ import annotations

import json
import shutil
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

import nas.train.run
from nas.errors import InputError, NasError
from nas.train.result import read_result
from nas.train.rung import GO_ON, STOP

FILES = {
    ".lock", "architecture.json", "architecture.svg", "checkpoint", "config.yaml", "metrics.jsonl",
    "overrides.txt", "provenance.json", "result.json", "tracker.json",
}  # fmt: skip


def silent(line: str) -> None:
    pass


def test_the_run_folder(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == FILES
    assert ET.parse(finished / "architecture.svg").getroot().tag.endswith("svg")
    assert yaml.safe_load((finished / "config.yaml").read_text())["trainer"]["steps"] == 30
    assert "trainer.steps=30" in (finished / "overrides.txt").read_text().splitlines()
    assert json.loads((finished / "architecture.json").read_text())["string"] == "mha-geglu"


def test_provenance(finished: Path) -> None:
    found = json.loads((finished / "provenance.json").read_text())
    assert found["seed"] == 0
    assert found["device"] in ("cpu", "cuda")
    assert found["precision"] == "float32"
    assert found["threads"] == 1
    assert found["data"]["generator"] == "mqar-1"
    assert found["versions"]["torch"]
    assert set(found["git"]) == {"nas", "working_folder"}


def test_the_result(make: Any) -> None:
    run = make()
    result = run.train(report=silent)
    assert read_result(run.folder) == result
    written = json.loads((run.folder / "result.json").read_text())
    assert list(written) == [
        "status", "task", "metrics", "architecture", "architecture_hash", "parameters", "flops_per_token",
        "tokens_per_second", "steps", "seconds", "seed", "reason",
    ]  # fmt: skip
    assert (result.status, result.task, result.steps, result.seed) == ("done", "mqar", 30, 0)
    assert set(result.metrics) == {"val/loss", "val/accuracy"}
    assert result.parameters > 0
    assert result.seconds > 0
    assert result.tokens_per_second > 0
    assert result.reason is None


def test_a_finished_run_is_not_trained_again(make: Any, finished: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in finished.iterdir()}
    said: list[str] = []
    result = make().train(report=said.append)
    assert result == read_result(finished)
    assert said == [f"{finished} is finished: this is its result (remove the folder to train it again)"]
    kept = FILES - {".lock", "config.yaml", "overrides.txt"}
    assert {name: (finished / name).stat().st_mtime_ns for name in kept} == {n: before[n] for n in kept}


@pytest.mark.parametrize("ended", [True, False])
def test_data_that_has_changed_since_is_told(make: Any, tmp_path: Path, ended: bool) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"line {i} of a text, {i * i}\n\n" for i in range(400)))
    settings = [
        "task=mlm", "corpus=text", f"corpus.path={text}", "task.seq_length=16", "task.validation_tokens=64",
        f"paths.cache={tmp_path / 'cache'}", "trainer.steps=4", "trainer.batch_size=4",
    ]  # fmt: skip
    run = make(*settings)
    run.train(report=silent)
    if not ended:  # killed at its last checkpoint
        (run.folder / "result.json").unlink()
    text.write_text(text.read_text() + "one more")
    with pytest.raises(InputError, match=r"was trained on other data than there is now \(corpus_sha256, "):
        make(*settings).train(report=silent)
    assert (run.folder / "checkpoint").is_dir()


def test_a_damaged_result_is_told(make: Any, finished: Path) -> None:
    for text in ("{", "{}", "[]"):
        (finished / "result.json").write_text(text)
        with pytest.raises(InputError, match=r"result.json is damaged \(.*\); remove it to train again"):
            make().train(report=silent)


def test_the_same_seed_gives_the_same_run_and_another_does_not(make: Any, read: Any, tmp_path: Path) -> None:
    def train(name: str, *more: str) -> tuple[Any, Any]:
        run = make(*more, outputs=tmp_path / name)
        run.train(report=silent)
        return read[0](run.folder), read[1](run.folder)

    first = train("a")
    train("b", "seed=1", "encoder.hidden_cls=[conv,ffn]")
    assert train("c") == first
    rows = train("d", "seed=1")[0]
    assert all(row != other for row, other in zip(rows, first[0], strict=True))


def test_pruning(make: Any) -> None:
    run = make("trainer.evaluate_at=[0.2,0.5]")
    result = run.train(report=silent, rung=lambda progress, metrics: GO_ON if progress < 0.5 else STOP)
    assert (result.status, result.reason, result.steps) == ("pruned", "pruned at 50% of the budget", 15)
    assert read_result(run.folder) == result
    assert result.metrics["val/loss"] > 0


def test_divergence(make: Any) -> None:
    run = make("optimizer.lr=1e4")
    result = run.train(report=silent)
    assert result.status == "diverged"
    assert result.reason is not None
    assert result.reason.startswith("diverged: training loss ")
    assert read_result(run.folder) == result
    assert result.seconds > 0


@pytest.mark.slow  # a process
def test_divergence_is_not_exit_code_0(start: Any, tmp_path: Path) -> None:
    process = start(tmp_path / "outputs", "optimizer.lr=1e4")
    assert process.wait() == 1
    assert "diverged" in process.said
    again = start(tmp_path / "outputs", "optimizer.lr=1e4")
    assert again.wait() == 1
    assert "is finished" in again.said


def test_a_folder_that_another_process_trains(
    make: Any, start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nas.train.record, "PATIENCE", 0.2)
    process = start(tmp_path / "outputs", "trainer.steps=100000").until_rows(1)
    with pytest.raises(InputError, match="is being trained by another process"):
        make("trainer.steps=100000").train(report=silent)
    assert process.kill(15).wait() == 130, process.said


def test_the_second_of_two_waits_for_the_first(make: Any) -> None:
    first, results = make(), []
    thread = threading.Thread(target=lambda: results.append(first.train(report=silent)))
    thread.start()
    while not (first.folder / "metrics.jsonl").exists():
        time.sleep(0.001)
    result = make().train(report=silent)
    thread.join()
    assert results == [result]


def test_a_folder_that_cannot_be_written(make: Any, tmp_path: Path) -> None:
    run = make()
    run.train(report=silent)
    plan_folder = run.folder
    (plan_folder / "result.json").unlink()
    (plan_folder / "metrics.jsonl").unlink()
    (plan_folder / "metrics.jsonl").mkdir()
    with pytest.raises(NasError, match=r"the run in .* cannot go on: \[Errno 21\] Is a directory") as caught:
        make().train(report=silent)
    assert not isinstance(caught.value, InputError)


def test_a_removed_checkpoint_starts_again(make: Any, finished: Path, read: Any) -> None:
    before = read[0](finished), read[1](finished)
    (finished / "result.json").unlink()
    shutil.rmtree(finished / "checkpoint")
    make().train(report=silent)
    assert (read[0](finished), read[1](finished)) == before


def test_what_the_watcher_sees_is_what_the_file_holds(make: Any) -> None:
    seen: list[dict[str, Any]] = []
    run = make()
    run.train(report=silent, watch=lambda row, progress: seen.append(row))
    assert seen == [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
