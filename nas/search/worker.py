"""A worker: a process that trains one trial after another, and tells its supervisor all about it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
import traceback
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError, InterruptedRunError
from nas.train.folder import NOT_IDENTITY

if TYPE_CHECKING:
    from nas.config.compose import Composed


@dataclass(frozen=True)
class Order:
    """One trial to be trained.

    Attributes:
        number: of the trial in its study.
        overrides: its identity: `nas-train` with them is the same run.
        values: those of ``overrides`` that the study does not share among its trials.
        folder: its run folder.
        study: the study's name.
    """

    number: int
    overrides: tuple[str, ...]
    values: tuple[str, ...]
    folder: Path
    study: str


@dataclass(frozen=True)
class Identified:
    """The trial is built: what it is, and the key that equal configurations share."""

    number: int
    key: str
    description: dict[str, Any]


@dataclass(frozen=True)
class Rung:
    """An evaluation before the end; the worker waits for the answer, True to go on."""

    number: int
    progress: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Ended:
    """The trial is over: its result, or the reason why there is none."""

    number: int
    result: dict[str, Any] | None
    reason: str | None


@dataclass(frozen=True)
class Said:
    """Something the user should read."""

    line: str


def work(connection: Connection, base: tuple[str, ...]) -> None:
    """Train the trials that arrive on ``connection`` until None arrives or the supervisor is gone.

    Args:
        connection: to the supervisor: orders and answers come in, messages go out.
        base: the overrides that all trials share.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    _end_with_parent()
    from nas.config.compose import compose

    shared = compose("train", base)
    try:
        while (order := connection.recv()) is not None:
            connection.send(_result_or_reason(connection, shared, order))
    except (InterruptedRunError, *_GONE):
        return


def _result_or_reason(connection: Connection, shared: Composed, order: Order) -> Ended:
    try:
        return _train(connection, shared, order)
    except (InterruptedRunError, *_GONE):
        raise
    except InputError as error:
        return Ended(order.number, None, "; ".join(error.mistakes))
    except Exception as error:  # a bad trial ends with its reason, never the study
        with contextlib.suppress(OSError):  # a full disk must not end the worker as well
            order.folder.mkdir(parents=True, exist_ok=True)
            (order.folder / "error.txt").write_text(traceback.format_exc())
        return Ended(order.number, None, f"{type(error).__name__}: {_first_line(error)}")


_GONE = (EOFError, BrokenPipeError, ConnectionResetError)
"""What a connection raises whose other end, the supervisor, was killed."""


def _train(connection: Connection, shared: Composed, order: Order) -> Ended:
    from nas.config.build import Run
    from nas.config.compose import with_values

    composed = with_values(shared, "train", order.values)
    run = Run(composed, order.folder, group=order.study, job_type="trial")
    key = trial_key(run.config, run.description["hash"])
    connection.send(Identified(order.number, key, run.description))
    if not connection.recv():
        return Ended(order.number, None, None)

    def rung(progress: float, metrics: dict[str, float]) -> bool:
        connection.send(Rung(order.number, progress, metrics))
        return bool(connection.recv())

    result = run.train(report=lambda line: connection.send(Said(f"trial {order.number}: {line}")), rung=rung)
    return Ended(order.number, asdict(result), result.reason)


def trial_key(config: dict[str, Any], architecture_hash: str) -> str:
    """Return what equal trials share: the architecture, however it was written, and all other settings."""
    left_out = ("encoder", "embedding", "mask", *NOT_IDENTITY)
    rest = {k: v for k, v in config.items() if k not in left_out}
    text = json.dumps([architecture_hash, rest], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _end_with_parent() -> None:
    """End this process as soon as the supervisor is gone, also by SIGKILL: nobody else would."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]
