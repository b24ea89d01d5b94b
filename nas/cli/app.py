"""What every command shares: Hydra's flags, checked overrides, errors of one line, exit codes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from nas.config.compose import Composed, Kind, compose, for_hydra
from nas.config.overrides import listed, split_grid
from nas.errors import ElsewhereError, InputError, InterruptedRunError, NasError, let_interrupt_pass
from nas.progress import say, silent
from nas.train.processes import is_main

if TYPE_CHECKING:
    import argparse

Action = Callable[[Composed], int]
"""Does the command's work for one configuration and returns the exit code."""

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
_PATIENCE = 20.0
"""Seconds that a process gives the main one of several to find the mistake that it has found."""
_INFORMATION = ("help", "hydra_help", "cfg", "info", "shell_completion")


def run_command(kind: Kind, action: Action, arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; wrong input is told without a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    tell = say if is_main() else silent  # of several processes, one talks
    # SIGTERM outside the training loop leaves like Ctrl-C: what was finished is kept.
    signal.signal(signal.SIGTERM, _leave)
    try:
        return _interruptible(lambda: _dispatch(kind, action, given))
    except InputError as error:
        for mistake in error.mistakes:
            tell(f"error: {mistake}")
        if not is_main():
            _let_main_tell()
        return WRONG_INPUT
    except InterruptedRunError as error:
        tell(f"interrupted: {error}")
        return INTERRUPTED
    except KeyboardInterrupt:
        tell("interrupted; run the same command to continue")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ElsewhereError:  # which has told why
        return FAILED
    except UnicodeEncodeError as error:  # a folder's name, from the environment or of where we stand
        tell(f"error: {_beyond(error)}")
        return WRONG_INPUT
    except (NasError, OSError) as error:  # a full disk, a folder without permission
        tell(f"error: {error}")
        return FAILED


def _let_main_tell() -> None:
    """Wait until the main process has found the same mistake, or for some seconds.

    A launcher such as torchrun ends all others as soon as one has left: if that is not the main one, it
    may not have said yet what is wrong.
    """
    with contextlib.suppress(KeyboardInterrupt):
        time.sleep(_PATIENCE)


def run_process(kind: Kind, action: Action, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command as the whole process, and exit with its code."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as by nohup
        signal.signal(signal.SIGINT, _leave)
    try:
        code = run_command(kind, action, arguments)
    except KeyboardInterrupt:  # before or after all that tells of it
        code = INTERRUPTED
    # The interpreter resets handlers before it tears its modules down: a Ctrl-C in that moment would
    # kill a process that has finished. An ignored signal stays ignored.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(code)


def _leave(number: int, frame: FrameType | None) -> None:
    """Raise `KeyboardInterrupt`, once: another signal must not break into what tells of the first.

    A second Ctrl-C ends the process where it stands.
    """
    signal.signal(signal.SIGTERM, _stay)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)
    raise KeyboardInterrupt


def _stay(number: int, frame: FrameType | None) -> None:
    """Do nothing: the process is about to leave. (An ignored signal that is on its way would be told.)"""


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


def import_torch() -> None:
    """Import PyTorch with Ctrl-C and SIGTERM held back: inside its C++ they would abort the process."""
    if "RANK" in os.environ:  # of torchrun: that another process left is told in our own words
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        import torch  # noqa: F401
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _interruptible(do: Callable[[], int]) -> int:
    try:
        return do()
    except (NasError, OSError):
        raise
    except Exception as error:  # that nobody expects
        let_interrupt_pass(error)
        raise


def _dispatch(kind: Kind, action: Action, given: list[str]) -> int:
    if unreadable := list(_unreadable(given)):
        raise InputError(*unreadable)
    arguments = _parse(given)
    overrides = _overrides(arguments)
    if any(getattr(arguments, name) for name in _INFORMATION):
        if arguments.cfg or arguments.info:
            compose(kind, overrides)  # wrong input is told in our words, not in Hydra's
        return _ask_hydra(kind, given, arguments)
    if arguments.multirun:
        return _run_grid(kind, action, overrides)
    return action(compose(kind, overrides))


def _unreadable(given: Sequence[str]) -> Iterator[str]:
    """Say which arguments hold letters that this process cannot read, and so cannot write either."""
    for text in given:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            yield _beyond(error)


def _beyond(error: UnicodeEncodeError) -> str:
    """Say which letters are beyond an encoding: the locale's, where they are Python's stand-ins for bytes."""
    stand_in = error.object[error.start] in _STAND_INS
    encoding = sys.getfilesystemencoding() if stand_in else error.encoding
    around = error.object[max(0, error.start - 40) : error.end + 40]
    shown = around.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    outputs = " and leave PYTHONIOENCODING out" if "PYTHONIOENCODING" in os.environ else ""
    advice = "" if encoding == "utf-8" else f": set PYTHONUTF8=1{outputs}"
    return f"{shown!r} has letters beyond this process's encoding, {encoding}{advice}"


_STAND_INS = frozenset(map(chr, range(0xDC80, 0xDD00)))


def _parse(given: list[str]) -> argparse.Namespace:
    from hydra._internal.utils import get_args_parser

    arguments = get_args_parser().parse_intermixed_args(given)  # options may stand between overrides
    if arguments.experimental_rerun:
        raise InputError(
            "--experimental-rerun reads a pickle, which can run code: use experiment=<file.yaml>"
        )
    if arguments.config_path or arguments.config_name:
        raise InputError(
            "--config-path and --config-name are fixed: --config-dir adds a folder of your own choices"
        )
    return arguments


def _overrides(arguments: argparse.Namespace) -> list[str]:
    if not arguments.config_dir:
        return list(arguments.overrides)
    folder = Path(arguments.config_dir).expanduser().resolve()
    if not folder.is_dir():
        raise InputError(f"--config-dir={arguments.config_dir!r} is not a folder")
    return [*arguments.overrides, listed("hydra.searchpath", [f"file://{folder}"])]


def _ask_hydra(kind: Kind, given: list[str], arguments: argparse.Namespace) -> int:
    """Let Hydra answer --help, --cfg, --info and tab completion."""
    import hydra

    flags = [text for text in given if text not in arguments.overrides]
    prepared = arguments.overrides if arguments.shell_completion else for_hydra(arguments.overrides)
    sys.argv = [sys.argv[0], *flags, *prepared]

    def nothing(config: Any) -> None:
        """Hydra never gets here: the flags above only print."""

    for_hydra([])  # registers the sweeps for completion and help
    hydra.main(config_path="pkg://nas.conf", config_name=kind, version_base="1.3")(nothing)()
    return DONE


def _run_grid(kind: Kind, action: Action, overrides: list[str]) -> int:
    """Run every combination, checked before the first; a failure does not stop the others."""
    jobs = split_grid(overrides)
    mistakes: dict[str, None] = {}  # ordered, and each told once
    checked: list[Composed] = []
    for job in jobs:
        try:
            checked.append(compose(kind, job))
        except InputError as error:
            mistakes.update(dict.fromkeys(error.mistakes))
    if mistakes:
        raise InputError(*mistakes)
    worst = DONE
    for number, composed in enumerate(checked, start=1):
        if is_main():
            say(f"run {number} of {len(checked)}: {' '.join(composed.overrides)}")
        worst = max(worst, _run_one(action, composed))
    return worst


def _run_one(action: Action, composed: Composed) -> int:
    try:
        return action(composed)
    except InterruptedRunError:
        raise
    except NasError as error:
        if is_main() and not isinstance(error, ElsewhereError):
            say(f"error: {error}")
        return FAILED
