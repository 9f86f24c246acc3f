"""Exports: they hold up nobody, and are made once for what the store says."""

import asyncio
import threading
from functools import partial

import pytest
from fastapi import HTTPException

from stream.review.report import FORMS, formats
from stream.review.web.exports import Exports

OF_ANY_SLIDE = [ending for ending in FORMS if ending != "dcm"]


@pytest.fixture
def exports():
    made = Exports(at_once=2, kept_bytes=100)
    yield made
    made.close()


class Slow:
    """Makes a file once it may; counts how often it was asked to."""

    def __init__(self, content=b"a file"):
        self.content, self.made, self.go, self.begun = content, 0, threading.Event(), []

    def __call__(self):
        self.made += 1
        self.begun.append(threading.current_thread())
        assert self.go.wait(20)
        return self.content


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


def test_one_at_a_time_a_person_two_in_all_and_the_server_goes_on(exports):
    slow = Slow()

    async def several():
        first = [
            asyncio.create_task(exports.file(person, None, slow))
            for person in ("ada", "rob", "eve")
        ]
        await until(lambda: slow.made == 2)
        with pytest.raises(HTTPException) as refused:
            await exports.file("ada", None, slow)
        assert refused.value.status_code == 429
        assert slow.made == 2 and not any(task.done() for task in first)  # eve waits in no thread
        slow.go.set()
        assert await asyncio.gather(*first) == [b"a file"] * 3
        return await exports.file("ada", None, slow)

    assert asyncio.run(several()) == b"a file" and slow.made == 4


def test_what_waits_when_the_page_ends_is_never_made():
    exports, slow = Exports(at_once=1), Slow()

    async def several():
        making = asyncio.create_task(exports.file("ada", None, slow))
        await until(lambda: slow.made == 1)
        waiting = asyncio.create_task(exports.file("rob", None, slow))
        await until(lambda: "rob" in exports._busy)
        exports.close()
        slow.go.set()
        assert await making == b"a file"
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(several())
    assert slow.made == 1


def test_many_who_ask_for_the_same_get_one_file(exports):
    slow = Slow()

    async def several():
        asked = [asyncio.create_task(exports.file(f"p{n}", "same", slow)) for n in range(30)]
        await until(lambda: slow.made == 1)
        slow.go.set()
        await asyncio.gather(*asked)
        return await exports.file("late", "same", slow)

    assert asyncio.run(several()) == b"a file" and slow.made == 1


def test_who_goes_away_leaves_the_file_to_the_others(exports):
    slow = Slow()

    async def several():
        gone, stays = (asyncio.create_task(exports.file(p, "same", slow)) for p in ("ada", "rob"))
        await until(lambda: slow.made == 1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        slow.go.set()
        assert await stays == b"a file"
        return await exports.file("ada", None, slow)  # no longer busy

    assert asyncio.run(several()) == b"a file"


def test_a_failed_file_is_made_again_and_the_kept_ones_stay_small(exports):
    def fail():
        raise ValueError("no space")

    async def several():
        with pytest.raises(ValueError, match="no space"):
            await exports.file("ada", "a", fail)
        made = {}
        for key in ("a", "b", "c", "a"):  # 60 bytes each: one fits
            slow = made.setdefault(key, Slow(key.encode() * 60))
            slow.go.set()
            assert await exports.file("ada", key, slow) == slow.content
        return [slow.made for slow in made.values()]

    assert asyncio.run(several()) == [2, 1, 1]


@pytest.fixture
def counted(monkeypatch):
    """How often each form is made."""
    made = {}

    def make(form, *about):
        made[form.ending] = made.get(form.ending, 0) + 1
        return form.make(*about)

    for form in map(FORMS.get, OF_ANY_SLIDE):
        counting = formats.Form(form.ending, form.media, partial(make, form))
        monkeypatch.setitem(FORMS, form.ending, counting)
    return made


def test_a_file_is_made_again_when_what_it_says_has_changed(lab, counted):
    def files():
        return {
            ending: lab.one.get(f"{lab.slide}/report.{ending}").content for ending in OF_ANY_SLIDE
        }

    first, again = files(), files()
    assert again == first and set(counted.values()) == {1}
    renamed = {"action": "reclassify", "cell_ids": lab.cells()[:1], "label": "blast"}
    assert lab.one.post(f"{lab.slide}/decisions", {**renamed, "saw": lab.number()}).is_success
    changed = files()
    assert set(counted.values()) == {2}
    assert all(changed[ending] != first[ending] for ending in ("csv", "geojson", "pdf", "zip"))
    lab.see_all()
    assert lab.sign().is_success
    signed = files()
    assert set(counted.values()) == {3} and b'"final"' in signed["fhir.json"]


def test_of_a_slide_that_is_being_read_nothing_is_kept(open_lab, tmp_path, counted):
    from tests.stores import Filled

    made = Filled(tmp_path / "store")
    made.add(5)
    lab = open_lab(made=made)
    for _ in range(2):
        assert lab.one.get(f"{lab.slide}/report.geojson").is_success
    assert counted == {"geojson": 2}
