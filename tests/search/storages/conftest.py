"""One real PostgreSQL server for all tests of a process."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def load(name: str) -> Any:
    """Import a helper that lies beside this file."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """A running server; a test that stops it starts it again."""
    helper = load("server")
    if helper.program("initdb") is None:
        pytest.skip("PostgreSQL is not installed: initdb is not found")
    pytest.importorskip("psycopg", reason="needs the extra `postgres`")
    if os.getuid() == 0 and not Path("/etc/passwd").read_text().count("\npostgres:"):
        pytest.skip("root cannot run PostgreSQL, and there is no user postgres")
    # not in pytest's own folder, which is closed to the user that the server runs as
    with tempfile.TemporaryDirectory(prefix="nas-postgres-", ignore_cleanup_errors=True) as folder:
        made = helper.Server(Path(folder)).start()
        yield made
        made.stop()
