"""What a run leaves behind: ``result.json``, written last, so that its presence means done."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas.errors import InputError
from nas.files import read_json, write_json

FILE = "result.json"
Status = Literal["done", "pruned", "diverged", "failed"]


@dataclass(frozen=True)
class RunResult:
    """The outcome of one run.

    Attributes:
        status: ``done``; ``pruned`` at a rung; ``diverged``; ``failed``.
        task: the task's name.
        metrics: the last evaluation, such as ``val/loss``.
        architecture: the one-line string.
        architecture_hash: equal for encoders that build the same function.
        parameters: of the encoder, shared ones once.
        flops_per_token: forward pass of the encoder.
        tokens_per_second: while training, evaluation left out.
        steps: optimizer steps taken.
        seconds: wall time of the run, interruptions left out.
        seed: the run's seed.
        reason: why the run ended early, if it did.
    """

    status: Status
    task: str
    metrics: dict[str, float]
    architecture: str
    architecture_hash: str
    parameters: int
    flops_per_token: float
    tokens_per_second: float
    steps: int
    seconds: float
    seed: int
    reason: str | None = None

    def write(self, folder: Path) -> None:
        """Write ``result.json`` into the run folder."""
        write_json(folder / FILE, dataclasses.asdict(self))


def read_result(folder: Path) -> RunResult | None:
    """Return the result of a finished run, or None.

    Raises:
        InputError: the file is not what a run writes.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return RunResult(**read_json(path))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); remove it to train again") from error
