"""``nas-bench``: the bench in the first place, its results as a table, a file and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.cli.app import DONE, WRONG_INPUT
from nas.cli.bench import bench, bench_json, with_name
from nas.config.compose import compose

TINY = ("bench.blocks=[fourier]", "bench.shapes=[[1,8,8,1]]", "bench.seconds=0.01")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ([], []),
        (["blocks"], ["bench=blocks"]),
        (["blocks", "seed=1"], ["bench=blocks", "seed=1"]),
        (["-m", "blocks", "seed=1,2"], ["-m", "bench=blocks", "seed=1,2"]),
        (["bench=blocks"], ["bench=blocks"]),
        (["--cfg", "job"], ["--cfg", "job"]),
        (["seed=1", "blocks"], ["seed=1", "blocks"]),
    ],
)
def test_a_bare_word_in_the_first_place_is_the_bench(given: list[str], read: list[str]) -> None:
    assert with_name(given) == read


def test_the_table_and_the_file(command: Any, tmp_path: Path) -> None:
    outcome = command("bench", bench, *with_name(["blocks", *TINY]))
    assert outcome.code == DONE, outcome.err
    assert "mixing/fourier" in outcome.out
    path = tmp_path / outcome.out.splitlines()[-1]
    results = json.loads(path.read_text())
    assert path.parent == tmp_path / "outputs" / "bench"
    assert path.name.startswith("blocks-")
    assert results["bench"] == "blocks"
    assert results["settings"]["blocks"] == ["fourier"]
    assert "torch" in results["provenance"]["versions"]
    assert [row["block"] for row in results["rows"]] == ["mixing/fourier"]


def test_json_alone_on_standard_output(command: Any) -> None:
    outcome = command("bench", bench_json, *TINY)
    assert outcome.code == DONE, outcome.err
    assert json.loads(outcome.out)["rows"][0]["rounds"] >= 5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["blocs"], "bench='blocs' is not one of ['blocks'"),
        (["blocks", "bench.blocks=[mhaa]"], "did you mean 'mha'?"),
        (["blocks", "bench.shapes=4"], "bench.shapes=4 must be a list"),
        (["blocks", "bench.second=4"], "did you mean 'bench.seconds'?"),
        (["blocks", "bench.precision=fp8"], "bench.precision='fp8' must be one of ['fp32', 'bf16']"),
    ],
)
def test_wrong_input(arguments: list[str], told: str, command: Any, tmp_path: Path) -> None:
    outcome = command("bench", bench, *with_name(arguments))
    assert outcome.code == WRONG_INPUT
    assert told in outcome.err, outcome.err
    assert not (tmp_path / "outputs").exists()


def test_help_lists_the_benches(shell: Any, tmp_path: Path) -> None:
    outcome = shell("nas-bench", "--help", folder=tmp_path)
    assert outcome.code == DONE, outcome.err
    names = sorted(p.stem for p in (ROOT / "conf" / "bench").glob("*.yaml"))
    assert f"bench: {', '.join(names)}" in outcome.out


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "conf" / "bench").glob("*.yaml")))
def test_every_bench_has_a_file_of_its_name(name: str) -> None:
    target = compose("bench", [f"bench={name}"]).values()["bench"]["_target_"]
    assert target.startswith(f"nas.bench.{name}.")
