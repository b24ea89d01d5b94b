from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.track.base import RunInfo
from nas.track.wandb import WandbTracker, has_key, resolved_mode

pytestmark = pytest.mark.usefixtures("without_key")


@pytest.fixture(scope="module", autouse=True)
def service() -> Iterator[None]:
    """W&B's service ends with these tests, not at the end of the process."""
    yield
    if "wandb" in sys.modules:
        import wandb

        wandb.teardown()


def info(folder: Path, **changes: Any) -> RunInfo:
    return RunInfo(
        **{"name": "a", "group": "g", "job_type": "train", "folder": folder, "identity": "i1", **changes}
    )


def silent(line: str) -> None:
    pass


def test_what_a_run_leaves_offline(tmp_path: Path, arguments: Any, read_wandb: Any) -> None:
    more = ("study=first", "trainer.evaluate_at=[0.2,0.6]", "optimizer.lr=0.3", "schedule=constant")
    run = nas.build(arguments(tmp_path, *more))
    run.train(report=silent)
    (file,) = read_wandb(tmp_path)
    assert file.ended
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert file.rows() == rows
    identity = json.loads((run.folder / "tracker.json").read_text())["id"]
    assert (file.run.run_id, file.run.display_name) == (identity, run.folder.name)
    assert (file.run.project, file.run.run_group, file.run.job_type) == ("nas", "first", "train")
    assert list(file.run.tags) == ["mha", "mqar"]


def test_config_and_summary(tmp_path: Path, arguments: Any, read_wandb: Any) -> None:
    more = (
        "trainer.evaluate_at=[0.2,0.6]",
        "task.train_examples=8",
        "schedule=constant",
        "optimizer.lr=0.15",
    )
    run = nas.build(arguments(tmp_path, *more, "trainer.steps=60"))
    result = run.train(report=silent)
    (file,) = read_wandb(tmp_path)
    nested = {key: value for key, value in file.config.items() if "/" not in key and key != "_wandb"}
    assert nested == json.loads(json.dumps(run.config))
    flat = {key: value for key, value in file.config.items() if "/" in key}
    assert flat == {
        "arch/string": "mha-geglu",
        "arch/hash": result.architecture_hash,
        "arch/slot_00": "mha",
        "arch/slot_01": "geglu",
        "arch/slot_02": "none",
        "arch/n_attention": 1,
        "arch/n_feedforward": 1,
        "arch/n_none": 1,
        "cost/parameters": result.parameters,
        "cost/flops_per_token": result.flops_per_token,
    }
    losses = [row["val/loss"] for row in file.rows() if "val/loss" in row]
    assert min(losses) != losses[-1], "the case shall be one where the last is not the best"
    expected = {
        **result.metrics, "status": "done", "val/best_loss": min(losses),
        "cost/parameters": result.parameters, "cost/flops_per_token": result.flops_per_token,
        "tokens_per_second": result.tokens_per_second, "seconds": result.seconds,
    }  # fmt: skip
    assert {key: file.summary[key] for key in expected} == expected


def test_the_picture_is_html_in_the_folder(tmp_path: Path, arguments: Any, read_wandb: Any) -> None:
    run = nas.build(arguments(tmp_path))
    run.train(report=silent)
    (file,) = read_wandb(tmp_path)
    (picture,) = tmp_path.glob("train/wandb/offline-run-*/files/media/html/arch/*.html")
    assert picture.read_text() == (run.folder / "architecture.svg").read_text()
    assert file.history[0]["arch/picture._type"] == "html-file"


def test_several_runs_in_one_process(
    tmp_path: Path, arguments: Any, read_wandb: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        nas.build(arguments(tmp_path, f"seed={seed}")).train(report=silent)
    files = read_wandb(tmp_path)
    assert len({file.run.run_id for file in files}) == 3
    assert sorted(file.config["seed"] for file in files) == [0, 1, 2]
    assert all(len(file.rows()) == 7 and file.ended for file in files)
    assert "wandb" not in capsys.readouterr().err


def test_two_runs_at_once(tmp_path: Path, read_wandb: Any) -> None:
    trackers = [WandbTracker(tags=["mine"]), WandbTracker()]
    for number, tracker in enumerate(trackers):
        began = time.monotonic()
        tracker.start(info(tmp_path, identity=f"run{number}", tags=("mha",)))
        print(f"start {number}: {1000 * (time.monotonic() - began):.0f} ms")
    for step in range(3):
        for number, tracker in enumerate(trackers):
            tracker.log({"step": step, "x": number})
    for tracker in trackers:
        tracker.finish({"status": "diverged"})
    first, second = read_wandb(tmp_path)
    assert [row["x"] for row in first.rows()] == [0, 0, 0]
    assert [row["x"] for row in second.rows()] == [1, 1, 1]
    assert list(first.run.tags) == ["mine", "mha"]


def test_a_continued_run_keeps_its_identity(tmp_path: Path, arguments: Any, read_wandb: Any) -> None:
    from nas.errors import InterruptedRunError

    def stop(row: dict[str, Any], progress: float) -> None:
        if row["step"] == 20:
            import signal

            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError):
        nas.build(arguments(tmp_path)).train(report=silent, watch=stop)
    time.sleep(1)  # W&B names folders by the second
    run = nas.build(arguments(tmp_path))
    run.train(report=silent)
    first, second = read_wandb(tmp_path)
    assert first.run.run_id == second.run.run_id
    assert first.summary["status"] == "interrupted"
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in first.rows() + second.rows()] == [row["step"] for row in rows]
    assert second.summary["val/best_loss"] == min(row["val/loss"] for row in rows if "val/loss" in row)


def test_a_folder_that_cannot_be_made_costs_a_warning(tmp_path: Path, arguments: Any) -> None:
    run = nas.build(arguments(tmp_path, "study=s"))
    run.folder.mkdir(parents=True)
    (tmp_path / "s" / "wandb").write_text("a file where W&B wants a folder")
    said: list[str] = []
    result = run.train(report=said.append)
    assert result.status == "done"
    assert sum("warning" in line for line in said) <= 1


SCRIPT = """
import sys, time
from pathlib import Path
from nas.track.base import RunInfo
from nas.track.wandb import WandbTracker
began = time.monotonic()
tracker = WandbTracker()
tracker.start(RunInfo("a", "g", "trial", Path(sys.argv[1]), "id1", {"x": 1}))
for step in range(5):
    tracker.log({"step": step, "train/loss": float(step)})
print("started", flush=True)
time.sleep(60)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home without a key, and a proxy that nobody runs: a connection would fail loudly."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    proxy = f"http://127.0.0.1:{port}"
    home = {"HOME": str(tmp_path), "HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "PYTHONUNBUFFERED": "1"}
    return {**{k: v for k, v in os.environ.items() if not k.startswith("WANDB")}, **home}


@pytest.mark.slow  # a process that is killed
def test_a_killed_run_keeps_its_rows_and_nothing_is_asked(
    tmp_path: Path, read_wandb: Any, environment: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(1.5)  # W&B writes what it has every second
    process.kill()
    assert process.communicate()[1] == ""
    (file,) = read_wandb(tmp_path, ended=False)
    assert [row["train/loss"] for row in file.rows()] == [0, 1, 2, 3, 4]
    assert file.config["x"] == 1
    assert not file.ended


HUNG = """
import functools, os, signal, subprocess, sys, time
import nas, nas.train.run
from nas.track.guarded import GuardedTracker
nas.train.run.GuardedTracker = functools.partial(GuardedTracker, patience=10.0)
run = nas.build(sys.argv[1:])
def stop(row, progress):
    if row["step"] == 10:
        while not list(run.folder.parent.glob("wandb/offline-run-*/*.wandb")):
            time.sleep(0.05)
        found = subprocess.check_output(["pgrep", "-P", str(os.getpid()), "wandb-core"])
        os.kill(int(found.split()[0]), signal.SIGSTOP)
print(run.train(watch=stop).status, flush=True)
"""


def run_script(script: str, arguments: list[str], environment: dict[str, str]) -> Any:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, env=environment, text=True, timeout=90, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_service_that_hangs_holds_up_neither_run_nor_exit(
    tmp_path: Path, arguments: Any, environment: dict[str, str]
) -> None:
    done = run_script(HUNG, arguments(tmp_path), environment)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    assert done.stderr.count("warning: the tracker did not answer within 10 s") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_server_that_never_answers_holds_up_neither_run_nor_exit(
    tmp_path: Path, arguments: Any, environment: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        online = {**environment, "WANDB_BASE_URL": url, "WANDB_API_KEY": "a" * 40, "NO_PROXY": "127.0.0.1"}
        impatient = HUNG.replace("== 10", "== -1").replace("patience=10.0", "patience=3.0")
        done = run_script(impatient, arguments(tmp_path), online)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    assert done.stderr.count("warning: the tracker did not answer within 3 s") == 1
    assert "Traceback" not in done.stderr


def test_the_mode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert resolved_mode("auto") == "offline"
    assert resolved_mode("online") == "online"
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert resolved_mode("auto") == "online"
    assert resolved_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolved_mode("auto") == "disabled"
    monkeypatch.setenv("WANDB_API_KEY", "")
    monkeypatch.delenv("WANDB_MODE")
    assert resolved_mode("auto") == "offline"


def test_a_key_in_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(path))
    assert not has_key()
    path.write_text("machine api.wandb.ai login user password abc\n")
    path.chmod(0o600)
    assert has_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org/")
    assert not has_key()
    path.write_text("machine wandb.example.org login user password abc\n")
    assert has_key()
    path.write_text("no netrc at all")
    assert not has_key()
