"""A tracker that may fail or hang without the run noticing more than one warning."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from nas.progress import Say
from nas.track.base import RunInfo, Tracker

Event = Callable[[], None]

COSTLY = 5.0
"""A tracker that spent this many seconds on failing is not asked again in this process."""

_given_up: set[type[Tracker]] = set()


class GuardedTracker(Tracker):
    """Passes events to another tracker on a thread of its own, and drops it when it misbehaves.

    The training loop only ever puts an event into a queue. The first exception, or an event that
    takes longer than ``patience`` seconds, ends the tracker for the rest of the run; if that took
    long, also for later runs of the process, which would lose the same time again.

    Args:
        tracker: the tracker to guard.
        say: told once, when the tracker is dropped.
        patience: seconds that one event may take, and that the end of a run may wait.
    """

    def __init__(self, tracker: Tracker, say: Say, patience: float = 30.0) -> None:
        self.tracker = tracker
        self.say = say
        self.patience = patience
        self.dropped = type(tracker) in _given_up
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._busy_since: float | None = None
        self._failure: tuple[str, float] | None = None
        self._thread: threading.Thread | None = None

    def start(self, info: RunInfo) -> None:
        """Start the thread and tell the tracker of the run."""
        if self.dropped:
            return
        self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)
        self._thread.start()
        self._put(lambda: self.tracker.start(info))

    def log(self, metrics: dict[str, float]) -> None:
        """Queue one row."""
        row = dict(metrics)
        self._put(lambda: self.tracker.log(row))

    def finish(self, summary: dict[str, Any]) -> None:
        """Tell the tracker the result, and wait until it has taken in everything."""
        self._put(lambda: self.tracker.finish(summary))
        self._events.put(None)
        began = time.monotonic()
        while self._thread is not None and self._thread.is_alive() and not self.dropped:
            self._thread.join(0.05)
            self._check(began)
        self._check(None)

    def _put(self, event: Event) -> None:
        self._check(self._busy_since)
        if not self.dropped:
            self._events.put(event)

    def _check(self, since: float | None) -> None:
        """Drop a tracker that failed, or is busy since too long; told from the run's own thread."""
        if self._failure is not None:
            self._drop(*self._failure)
        elif since is not None and (waited := time.monotonic() - since) > self.patience:
            self._drop(f"did not answer within {self.patience:g} s", waited)

    def _drop(self, why: str, waited: float) -> None:
        if self.dropped:
            return
        self.dropped = True
        self.say(f"warning: the tracker {why}; the run goes on without it")
        if waited > min(COSTLY, self.patience):
            _given_up.add(type(self.tracker))
            with contextlib.suppress(Exception):
                self.tracker.abandon()

    def _work(self) -> None:
        while (event := self._events.get()) is not None and not self.dropped:
            began = self._busy_since = time.monotonic()
            try:
                event()
            except BaseException as error:  # a tracker may raise anything, also SystemExit
                self._failure = f"failed ({type(error).__name__}: {error})", time.monotonic() - began
                return
            finally:
                self._busy_since = None
