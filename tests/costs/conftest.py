"""Configurations whose pools hold every block of ``conf/block``."""

from __future__ import annotations

import copy
import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from nas.config.groups import hydra_loaded

CONF = Path(__file__).resolve().parents[2] / "conf" / "block"
YAMLS = sorted(str(p.relative_to(CONF).with_suffix("")) for p in CONF.rglob("*.yaml"))
BLIND = {
    "mixing/fourier": "no rule for Fourier transforms",
    "mixing/hartley": "no rule for Fourier transforms",
    "mixing/long_conv": "no rule for Fourier transforms; the filters, made once a batch, are in no formula",
    "mixing/dynamic_conv": "its weighted sums over neighbours are no products of matrices",
}
"""Blocks whose work torch's counter does not see whole, and why."""


@functools.cache
def composed() -> DictConfig:
    """Return a configuration whose pool holds every block; nobody may change it."""
    added = [f"+block@encoder.blocks.{_name(yaml)}={yaml}" for yaml in YAMLS]
    with hydra_loaded():
        return compose("train", ["encoder=hybrid", "task=mqar", *added])


@functools.cache
def everything(width: int, heads: int) -> dict[str, Any]:
    """Return an encoder's configuration whose pool holds every block under the name of its file."""
    config = copy.deepcopy(composed())
    config.encoder.update(hidden_size=width, num_heads=heads)
    encoder: dict[str, Any] = OmegaConf.to_container(config.encoder, resolve=True)
    encoder["blocks"] = {yaml: encoder["blocks"][_name(yaml)] for yaml in YAMLS}
    encoder["embedding"]["vocab_size"] = 50
    return encoder


def _name(yaml: str) -> str:
    return f"from_{yaml.replace('/', '_')}"


@pytest.fixture(scope="session")
def blocks() -> list[str]:
    return YAMLS


@pytest.fixture(scope="session")
def blind() -> frozenset[str]:
    return frozenset(BLIND)


@pytest.fixture(scope="session")
def encoder_of() -> Callable[..., dict[str, Any]]:
    """Return a function: the configuration of an encoder made of these blocks, those named shared."""

    def make(*names: str, shared: tuple[str, ...] = (), heads: int = 4, width: int = 32) -> dict[str, Any]:
        whole = everything(width, heads)
        pool = {name: copy.deepcopy(whole["blocks"][name]) for name in dict.fromkeys(names)}
        for name in shared:
            pool[name]["_partial_"] = False
        return {**whole, "blocks": pool, "hidden_cls": list(names)}

    return make


@pytest.fixture(scope="session")
def random_encoders(encoder_of: Callable[..., dict[str, Any]]) -> Callable[[int], list[dict[str, Any]]]:
    """Return a function: so many encoders of one to eight slots drawn from all blocks."""

    def draw(number: int) -> list[dict[str, Any]]:
        stream = random.Random(0)
        drawn = []
        for _ in range(number):
            pool = stream.sample(YAMLS, stream.randint(1, 5))
            names = [stream.choice(pool) for _ in range(stream.randint(1, 8))]
            shared = tuple(name for name in set(names) if stream.random() < 0.3 and name != "none")
            config = encoder_of(*names, shared=shared, heads=stream.choice((2, 4)))
            config["layer_norm_before_pooling"] = stream.random() < 0.5
            drawn.append(config)
        return drawn

    return draw
