"""Why a process cannot do its work, in words that name nobody."""

from types import SimpleNamespace

import pytest

from ingest import StoreError
from stream.config import Config
from stream.monitoring import Health, check_store_files, health


def figures(free_gb=0.0, error=None):
    def found():
        if error:
            raise error
        return SimpleNamespace(disk_free_bytes=int(free_gb * 1e9))

    return SimpleNamespace(figures=found)


@pytest.mark.parametrize(
    ("asked", "writable", "why"),
    [
        (figures(error=StoreError("gone")), True, "the store cannot be read"),
        (figures(error=OSError(5, "disk")), True, "the store cannot be read"),
        (figures(500), False, "the store cannot be written"),
        (figures(1.9), True, "the disk has less free than store.free_gb"),
        (figures(2.0), True, ""),
        (figures(500), True, ""),
    ],
)
def test_a_store_that_cannot_be_used_says_why(tmp_path, monkeypatch, asked, writable, why):
    tried = []
    monkeypatch.setattr(health, "can_write", lambda path: tried.append(path) or writable)
    settings = Config(store={"free_gb": 2.0})
    assert check_store_files(tmp_path, settings, asked) == why
    assert set(tried) <= {tmp_path / "state.db"}


def test_a_process_is_ready_once_it_has_started_and_no_check_fails():
    one = Health()
    assert one.failing() == {"started": "not started yet"}
    state = [""]
    one.add("store", lambda: state[0])
    one.started()
    assert not one.failing()
    state[0] = "full"
    assert one.failing() == {"store": "full"}
