"""``nas-train``: the run folder, running again, grids, and the same result from Python."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import nas
from nas.cli.app import DONE, FAILED
from nas.cli.train import train
from nas.files import read_json

FILES = {
    "config.yaml", "overrides.txt", "provenance.json", "metrics.jsonl", "architecture.json",
    "architecture.svg", "result.json",
}  # fmt: skip
RESULT = {
    "status", "task", "metrics", "architecture", "architecture_hash", "parameters", "flops_per_token",
    "tokens_per_second", "steps", "seconds", "seed", "reason",
}  # fmt: skip
TIMES = ("tokens_per_second", "seconds")


def folder_of(outcome: Any) -> Path:
    return Path(outcome.out.splitlines()[-1])


def lasting(result: dict[str, Any]) -> dict[str, Any]:
    """Return what of a result is the same every time."""
    return {k: v for k, v in result.items() if k not in TIMES}


@pytest.fixture(scope="module")
def trained(shell: Any, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run by the installed command, and the folder it was started in."""
    folder = tmp_path_factory.mktemp("user")
    return folder, shell("nas-train", *tiny, "paths.outputs=runs", "paths.cache=cache", folder=folder)


def test_the_command_says_what_came_out_and_where(trained: tuple[Path, Any]) -> None:
    folder, outcome = trained
    assert outcome.code == DONE, outcome.err
    status, architecture, path = outcome.out.splitlines()
    assert status.startswith("done  val/loss ")
    assert architecture.startswith("mha-geglu  ")
    assert "parameters" in architecture
    assert (folder / path).is_dir()
    assert Path(path).parent == Path("runs/train")
    evaluations = [line for line in outcome.err.splitlines() if "val/loss" in line]
    assert [line.split("  ")[0] for line in evaluations] == ["step 4 (50%)", "step 8 (100%)"]


def test_the_run_folder_is_complete(trained: tuple[Path, Any]) -> None:
    folder, outcome = trained
    run = folder / folder_of(outcome)
    visible = {p.name for p in run.iterdir() if not p.name.startswith(".")}
    assert visible >= FILES, FILES - visible
    assert visible - FILES <= {"checkpoint", "tracker.json"}
    assert list(folder.rglob("*.pt")) == list(folder.rglob("*.pkl")) == []
    assert "wandb" not in {p.name for p in folder.rglob("*")}
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["encoder"]["blocks"]["attn"]["hidden_size"] == 16
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "val/loss" in row] == [4, 8]
    assert any("train/loss" in row for row in rows)


def test_result_json(trained: tuple[Path, Any]) -> None:
    folder, outcome = trained
    result = read_json(folder / folder_of(outcome) / "result.json")
    assert set(result) == RESULT
    assert (result["status"], result["task"], result["steps"], result["seed"]) == ("done", "mqar", 8, 0)
    assert result["reason"] is None
    assert result["architecture"] == "mha-geglu"
    architecture = read_json(folder / folder_of(outcome) / "architecture.json")
    assert architecture["parameters"] == result["parameters"]
    assert architecture["hash"] == result["architecture_hash"]


def test_the_recorded_overrides_make_the_same_run(trained: tuple[Path, Any]) -> None:
    folder, outcome = trained
    run = folder / folder_of(outcome)
    lines = (run / "overrides.txt").read_text().splitlines()
    again = nas.build(lines)
    assert again.folder.name == run.name
    assert again.config == yaml.safe_load((run / "config.yaml").read_text())


@pytest.mark.slow  # a process
def test_the_same_command_again_trains_nothing(
    trained: tuple[Path, Any], shell: Any, tiny: tuple[str, ...]
) -> None:
    folder, outcome = trained
    run = folder / folder_of(outcome)
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.name in ("result.json", "metrics.jsonl")}
    again = shell("nas-train", *tiny, "paths.outputs=runs", "paths.cache=cache", folder=folder)
    assert again.code == DONE
    assert again.out == outcome.out
    assert "is finished: this is its result" in again.err
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_python_gives_the_commands_result(
    trained: tuple[Path, Any], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    folder, outcome = trained
    paths = [f"paths.outputs={tmp_path / 'other'}", f"paths.cache={tmp_path / 'cache'}"]
    result = nas.build([*tiny, *paths]).train()
    command = read_json(folder / folder_of(outcome) / "result.json")
    assert lasting(dataclasses.asdict(result)) == lasting(command)


def test_its_config_as_an_experiment_gives_its_result(
    trained: tuple[Path, Any], command: Any, tmp_path: Path
) -> None:
    folder, outcome = trained
    run = folder / folder_of(outcome)
    choices = ("task=mqar", "tracker=none", f"experiment={run / 'config.yaml'}")
    again = command("train", train, *choices, f"paths.outputs={tmp_path / 'x'}")
    assert again.code == DONE, again.err
    result = read_json(tmp_path / folder_of(again) / "result.json")
    assert lasting(result) == lasting(read_json(run / "result.json"))


def test_another_seed_is_another_run(trained: tuple[Path, Any], command: Any, tiny: tuple[str, ...]) -> None:
    other = command("train", train, *tiny, "paths.cache=cache", "seed=1")
    assert other.code == DONE
    assert folder_of(other).name != folder_of(trained[1]).name
    assert other.out.splitlines()[0] != trained[1].out.splitlines()[0]


def test_a_grid_goes_on_after_a_run_that_diverged(
    command: Any, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    arguments = ("paths.cache=cache", "study=grid", "schedule=constant", "trainer.clip_norm=1e9")
    outcome = command("train", train, "-m", *tiny, *arguments, "optimizer.lr=1e6,1e-3")
    assert outcome.code == FAILED, outcome.out
    runs = sorted((tmp_path / "outputs" / "grid").iterdir())
    statuses = [read_json(run / "result.json")["status"] for run in runs]
    assert sorted(statuses) == ["diverged", "done"]
    assert "run 2 of 2: " in outcome.err
    assert "\ndiverged: training loss " in outcome.out
    [diverged] = [r for r in runs if read_json(r / "result.json")["status"] == "diverged"]
    assert read_json(diverged / "result.json")["reason"].startswith("diverged: ")


def test_text_of_ones_own(command: Any, tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    for number in range(8):
        (tmp_path / "books" / f"{number}.txt").write_text(f"book {number}: " + "to be or not to be. " * 60)
    outcome = command(
        "train", train, "debug=quick", "tracker=none", "corpus=text", "corpus.path=books",
        "task.seq_length=16",
        "encoder=bert", "encoder.num_layers=1", "encoder.hidden_size=16", "paths.cache=cache",
        "task.validation_fraction=0.2",
    )  # fmt: skip
    assert outcome.code == DONE, outcome.err
    metrics = read_json(tmp_path / folder_of(outcome) / "result.json")["metrics"]
    assert set(metrics) >= {"val/loss", "val/accuracy", "val/bits_per_byte"}


FAILING = """
from pathlib import Path
from nas.blocks.feedforward.mlp import MLP

class Failing(MLP):
    def mix(self, data, attention_mask):
        if not data.is_meta and Path("fails").exists():
            raise KeyError("no such thing")
        return super().mix(data, attention_mask)
"""


def test_a_block_that_raises_in_training_is_told_with_its_slot_and_line(
    command: Any, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "site").mkdir()
    file = tmp_path / "site" / "users_failing_block.py"
    file.write_text(FAILING)
    node = "{_target_: users_failing_block.Failing, _partial_: true}"
    own = ["trusted_targets=[users_failing_block.]", f"+encoder.blocks.mine={node}"]
    given = [*tiny, *own, "encoder.hidden_cls=[attn,mine]", "paths.cache=cache"]
    (tmp_path / "fails").touch()
    failed = command("train", train, *given)
    assert failed.code == FAILED, failed.err
    [run] = (tmp_path / "outputs" / "train").iterdir()
    assert failed.err.splitlines()[-2:] == [
        f"error: hidden_cls[1]=Failing: KeyError: 'no such thing' ({file}, line 8)",
        f"the whole traceback: {Path('outputs', 'train', run.name, 'error.txt')}",
    ]
    assert "Traceback" not in failed.err
    assert (run / "error.txt").read_text().startswith("Traceback")
    grid = command("train", train, "-m", *given, "seed=0,1")
    assert grid.code == FAILED
    assert grid.err.count("KeyError: 'no such thing'") == 2
    (tmp_path / "fails").unlink()
    assert command("train", train, *given).code == DONE
    assert not (run / "error.txt").exists()
