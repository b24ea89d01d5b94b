"""What a run leaves behind: ``result.json``, written last, so that its presence means done."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

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
        result = RunResult(**read_json(path))
    except (ValueError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    wrong = [name for name, right in _checks(result).items() if not right]
    if wrong:
        told = ", ".join(f"{name}={getattr(result, name)!r}" for name in wrong)
        raise _damaged(path, f"no run writes {told}")
    return result


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged ({why}); remove it to train again")


def _checks(result: RunResult) -> dict[str, bool]:
    """Return of each field whether it has a type that a run writes."""
    texts = ("task", "architecture", "architecture_hash")
    counts = ("parameters", "steps", "seed")
    numbers = ("flops_per_token", "tokens_per_second", "seconds")
    return {
        "status": result.status in get_args(Status),
        "metrics": isinstance(result.metrics, dict) and all(map(_is_number, result.metrics.values())),
        "reason": isinstance(result.reason, str | None),
        **{name: isinstance(getattr(result, name), str) for name in texts},
        **{name: isinstance(getattr(result, name), int) for name in counts},
        **{name: _is_number(getattr(result, name)) for name in numbers},
    }


def _is_number(value: Any) -> bool:
    """Return whether a value is a number, or null: what was not finite."""
    return isinstance(value, int | float | None) and not isinstance(value, bool)
