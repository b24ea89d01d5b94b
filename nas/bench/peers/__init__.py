"""The best comparable public modules, by block; a package that is not installed is told, not needed."""

from __future__ import annotations

from nas.bench.peers import attention, feedforward, layers, mixing
from nas.bench.peers.base import Peer

__all__ = ["PEERS", "Peer", "peers_of"]

PEERS: tuple[Peer, ...] = (*attention.PEERS, *feedforward.PEERS, *mixing.PEERS, *layers.PEERS)


def peers_of(block: str) -> list[Peer]:
    """Return the rivals of a file of ``conf/block``, such as ``attention/mha``."""
    return [peer for peer in PEERS if peer.block == block]
