"""Workers step by step, without processes: what is asked of Dask, of the system and of the clock,
each written down whole.
"""

import faulthandler
import resource
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import KilledWorker

from ingest import ClusterLostError, CytostreamError, Scheduler, SerialWorkers, SlideError
from ingest.workers import cluster, dask_workers, limits, own_process, scheduler
from ingest.workers.cluster import (
    allow_no_failures,
    check_versions,
    check_workers,
    dashboard_address,
    interrupts_later,
    open_workers,
    own_versions,
)
from ingest.workers.dask_workers import DaskWorkers, first, loss_told, lost
from ingest.workers.limits import ended_error, limit_memory, limited, outcome_of
from ingest.workers.own_process import call_in_own_process
from ingest.workers.scheduler import connect, security_of
from tests.approved import approved


def ten(item):
    return item * 10


class Future:
    """A task that is done at once."""

    def __init__(self, client, result):
        self.client, self.given = client, result

    def add_done_callback(self, put):
        put(self)

    def result(self):
        if isinstance(self.given, KilledWorker):
            raise self.given
        return self.given

    def release(self):
        self.client.lines.append("release")


class Client:
    """Stands for Dask's client of some workers; writes down what it is asked. `deaths` is how often
    an item ends its worker.
    """

    def __init__(self, workers=1, deaths=(), faults=()):
        self.lines, self.workers = [], workers
        self.deaths, self.faults = dict(deaths), dict(faults)

    def submit(self, function, call, item, limit_s, pure):
        self.lines.append(f"submit {function.__name__} {call.__name__} {item} {limit_s} {pure}")
        if item in self.faults:
            return Future(self, self.faults[item])
        if self.deaths.get(item, 0) > 0:
            self.deaths[item] -= 1
            return Future(self, KilledWorker("task", "worker", 0))
        return Future(self, outcome_of(call, item))

    def wait_for_workers(self, count, timeout):
        self.lines.append(f"wait for {count} within {timeout} s")

    def scheduler_info(self, n_workers):
        self.lines.append(f"info {n_workers}")
        return {"workers": dict.fromkeys(range(self.workers))}

    def run(self, call, item, on_error):
        self.lines.append(f"run {call.__name__} {item} {on_error}")
        return {"tls://one": call(item)}


def test_items_come_back_as_they_end_three_a_worker_at_once():
    client = Client(workers=2)
    arrived = list(DaskWorkers(client).each(ten, range(8), 5.0))
    assert arrived == [(item, 10 * item) for item in range(8)]
    begun = [f"submit limited ten {item} 5.0 False" for item in range(8)]
    assert client.lines == [
        "info -1",
        *begun[:6],
        begun[6],
        "release",
        begun[7],
        *["release"] * 7,
    ]


def test_while_none_is_ready_it_says_so(monkeypatch):
    client, waits = Client(), []
    done = []

    class Queue:
        def put(self, future):
            done.append(future)

        def get(self, timeout):
            waits.append(timeout)
            if len(waits) in (1, 2):
                raise dask_workers.Empty
            return done.pop(0)

    monkeypatch.setattr(dask_workers, "SimpleQueue", Queue)
    assert list(DaskWorkers(client).each(ten, [1, 2], 5.0)) == [None, None, (1, 10), (2, 20)]
    assert waits == [0.01] * 4


@pytest.mark.parametrize(
    ("deaths", "slow_s", "outcome", "tries"),
    [(1, 0, 20, 1), (3, 0, 20, 3), (4, 0, None, 3), (9, 0, None, 3), (2, 5.0, None, 1)],
)
def test_an_item_that_ends_its_worker_is_tried_alone(monkeypatch, deaths, slow_s, outcome, tries):
    """Three times, or until it has taken its time."""
    now = [0.0]

    def monotonic():
        now[0] += slow_s / 2
        return now[0]

    client = Client(workers=1, deaths={2: deaths})
    pool = DaskWorkers(client)
    pool.most, pool.counted_s = 3, 1e9
    monkeypatch.setattr(dask_workers, "monotonic", monotonic)
    found = dict(pool.each(ten, [1, 2, 3], 2.5))
    assert (found[1], found[3]) == (10, 30)
    if outcome is None:
        assert found[2].what == "reading it ended the worker, or took over 2 s"
    else:
        assert found[2] == outcome
    assert list(found) == [1, 3, 2]
    assert client.lines.count("wait for 1 within 60 s") == tries


def test_how_many_workers_there_are_is_asked_once_a_second(monkeypatch):
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(dask_workers, "monotonic", lambda: now.s)
    client = Client(workers=2)
    pool = DaskWorkers(client)
    assert pool.room() == 6
    client.workers, now.s = 0, 100.9
    assert pool.room() == 6
    now.s = 101.0
    assert pool.room() == 3 and client.lines == ["info -1"] * 2


def test_a_first_count_is_asked_even_at_the_start_of_the_clock(monkeypatch):
    monkeypatch.setattr(dask_workers, "monotonic", lambda: 0.0)
    assert DaskWorkers(Client()).room() == 3


def test_every_worker_is_asked_only_of_a_cluster_of_others():
    client = Client()
    assert DaskWorkers(client).everywhere(ten, 4) == {} and client.lines == []
    assert DaskWorkers(client, of_others=True).everywhere(ten, 4) == {"tls://one": 40}
    assert client.lines == ["run ten 4 return"]


def test_a_call_goes_to_one_worker_or_to_a_process_here(monkeypatch):
    monkeypatch.setattr(dask_workers, "call_in_own_process", lambda *about: about)
    client = Client()
    assert DaskWorkers(client).call_here(ten, 4, 2.0) == 40
    assert client.lines == ["wait for 1 within 60 s", "submit limited ten 4 2.0 False"]
    assert DaskWorkers(client, of_others=True).call_here(ten, 4, 2.0) == (ten, 4, 2.0)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (TimeoutError(), "no worker has come back for 60 s (the same command goes on)"),
        (OSError("closed"), "the Dask cluster failed: closed"),
        (RuntimeError("after\n  shutdown"), "the Dask cluster failed: after shutdown"),
    ],
)
def test_no_worker_that_comes_back(raised, said):
    def wait(*_, **__):
        raise raised

    with pytest.raises(ClusterLostError) as ended:
        DaskWorkers(SimpleNamespace(wait_for_workers=wait)).wait_for_one()
    assert str(ended.value).startswith(said)


@pytest.mark.parametrize("raised", [OSError("closed"), RuntimeError("closed")])
def test_a_scheduler_that_takes_no_task(raised):
    def submit(*_, **__):
        raise raised

    with pytest.raises(ClusterLostError, match="the Dask cluster failed: closed"):
        DaskWorkers(SimpleNamespace(submit=submit)).begun(ten, 1, 2.0)


def test_errors_of_workers_of_others_name_paths_of_here():
    mounts = ((Path("/here"), Path("/there")),)
    client = Client(faults={1: SlideError("/there/1.svs: torn", "scan it")})
    plain, moved = (DaskWorkers(client, True, one) for one in ((), mounts))
    assert [pool.call(ten, 2, 1.0) for pool in (plain, moved)] == [20, 20]
    for pool, what in ((plain, "/there/1.svs: torn"), (moved, "/here/1.svs: torn")):
        with pytest.raises(SlideError) as torn:
            pool.call(ten, 1, 1.0)
        assert torn.value.what == what


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError("a\n b"), "the Dask cluster failed: a b"),
        (KeyError(), "the Dask cluster failed: KeyError"),
        (AttributeError("x"), "the Dask cluster failed: the connection to the scheduler is lost"),
    ],
)
def test_a_cluster_that_fails_says_so_in_one_line(error, what):
    assert lost(error).what == what
    assert lost(error).hint == (
        "start it again, with this version of cytostream everywhere; the same command goes on"
    )
    with pytest.raises(ClusterLostError, match=what), loss_told():
        raise error


def test_an_error_of_the_house_goes_on_as_it_is():
    with pytest.raises(SlideError), loss_told():
        raise SlideError("torn")


def test_the_first_of_some_items_leaves_the_rest():
    items = iter(range(5))
    assert first(items, 2) == [0, 1] and first(items, 0) == [] and first(items, -1) == []
    assert first(items, 9) == [2, 3, 4]


# limits of one call


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (SlideError("torn", "scan it"), SlideError, "torn (scan it)"),
        (
            MemoryError(),
            SlideError,
            "reading it takes more memory than a worker may have (convert it to a pyramidal TIFF "
            "of tiles of 512 px)",
        ),
        (
            KeyError("x"),
            CytostreamError,
            "unexpected KeyError: 'x' (report it, with this slide if you may)",
        ),
    ],
)
def test_what_stops_a_call_is_its_outcome(error, kind, said):
    def fail(_):
        raise error

    outcome = outcome_of(fail, 1)
    assert type(outcome) is kind and str(outcome) == said
    assert str(ended_error(61.4)) == (
        "reading it ended the worker, or took over 61 s (scan the slide again)"
    )


def test_a_call_is_watched_while_it_runs_and_no_longer(monkeypatch):
    lines = []
    monkeypatch.setattr(limits, "limit_memory", lambda: lines.append("memory"))
    monkeypatch.setattr(
        faulthandler,
        "dump_traceback_later",
        lambda s, exit, file: lines.append(f"watch {s} s, exit {exit}, {file.name} {file.mode}"),
    )
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: lines.append("end"))

    def call(item):
        lines.append(f"call {item}")
        return 7

    assert limited(call, 3, 2.5) == 7
    watched = ["memory", "watch 2.5 s, exit True, /dev/null w"]
    assert lines == [*watched, "call 3", "end"]


@pytest.mark.parametrize(
    ("soft", "has_statm", "asked"),
    [
        (resource.RLIM_INFINITY, True, [(resource.RLIMIT_AS, (3 * 4096 + (4 << 30), 99))]),
        (resource.RLIM_INFINITY, False, []),
        (1 << 40, True, []),
    ],
)
def test_memory_is_limited_once_a_process(monkeypatch, tmp_path, soft, has_statm, asked):
    (tmp_path / "statm").write_text("3 1 1 0 0 0 0\n")
    found = []
    monkeypatch.setattr(limits, "STATM", tmp_path / ("statm" if has_statm else "none"))
    monkeypatch.setattr(resource, "getpagesize", lambda: 4096)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, 99))
    monkeypatch.setattr(resource, "setrlimit", lambda *about: found.append(about))
    limit_memory()
    assert found == asked


def test_a_process_of_its_own_is_started_with_ctrl_c_blocked(monkeypatch):
    lines = []

    class Pool:
        def __init__(self, count, mp_context):
            lines.append(f"pool {count} {mp_context.get_start_method()}")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            lines.append("end")

        def submit(self, function, *about):
            lines.append(f"submit {function.__name__} {about}")
            return SimpleNamespace(result=lambda: self.result(about))

        @staticmethod
        def result(about):
            if about[1] == "broken":
                raise own_process.BrokenProcessPool
            return about[1]

    monkeypatch.setattr(own_process, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(
        own_process.resource_tracker, "ensure_running", lambda: lines.append("tracker")
    )
    monkeypatch.setattr(
        own_process.signal, "pthread_sigmask", lambda *about: lines.append(about) or {"before"}
    )
    assert call_in_own_process(None, 5, 2.0) == 5
    assert lines == [
        "tracker",
        "pool 1 spawn",
        (signal.SIG_BLOCK, {signal.SIGINT}),
        "submit limited (None, 5, 2.0)",
        (signal.SIG_SETMASK, {"before"}),
        "end",
    ]
    with pytest.raises(CytostreamError, match="took over 2 s"):
        call_in_own_process(None, "broken", 2.0)


# how a cluster is opened


@pytest.fixture
def opened(monkeypatch):
    """What Dask is asked when workers are opened."""
    lines, settings = [], {}

    class Cluster:
        def __init__(self, **about):
            about["security"] = type(about["security"]).__name__
            lines.append(f"cluster {about}")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            lines.append("cluster ends")

        def adapt(self, **about):
            lines.append(f"adapt {about}")

    class Opened:
        def __init__(self, asked, **about):
            lines.append(f"client of {type(asked).__name__} {about}")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            lines.append("client ends")

    @contextmanager
    def set_config(given):
        settings.update(given)
        yield
        lines.append("settings end")

    def connect(asked):
        lines.append(f"connect {asked.address}")
        return Opened(asked)

    monkeypatch.setattr(cluster, "LocalCluster", Cluster)
    monkeypatch.setattr(cluster, "Client", Opened)
    monkeypatch.setattr(cluster.dask.config, "set", set_config)
    monkeypatch.setattr(cluster, "connect", connect)
    monkeypatch.setattr(cluster, "find_spec", lambda name: name == "bokeh" or None)
    monkeypatch.setattr(cluster, "check_workers", lambda client: lines.append("check"))
    monkeypatch.setattr(cluster, "blame_first_death", lambda client: lines.append("blame"))
    return lines, settings


def test_how_workers_are_opened(opened, monkeypatch):
    lines, settings = opened
    access = Scheduler("tls://h:1", mounts=((Path("/a"), Path("/b")),))
    for name, about in (
        ("none", {"count": 0, "dashboard": "h:1"}),
        ("two", {}),
        ("one that may be three", {"count": 1, "most": 3}),
        ("no more than there are", {"count": 3, "most": 3}),
        ("with pages", {"count": 1, "dashboard": "h:1"}),
        ("of others", {"scheduler": access}),
    ):
        lines.append(f"# {name}")
        settings.clear()
        with open_workers(**about) as workers:
            lines.append(f"{type(workers).__name__} {getattr(workers, 'of_others', None)}")
            lines.append(f"mounts {getattr(workers, 'mounts', None)}")
        lines += [f"  {key} = {value}" for key, value in settings.items()]
    assert cluster.distributed.utils._forkserver_preload_set is True
    approved(__file__, "opened-workers", "\n".join(lines))


def test_pages_need_a_package(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    assert dashboard_address("") == "127.0.0.1:0"
    with pytest.raises(CytostreamError) as refused:
        dashboard_address("h:1")
    assert str(refused.value) == (
        "Dask's dashboard needs bokeh (pip install -e '.[dashboard]', or empty reading.dashboard)"
    )
    monkeypatch.setattr(cluster, "find_spec", lambda name: name)
    assert dashboard_address("h:1") == "h:1"


def test_ctrl_c_waits_for_the_end_of_the_block(monkeypatch):
    lines = []
    monkeypatch.setattr(cluster.resource_tracker, "ensure_running", lambda: lines.append("tracker"))
    monkeypatch.setattr(
        cluster.signal, "pthread_sigmask", lambda *about: lines.append(about) or {"before"}
    )
    handlers = []
    monkeypatch.setattr(cluster.signal, "signal", lambda *about: handlers.append(about) or "old")
    with interrupts_later():
        lines.append("work")
    assert lines == [
        "tracker",
        (signal.SIG_BLOCK, {signal.SIGINT}),
        "work",
        (signal.SIG_SETMASK, {"before"}),
    ]
    assert handlers[1:] == [(signal.SIGINT, "old")] and handlers[0][0] == signal.SIGINT
    with pytest.raises(KeyboardInterrupt), interrupts_later():
        handlers[-1][1](signal.SIGINT, None)
        lines.append("all the same")
    assert lines[-2] == "all the same"


class Checked:
    """A client of a cluster that is checked: versions by worker, threads a worker."""

    def __init__(self, versions, scheduler=None, threads=(1,), comes=True):
        self.lines, self.versions, self.scheduler = [], versions, scheduler
        self.threads, self.comes = threads, comes

    def submit(self, function, item, pure):
        self.lines.append(f"submit {function.__name__} {item} {pure}")
        return SimpleNamespace(cancel=lambda: self.lines.append("cancel"))

    def wait_for_workers(self, count, timeout):
        self.lines.append(f"wait for {count} within {timeout} s")
        if not self.comes:
            raise TimeoutError

    def scheduler_info(self, n_workers):
        self.lines.append(f"info {n_workers}")
        return {"workers": {n: {"nthreads": count} for n, count in enumerate(self.threads)}}

    def run(self, function, on_error):
        self.lines.append(f"run {function.__name__} {on_error}")
        return self.versions

    def run_on_scheduler(self, function):
        self.lines.append(f"scheduler {function.__name__}")
        if isinstance(self.scheduler, Exception):
            raise self.scheduler
        return own_versions() if self.scheduler is None else self.scheduler


def test_a_cluster_of_others_has_workers_of_one_thread():
    client = Checked({"a": own_versions()}, threads=(1, 1))
    check_workers(client)
    assert client.lines == [
        "submit len () False",
        "wait for 1 within 30 s",
        "cancel",
        "run own_versions return",
        "scheduler own_versions",
        "info -1",
    ]
    with pytest.raises(CytostreamError) as refused:
        check_workers(Checked({}, threads=(1, 2)))
    assert str(refused.value).startswith("the cluster's workers must have one thread each (start")
    nobody = Checked({}, comes=False)
    with pytest.raises(CytostreamError) as refused:
        check_workers(nobody)
    assert str(refused.value) == (
        "the cluster has no worker (start one: `dask worker --nthreads 1`)"
    )
    assert nobody.lines[-1] == "cancel"


def test_versions_that_differ_are_named_three_at_most():
    ours = own_versions()
    assert ours["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert set(ours) == {"cytostream", "dask", "distributed", "numpy", "python"}
    old = ours | {"dask": "1.0"}
    said = f"has dask 1.0 (here {ours['dask']})"
    for count, more in ((1, ""), (3, ""), (4, "; and 1 more"), (6, "; and 3 more")):
        with pytest.raises(CytostreamError) as refused:
            check_versions(Checked({f"w{n}": old for n in range(count)}))
        names = "; ".join(f"worker w{n} {said}" for n in range(min(count, 3)))
        assert refused.value.what == names + more
    with pytest.raises(CytostreamError) as refused:
        check_versions(Checked({}, scheduler=ImportError("no")))
    assert refused.value.what == f"the scheduler has no cytostream {ours['cytostream']}"
    check_versions(Checked({"w": ours}))
    found = SimpleNamespace(allowed_failures=3)
    allow_no_failures(found)
    assert found.allowed_failures == 0


def test_what_is_asked_of_a_scheduler_of_others(monkeypatch):
    asked = []

    def client(address, **about):
        asked.append((address, {**about, "security": type(about["security"]).__name__}))
        if "9" in address:
            raise OSError("nobody")
        return "client"

    monkeypatch.setattr(scheduler, "Client", client)
    assert connect(Scheduler("tcp://h:1", insecure=True)) == "client"
    about = {"timeout": 10.0, "set_as_default": False, "security": "Security"}
    assert asked == [("tcp://h:1", about)]
    with pytest.raises(CytostreamError, match="no Dask scheduler at tcp://h:9: nobody"):
        connect(Scheduler("tcp://h:9", insecure=True))
    assert not security_of(Scheduler("tcp://h:1", insecure=True)).require_encryption


def test_tls_is_required_with_the_files_that_are_given(monkeypatch):
    asked = []

    class Security:
        tls_ca_file, tls_client_cert = "ca", "cert"

        def __init__(self, **about):
            asked.append(about)

        def get_connection_args(self, role):
            asked.append(role)

    monkeypatch.setattr(scheduler, "Security", Security)
    security_of(Scheduler("tls://h:1", Path("a"), Path("b"), Path("c")))
    files = {"tls_ca_file": "a", "tls_client_cert": "b", "tls_client_key": "c"}
    assert asked == [{"require_encryption": True, **files}, "client"]
    asked.clear()
    security_of(Scheduler("tls://h:1", insecure=True))
    assert asked == [{"require_encryption": True}, "client"]
    Security.tls_client_cert = None
    with pytest.raises(CytostreamError, match="tls://h:1: TLS needs certificates"):
        security_of(Scheduler("tls://h:1"))


def test_this_process_stands_for_workers():
    workers = SerialWorkers()
    assert list(workers.each(ten, [1, 2], 1.0)) == [(1, 10), None, (2, 20), None]
    assert (workers.count, workers.everywhere(ten, 1), workers.call(ten, 3, 1.0)) == (1, {}, 30)
