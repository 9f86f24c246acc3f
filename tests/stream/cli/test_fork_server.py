"""The process that workers are forked from: begun early, with what they need."""

import os
import signal

import pytest

from stream.cli import fork_server
from stream.cli.fork_server import ENVIRONMENT, LOADED, asks_for_none, begin_fork_server


@pytest.fixture
def begun(monkeypatch):
    """What the process would be begun with: modules, environment and whether Ctrl-C is blocked."""
    seen = {"modules": None}

    class Context:
        def set_forkserver_preload(self, modules):
            seen["modules"] = modules

    def begin():
        seen["environment"] = dict(os.environ)
        seen["blocked"] = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

    monkeypatch.setattr(fork_server, "get_context", lambda method: Context())
    monkeypatch.setattr(fork_server.forkserver, "ensure_running", begin)
    return seen


def test_it_loads_what_workers_need_and_never_hears_ctrl_c(begun, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    before = dict(os.environ)
    begin_fork_server(["slide.svs", "--workers", "2"])
    assert begun["modules"] == list(LOADED) and begun["blocked"]
    assert begun["environment"] == {**ENVIRONMENT, **before}
    assert dict(os.environ) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("words", [["s.svs", "--workers", "0"], ["--workers=0", "s.svs"]])
def test_without_workers_there_is_none(begun, words):
    begin_fork_server(words)
    assert begun["modules"] is None and asks_for_none(words)
