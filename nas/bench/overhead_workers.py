"""Workers that train nothing: they say to a supervisor what real ones say, as fast as they can."""

from __future__ import annotations

import hashlib
import signal
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from nas.search.worker import Ended, Identified, Order, Paused, Rung
from nas.train.result import RunResult, Status

if TYPE_CHECKING:
    from nas.config.compose import Composed

DESCRIPTION = {"string": "mha-mlp-conv", "parameters": 5000, "flops_per_token": 20000.0}
"""What every trial is."""


def speak(objective: str, connection: Connection, base: Composed) -> None:
    """Answer orders until None arrives or the supervisor is gone.

    Args:
        objective: the metric that evaluations tell of.
        connection: to the supervisor.
        base: the configuration that all trials share.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while (order := connection.recv()) is not None:
            connection.send(_trained(objective, connection, order))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _trained(objective: str, connection: Connection, order: Order) -> Ended | Paused:
    """Say what a worker says of one trial; one that was paused comes by its rungs again."""
    key = hashlib.sha256(repr(order.values).encode()).hexdigest()[:16]
    connection.send(Identified(order.number, key, {**DESCRIPTION, "hash": key[:12]}))
    if not connection.recv():
        return Ended(order.number, None, None)
    end = 1.0 + int(key[:4], 16) / 0xFFFF
    for progress in (0.25, 0.5):
        metrics = {objective: end + 1.0 - progress}
        connection.send(Rung(order.number, progress, metrics))
        match connection.recv():
            case "pause":
                return Paused(order.number, 1.0)
            case "stop":
                return _ended(order, "pruned", metrics)
    return _ended(order, "done", {objective: end})


def _ended(order: Order, status: Status, metrics: dict[str, float]) -> Ended:
    told: dict[str, Any] = {"task": "none", "architecture": "mha-mlp-conv", "architecture_hash": "0" * 12}
    result = RunResult(
        **told,
        status=status,
        metrics=metrics,
        parameters=5000,
        flops_per_token=20000.0,
        tokens_per_second=0.0,
        steps=2,
        seconds=1.0,
        seed=0,
    )
    return Ended(order.number, asdict(result), None)
