"""The winner's file: it builds the same again, also with blocks of the user's own package."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from nas.config.build import build
from nas.config.compose import compose
from nas.search.winner import command, write_experiment

BLOCK = """
from nas.blocks.feedforward.mlp import MLP


class Own(MLP):
    pass
"""
CHOICE = (
    "_target_: winners_own_blocks.Own\n_partial_: true\nhidden_size: ${encoder.hidden_size}\nratio: 3.0\n"
)


@pytest.mark.parametrize("added", [True, False], ids=["on the command line", "by an experiment"])
def test_a_block_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: bool) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "winners_own_blocks.py").write_text(BLOCK)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "winners_own_blocks", raising=False)
    (tmp_path / "conf" / "block").mkdir(parents=True)
    (tmp_path / "conf" / "block" / "own.yaml").write_text(CHOICE)
    (tmp_path / "conf" / "experiment").mkdir()
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - /block@encoder.blocks.mine: own\n  - override /encoder: hybrid\n"
    )
    places = [f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "trusted_targets=[winners_own_blocks.]"]
    chosen = ["encoder=hybrid", "+block@encoder.blocks.mine=own"] if added else ["experiment=mine"]
    given = [*places, *chosen, "encoder.hidden_cls=[attn,mine]", "encoder.hidden_size=16", "task=mqar"]
    composed = compose("train", given)
    path = tmp_path / "a folder" / "best.yaml"
    path.parent.mkdir()
    write_experiment(path, composed, "a title")
    told = shlex.split(command(str(path), composed))
    assert path.read_text().splitlines()[2] == f"# {shlex.join(told)}"
    assert set(told) == {"nas-train", *places, f"experiment={path}"}
    again = build(told[1:])
    assert again.config["encoder"] == composed.values()["encoder"]
    assert type(list(again.encoder.hidden_layers)[1]).__name__ == "Own"
