"""What a search is told before anything is trained, and what a dry run tells."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

RATE = {"low": 1e-3, "high": 1e-2, "log": True}
ONE = ["encoder.hidden_cls=[attn,conv]"]
WRONG = {
    "impossible choice": ({"encoder.hidden_size": [16, 17]}, ONE,
                          ["encoder.hidden_size=17 is not a multiple of encoder.num_heads=2"]),
    "rungs": ({"optimizer.lr": [0.1]}, ["rungs.reduction_factor=1"], ["rungs.reduction_factor=1"]),
    "several": ({"optimizer.lr": {"low": 2, "high": 1}, "seed": 1}, ["n_trials=0"],
                ["n_trials", "low=2", "seed"]),
    "name": ({"optimizer.lr": [0.1]}, ["study=a/b"], ["study='a/b' must be the name of a folder"]),
    "base": ({"optimizer.lr": [0.1]}, ["encoder.hidden_size=15", *ONE], ["hidden_size=15 is not a multiple"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_told_before_anything_is_made(
    tmp_path: Path, lab: Any, capsys: Any, name: str
) -> None:
    space, more, told = WRONG[name]
    own = type(lab)(tmp_path)
    assert own.search(own.sweep("wrong", space), *more) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(told), lines
    assert all(any(text in line for line in lines) for text in told)
    assert not own.outputs.exists()


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_trained(lab: Any, capfd: Any) -> None:
    (lab.folder / "file").touch()
    sweep = lab.sweep("nowhere", {"optimizer.lr": [0.1, 0.2]})
    assert lab.search(sweep, f"paths.outputs={lab.folder / 'file'}") == 2
    assert capfd.readouterr().err.splitlines()[-1] == (
        f"error: the study's folder {lab.folder / 'file' / 'nowhere'} cannot be written: Not a directory; "
        "choose another place with paths.outputs=..."
    )


def test_a_dry_run_tells_and_makes_nothing(lab: Any, capsys: Any) -> None:
    space = {"encoder.hidden_size": [48, 32], "encoder.num_heads": [4, 3], "optimizer.lr": RATE}
    shutil.rmtree(lab.outputs / "dry", ignore_errors=True)
    assert (
        lab.search(lab.sweep("dry", space), "encoder.hidden_size=48", "encoder.num_heads=4", "dry_run=true")
        == 0
    )
    out = capsys.readouterr().out
    assert not (lab.outputs / "dry").exists()
    assert "size: 4 x a continuous optimizer.lr" in out
    assert "optimizer.lr: number from 0.001 to 0.01, log" in out
    assert out.count("optimizer.lr=") == 5
    assert "cannot be built" in out or out.count("FLOPs per token") == 5
    assert "in all" in out
