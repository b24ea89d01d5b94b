"""Reads requests from standard input: fork a ``nas-train``, or wait for one to end."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import traceback
from typing import Any

import rich.progress  # noqa: F401
import torch
import torch._dynamo  # which every optimizer imports
import torch.distributed

import nas
import nas.cli.train
import nas.config.build
import nas.config.compose
import nas.tasks.mlm
import nas.tasks.mqar
import nas.train.run


def child(request: dict[str, Any]) -> int:
    log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if request["limit"] is not None:  # files cannot become larger: as on a disk that is full
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit"], request["limit"]))
    os.environ.update(request["environment"])
    sys.argv = ["nas-train", *request["argv"]]
    try:
        nas.cli.train.main()
    except SystemExit as left:
        return int(left.code or 0)
    except BaseException:
        traceback.print_exc()
        return 99
    return 98


def serve() -> None:
    torch.set_num_threads(1)
    # Hydra's grammar, all that is imported late, and the choices of the tiny run, in its order.
    nas.build(["tracker=none", "encoder=hybrid", "task=mqar"])
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            running.discard(request["wait"])
            status = os.waitpid(request["wait"], 0)[1]
            print(os.waitstatus_to_exitcode(status), flush=True)
        elif pid := os.fork():
            running.add(pid)
            print(pid, flush=True)
        else:
            code = child(request)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    for pid in running:  # of tests that were cut off: nobody waits for them any more
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


serve()
