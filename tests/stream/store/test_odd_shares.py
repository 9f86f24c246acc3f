"""The last slides of a scanner, which drift is measured on."""

import pytest

from stream.store.outbox import Outbox


@pytest.fixture
def outbox(tmp_path):
    with Outbox(tmp_path / "state.db") as made:
        yield made


def finished(outbox, slide_id, day, odd=1, cells=100, scanner="one", status="done"):
    with outbox.transaction() as tx:
        tx.set_status(
            slide_id,
            status,
            odd=odd,
            progress={"cells": cells},
            slide={"scanner": scanner},
            at=f"2026-03-{day:02}T08:00:00+00:00",
        )


def test_the_newest_finished_slides_of_that_scanner_without_the_slide_itself(outbox):
    finished(outbox, "old", 1, odd=1)
    finished(outbox, "new", 3, odd=3)
    finished(outbox, "middle", 2, odd=2, cells=50, status="failures")
    finished(outbox, "itself", 4, odd=40)
    finished(outbox, "of another scanner", 5, odd=50, scanner="two")
    for day, status in enumerate(("running", "failed", "interrupted", "seen"), 6):
        finished(outbox, status, day, odd=60, status=status)
    with outbox.transaction() as tx:
        tx.set_status("of an old version", "done", slide={"scanner": "one"}, at="2026-04-01")
    assert outbox.odd_shares("one", 10, "itself") == [(3, 100), (2, 50), (1, 100)]
    assert outbox.odd_shares("one", 2, "itself") == [(3, 100), (2, 50)]
    assert outbox.odd_shares("two", 10, "itself") == [(50, 100)]
    assert outbox.odd_shares("three", 10, "itself") == []
