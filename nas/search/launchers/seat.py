"""The far end of a worker on another machine: it connects to its supervisor, and works there."""

from __future__ import annotations

import os
import signal
import socket
import threading
from multiprocessing.connection import Client, Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.config.compose import Composed

WORK, CONTROL, STOP = "work", "control", "stop"
_IDLE_SECONDS, _BETWEEN_SECONDS, _PROBES = 15, 5, 3


def sit(host: str, port: int, key: bytes, ticket: str, base: Composed) -> None:
    """Work for the supervisor at an address until it has no trials any more, or is gone.

    Args:
        host, port: where it listens.
        key: proves each to the other.
        ticket: this worker's name there.
        base: the configuration that all trials share.
    """
    from nas.search.worker import work

    connections = [_connected(host, port, key, ticket, role) for role in (WORK, CONTROL)]
    threading.Thread(target=_obey, args=(connections[1],), name="control", daemon=True).start()
    work(connections[0], base)


def keep_alive(connection: Any) -> None:
    """Have the system notice within half a minute that the other machine is gone without a word."""
    with socket.socket(fileno=os.dup(connection.fileno())) as its:
        its.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        options = {"TCP_KEEPIDLE": _IDLE_SECONDS, "TCP_KEEPINTVL": _BETWEEN_SECONDS, "TCP_KEEPCNT": _PROBES}
        for name, value in options.items():
            if hasattr(socket, name):  # macOS has them under other names
                its.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _connected(host: str, port: int, key: bytes, ticket: str, role: str) -> Connection:
    connection = Client((host, port), authkey=key)
    keep_alive(connection)
    connection.send((ticket, role))
    return connection


def _obey(control: Connection) -> None:
    """Pass on the request to stop; end with the supervisor."""
    while True:
        try:
            told = control.recv()
        except (EOFError, OSError):
            os._exit(1)
        if told == STOP:
            os.kill(os.getpid(), signal.SIGTERM)
