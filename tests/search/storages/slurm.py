"""A SLURM cluster of the tests' own: one node that pretends to have two GPUs, without systemd."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "squeue")
SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
AuthInfo=cred_expire=3
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Gres=gpu:2
PartitionName=all Nodes=ALL Default=YES
"""
"""A task that was put back waits for ``cred_expire`` seconds: two minutes if nothing is said."""


class Cluster:
    """A controller and a node in a folder."""

    def __init__(self, folder: Path) -> None:
        host = socket.gethostname().partition(".")[0]
        ports = _free_ports(2)
        for name in ("state", "spool"):
            (folder / name).mkdir()
        given = {"host": host, "ports": ports, "folder": folder, "user": getpass.getuser()}
        (folder / "slurm.conf").write_text(SETTINGS.format(**given))
        (folder / "gres.conf").write_text("Name=gpu File=/dev/zero\nName=gpu File=/dev/null\n")
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self._log = folder / "log"
        self._daemons = [self._daemon("slurmctld", "-D"), self._daemon("slurmd", "-D")]
        self._until_idle()

    def run(self, *command: str, **more: str) -> str:
        """Run one of SLURM's commands, with more of an environment, and return what it says."""
        environment = {**self.environment, **more}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr, self._log.read_text())
        return done.stdout.strip()

    def stop(self) -> None:
        """End all jobs, then the daemons."""
        with contextlib.suppress(AssertionError):
            self.run("scancel", "--user", getpass.getuser())
            deadline = time.monotonic() + 60
            while self.run("squeue", "-h") and time.monotonic() < deadline:
                time.sleep(0.2)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(30)

    def _daemon(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        path = program(name)
        assert path is not None
        with self._log.open("ab") as log:
            return subprocess.Popen([path, *arguments], env=self.environment, stdout=log, stderr=log)

    def _until_idle(self) -> None:
        deadline = time.monotonic() + 30
        command = ["sinfo", "-h", "-o", "%T"]
        while b"idle" not in subprocess.run(command, env=self.environment, capture_output=True).stdout:
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)


def program(name: str) -> str | None:
    """Return the path of one of SLURM's programs, or None."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
