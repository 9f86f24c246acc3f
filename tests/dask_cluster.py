"""A Dask cluster as people have one: `dask scheduler` and `dask worker` as processes, over TLS with
certificates that are made here.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import trustme

from ingest import Scheduler

_ROOT = Path(__file__).parents[1]
_READY_S = 60.0
_STOP_S = 20.0


class DaskCluster:
    """A scheduler and workers of one thread each, whose nannies start a killed one again. The
    scheduler keeps its port.
    """

    def __init__(self, folder: Path, workers: int = 2) -> None:
        """Certificates and logs lie in `folder`."""
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._workers_wanted = workers
        authority = trustme.CA()
        self.authority = folder / "ca.pem"
        self.certificate = folder / "dask.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        own = authority.issue_cert("127.0.0.1")
        own.private_key_and_cert_chain_pem.write_to_path(str(self.certificate))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.address = f"tls://127.0.0.1:{self._port}"
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: subprocess.Popen[bytes] | None = None

    @property
    def access(self) -> Scheduler:
        """How to get there."""
        return Scheduler(self.address, self.authority, self.certificate, self.certificate)

    @property
    def settings(self) -> str:
        """The same, as lines of `[reading]`."""
        return (
            f'scheduler = "{self.address}"\nscheduler_ca = "{self.authority}"\n'
            f'scheduler_certificate = "{self.certificate}"\nscheduler_key = "{self.certificate}"\n'
        )

    def start(self) -> "DaskCluster":
        """Starts what does not run, and returns when the scheduler can be connected to."""
        if self._scheduler is None or self._scheduler.poll() is not None:
            own = ["--protocol", "tls", "--host", "127.0.0.1", "--port", str(self._port)]
            own += ["--dashboard-address", "127.0.0.1:0"]  # it has a port for others than people
            self._scheduler = self._dask("scheduler", *own)
        if self._workers is None or self._workers.poll() is not None:
            counts = ["--nthreads", "1", "--nworkers", str(self._workers_wanted)]
            where = ["--local-directory", str(self._folder)]
            self._workers = self._dask("worker", self.address, *counts, *where)
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            time.sleep(0.05)
        raise TimeoutError("the Dask scheduler does not start")

    def _dask(self, part: str, *words: str) -> "subprocess.Popen[bytes]":
        shown = ["--tls-ca-file", str(self.authority), "--tls-cert", str(self.certificate)]
        shown += ["--tls-key", str(self.certificate), "--no-dashboard"]
        asked = [sys.executable, "-m", "dask", part, *words, *shown]
        with (self._folder / "dask.log").open("ab") as log:
            return subprocess.Popen(
                asked,
                cwd=_ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
            )

    def worker_processes(self) -> list[psutil.Process]:
        """Those that run tasks; neither their nannies' process nor the one that they are forked
        from is among them.
        """
        assert self._workers
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self._workers.pid).children(recursive=True)
            return [one for one in below if not one.children() and _runs_tasks(one)]
        return []

    def kill_scheduler(self) -> None:
        """By SIGKILL."""
        assert self._scheduler
        self._scheduler.kill()
        self._scheduler.wait()

    def await_workers_end(self) -> None:
        """Returns when the workers have ended, as they do where their scheduler has gone."""
        assert self._workers
        self._workers.wait(_READY_S)

    def close(self) -> None:
        """Stops all."""
        for part in (self._workers, self._scheduler):
            if part:
                started = _with_children(
                    part.pid
                )  # `dask worker` leaves its own where it is killed
                part.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    part.wait(_STOP_S)
                for process in started:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
                part.wait()


def _with_children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _runs_tasks(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "resource_tracker" not in " ".join(process.cmdline())
    return False
