"""Many runs of one configuration on all cores: a search's workers without a search."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from nas.config.compose import Composed
from nas.errors import NasError
from nas.progress import Say
from nas.search.crew import Crew, Died, Member, ignore
from nas.search.launchers.local import warm_up
from nas.search.worker import Ended, Identified, Order, Rung, Said
from nas.train.rung import GO_ON

Result = dict[str, Any]
Ready = Callable[["Job", Result], None]


@dataclass(frozen=True)
class Job:
    """One run: its folder's name below the fleet's folder, and what it adds to the shared overrides."""

    name: str
    overrides: tuple[str, ...]


class Fleet:
    """Workers that stay while several lists of runs are trained, one thread each.

    A run that is finished in its folder is not trained again; one that was cut off continues.

    Args:
        base: what all runs share.
        folder: where the run folders go.
        workers: how many run at once.
        say: told of what workers say, and of those that die.
    """

    def __init__(self, base: Composed, folder: Path, workers: int, say: Say) -> None:
        warm_up()
        self.folder = folder
        self.say = say
        self.crew = Crew(workers, base)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.crew.dismiss()
        else:
            self.crew.interrupt(ignore)

    def train(self, jobs: Iterable[Job], ready: Ready) -> dict[str, Result]:
        """Train all and return name to result (the fields of `nas.train.result.RunResult`).

        Args:
            jobs: in the order in which they are started.
            ready: told of every run that ends.

        Raises:
            NasError: a run has no result, or its worker died twice.
        """
        known = {job.name: job for job in jobs}
        waiting = deque(self._order(number, job) for number, job in enumerate(known.values()))
        names = list(known)
        deaths: set[int] = set()
        results: dict[str, Result] = {}
        while len(results) < len(known):
            for member in self.crew.idle():
                if waiting:
                    member.give(waiting.popleft())
            for member, message in self.crew.messages(timeout=0.5):
                match message:
                    case Died(order, cause):
                        if order.number in deaths:
                            raise NasError(f"{names[order.number]}: {cause}")
                        self.say(f"{names[order.number]}: {cause}; it is started again")
                        deaths.add(order.number)
                        waiting.append(order)
                    case Ended(number, result, reason):
                        member.order = None
                        if result is None:
                            raise NasError(f"{names[number]}: {reason}")
                        results[names[number]] = result
                        ready(known[names[number]], result)
                    case _:
                        self._answer(member, message)
        return results

    def _answer(self, member: Member, message: Any) -> None:
        match message:
            case Identified():
                member.say(True)
            case Rung():
                member.say(GO_ON)
            case Said(line) if "is finished" not in line:
                self.say(line)

    def _order(self, number: int, job: Job) -> Order:
        return Order(number, job.overrides, job.overrides, self.folder / job.name, self.folder.name)
