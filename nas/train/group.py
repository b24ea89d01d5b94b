"""The processes that train one model together: what they agree on, add up and tell each other."""

from __future__ import annotations

import contextlib
import functools
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from nas.errors import ElsewhereError, InputError, InterruptedRunError, NasError
from nas.progress import say
from nas.train.precision import choose_device
from nas.train.processes import Place, launched

PATIENCE = timedelta(hours=3)
"""How long processes wait for each other: the first one may prepare a large corpus meanwhile."""
T = TypeVar("T")


class Group:
    """A process that trains alone: it is the main one, and agrees with itself."""

    rank = 0
    size = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def device(self, asked: str) -> torch.device:
        """Return the device of this process; see `choose_device`."""
        return choose_device(asked)

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return ``module`` such that its backward pass averages gradients over the processes."""
        return module

    def hold_back(self, module: nn.Module, hold: bool) -> AbstractContextManager[Any]:
        """Return the context of a forward and backward pass; ``hold``: gradients are not yet averaged."""
        return nullcontext()

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums over the processes."""
        return list(numbers)

    def agree(self, flag: bool, numbers: Sequence[float]) -> tuple[bool, list[float]]:
        """Return whether any process has ``flag``, and the numbers of the main one."""
        return flag, list(numbers)

    def from_main(self, make: Callable[[], T]) -> T:
        """Return what ``make`` returns in the main process: a value that JSON can hold."""
        return make()

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all processes: on the CPU and of one shape."""
        return [tensor]

    def main_first(self, work: Callable[[], T]) -> T:
        """Run ``work`` in the main process, then in the others, which find what it has prepared."""
        return work()

    def together(self, work: Callable[[], T]) -> T:
        """Run ``work`` in every process; if it fails in one, all leave."""
        return work()


class Processes(Group):
    """One of several processes; gloo carries what is on the CPU, NCCL what is on GPUs.

    Everything but the gradients is small and goes over the CPU, so that no GPU waits for it. Where
    one process fails, the one with the lowest rank tells why, and all others raise `ElsewhereError`.

    Args:
        place: of this process.
        asked: ``trainer.device``.

    Raises:
        InputError: the device is not there.
    """

    def __init__(self, place: Place, asked: str) -> None:
        self.place = place
        self.rank, self.size = place.rank, place.size
        self.store = PrefixStore(f"nas/{next(_NUMBERS)}", _store())
        self._device, mistake = None, None
        try:
            self._device = _own_device(place, asked)
        except InputError as error:
            mistake = error
        on_gpu = self._device is not None and self._device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(self._device)
        backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
        dist.init_process_group(
            backend, store=self.store, rank=self.rank, world_size=self.size, timeout=PATIENCE
        )
        self._leave_if_failed(mistake)

    def device(self, asked: str) -> torch.device:
        """Return the device that this process was given."""
        assert self._device is not None
        return self._device

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module under `DistributedDataParallel`.

        Which parameters take part may change from step to step (a loop of random length, an expert
        that nobody chose), and some never do (the pooler): so they are looked for in every step.
        """
        warnings.filterwarnings("ignore", "Grad strides do not match")  # of a short convolution: no error
        return nn.parallel.DistributedDataParallel(
            module, find_unused_parameters=True, gradient_as_bucket_view=True
        )

    def hold_back(self, module: nn.Module, hold: bool) -> AbstractContextManager[Any]:
        """Return DDP's ``no_sync`` where gradients are only collected."""
        assert isinstance(module, nn.parallel.DistributedDataParallel)
        return module.no_sync() if hold else nullcontext()

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums over the processes: the same bits in each."""
        total = torch.tensor(numbers, dtype=torch.float64)
        if len(total):
            dist.all_reduce(total)
        summed: list[float] = total.tolist()
        return summed

    def agree(self, flag: bool, numbers: Sequence[float]) -> tuple[bool, list[float]]:
        """Return whether any process has ``flag``, and the numbers of the main one."""
        told, *mains = self.sum([float(flag), *(n if self.is_main else 0.0 for n in numbers)])
        return told > 0, mains

    def from_main(self, make: Callable[[], T]) -> T:
        """Return what ``make`` returns in the main process; it travels as JSON."""
        text = self._outcome(lambda: json.dumps(make()) if self.is_main else "")
        value: T = json.loads(self._broadcast(text))
        return value

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all processes."""
        gathered = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(gathered, tensor)
        return gathered

    def main_first(self, work: Callable[[], T]) -> T:
        """Run ``work`` in the main process, then in the others."""
        first = self._outcome(lambda: work() if self.is_main else None)
        other = self._outcome(lambda: None if self.is_main else work())
        return first if self.is_main else other  # type: ignore[return-value]

    def together(self, work: Callable[[], T]) -> T:
        """Run ``work`` in every process; if it fails in one, all leave."""
        return self._outcome(work)

    def failed(self, error: BaseException) -> BaseException:
        """Let the others know that this process ends, and return what it shall raise."""
        if self._others_failed():
            return ElsewhereError("another process failed")
        with contextlib.suppress(RuntimeError):
            self.store.set(f"failed/{self.rank}", "")
            self.store.add("failures", 1)
        if isinstance(error, RuntimeError) and "onnection" in str(error):  # gloo: a peer was killed
            return NasError("another process of this run has ended; the same command continues")
        if self.is_main or not isinstance(error, NasError | OSError):
            return error
        say(f"error: process {self.rank}: {error}")
        return ElsewhereError(str(error))

    def _others_failed(self) -> bool:
        try:
            return self.store.add("failures", 0) > 0
        except RuntimeError:  # the store was the main process's, which is gone
            return not self.is_main

    def _outcome(self, work: Callable[[], T]) -> T:
        """Run ``work``; leave together if it failed anywhere."""
        try:
            value = work()
        except (NasError, OSError) as error:
            self._leave_if_failed(error)
            raise
        self._leave_if_failed(None)
        return value

    def _leave_if_failed(self, error: Exception | None) -> None:
        """Raise if any process has an error: its own in the first of them, `ElsewhereError` in others."""
        failed = self.sum([float(error is not None and self.rank == rank) for rank in range(self.size)])
        if not any(failed):
            return
        first = failed.index(1.0)
        if error is None or self.rank != first:
            raise ElsewhereError(f"process {first} failed")
        raise error

    def _broadcast(self, text: str) -> str:
        size = torch.tensor([len(text.encode())])
        dist.broadcast(size, 0)
        data = torch.empty(int(size), dtype=torch.uint8)
        if self.is_main:
            data = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
        dist.broadcast(data, 0)
        return bytes(data.tolist()).decode()


@contextlib.contextmanager
def joined(asked: str, *, alone: bool = False) -> Iterator[Group]:
    """Yield the group of this process: with those that a launcher started beside it, unless ``alone``.

    Args:
        asked: ``trainer.device``.
        alone: do not look for others.

    Raises:
        ElsewhereError: another process failed.
    """
    place = None if alone else launched()
    if place is None:
        yield Group()
        return
    group: Processes | None = None
    try:
        group = Processes(place, asked)
        yield group
    except (ElsewhereError, InterruptedRunError):  # which all processes raise together
        raise
    except BaseException as error:
        told = error if group is None else group.failed(error)
        if told is error:
            raise
        raise told from None
    finally:
        if dist.is_initialized():
            _LEFT.append(dist.group.WORLD)
            dist.destroy_process_group()


def _counter() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


_NUMBERS = _counter()
_LEFT: list[Any] = []
"""Groups that were left. Their destructor waits for gloo's thread while it holds Python's lock, which that
thread may want to free the tensors of the last sum: so it runs when the process ends, long after."""


@functools.cache
def _store() -> Store:
    """Return the store through which processes find each other, the launcher's or the main process's."""
    store: Store = next(iter(rendezvous("env://")))[0]
    return store


def _own_device(place: Place, asked: str) -> torch.device:
    kind, colon, _ = asked.partition(":")
    if colon:
        raise InputError(
            f"trainer.device={asked!r} is one device for {place.size} processes: use {kind} or auto"
        )
    device = choose_device(asked)
    if device.type != "cuda":
        return device
    there = torch.cuda.device_count()
    if place.local_rank >= there:
        raise InputError(
            f"trainer.device={asked!r}: this machine has {there} CUDA devices, too few for its processes: "
            f"start {there} of them, or use trainer.device=cpu"
        )
    return torch.device("cuda", place.local_rank)
