"""Commands in this process and in others, in a folder of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.cli.app import Action, run_command
from nas.config.compose import Kind

Shell = Callable[..., "Outcome"]
Command = Callable[..., "Outcome"]
TINY = (
    "debug=quick", "tracker=none", "task=mqar", "task.validation_examples=64", "encoder.hidden_size=16",
    "encoder.hidden_cls=[attn,ffn]",
)  # fmt: skip
"""A run of a second."""


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    return TINY


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Run a command's function in this process, in the folder ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)  # Hydra's flags are left in it
    handler = signal.getsignal(signal.SIGTERM)

    def run(kind: Kind, action: Action, *arguments: str) -> Outcome:
        capsys.readouterr()
        code = run_command(kind, action, [*arguments])
        written = capsys.readouterr()
        return Outcome(code, written.out, written.err)

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def shell() -> Shell:
    """Run an installed command as a user does: another process, another folder."""
    scripts = Path(sys.executable).parent

    def run(*arguments: str, folder: Path, **environment: str) -> Outcome:
        if not (scripts / arguments[0]).is_file():
            pytest.skip("the package is not installed: pip install -e .")
        done = subprocess.run(
            [str(scripts / arguments[0]), *arguments[1:]],
            cwd=folder, env={**os.environ, "COLUMNS": "120", **environment},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run
