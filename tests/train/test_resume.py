"""A run that is stopped in any way and started again ends as if nothing had happened, to the bit."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from nas.errors import InterruptedRunError

LONGER = ("trainer.steps=80", "trainer.evaluate_at=[0.3,0.6]", "trainer.checkpoint_seconds=0.02")


@pytest.fixture(scope="module")
def expected(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that nobody disturbed, in a process of its own."""
    process = start(tmp_path_factory.mktemp("undisturbed") / "outputs", *LONGER)
    assert process.wait() == 0, process.said
    return process.folder


def assert_same(folder: Path, expected: Path, read: Any) -> None:
    rows, result = read
    assert rows(folder) == rows(expected)
    assert result(folder) == result(expected)
    # a kill inside write_text may leave a hidden file of its process, which nobody reads
    left = {path.name for path in folder.iterdir() if not re.fullmatch(r"\.\w+\.\w+\.\d+", path.name)}
    assert left == {path.name for path in expected.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_same_command_continues(
    start: Any, read: Any, tmp_path: Path, expected: Path, number: int
) -> None:
    stopped = start(tmp_path / "outputs", *LONGER).until_rows(9).kill(number)
    assert stopped.wait() == 130, stopped.said
    assert "interrupted: stopped at step" in stopped.said
    assert (stopped.folder / "checkpoint" / "state.json").is_file()
    assert not (stopped.folder / "result.json").exists()
    again = start(tmp_path / "outputs", *LONGER)
    assert again.wait() == 0, again.said
    assert "from step" in again.said
    assert_same(again.folder, expected, read)


@pytest.mark.slow  # several processes
def test_several_kills(start: Any, read: Any, tmp_path: Path, expected: Path) -> None:
    kills = 0
    for rows in (2, 11, 20, 29, 38):
        process = start(tmp_path / "outputs", *LONGER).until_rows(rows)
        time.sleep(random.random() * 0.02)
        kills += process.kill().wait() == -signal.SIGKILL
    assert kills >= 3
    process = start(tmp_path / "outputs", *LONGER)
    assert process.wait() == 0, process.said
    assert_same(process.folder, expected, read)


@pytest.mark.slow
def test_kills_at_any_moment(start: Any, read: Any, tmp_path: Path, expected: Path) -> None:
    for attempt in range(6):
        outputs = tmp_path / str(attempt) / "outputs"
        for _ in range(2):
            process = start(outputs, *LONGER)
            time.sleep(random.random() * 0.9)
            process.kill().wait()
        process = start(outputs, *LONGER)
        assert process.wait() == 0, process.said
        assert_same(process.folder, expected, read)


def test_two_signals(start: Any, tmp_path: Path, read: Any, expected: Path) -> None:
    process = start(tmp_path / "outputs", *LONGER).until_rows(5).kill(signal.SIGINT).kill(signal.SIGINT)
    assert process.wait() == 130, process.said
    assert "Traceback" not in process.said
    again = start(tmp_path / "outputs", *LONGER)
    assert again.wait() == 0, again.said
    assert_same(again.folder, expected, read)


def test_a_kill_between_the_renames_and_in_a_line(
    start: Any, read: Any, tmp_path: Path, expected: Path
) -> None:
    process = start(tmp_path / "outputs", *LONGER).until_rows(9).kill(signal.SIGTERM)
    assert process.wait() == 130
    folder = process.folder
    (folder / "checkpoint").rename(folder / "checkpoint.old")
    (folder / ".checkpoint.999999").mkdir()
    step = json.loads((folder / "checkpoint.old" / "state.json").read_text())["step"]
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step + 2, "train/loss": 99.0}) + "\n" + '{"step": 99, "tra')
    again = start(tmp_path / "outputs", *LONGER)
    assert again.wait() == 0, again.said
    assert f"from step {step}" in again.said
    assert_same(again.folder, expected, read)


def test_a_damaged_checkpoint_is_one_line_and_exit_code_2(start: Any, tmp_path: Path) -> None:
    process = start(tmp_path / "outputs", *LONGER).until_rows(5).kill(signal.SIGTERM)
    assert process.wait() == 130
    (process.folder / "checkpoint" / "model.safetensors").write_bytes(b"no")
    again = start(tmp_path / "outputs", *LONGER)
    assert again.wait() == 2
    assert again.said.strip().startswith("error: checkpoint ")
    assert len(again.said.strip().splitlines()) == 1


def test_a_checkpoint_with_unknown_fields_is_refused(start: Any, tmp_path: Path) -> None:
    process = start(tmp_path / "outputs", *LONGER).until_rows(5).kill(signal.SIGTERM)
    assert process.wait() == 130
    state = process.folder / "checkpoint" / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "unknown": 1}))
    again = start(tmp_path / "outputs", *LONGER)
    assert again.wait() == 2
    assert "is damaged" in again.said


def test_another_process_and_a_warm_one_give_the_same(make: Any, read: Any, expected: Path) -> None:
    run = make(*LONGER)
    run.train(report=lambda line: None)
    assert_same(run.folder, expected, read)


@pytest.mark.slow  # seconds
def test_python_can_stop_and_continue(make: Any, read: Any, expected: Path) -> None:
    stopped = make(*LONGER)

    def stop(row: dict[str, Any], progress: float) -> None:
        if row["step"] == 30:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError, match="stopped at step 30; run the same command to continue"):
        stopped.train(report=lambda line: None, watch=stop)
    run = make(*LONGER)
    said: list[str] = []
    run.train(report=said.append)
    assert said[0] == f"continuing {run.folder} from step 30"
    assert_same(run.folder, expected, read)


def test_a_shared_block_is_stored_once_and_continues(make: Any, read: Any, tmp_path: Path) -> None:
    shared = ("encoder.blocks.ffn._partial_=false", "encoder.hidden_cls=[attn,ffn,ffn,ffn]")
    whole = make(*shared, outputs=tmp_path / "whole")
    whole.train(report=lambda line: None)
    stored = load_file(whole.folder / "checkpoint" / "model.safetensors")
    assert sum(t.numel() for t in stored.values()) == sum(
        t.numel() for t in [*whole.encoder.parameters(), *whole.task.head(whole.encoder).parameters()]
    )

    def stop(row: dict[str, Any], progress: float) -> None:
        if row["step"] == 16:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError):
        make(*shared).train(report=lambda line: None, watch=stop)
    again = make(*shared)
    again.train(report=lambda line: None)
    assert_same(again.folder, whole.folder, read)


@pytest.mark.slow
def test_the_installed_command(tmp_path: Path, read: Any, expected: Path, arguments: Any) -> None:
    command = [str(Path(sys.executable).with_name("nas-train")), *arguments(tmp_path / "outputs", *LONGER)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    while not list((tmp_path / "outputs").glob("train/*/metrics.jsonl")) and process.poll() is None:
        time.sleep(0.005)
    time.sleep(0.05)
    process.terminate()
    assert process.communicate()[1].strip().splitlines()[-1].startswith("interrupted: ")
    assert process.returncode == 130
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert_same(next((tmp_path / "outputs" / "train").iterdir()), expected, read)
