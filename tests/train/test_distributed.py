"""Several processes that train one run together: the same curve, one set of files, one message."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLAIN = ("encoder.blocks.attn.dropout=0", "encoder.blocks.ffn.dropout=0", "trainer.batch_size=9")


def losses(rows: list[dict[str, Any]]) -> list[float]:
    return [value for row in rows for key, value in row.items() if "loss" in key or "aux" in key]


def wait(processes: list[Any]) -> list[int]:
    return [process.wait() for process in processes]


@pytest.mark.slow  # processes of their own
def test_two_processes_have_the_curve_of_one(start: Any, read: Any, make: Any, tmp_path: Path) -> None:
    together = start.several(2, tmp_path / "two", *PLAIN)
    alone = make(*PLAIN)
    alone.train(report=lambda line: None)
    assert wait(together) == [0, 0], [process.said for process in together]
    main, other = together
    assert "done" in main.said
    assert other.said == ""
    one, two = (read[0](folder) for folder in (alone.folder, main.folder))
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    assert [sorted(row) for row in two] == [sorted(row) for row in one]
    assert main.folder.name == alone.folder.name
    assert {path.name for path in main.folder.iterdir()} == {path.name for path in alone.folder.iterdir()}
    assert json.loads((main.folder / "provenance.json").read_text())["processes"] == 2


def test_a_mistake_is_told_once_and_no_folder_is_made(start: Any, tmp_path: Path) -> None:
    both = start.several(2, tmp_path / "o", "trainer.batch_size=1")
    assert wait(both) == [2, 1]
    assert both[0].said.strip() == "error: trainer.batch_size=1 must be at least 2: 2 processes share it"
    assert both[1].said == ""
    assert not (tmp_path / "o" / "train").exists()


LONGER = (*PLAIN, "trainer.steps=120", "trainer.checkpoint_seconds=0.05", "trainer.evaluate_at=[0.3]")


@pytest.mark.slow  # several processes
@pytest.mark.parametrize("again", [1, 2, 3])
def test_a_signal_to_one_stops_all_and_any_number_continues(
    start: Any, read: Any, make: Any, tmp_path: Path, again: int
) -> None:
    alone = make(*LONGER)
    alone.train(report=lambda line: None)
    main, other = start.several(2, tmp_path / "o", *LONGER)
    main.until_rows(5)
    other.kill(signal.SIGTERM)
    assert wait([main, other]) == [130, 130], main.said
    assert main.said.count("interrupted: stopped at step") == 1
    assert other.said == ""
    step = json.loads((main.folder / "checkpoint" / "state.json").read_text())["step"]
    further = start.several(again, tmp_path / "o", *LONGER) if again > 1 else [start(tmp_path / "o", *LONGER)]
    assert wait(further) == [0] * again, [process.said for process in further]
    assert f"from step {step}" in further[0].said
    one, two = (read[0](folder) for folder in (alone.folder, main.folder))
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_a_killed_process_ends_all(start: Any, tmp_path: Path, number: int) -> None:
    both = start.several(2, tmp_path / "o", *LONGER, "trainer.steps=100000")
    both[0].until_rows(5)
    both[number].kill()
    codes = wait(both)
    assert codes[number] == -signal.SIGKILL
    assert codes[1 - number] == 1
    assert "Traceback" not in both[1 - number].said


@pytest.mark.slow
def test_a_full_disk_in_the_main_process_ends_all_with_one_message(start: Any, tmp_path: Path) -> None:
    # no checkpoint fits into so little, and a row at every step soon does not either
    more = ("trainer.steps=100000", "trainer.log_every=1", "trainer.checkpoint_seconds=1000")
    both = start.several(2, tmp_path / "o", *LONGER, *more, limit=20_000)
    assert wait(both) == [1, 1]
    assert both[0].said.count("error: ") == 1
    assert "cannot go on: [Errno 27]" in both[0].said
    assert both[1].said == ""


DYNAMIC = {
    "shared": ("encoder.blocks.ffn._partial_=false", "encoder.hidden_cls=[attn,ffn,ffn,ffn]"),
    "an auxiliary loss": (
        "+block@encoder.blocks.halting=recursive/halting",
        "encoder.hidden_cls=[halting,ffn]",
    ),
    "states": ("encoder.hidden_cls=[attn,reuse,loop,reuse]",),
    "experts": ("+block@encoder.blocks.moe=feedforward/moe", "encoder.hidden_cls=[attn,moe]"),
    "accumulated": ("trainer.accumulate=2",),
    "computed again": ("trainer.activation_checkpointing=true", "encoder.hidden_cls=[attn,reuse,loop,reuse]"),
}


@pytest.mark.slow
@pytest.mark.parametrize("more", DYNAMIC.values(), ids=DYNAMIC)
def test_whatever_takes_part_in_a_step_the_curve_is_the_same(
    start: Any, read: Any, make: Any, tmp_path: Path, more: tuple[str, ...]
) -> None:
    both = start.several(2, tmp_path / "two", *PLAIN, *more)
    alone = make(*PLAIN, *more)
    alone.train(report=lambda line: None)
    assert wait(both) == [0, 0], [process.said for process in both]
    one, two = (read[0](folder) for folder in (alone.folder, both[0].folder))
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)


@pytest.mark.slow
def test_parts_that_are_random_run_too(start: Any, tmp_path: Path) -> None:
    """Loops of random length: another number for each process."""
    both = start.several(2, tmp_path / "o", "encoder.hidden_cls=[attn,loop]", "encoder.blocks.loop.n_min=1")
    assert wait(both) == [0, 0], [process.said for process in both]


@pytest.mark.slow
def test_torchrun(tmp_path: Path, arguments: Any) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "nas.cli.train"]
    good = subprocess.run(
        [*launch, *arguments(tmp_path / "o", *PLAIN)], capture_output=True, text=True, check=False
    )
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith("done  val/loss")
    assert good.stdout.count("done") == 1
    bad = subprocess.run(
        [*launch, *arguments(tmp_path / "o", "task.vocab_size=abc")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert bad.returncode != 0
    assert bad.stderr.count("error: ") == 1
