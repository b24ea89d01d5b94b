"""``nas-show``: an encoder as a table and as JSON, without data and without training."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.console import Console

import nas
from nas.cli.app import DONE
from nas.cli.show import describe, show, show_json
from nas.config.compose import compose

SMALL = ("task=mqar", "encoder.hidden_size=16")


@pytest.mark.parametrize("preset", ["bert", "albert", "modernbert", "fnet", "reuse", "hybrid"])
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


def test_nothing_is_left_behind(command: Any, tmp_path: Any) -> None:
    command("train", show, *SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_text_of_the_users_is_not_read(command: Any) -> None:
    outcome = command("train", show_json, "corpus=text", "corpus.path=missing.txt", "encoder.hidden_size=16")
    assert outcome.code == DONE, outcome.err


def test_describe_takes_no_memory_for_weights() -> None:
    big = compose("train", ["task=mqar", "encoder.hidden_size=8192", "encoder.hidden_cls=[ffn,ffn]"])
    assert describe(big)["parameters"] > 1e9


def test_the_command_and_its_flag(shell: Any, tmp_path: Any) -> None:
    table = shell("nas-show", *SMALL, folder=tmp_path)
    assert table.code == DONE, table.err
    assert "mha-geglu-conv" in table.out
    assert all(Console().measure(line).maximum <= 120 for line in table.out.splitlines())
    text = shell("nas-show", "--json", *SMALL, folder=tmp_path)
    assert json.loads(text.out)["hidden_size"] == 16
