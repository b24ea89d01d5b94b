"""Streams that are derived from one seed by name."""

from __future__ import annotations

import torch

from nas.seeding import derive, generator, seed_torch


def test_derived_seeds_are_the_same_on_every_machine() -> None:
    assert derive(0, "mask", 3) == 457_225_068_722_376_136


def test_names_and_seeds_make_different_streams() -> None:
    seeds = {derive(s, *n) for s in (0, 1) for n in [("a",), ("b",), ("a", 1), ("a", 2), ()]}
    assert len(seeds) == 10
    assert all(0 <= s < 2**63 for s in seeds)


def test_generator_repeats() -> None:
    assert generator(1, "x").random(4).tolist() == generator(1, "x").random(4).tolist()
    assert generator(1, "x").random(4).tolist() != generator(1, "y").random(4).tolist()


def test_seed_torch_repeats() -> None:
    seed_torch(3, "encoder")
    first = torch.randn(4)
    seed_torch(3, "encoder")
    assert torch.equal(torch.randn(4), first)
