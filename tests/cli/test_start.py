"""The installed commands: each is there, and Ctrl-C while one is imported leaves no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from nas.cli import start
from nas.cli.app import INTERRUPTED

SCRIPT = """
import os, signal, types
signal.signal(signal.SIGINT, {handler})
from nas.cli import start
def importing(name):
    {during}
    return types.SimpleNamespace(main=lambda: print(signal.getsignal(signal.SIGINT).name))
start.import_module = importing
start.train()
"""


def ran(handler: str, during: str) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(handler=handler, during=during)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_every_command_begins_here() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    scripts = project["project"]["scripts"]
    assert scripts == {f"nas-{name}": f"nas.cli.start:{name}" for name in map(_command, scripts)}
    for name in map(_command, scripts):
        assert callable(getattr(start, name))
        assert callable(import_module(f"nas.cli.{name}").main)


def test_ctrl_c_during_the_import_is_an_end_without_words() -> None:
    ended = ran("signal.default_int_handler", "os.kill(os.getpid(), signal.SIGINT)")
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_an_ignored_signal_stays_ignored() -> None:
    ended = ran("signal.SIG_IGN", "os.kill(os.getpid(), signal.SIGINT)")
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "SIG_IGN", "")


def test_a_command_begins_without_a_handler_that_raises() -> None:
    ended = ran("signal.default_int_handler", "pass")
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "SIG_DFL", "")


AGAIN = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where the tests run
from nas.cli.app import run_process
class Again:
    def __getattr__(self, name):
        return getattr(sys.__stderr__, name)
    def write(self, text):
        os.kill(os.getpid(), {second})
        return sys.__stderr__.write(text)
def leave(composed):
    sys.stderr = Again()
    os.kill(os.getpid(), {first})
run_process("report", leave, ["study=x"])
"""


@pytest.mark.parametrize("first", ["signal.SIGINT", "signal.SIGTERM"])
def test_a_second_signal_while_the_first_is_told_leaves_no_traceback(first: str) -> None:
    ended = _again(first, "signal.SIGTERM")
    assert ended.returncode == INTERRUPTED
    assert ended.stderr == "interrupted; run the same command to continue\n"


def test_a_second_ctrl_c_ends_the_process() -> None:
    ended = _again("signal.SIGINT", "signal.SIGINT")
    assert (ended.returncode, ended.stderr) == (INTERRUPTED, "")


def _again(first: str, second: str) -> subprocess.CompletedProcess[str]:
    script = AGAIN.format(first=first, second=second)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def _command(script: str) -> str:
    return script.removeprefix("nas-")
