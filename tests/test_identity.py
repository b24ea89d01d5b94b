"""The hash of an architecture over every block: it changes when, and only when, the function does."""

from __future__ import annotations

import copy
import functools
import inspect
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from hydra import compose
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import Tensor

from nas.architecture import architecture_hash, canonical
from nas.blocks.base import Block
from nas.blocks.losses import collect_losses
from nas.config.groups import hydra_loaded
from nas.config.parts import build_encoder
from nas.errors import InputError
from nas.scaffold import EncoderScaffold
from nas.scaffold_config import resolve

CONF = Path(__file__).resolve().parents[1] / "conf" / "block"
YAMLS = sorted(str(p.relative_to(CONF).with_suffix("")) for p in CONF.rglob("*.yaml") if p.stem != "none")
T = 20
BEFORE = {"recursive/skip_add": ["recursive/skip_save"]}
MORE_AT_OTHER_LENGTHS = {"block_size", "num_random_blocks", "window", "norm_epsilon"}
"""Settings that change a function, but not visibly at this length (or in this precision)."""
ALIKE = {"relu6"}
"""Choices that differ from another one only far from 0."""


class Task:
    longest = 32
    name, vocab_size, seq_length = "test", 50, T


@functools.cache
def pool() -> dict[str, Any]:
    """Return the configuration of an encoder whose pool holds every block."""
    added = [f"+block@encoder.blocks.from_{y.replace('/', '_')}={y}" for y in YAMLS]
    with hydra_loaded():
        composed = compose(
            "train", ["encoder=hybrid", "encoder.hidden_size=16", "encoder.num_heads=4", "task=mqar", *added]
        )
    encoder: dict[str, Any] = OmegaConf.to_container(composed.encoder, resolve=True)
    named = {y: encoder["blocks"][f"from_{y.replace('/', '_')}"] for y in YAMLS}
    return {**encoder, "blocks": {"none": encoder["blocks"]["none"], **named}}


def config_of(*names: str, **changes: Any) -> dict[str, Any]:
    """Return the configuration of an encoder made of these blocks; changes are for the last."""
    blocks = {name: copy.deepcopy(pool()["blocks"][name]) for name in dict.fromkeys(names)}
    blocks[names[-1]].update(changes)
    return {**pool(), "blocks": blocks, "hidden_cls": list(names)}


def build(config: dict[str, Any], seed: int = 0) -> EncoderScaffold:
    return build_encoder({"encoder": config, "seed": seed}, Task())


def behaviour(encoder: EncoderScaffold) -> list[Tensor]:
    """Return the weights at the start, and what the encoder makes of a batch in training and evaluation."""
    seen = [p.detach().clone() for p in encoder.parameters()]
    torch.manual_seed(1)
    with torch.no_grad():  # weights that start at 0 or 1 would hide settings
        for parameter in encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    ids, mask = torch.randint(0, 50, (2, T)), torch.ones(2, T, dtype=torch.int64)
    mask[1, -4:] = 0
    for training in (True, False):
        torch.manual_seed(2)
        with torch.no_grad(), collect_losses() as losses:
            seen += [*encoder.train(training)([ids, mask]), *losses.values()]
    return seen


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def hints(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for parent in reversed(cls.__mro__):
        if "__init__" in vars(parent) and issubclass(parent, Block):
            found |= get_type_hints(parent.__init__)
    return {name: found.get(name) for name in inspect.signature(cls).parameters}


def others(value: Any, hint: Any) -> list[Any]:
    """Return a few other values of a setting."""
    if get_origin(hint) is Literal:
        return [choice for choice in get_args(hint) if choice != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 2 * value]
    if isinstance(value, float):
        return [value / 2 if value else 0.25]
    if value is None:
        return [example for kind, example in ((int, 2), (float, 0.3), (bool, True)) if kind in get_args(hint)]
    return []


@functools.cache
def variations() -> list[tuple[str, str, Any]]:
    def found() -> Iterator[tuple[str, str, Any]]:
        for name in YAMLS:
            node = pool()["blocks"][name]
            kinds = hints(resolve(node["_target_"]))
            for key in node.keys() - {"_target_", "_partial_", "hidden_size", "max_seq_length"}:
                for value in others(node[key], kinds.get(key)):
                    yield name, key, value

    return sorted(found(), key=repr)


@functools.cache
def plain(name: str) -> tuple[str, list[Tensor]]:
    encoder = build(config_of(*BEFORE.get(name, []), name, name))
    return architecture_hash(encoder), behaviour(encoder)


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(st.data())
@pytest.mark.slow  # seconds
def test_the_hash_changes_with_the_function_and_only_then(data: st.DataObject) -> None:
    name, key, value = data.draw(st.sampled_from(variations()))
    try:
        encoder = build(config_of(*BEFORE.get(name, []), name, name, **{key: value}))
    except InputError:
        return  # a value that this block refuses
    same = equal(behaviour(encoder), plain(name)[1])
    if architecture_hash(encoder) == plain(name)[0]:
        assert same, f"{name}: {key}={value} changes the function, but not the hash"
    elif key not in MORE_AT_OTHER_LENGTHS and value not in ALIKE:
        assert not same, f"{name}: {key}={value} changes the hash, but not the function"


@pytest.mark.slow  # builds many configurations
@settings(max_examples=25, derandomize=True, deadline=None, database=None)
@given(st.integers(0, 10**6))
def test_names_spare_blocks_and_empty_slots_do_not_count(number: int) -> None:
    stream = random.Random(number)
    names = [stream.choice(YAMLS) for _ in range(stream.randint(1, 4))]
    config = config_of(*names)
    for name in set(names):
        config["blocks"][name]["_partial_"] = names.count(name) == 1 or stream.random() < 0.5
    renamed = {
        name: f"block{i}"
        for i, name in enumerate(stream.sample(sorted(config["blocks"]), len(config["blocks"])))
    }
    spare = stream.choice(YAMLS)
    blocks = {renamed[name]: config["blocks"][name] for name in renamed}
    other = {
        **config,
        "blocks": {
            "spare": {**pool()["blocks"][spare], "_partial_": False},
            "none": pool()["blocks"]["none"],
            **blocks,
        },
        "hidden_cls": [
            entry for name in names for entry in stream.choice(([renamed[name]], [renamed[name], "none"]))
        ],
        "dict_outputs": False,
    }
    one, two = build(config), build(other)
    assert canonical(one) == canonical(two)
    assert architecture_hash(one) == architecture_hash(two)
    assert equal(behaviour(one), behaviour(two))


@pytest.mark.parametrize(
    ("change", "without_effect"),
    [
        ({"residual_init": 0.7}, {}),
        ({"norm_epsilon": 1e-3}, {"norm": "none"}),
        ({"norm_type": "rms"}, {"norm": "none"}),
        ({"norm_epsilon": 1e-3}, {"norm_type": "dyt"}),
        ({"rope_theta": 77.0}, {"position": "none"}),
    ],
)
def test_settings_without_effect(change: dict[str, Any], without_effect: dict[str, Any]) -> None:
    def hash_of(**settings: Any) -> str:
        return architecture_hash(build(config_of("attention/mha", **settings)))

    assert hash_of(**without_effect) == hash_of(**without_effect, **change)


def test_inner_blocks_count_and_their_names_do_not() -> None:
    def hash_of(change: Any = None) -> str:
        config = config_of("recursive/repeat")
        span = config["blocks"]["recursive/repeat"]["span"]
        if change:
            config["blocks"]["recursive/repeat"]["span"] = change(span)
        return architecture_hash(build(config))

    first = hash_of()
    assert hash_of(lambda span: {f"other_{name}": node for name, node in span.items()}) == first
    assert hash_of(lambda span: dict(reversed(span.items()))) != first
    assert hash_of(lambda span: {**span, "more": pool()["blocks"]["mixing/conv"]}) != first

    def with_setting(span: dict[str, Any], **change: Any) -> dict[str, Any]:
        return {name: {**node, **change} for name, node in span.items()}

    assert hash_of(lambda span: with_setting(span, dropout=0.5)) != first
    assert hash_of(lambda span: with_setting(span, residual_init=0.5)) == first
