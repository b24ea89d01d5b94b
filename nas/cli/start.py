"""Where the installed commands begin: Ctrl-C while Python still imports one ends it without a traceback."""

import signal
from importlib import import_module


def train() -> None:
    """Run ``nas-train``."""
    _run("train")


def search() -> None:
    """Run ``nas-search``."""
    _run("search")


def show() -> None:
    """Run ``nas-show``."""
    _run("show")


def report() -> None:
    """Run ``nas-report``."""
    _run("report")


def bench() -> None:
    """Run ``nas-bench``."""
    _run("bench")


def _run(command: str) -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored, as by nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command has a handler of its own
    import_module(f"nas.cli.{command}").main()
