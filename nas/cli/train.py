"""``nas-train``: one run, or with ``-m`` a grid of runs; under ``torchrun`` by several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.cli.app import DONE, FAILED, import_torch, run_process
from nas.config.compose import Composed
from nas.errors import ElsewhereError, NasError, let_interrupt_pass
from nas.progress import console, duration, quantity, say
from nas.train.processes import is_main, launched


def main() -> None:
    """Run the command and exit."""
    run_process("train", train)


def train(composed: Composed) -> int:
    """Train one configuration; print where its files are and what came out."""
    import_torch()
    from nas.config.build import run_of

    run = run_of(composed)
    try:
        with Display() as display:
            result = run.train(report=say, watch=display.watch)
    except (NasError, OSError, UnicodeEncodeError):
        raise
    except Exception as error:  # of a block or task that a user wrote, as a rule
        raise _failed(error, run.folder) from error
    code = DONE if result.status == "done" else FAILED
    if not is_main():
        return code
    scores = {name: value for name, value in result.metrics.items() if name.endswith("/score")}
    values = "  ".join(f"{name} {value:.4f}" for name, value in (scores or result.metrics).items())
    print(f"{result.status}  {values}".rstrip())
    if result.reason:
        print(result.reason)
    print(f"{result.architecture}  {quantity(result.parameters)} parameters  {duration(result.seconds)}")
    print(run.folder)
    return code


def _failed(error: Exception, folder: Path) -> NasError:
    """Return what is told of an exception that ended a run; its traceback goes into the run folder."""
    from nas.search.faults import reason
    from nas.train.failure import ERROR, keep_trace, origin

    let_interrupt_pass(error)
    keep_trace(folder, error)
    who, where = origin(error)
    told = f"{who}: " if who else ""
    told += f"{reason(error)} ({where})\nthe whole traceback: {folder / ERROR}"
    place = launched()
    if place is None or is_main():
        return NasError(told)
    say(f"error: process {place.rank}: {told}")
    return ElsewhereError(told)


class Display:
    """A progress bar in a terminal, a line for every evaluation elsewhere."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console(), transient=True)
        self._task = self._bar.add_task("training", total=1.0)

    def __enter__(self) -> Display:
        if console().is_terminal and is_main():
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if console().is_terminal:  # elsewhere, stopping would print an empty line
            self._bar.stop()

    def watch(self, row: dict[str, Any], progress: float) -> None:
        """Show one row of metrics."""
        if "train/loss" in row:
            text = f"step {row['step']}  train/loss {row['train/loss']:.4f}"
            self._bar.update(self._task, completed=progress, description=text)
        else:
            values = "  ".join(f"{k} {v:.4f}" for k, v in row.items() if k not in ("step", "seconds"))
            say(f"step {row['step']} ({progress:.0%})  {values}")


if __name__ == "__main__":  # torchrun --nproc-per-node=2 -m nas.cli.train
    main()
