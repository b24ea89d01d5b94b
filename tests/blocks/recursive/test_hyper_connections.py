"""Hyper-connections against the paper's form, which holds all streams, over several layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.recursive.hyper_connections import HyperConnections
from nas.errors import InputError

DATA = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 5, [1.0] * 3 + [0.0] * 2])
ATTENTION = partial(MultiHeadAttention, num_heads=2)


def layers(dynamic: bool, n: int = 3, random: bool = True) -> list[HyperConnections]:
    torch.manual_seed(0)
    made = [
        HyperConnections(16, {"b": inner}, num_streams=n, dynamic=dynamic)
        for inner in (ATTENTION, MLP, ATTENTION, MLP)
    ]
    for parameter in [p for layer in made for p in layer.parameters()] if random else []:
        nn.init.normal_(parameter, std=0.3)
    return made


def run(hyper: list[HyperConnections]) -> Tensor:
    data, states = DATA, None
    for layer in hyper:
        data, states = layer(data, MASK, states)
    return data


def paper(hyper: list[HyperConnections]) -> Tensor:
    """Hold H as a list of n streams; layer k starts to read stream k mod n; the end is their mean."""
    n = hyper[0].num_streams
    streams = [DATA] * n
    for k, layer in enumerate(hyper):
        own = [streams[(k + i) % n] for i in range(n)]  # the layer's stream i is stream k + i
        reads = [layer.read_and_mix[i].expand(*DATA.shape[:2], n + 1) for i in range(n)]
        writes = [layer.write[i].expand(*DATA.shape[:2]) for i in range(n)]
        if layer.dynamic is not None:
            assert layer.scale is not None
            offsets = [torch.tanh(layer.dynamic(F.rms_norm(h, (16,), eps=1e-6))) for h in own]
            reads = [r + layer.scale[0] * o[..., :-1] for r, o in zip(reads, offsets, strict=True)]
            writes = [w + layer.scale[1] * o[..., -1] for w, o in zip(writes, offsets, strict=True)]
        read = sum(r[..., :1] * h for r, h in zip(reads, own, strict=True))
        update = layer.inner_blocks[0](read, MASK) - read
        for j in range(n):
            kept = sum(r[..., 1 + j : 2 + j] * h for r, h in zip(reads, own, strict=True))
            streams[(k + j) % n] = kept + writes[j][..., None] * update
    return torch.stack(streams).mean(0)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("dynamic", [True, False])
def test_equals_the_papers_form_forward_and_backward(dynamic: bool, n: int) -> None:
    hyper = layers(dynamic, n)
    actual, expected = run(hyper), paper(hyper)
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)
    parameters = [p for layer in hyper for p in layer.parameters()]
    pairs = [torch.autograd.grad((out * DATA.cos()).sum(), parameters) for out in (actual, expected)]
    for a, b in zip(*pairs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("dynamic", [True, False])
def test_starts_as_plain_residuals(dynamic: bool) -> None:
    hyper = layers(dynamic, random=False)
    data = DATA
    for layer in hyper:
        data = layer.inner_blocks[0](data, MASK)
    torch.testing.assert_close(run(hyper), data)


def test_blocks_between_reach_every_stream() -> None:
    first, second = layers(dynamic=False, n=2)[:2]
    data, states = first(DATA, MASK, None)
    deviations = states["streams2"]
    assert deviations.shape == (2, 2, 5, 16)
    torch.testing.assert_close(deviations.sum(1), torch.zeros_like(DATA), atol=1e-5, rtol=0)
    added = DATA.sin()
    streams = second._streams(data + added, deviations)
    torch.testing.assert_close(streams, second._streams(data, deviations) + added[:, :, None])


def test_other_states_pass_by() -> None:
    [layer, *_] = layers(dynamic=True)
    _, states = layer(DATA, MASK, {"other": 1})
    assert set(states) == {"other", "streams3"}
    assert layer.recursive
    assert layer.state_kinds == {"streams3"}


def test_streams_must_be_there() -> None:
    with pytest.raises(InputError, match="num_streams=0 must be greater than 0"):
        HyperConnections(16, {"m": MLP}, num_streams=0)


def test_a_span_of_several_blocks_is_one_update() -> None:
    torch.manual_seed(0)
    both: Any = HyperConnections(16, {"a": ATTENTION, "m": MLP}, dynamic=False)
    a, m = both.inner_blocks
    out, _ = both(DATA, MASK)
    torch.testing.assert_close(out, m(a(DATA, MASK), MASK))
