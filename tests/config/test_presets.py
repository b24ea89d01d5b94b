"""Encoder presets: each builds without memory and with it, runs, and is tiled to its depth."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.config.build import Run, build
from nas.config.compose import compose
from nas.errors import InputError

CONF = Path(__file__).resolve().parents[2] / "conf" / "encoder"
PRESETS = sorted(p.stem for p in CONF.glob("*.yaml") if p.stem != "base")
TINY = ["task=mqar", "task.seq_length=16", "task.num_pairs=2", "encoder.hidden_size=16", "tracker=none"]
MODERN = ["MultiHeadAttention", "GLU", "LocalAttention", "GLU", "LocalAttention", "GLU"]


def labels(run: Run) -> list[str]:
    return [type(layer).__name__ for layer in run.encoder.hidden_layers]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_build_without_memory(preset: str) -> None:
    composed = compose("train", [f"encoder={preset}", *TINY])
    with torch.device("meta"):
        run = Run(composed)
    assert {p.device.type for p in run.encoder.parameters()} == {"meta"}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_run(preset: str) -> None:
    run = build([f"encoder={preset}", *TINY])
    batch = run.task.train_batch(0, 3, 0)
    sequence, pooled = run.encoder(batch.inputs)
    assert sequence.shape == (3, 16, 16)
    assert pooled.shape == (3, 16)
    assert torch.isfinite(sequence).all()


def test_the_presets_are_what_their_names_say() -> None:
    bert = build(["encoder=bert", *TINY]).encoder.hidden_layers
    assert len({id(layer) for layer in bert}) == 4
    albert = build(["encoder=albert", *TINY]).encoder.hidden_layers
    assert len(list(albert)) == 4
    assert len({id(layer) for layer in albert}) == 1
    modern = labels(build(["encoder=modernbert", *TINY]))
    assert modern == MODERN
    assert labels(build(["encoder=fnet", *TINY]))[:2] == ["FourierMixing", "MLP"]
    assert labels(build(["encoder=reuse", *TINY])) == ["ReuseAttention", "MLP"] * 4
    assert len(set(labels(build(["encoder=hybrid", *TINY])))) >= 4


@pytest.mark.parametrize(
    ("preset", "depth", "expected"),
    [
        ("bert", 2, ["TransformerEncoderBlock"] * 2),
        ("fnet", 3, ["FourierMixing", "MLP", "FourierMixing"]),
        ("modernbert", 8, [*MODERN, *MODERN[:2]]),
    ],
)
def test_num_layers_is_the_number_of_slots(preset: str, depth: int, expected: list[str]) -> None:
    run = build([f"encoder={preset}", f"encoder.num_layers={depth}", *TINY])
    assert labels(run) == expected


@pytest.mark.parametrize("preset", ["modernbert", "hybrid", "fnet"])
def test_a_list_longer_than_num_layers_is_an_error(preset: str) -> None:
    with pytest.raises(InputError, match=r"slots but encoder\.num_layers=1: a pattern may be shorter"):
        compose("train", [f"encoder={preset}", "encoder.num_layers=1"])


def test_weights_depend_on_the_seed_alone() -> None:
    first, again, other = (
        build(["encoder=bert", *TINY, f"seed={s}", f"tracker={t}"])
        for s, t in [(1, "none"), (1, "wandb"), (2, "none")]
    )
    same = zip(first.encoder.parameters(), again.encoder.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    different = zip(first.encoder.parameters(), other.encoder.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in different)


def test_the_run_folders_name_tells_what_decides_the_result() -> None:
    base = build(["encoder=bert", *TINY])
    elsewhere = build(["encoder=bert", *TINY, "paths.outputs=/tmp/x", "study=s", "tracker=wandb"])
    assert base.folder.name == elsewhere.folder.name
    assert base.folder.name.startswith("bert-mqar-")
    assert elsewhere.folder.parent == Path("/tmp/x/s")
    assert base.folder.name != build(["encoder=bert", *TINY, "seed=1"]).folder.name
