"""What an exception says of the machine: real ones, as PyTorch raises them."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest
import torch

from nas.config.compose import Composed
from nas.search import faults
from nas.search.crew import Crew, Died
from nas.search.launchers.base import Launcher, Worker
from nas.search.worker import Broken, Order

ASSERTION = """
import torch
from nas.search import faults
assert not faults.device_is_lost()
x = torch.zeros(4, device="cuda")
assert not faults.device_is_lost()
try:
    torch.cuda.FloatTensor(2**60)
except RuntimeError as error:
    assert faults.is_out_of_memory(error), error
assert not faults.device_is_lost()
try:
    x[torch.tensor([9], device="cuda")].sum().item()
except RuntimeError as error:
    assert not faults.is_out_of_memory(error), error
assert faults.device_is_lost()
"""


def caught(call: object) -> BaseException:
    with pytest.raises((RuntimeError, MemoryError)) as error:
        call()  # type: ignore[operator]
    return error.value


def test_too_little_memory_has_one_name() -> None:
    for call in (lambda: torch.empty(10**15), lambda: bytearray(2**62)):
        assert faults.reason(caught(call)).startswith("out of memory: ")
    assert faults.reason(torch.OutOfMemoryError("CUDA out of memory. Tried")).startswith("out of memory: ")


def test_other_errors_keep_theirs_in_one_line() -> None:
    assert faults.reason(caught(lambda: torch.zeros(2) @ torch.zeros(3))).startswith("RuntimeError: ")
    assert faults.reason(ValueError("first\nsecond")) == "ValueError: first"
    assert faults.reason(KeyError()) == "KeyError: no message"


@pytest.mark.gpu
def test_an_assertion_on_the_gpu_loses_it_and_too_little_memory_does_not() -> None:
    subprocess.run([sys.executable, "-c", ASSERTION], check=True, stderr=subprocess.DEVNULL)


class Spoken(Worker):
    """A worker whose lines are the test's."""

    def __init__(self) -> None:
        self.connection_, self.theirs = Pipe()

    @property
    def connection(self) -> Connection:
        return self.connection_

    def is_alive(self) -> bool:
        return not self.theirs.closed

    def terminate(self) -> None:
        self.theirs.close()

    kill = terminate

    def join(self, seconds: float) -> None:
        """It has ended."""

    def cause(self) -> str:
        return "ended with exit code 0"


class Speaking(Launcher):
    def start(self, base: Composed) -> Worker:
        return Spoken()


def test_a_worker_that_lost_its_gpu_is_replaced_and_its_trial_told(tmp_path: object) -> None:
    crew = Crew(1, Composed({}, {}, (), ()), Speaking())
    [member] = crew.idle()
    order = Order(3, (), (), tmp_path, "s")  # type: ignore[arg-type]
    member.give(order)
    member.worker.theirs.send(Broken(3, "lost its GPU: illegal access"))  # type: ignore[attr-defined]
    assert list(crew.messages(1)) == []
    member.worker.terminate()
    assert list(crew.messages(1)) == [(member, Died(order, "its worker lost its GPU: illegal access"))]
    assert crew.members != [member]
    assert len(crew.idle()) == 1
