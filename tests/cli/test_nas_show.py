"""``nas-show``: an encoder as a table and as JSON, without data and without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

import nas
from nas.cli.app import DONE
from nas.cli.show import describe, read_flags, show, show_json
from nas.config.compose import compose
from nas.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("task=mqar", "encoder.hidden_size=16")


PRESETS = sorted(p.stem for p in (ROOT / "conf" / "encoder").glob("*.yaml") if p.stem != "base")
KINDS = {"albert", "hybrid", "reuse", "universal"}
"""Presets that share, mix, hand a state on and loop; the other ones are slow tests."""


@pytest.mark.parametrize(
    "preset", [p if p in KINDS else pytest.param(p, marks=pytest.mark.slow) for p in PRESETS]
)
def test_json_has_the_built_encoders_parameters(preset: str, command: Any) -> None:
    outcome = command("train", show_json, f"encoder={preset}", *SMALL)
    assert outcome.code == DONE, outcome.err
    description = json.loads(outcome.out)
    encoder = nas.build([f"encoder={preset}", *SMALL]).encoder
    parameters = sum(p.numel() for p in encoder.parameters())
    assert description["parameters"] == parameters
    parts = [*description["slots"], description["embedding"], description["pooler"]]
    rest = parameters - sum(part["parameters"] for part in parts)
    assert 0 <= rest <= 2 * 16, "only a last norm belongs to no part"
    assert len(description["slots"]) == len(encoder.hidden_layers)


def test_the_table(command: Any) -> None:
    outcome = command("train", show, "encoder=albert", *SMALL)
    assert outcome.code == DONE, outcome.err
    assert "shares slot 0" in outcome.out
    for word in ("slot", "block", "parameters", "FLOPs/token", "embedding", "pooler", "total", "100 %"):
        assert word in outcome.out, outcome.out


def test_the_table_names_recursive_blocks(command: Any) -> None:
    outcome = command("train", show, "encoder=reuse", "encoder.num_layers=2", *SMALL)
    assert "recursive" in outcome.out
    rows = [line for line in outcome.out.splitlines() if "reuse" in line]
    assert rows


def test_blocks_inside_a_block_are_branches(command: Any) -> None:
    loop = ("encoder.hidden_cls=[loop,attn]",)
    outcome = command("train", show, *loop, *SMALL)
    assert outcome.code == DONE, outcome.err
    assert "│ ├─ mha " in outcome.out
    assert "│ └─ mlp " in outcome.out
    assert "runs 3 times" in outcome.out
    described = json.loads(command("train", show_json, *loop, *SMALL).out)["slots"][0]
    assert [block["label"] for block in described["inner"]] == ["mha", "mlp"]
    assert (described["num_loops"], described["layout"]) == (3, "sequence")
    assert described["parameters"] == sum(block["parameters"] for block in described["inner"])


def test_the_drawing_is_written_where_it_is_wanted(command: Any, tmp_path: Path) -> None:
    for flag in (["--svg", "e.svg"], ["--svg=e.svg"]):
        action, rest = read_flags([*flag, *SMALL])
        outcome = command("train", action, *rest)
        assert outcome.code == DONE, outcome.err
        assert outcome.err.split() == ["drawing:", str(tmp_path / "e.svg")]
        assert ElementTree.parse(tmp_path / "e.svg").getroot().tag.endswith("svg")
        (tmp_path / "e.svg").unlink()


@pytest.mark.parametrize("flags", [["--svg"], ["--svg="], ["--svg", "--json"], ["--svg", "encoder=bert"]])
def test_a_drawing_needs_a_file(flags: list[str]) -> None:
    with pytest.raises(InputError, match=r"must name a file such as encoder.svg"):
        read_flags(flags)


def test_wrong_input_is_told_in_one_line(command: Any, shell: Any, tmp_path: Path) -> None:
    action, rest = read_flags(["--svg", "nowhere/e.svg", *SMALL])
    outcome = command("train", action, *rest)
    assert (outcome.code, outcome.err) == (2, "error: --svg nowhere/e.svg: there is no folder nowhere\n")
    told = shell("nas-show", "--svg", folder=tmp_path)
    assert (told.code, told.out, len(told.err.splitlines())) == (2, "", 1)


def test_nothing_is_left_behind(command: Any, tmp_path: Any) -> None:
    command("train", show, *SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_text_of_the_users_is_not_read(command: Any) -> None:
    outcome = command("train", show_json, "corpus=text", "corpus.path=missing.txt", "encoder.hidden_size=16")
    assert outcome.code == DONE, outcome.err


def test_describe_takes_no_memory_for_weights() -> None:
    big = compose("train", ["task=mqar", "encoder.hidden_size=8192", "encoder.hidden_cls=[ffn,ffn]"])
    assert describe(big)["parameters"] > 1e9


@pytest.mark.slow  # two processes
def test_the_command_and_its_flag(shell: Any, tmp_path: Any) -> None:
    table = shell("nas-show", *SMALL, folder=tmp_path)
    assert table.code == DONE, table.err
    assert "mha-geglu-conv" in table.out
    assert all(Console().measure(line).maximum <= 120 for line in table.out.splitlines())
    text = shell("nas-show", "--json", *SMALL, folder=tmp_path)
    assert json.loads(text.out)["hidden_size"] == 16
