"""Workers: the serial fake and real Dask processes, under one contract."""

import os
import signal
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest
from distributed.core import CommClosedError

from ingest import ClusterLostError, CytostreamError, Scheduler, SlideError, open_workers
from ingest.workers import dask_workers, scheduler
from ingest.workers.cluster import interrupts_later
from ingest.workers.dask_workers import DaskWorkers
from ingest.workers.own_process import call_in_own_process


def work(item):
    if item == 3:
        raise SlideError("item 3 is bad", "leave it")
    if item == 9:
        raise ZeroDivisionError("a fault of ours")
    return item * 10


def deadly(item):
    if item == 2:
        os._exit(1)
    if item == 4:
        time.sleep(60)
    return item


@pytest.fixture(scope="module", params=[0, 2], ids=["serial", "dask"])
def workers(request):
    with open_workers(request.param) as pool:
        yield pool


def outcomes(workers, function, items, limit_s=30.0):
    return dict(r for r in workers.each(function, items, limit_s) if r is not None)


def test_every_item_comes_back_once(workers):
    assert outcomes(workers, work, [0, 1, 2, 4]) == {0: 0, 1: 10, 2: 20, 4: 40}


def test_nothing_to_do(workers):
    assert outcomes(workers, work, []) == {}


def test_a_house_error_is_the_items_outcome(workers):
    found = outcomes(workers, work, range(6))
    assert isinstance(found[3], SlideError) and found[3].hint == "leave it" and found[5] == 50


def test_a_fault_of_ours_on_one_item_does_not_stop_the_others(workers):
    found = outcomes(workers, work, [8, 9, 10])
    assert "ZeroDivisionError" in found[9].what and (found[8], found[10]) == (80, 100)


def test_call(workers):
    assert workers.call(work, 7, 30.0) == 70
    with pytest.raises(SlideError):
        workers.call(work, 3, 30.0)
    assert workers.call_here(work, 7, 30.0) == 70


def test_abandoned_work_does_no_harm(workers):
    next(r for r in workers.each(work, range(50), 30.0) if r)
    assert workers.call(work, 1, 30.0) == 10


def test_a_crash_and_a_hang_cost_only_their_own_items():
    with open_workers(2) as pool:
        found = outcomes(pool, deadly, range(8), limit_s=1.0)
    assert {k for k, v in found.items() if isinstance(v, CytostreamError)} == {2, 4}
    assert [found[k] for k in (0, 1, 3, 5, 6, 7)] == [0, 1, 3, 5, 6, 7]


@pytest.mark.parametrize("item", [2, 4])
def test_a_crash_and_a_hang_in_a_process_of_their_own(item):
    with pytest.raises(CytostreamError, match="ended the worker, or took over 0 s"):
        call_in_own_process(deadly, item, 0.3)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_process_of_its_own_gives_what_the_call_gives():
    with pytest.raises(SlideError, match="item 3 is bad"):
        call_in_own_process(work, 3, 30.0)


def test_no_scheduler_there(monkeypatch):
    monkeypatch.setattr(scheduler, "CONNECT_S", 0.5)
    nobody = Scheduler("tcp://127.0.0.1:9", insecure=True)
    with pytest.raises(CytostreamError, match="no Dask scheduler"), open_workers(scheduler=nobody):
        pass


def test_workers_are_added_while_tasks_wait():
    with open_workers(1, most=3) as pool:
        seen = set()
        for arrived in pool.each(napping, range(30), 30.0):
            seen |= {arrived[1]} if arrived else set()
    assert 2 <= len(seen) <= 3


def napping(_):
    time.sleep(0.2)
    return os.getpid()


def test_the_dashboard_answers():
    pytest.importorskip("bokeh", reason="the dashboard extra is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open_workers(1, dashboard=f"127.0.0.1:{port}") as pool:
        assert pool.call(work, 7, 30.0) == 70
        with urlopen(f"http://127.0.0.1:{port}/status", timeout=10) as page:
            assert page.status == 200 and b"Dask" in page.read()


def test_ctrl_c_while_workers_start_comes_after_the_start():
    ended = False
    ask = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with pytest.raises(KeyboardInterrupt), interrupts_later():
        os.kill(os.getpid(), signal.SIGINT)
        child = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True)
        ended = True
    assert ended and child.stdout.strip() == b"True"  # a process that is started never hears it
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


class GoneClient:
    """Dask's client of a scheduler that has gone; what it raises depends on when it is asked."""

    def __init__(self, raised):
        self.raised, self.asked = raised, 0

    def run(self, *_, **__):
        raise self.raised

    def scheduler_info(self, n_workers):
        self.asked += 1
        return {"workers": dict.fromkeys("abc")}


@pytest.mark.parametrize(
    "raised",
    [
        AttributeError("'NoneType' object has no attribute 'broadcast'"),
        CommClosedError("in <TLS>: Stream is closed"),
        TimeoutError("timed out"),
        RuntimeError("cannot schedule new futures\nafter shutdown"),
    ],
)
def test_asking_every_worker_where_the_scheduler_has_gone(raised):
    with pytest.raises(ClusterLostError, match="the Dask cluster failed") as ended:
        DaskWorkers(GoneClient(raised), of_others=True).everywhere(work, 1)
    assert "\n" not in str(ended.value) and "NoneType" not in str(ended.value)


def test_the_scheduler_is_not_asked_at_each_result_how_many_workers_there_are(monkeypatch):
    client = GoneClient(None)
    pool = DaskWorkers(client)
    assert [pool.room() for _ in range(9)] == [9] * 9 and client.asked == 1
    monkeypatch.setattr(dask_workers, "COUNT_S", 0.0)
    assert pool.room() == 9 and client.asked == 2
