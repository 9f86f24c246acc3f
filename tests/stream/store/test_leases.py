import os
import subprocess
import sys

import pytest

from ingest import StoreError
from stream.store.leases import LeaseLostError, died_here
from stream.store.outbox import Outbox

SOMEBODY = "INSERT INTO leases (name, owner, beat) VALUES ('a', 'elsewhere/1 77 1.0 x', 5)"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


def test_one_holds_the_other_waits_its_turn(path):
    with Outbox(path) as one, Outbox(path) as two:
        assert one.leases.take("a") and one.leases.take("a") and one.leases.holds("a")
        assert not two.leases.take("a") and two.leases.take("b")
        one.leases.give("a")
        assert two.leases.take("a") and not one.leases.holds("a")


def test_what_is_closed_is_given_back(path):
    with Outbox(path) as one, Outbox(path) as two:
        one.leases.take("a")
        one.leases.close()
        assert two.leases.take("a")


def test_a_process_of_this_host_that_died_has_lost_its_leases(path):
    code = "import os, sys, pathlib; from stream.store.outbox import Outbox; "
    code += "Outbox(pathlib.Path(sys.argv[1])).leases.take('a') and os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 9
    with Outbox(path) as mine:
        assert died_here(mine.leases.holder("a")) is True
        assert mine.leases.take("a")


def test_a_silent_host_loses_its_leases_after_their_time_and_not_before(path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("stream.store.leases.monotonic", lambda: now[0])
    with Outbox(path, lease_s=10) as mine:
        with mine.exclusive() as db:
            db.change(SOMEBODY)
        assert not mine.leases.take("a")
        now[0] += 9
        assert not mine.leases.take("a")
        with mine.exclusive() as db:
            db.change("UPDATE leases SET beat = 6")  # it lives
        now[0] += 9
        assert not mine.leases.take("a")
        now[0] += 11
        assert mine.leases.take("a")


def test_a_holder_beats(path):
    with Outbox(path, lease_s=0.1) as mine:
        mine.leases.take("a")
        before = mine.rows("SELECT beat FROM leases")
        for _ in range(100):
            if mine.rows("SELECT beat FROM leases") != before:
                break
            mine.leases._stopping.wait(0.05)
        assert mine.rows("SELECT beat FROM leases") > before


def test_who_was_taken_over_cannot_write(path):
    with Outbox(path) as slow, Outbox(path) as other:
        slow.leases.take("slide s1")
        with other.exclusive() as db:
            db.change("UPDATE leases SET owner = :owner", owner=other.leases.owner)
        with pytest.raises(LeaseLostError, match="another process"), slow.transaction() as tx:
            tx.tile_done("s1", "0,0")
            tx.hold("slide s1")
        assert slow.tiles_done("s1") == set()


def test_another_process_number_of_another_container_is_not_asked():
    assert died_here(f"some-other-host/4026531836 {os.getpid()} 1.0 abc") is None


class Stop:
    """Stands for the event that ends the beating: notes each wait, ends it after some."""

    def __init__(self, beats):
        self.waits, self.beats = [], beats

    def wait(self, seconds):
        self.waits.append(seconds)
        return len(self.waits) > self.beats

    def set(self):
        self.beats = 0


def test_five_beats_a_lease_also_after_one_that_failed(path, monkeypatch):
    """Only its own leases; a full disk is said by whoever writes next."""
    with Outbox(path, lease_s=30) as mine:
        with mine.exclusive() as db:
            db.change(SOMEBODY)
            db.change("INSERT INTO leases (name, owner) VALUES ('b', :me)", me=mine.leases.owner)
        real, fails = mine.leases._state.transaction, iter([False, True, False])

        def transaction(ordered):
            assert ordered is False
            if next(fails, False):
                raise StoreError("disk full")
            return real(ordered=ordered)

        mine.leases._stopping = Stop(beats=3)
        monkeypatch.setattr(mine.leases._state, "transaction", transaction)
        mine.leases._beat_on()
        assert mine.leases._stopping.waits == [6.0] * 4
        assert mine.rows("SELECT name, beat FROM leases ORDER BY name") == [("a", 5), ("b", 2)]


def test_one_thread_beats_and_ends_with_the_process(path):
    with Outbox(path) as mine:
        assert mine.leases._beating is None
        mine.leases.take("a")
        beating = mine.leases._beating
        mine.leases.take("b")
        assert mine.leases._beating is beating and beating.is_alive()
        assert (beating.name, beating.daemon) == ("leases", True)
        mine.leases.close()
        assert not beating.is_alive() and mine.rows("SELECT * FROM leases") == []
