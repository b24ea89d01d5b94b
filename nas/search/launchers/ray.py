"""Workers on the nodes of a Ray cluster, which share its CPUs and GPUs by fractions."""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
import uuid
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import TYPE_CHECKING, Any

from nas.errors import InputError
from nas.search.launchers import seat
from nas.search.launchers.base import Launcher, Worker

if TYPE_CHECKING:
    from nas.config.compose import Composed

_ANSWER_SECONDS = 1.0
"""Ray is asked so long about a worker whose connection has ended: a lost node may not answer at all."""


class Ray(Launcher):
    """Places workers on a cluster; run the search on one of its nodes.

    Ray only places a process, which connects back to this one over a socket of its own, with a key that
    only the two know. What passes through Ray are an address, the key and a configuration.

    Args:
        address: of the cluster; ``auto`` is the one that this machine belongs to.
        cpus_per_worker: a worker's share of its node, in cores.
        gpus_per_worker: a worker's share, in GPUs: 0.25 puts four workers on each.

    Raises:
        InputError: a share that Ray does not know, or the extra ``ray`` is missing.
    """

    def __init__(
        self, address: str = "auto", cpus_per_worker: float = 1.0, gpus_per_worker: float = 0.0
    ) -> None:
        mistakes = [
            f"launcher.{key}={value:g} must be 0 or more, and whole above 1"
            for key, value in (("cpus_per_worker", cpus_per_worker), ("gpus_per_worker", gpus_per_worker))
            if value < 0 or (value > 1 and not float(value).is_integer())
        ]
        if not cpus_per_worker and not gpus_per_worker:
            mistakes.append("launcher.cpus_per_worker=0 and launcher.gpus_per_worker=0: one must be more")
        try:
            import ray  # noqa: F401
        except ImportError:
            mistakes.append("launcher=ray needs the extra: pip install 'nas[ray]'")
        if mistakes:
            raise InputError(*mistakes)
        self.address = address
        self.share = {"num_cpus": cpus_per_worker, "num_gpus": gpus_per_worker}
        self._door: _Door | None = None
        self._connected_here = False

    def capacity(self) -> int:
        """Return how many workers fit on the nodes.

        Raises:
            InputError: there is no cluster at the address, or not one fits.
        """
        self._connect()
        room = sum(self._fitting(node) for node in self._nodes())
        if not room:
            raise InputError(
                f"launcher.cpus_per_worker={self.share['num_cpus']:g} and "
                f"launcher.gpus_per_worker={self.share['num_gpus']:g} fit on no node of {self.address!r}: "
                f"{self._told()}"
            )
        return room

    def start(self, base: Composed) -> Worker:
        """Have a worker placed as soon as there is room; see `Launcher.start`."""
        if self._door is None:
            self.capacity()
            self._door = _Door()
        return RayWorker(self._door, base, self.share)

    def close(self) -> None:
        """Leave the cluster."""
        import ray

        if self._door is not None:
            self._door.close()
            self._door = None
        if self._connected_here:
            ray.shutdown()
            self._connected_here = False

    def _connect(self) -> None:
        import ray

        if ray.is_initialized():
            return
        try:
            ray.init(address=self.address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            line = str(error).strip().splitlines()[0]
            raise InputError(
                f"launcher.address={self.address!r}: no Ray cluster answers ({line}); start one with "
                "'ray start --head'"
            ) from error
        self._connected_here = True

    def _nodes(self) -> list[dict[str, float]]:
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]

    def _fitting(self, node: dict[str, float]) -> int:
        """Return how many workers fit on a node by themselves."""
        names = {"num_cpus": "CPU", "num_gpus": "GPU"}
        shares = [
            math.floor(node.get(names[key], 0) / share + 1e-9) for key, share in self.share.items() if share
        ]
        return min(shares)

    def _told(self) -> str:
        nodes = [f"{n.get('CPU', 0):g} CPUs and {n.get('GPU', 0):g} GPUs" for n in self._nodes()]
        return "; ".join(nodes)


class _Door:
    """Where workers connect, each with two sockets: one for its trials, one for orders in between."""

    def __init__(self) -> None:
        import ray.util

        self.key = secrets.token_bytes(32)
        host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        self._listener = Listener((host, 0), backlog=64, authkey=self.key)
        self.address: Any = self._listener.address
        self._arrived: dict[tuple[str, str], Connection] = {}
        threading.Thread(target=self._admit, name="door", daemon=True).start()

    def find(self, ticket: str, role: str) -> Connection | None:
        """Return a worker's connection, or None if it has not arrived."""
        return self._arrived.get((ticket, role))

    def close(self) -> None:
        """Admit nobody any more."""
        self._listener.close()

    def _admit(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
                seat.keep_alive(connection)
                ticket, role = connection.recv()
            except (AuthenticationError, EOFError, ConnectionError, ValueError):
                continue  # somebody else knocked, or one that died at once
            except OSError:
                return  # closed
            self._arrived[ticket, role] = connection


class RayWorker(Worker):
    """A task of Ray that is a worker for as long as it runs.

    Args:
        door: where it will connect.
        base: the configuration that all trials share.
        share: of a node, in Ray's words.
    """

    def __init__(self, door: _Door, base: Composed, share: dict[str, float]) -> None:
        import ray

        self._door, self._ticket = door, uuid.uuid4().hex
        # A process of its own, which ends with the task; the supervisor says whether it is tried again.
        place: Any = ray.remote(max_calls=1, max_retries=0, **share)(seat.sit)  # type: ignore[call-overload]
        host, port = door.address
        self._task = place.remote(host, port, door.key, self._ticket, base)

    @property
    def connection(self) -> Connection | None:
        """To the process, once both of its sockets are there."""
        if self._door.find(self._ticket, seat.CONTROL) is None:
            return None
        return self._door.find(self._ticket, seat.WORK)

    def is_alive(self) -> bool:
        """Return whether the task runs, or waits for room."""
        return not self._has_ended(0.0)

    def terminate(self) -> None:
        """Have the process send itself SIGTERM; one that has no room yet is called off."""
        control = self._door.find(self._ticket, seat.CONTROL)
        if control is None:
            self.kill()
            return
        with contextlib.suppress(OSError):
            control.send(seat.STOP)

    def kill(self) -> None:
        """End the process through its socket, which its node need not help with, and the task."""
        import ray

        control = self._door.find(self._ticket, seat.CONTROL)
        if control is not None:
            control.close()
        with contextlib.suppress(ray.exceptions.RayError, ValueError):
            ray.cancel(self._task, force=True)

    def join(self, seconds: float) -> None:
        """Wait for the end of the task, as far as Ray knows of it soon."""
        self._has_ended(min(seconds, _ANSWER_SECONDS))

    def cause(self) -> str:
        """Return what Ray says of the end."""
        import ray

        try:
            ray.get(self._task, timeout=_ANSWER_SECONDS)
        except ray.exceptions.GetTimeoutError:
            return "cannot be reached: its node is gone"
        except ray.exceptions.RayTaskError as error:
            return f"ended: {str(error.cause).splitlines()[0]}"
        except ray.exceptions.RayError as error:
            return f"ended ({type(error).__name__}: {' '.join(str(error).split())[:160]})"
        return "ended"

    def _has_ended(self, seconds: float) -> bool:
        import ray

        ended, _ = ray.wait([self._task], timeout=seconds)
        return bool(ended)
