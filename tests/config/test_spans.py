"""The forms in which overrides reach blocks inside a block, as the README shows them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose as hydra_compose
from omegaconf import OmegaConf

from nas.config.build import Run, build
from nas.config.compose import compose, with_values
from nas.config.groups import hydra_loaded
from nas.config.parts import build_encoder
from nas.errors import InputError

BASE = [
    "encoder=hybrid", "encoder.hidden_size=16",
    "encoder.hidden_cls=[loop,ffn,loop]", "task=mqar", "task.seq_length=16", "task.num_pairs=2",
    "tracker=none",
]  # fmt: skip
CONF = Path(__file__).resolve().parents[2] / "conf" / "block"
YAMLS = sorted(str(p.relative_to(CONF).with_suffix("")) for p in CONF.rglob("*.yaml"))
SPAN = "encoder.blocks.loop.span"


def run(*overrides: str) -> Run:
    return build([*BASE, *overrides])


def loop(*overrides: str) -> Any:
    return run(*overrides).encoder.hidden_layers[0]


@pytest.mark.parametrize(
    ("overrides", "label"),
    [
        ([], "loop3(mha,mlp)"),
        (["encoder.blocks.loop.n=5"], "loop5(mha,mlp)"),
        ([f"block@{SPAN}.attention=attention/local"], "loop3(local,mlp)"),
        ([f"+block@{SPAN}.more=mixing/conv"], "loop3(mha,mlp,conv)"),
        ([f"~block@{SPAN}.feedforward"], "loop3(mha)"),
        ([f"block@{SPAN}.feedforward=none"], "loop3(mha)"),
        ([f"block@{SPAN}.attention=recursive/reuse"], "loop3(reuse,mlp)"),
        ([f"block@{SPAN}.attention=recursive/parallel"], "loop3(parallel(mha,conv),mlp)"),
    ],
)
def test_the_blocks_of_a_span_can_be_chosen(overrides: list[str], label: str) -> None:
    built = run(*overrides)
    assert [layer.label for layer in built.encoder.hidden_layers] == [label, "geglu", label]
    sequence, _ = built.encoder(built.task.train_batch(0, 2, 0).inputs)
    assert sequence.isfinite().all()


def test_settings_reach_into_a_span() -> None:
    assert loop(f"{SPAN}.attention.num_heads=2").inner_blocks[0].config["num_heads"] == 2
    chosen = loop(f"block@{SPAN}.attention=attention/local", f"{SPAN}.attention.window=3")
    assert chosen.inner_blocks[0].config["window"] == 3
    assert {b.config["norm"] for b in loop("encoder.composition.norm=post").inner_blocks} == {"post"}


def test_a_choice_on_top_of_a_composed_configuration() -> None:
    more = with_values(compose("train", BASE), "train", [f"block@{SPAN}.attention=attention/local"])
    assert Run(more).encoder.hidden_layers[0].label == "loop3(local,mlp)"


def test_what_is_fresh_and_what_is_shared() -> None:
    fresh: list[Any] = run().encoder.hidden_layers
    assert fresh[0].inner_blocks[0] is not fresh[2].inner_blocks[0]
    inner: list[Any] = run(f"{SPAN}.attention._partial_=false").encoder.hidden_layers
    assert inner[0].inner_blocks[0] is inner[2].inner_blocks[0]
    assert inner[0].inner_blocks[1] is not inner[2].inner_blocks[1]
    whole = run("encoder.blocks.loop._partial_=false").encoder.hidden_layers
    assert whole[0] is whole[2]


def test_weights_of_one_depth_are_tested_at_another() -> None:
    three, six, same = (
        run(*more) for more in ([], ["encoder.blocks.loop.n_test=6"], ["encoder.blocks.loop.n_test=3"])
    )
    batch = three.task.train_batch(0, 2, 0).inputs
    outs = []
    for built in (three, six, same):
        built.encoder.load_state_dict(three.encoder.state_dict())
        with torch.inference_mode():
            outs.append(built.encoder.eval().sequence_output(batch))
    assert torch.equal(outs[0], outs[2])
    assert not torch.allclose(outs[0], outs[1])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"{SPAN}.attention.num_head=2", rf"{SPAN}.attention.num_head is not a key.*num_heads"),
        (f"{SPAN}.attention.norm=before", rf"{SPAN}.attention.norm='before' must be one of"),
        (f"{SPAN}=null", rf"{SPAN}=None must be keys with values"),
        (f"{SPAN}.attention=null", r"hidden_cls\[0\]=Loop: span.attention is None: expected a block"),
        (
            f"{SPAN}.attention.num_heads=3",
            r"hidden_cls\[0\]=Loop: span.attention=MultiHeadAttention: encoder.hidden_size=16 is not a "
            rf"multiple of {SPAN}.attention.num_heads=3",
        ),
        ("encoder.blocks.loop.n=0", r"hidden_cls\[0\]=Loop: encoder.blocks.loop.n=0 must be greater than 0"),
        ("encoder.blocks.loop.injection=ad", "injection='ad' must be one of .*did you mean 'add'"),
    ],
)
def test_mistakes_name_the_key(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(override)


@functools.cache
def parts() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return a task, an encoder's configuration, and every block's: composed once."""
    added = [f"+block@encoder.blocks.b{i}={yaml}" for i, yaml in enumerate(YAMLS)]
    with hydra_loaded():
        encoder: Any = OmegaConf.to_container(hydra_compose("train", [*BASE, *added]).encoder, resolve=True)
    return run().task, encoder, {yaml: encoder["blocks"][f"b{i}"] for i, yaml in enumerate(YAMLS)}


def output(block: dict[str, Any], weights: dict[str, Any] | None) -> tuple[torch.Tensor, dict[str, Any]]:
    """Return what an encoder of one block makes of a padded batch, and its weights."""
    task, encoder, _ = parts()
    config = {"seed": 0, "encoder": {**encoder, "blocks": {"x": block}, "hidden_cls": ["x"]}}
    built = build_encoder(config, task).eval()
    built.load_state_dict(weights or built.state_dict(), strict=False)
    ids = torch.arange(32).view(2, 16)
    mask = (ids % 16 < 11).long()
    return built({"input_word_ids": ids, "input_mask": mask})[0], built.state_dict()


@pytest.mark.slow  # every block of the library
@pytest.mark.parametrize("yaml", YAMLS)
def test_every_block_runs_in_a_span_as_it_does_alone(yaml: str) -> None:
    _, _, blocks = parts()
    alone, weights = output(blocks[yaml], None)
    named = {key.replace("blocks.0.", "blocks.0.span.blocks.0.", 1): value for key, value in weights.items()}
    repeat = {**blocks["recursive/repeat"], "n": 1, "span": {"it": blocks[yaml]}}
    inside, again = output(repeat, named)
    assert named.keys() == again.keys() or "has_state" in blocks[yaml]
    torch.testing.assert_close(inside, alone, atol=1e-6, rtol=1e-6)
