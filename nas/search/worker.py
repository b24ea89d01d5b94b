"""A worker: a process that trains one trial after another, and tells its supervisor all about it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError, InterruptedRunError, PausedRunError
from nas.search import faults
from nas.train import life
from nas.train.folder import NOT_IDENTITY

if TYPE_CHECKING:
    from nas.config.compose import Composed
    from nas.train.rung import Answer


BEGUN = "begun"
"""The file in a run folder that is there while a worker has the trial in hand."""


@dataclass(frozen=True)
class Order:
    """One trial to be trained.

    Attributes:
        number: of the trial in its study.
        overrides: its identity: `nas-train` with them is the same run.
        values: those of ``overrides`` that the study does not share among its trials.
        folder: its run folder.
        study: the study's name.
        scored: whether the zero-cost scores of its untrained model are wanted.
        known: its objectives that are known before training; trackers get them too.
    """

    number: int
    overrides: tuple[str, ...]
    values: tuple[str, ...]
    folder: Path
    study: str
    scored: bool = False
    known: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Identified:
    """The trial is built: what it is, and the key that equal configurations share."""

    number: int
    key: str
    description: dict[str, Any]


@dataclass(frozen=True)
class Rung:
    """An evaluation before the end; the worker waits for an `nas.train.rung.Answer`."""

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
class Paused:
    """The trial was paused at a rung, and is saved; ``seconds`` is how long it has run so far."""

    number: int
    seconds: float


@dataclass(frozen=True)
class Alive:
    """The trial goes on: a step or an evaluated batch, told at most once a second."""

    number: int


@dataclass(frozen=True)
class Broken:
    """The worker ends, through no fault of the trial: its GPU answers no more."""

    number: int
    cause: str


@dataclass(frozen=True)
class Said:
    """Something the user should read."""

    line: str


def work(connection: Connection, base: Composed) -> None:
    """Train the trials that arrive on ``connection`` until None arrives or the supervisor is gone.

    Args:
        connection: to the supervisor: orders and answers come in, messages go out.
        base: the configuration that all trials share.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # which the fork server holds back
    _end_with_parent()
    line = _Line(connection)
    try:
        while (order := line.recv()) is not None:
            with begun(order.folder):
                told = _result_or_reason(line, base, order)
            line.send(told)
    except (InterruptedRunError, _BrokenError, _GoneError):
        return


@contextlib.contextmanager
def begun(folder: Path) -> Iterator[None]:
    """Keep a mark in a run folder while this process has the trial in hand.

    It stays if this process or its supervisor dies: `nas.search.left` counts such deaths.
    """
    with contextlib.suppress(OSError):  # a full disk: a trial that needs the folder says so
        folder.mkdir(parents=True, exist_ok=True)
        (folder / BEGUN).touch()
    try:
        yield
    except _GoneError:
        raise
    except BaseException:
        unmark(folder)
        raise
    unmark(folder)


def unmark(folder: Path) -> None:
    """Note that no worker has the trial of a run folder in hand any more."""
    with contextlib.suppress(OSError):  # a disk that can only be read by now must not end the worker
        (folder / BEGUN).unlink(missing_ok=True)
        folder.rmdir()  # what was not trained leaves no folder


class _BrokenError(Exception):
    """This process can train nothing any more, and has said so."""


class _GoneError(Exception):
    """The supervisor is gone: no fault of the trial, nor of a file, as an `OSError` would be within a run."""


class _Line:
    """The connection to the supervisor.

    Args:
        connection: to it; one whose other end was killed raises `_GoneError`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, message: Any) -> None:
        with _noticing_death():
            self._connection.send(message)

    def recv(self) -> Any:
        with _noticing_death():
            return self._connection.recv()


@contextlib.contextmanager
def _noticing_death() -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError, TimeoutError) as error:
        raise _GoneError from error


def _result_or_reason(line: _Line, shared: Composed, order: Order) -> Ended | Paused:
    try:
        with life.heard_by(_Pulse(line, order.number)):
            return _train(line, shared, order)
    except PausedRunError as error:
        return Paused(order.number, error.seconds)
    except (InterruptedRunError, _GoneError):
        raise
    except InputError as error:
        return Ended(order.number, None, "; ".join(error.mistakes))
    except Exception as error:  # a bad trial ends with its reason, never the study
        from nas.train.failure import keep_trace

        keep_trace(order.folder, error)
        told = Ended(order.number, None, faults.reason(error))
        if faults.device_is_lost():
            line.send(Broken(order.number, f"lost its GPU: {faults.reason(error)}"))
            raise _BrokenError from error
    faults.free_memory()  # out here, where the exception and what its frames hold are gone
    return told


class _Pulse:
    """Tells the supervisor of signs of life, at most once a second."""

    def __init__(self, line: _Line, number: int) -> None:
        self._line, self._number = line, number
        self._told = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._told >= 1.0:
            self._told = now
            self._line.send(Alive(self._number))


def _train(line: _Line, shared: Composed, order: Order) -> Ended:
    from nas.config.build import run_of
    from nas.config.compose import with_values

    composed = with_values(shared, "train", order.values)
    run = run_of(composed, order.folder, group=order.study, job_type="trial", known=order.known)
    key = trial_key(run.config, run.description["hash"])
    described = {**run.description, **run.inheritance()}
    if order.scored:
        from nas.search.proxies.measured import scores_of

        described["scores"] = scores_of(run)
    line.send(Identified(order.number, key, described))
    if not line.recv():
        return Ended(order.number, None, None)

    def rung(progress: float, metrics: dict[str, float]) -> Answer:
        line.send(Rung(order.number, progress, metrics))
        answer: Answer = line.recv()
        return answer

    result = run.train(report=lambda text: line.send(Said(f"trial {order.number}: {text}")), rung=rung)
    return Ended(order.number, asdict(result), result.reason)


def trial_key(config: dict[str, Any], architecture_hash: str) -> str:
    """Return what equal trials share: the architecture, however it was written, and all other settings."""
    left_out = ("encoder", "embedding", "mask", *NOT_IDENTITY)
    rest = {k: v for k, v in config.items() if k not in left_out}
    if rest.get("starts_from", {}).get("transfer") == "inherit":  # of whom is chance, that it does is not
        rest["starts_from"] = "inherit"
    text = json.dumps([architecture_hash, rest], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _end_with_parent() -> None:
    """End this process as soon as the supervisor is gone, also by SIGKILL: nobody else would."""
    parent = parent_process()
    if parent is None:  # on another machine, where its launcher watches
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
