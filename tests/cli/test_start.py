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

SCRIPT = """
import os, signal, types
signal.signal(signal.SIGINT, {handler})
from nas.cli import start
def importing(name):
    {during}
    return types.SimpleNamespace(main=lambda: print(signal.getsignal(signal.SIGINT) is {handler}))
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


@pytest.mark.parametrize("handler", ["signal.default_int_handler", "signal.SIG_IGN"])
def test_the_command_has_the_handler_that_was_there(handler: str) -> None:
    during = "os.kill(os.getpid(), signal.SIGINT)" if handler == "signal.SIG_IGN" else "pass"
    ended = ran(handler, during)
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "True", "")


def _command(script: str) -> str:
    return script.removeprefix("nas-")
