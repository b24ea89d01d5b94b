"""Public rivals compute on our shapes, with about as many weights as ours."""

from __future__ import annotations

import pytest
import torch

from nas.bench.base import Shape
from nas.bench.blocks import step_of
from nas.bench.library import block_names, build_block
from nas.bench.peers import PEERS
from nas.bench.peers.base import Peer

TINY = Shape(2, 64, 32, 2)
KNOWN = [peer for peer in PEERS if peer.block in block_names()]
PACKAGES = ("x_transformers", "transformers")


def title(peer: Peer) -> str:
    return f"{peer.block}: {peer.name}"


def test_every_rival_is_of_a_block_that_is_there() -> None:
    assert [title(p) for p in PEERS if p.block not in block_names()] == []


def test_names_are_unique() -> None:
    assert len({title(peer) for peer in PEERS}) == len(PEERS)


@pytest.mark.slow  # imports transformers
@pytest.mark.parametrize("peer", KNOWN, ids=title)
@pytest.mark.filterwarnings("ignore")
def test_a_rival_computes_what_its_block_does_by_shape_and_size(peer: Peer) -> None:
    package = peer.name.split(" ")[0].split(".")[0]
    if package in PACKAGES:
        pytest.importorskip(package)
    ours = build_block(peer.block, TINY, 0, peer.ours)
    rival = peer.build(ours, TINY)
    data = torch.randn(TINY.batch, TINY.tokens, TINY.hidden_size)
    out = rival(data)
    assert (out[0] if isinstance(out, tuple) else out).shape == data.shape
    assert step_of(rival, data, half=False)()[0] is not None
    sizes = [sum(p.numel() for p in module.parameters()) for module in (rival, ours)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1), "a comparison of equals"
