"""A Dask cluster of others, as processes over TLS: what is checked, and what a run gets of it when
a worker is killed, and when the scheduler goes.
"""

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import CytostreamError, open_workers
from ingest.workers import cluster as cluster_module
from ingest.workers import scheduler
from ingest.workers.cluster import difference_of
from tests.dask_cluster import DaskCluster

pytestmark = pytest.mark.slow
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with closing(DaskCluster(tmp_path_factory.mktemp("cluster"))) as dask:
        yield dask.start()


def outcomes(pool, function, items, limit_s=LIMIT_S):
    return [arrived for arrived in pool.each(function, items, limit_s) if arrived is not None]


def read(path: Path) -> str:
    return path.read_text()


def test_workers_read_where_their_mount_is(cluster, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "1.svs").write_text("a slide")
    here = tmp_path / "here"
    access = replace(cluster.access, mounts=((here, tmp_path / "there"),))
    with open_workers(scheduler=access) as pool:
        assert pool.call(read, here / "1.svs", LIMIT_S) == "a slide"
        assert set(pool.everywhere(read, here / "1.svs").values()) == {"a slide"}
        with pytest.raises(CytostreamError, match=f"{here}/2.svs") as refused:
            pool.call(read, here / "2.svs", LIMIT_S)
    assert "there" not in str(refused.value)


def test_a_task_that_ends_its_worker_is_given_to_no_other(cluster):
    """`allowed-failures` reaches a scheduler of others."""
    with open_workers(scheduler=cluster.access) as pool:
        assert pool.count == 2
        assert pool.client.run_on_scheduler(failures_allowed) == 0


def failures_allowed(dask_scheduler) -> int:
    return dask_scheduler.allowed_failures


def slow(item: int) -> int:
    time.sleep(0.05)
    return item


def test_a_killed_worker_loses_nothing_and_doubles_nothing(cluster):
    with open_workers(scheduler=cluster.access) as pool:
        found = []
        for arrived in pool.each(slow, range(40), LIMIT_S):
            if arrived is None:
                continue
            found.append(arrived)
            if len(found) == 10:
                cluster.worker_processes()[0].kill()
    assert sorted(found) == [(item, item) for item in range(40)]


def test_a_scheduler_that_goes_ends_the_run_in_a_line_and_the_same_command_goes_on(
    cluster, monkeypatch, capfd
):
    monkeypatch.setattr(scheduler, "CONNECT_S", 2.0)
    with (
        pytest.raises(CytostreamError, match="the Dask cluster failed") as ended,
        open_workers(scheduler=cluster.access) as pool,
    ):
        for arrived in pool.each(slow, range(400), LIMIT_S):
            if arrived and arrived[0] == 5:
                cluster.kill_scheduler()
    assert "\n" not in str(ended.value) and "the same command goes on" in ended.value.hint
    assert "Traceback" not in capfd.readouterr().err
    cluster.await_workers_end()
    cluster.start()
    with open_workers(scheduler=cluster.access) as pool:
        assert sorted(outcomes(pool, slow, range(4))) == [(item, item) for item in range(4)]


def test_other_versions_are_refused_in_one_line(cluster, monkeypatch):
    monkeypatch.setattr(cluster_module, "version", lambda name: "0.1")  # here, and not there
    with (
        pytest.raises(
            CytostreamError, match=r"worker tls://\S+ has cytostream .*\(here 0.1\)"
        ) as refused,
        open_workers(scheduler=cluster.access),
    ):
        pass
    assert "\n" not in str(refused.value) and "install the same versions" in refused.value.hint


def test_how_versions_differ():
    ours = {"cytostream": "1", "numpy": "2"}
    assert difference_of(ours | {"more": "3"}, ours) == ""
    assert difference_of({"cytostream": "1"}, ours) == "numpy none (here 2)"
    assert difference_of(ImportError("no module"), ours) == "no cytostream 1"
