"""The routes of taught classes and of live updates, function by function: what each is given, and
what is refused of a store that can only be read.
"""

import asyncio
import importlib
import json
from types import SimpleNamespace

import pytest
from fastapi import HTTPException

from classify import DataError, ModelError
from stream.review.web import live_updates, routes_signin, routes_teach
from stream.review.web.live_updates import ALL, Hub
from tests.recorded import Named, Recorded


@pytest.fixture
def recorded(monkeypatch):
    return Recorded(monkeypatch)


@pytest.fixture
def parts(recorded):
    taught = Named("taught")
    for name in ("draft", "add", "switch"):
        setattr(taught, name, recorded.function(name))
    library = Named("library", is_read_only=False, taught=taught)
    recorded.put(routes_teach, "taught_says", ["classes"])
    recorded.put(routes_teach, "load_model", "model")
    recorded.put(routes_teach, "teach_from_store", "lesson")
    return SimpleNamespace(library=library, reasons=SimpleNamespace(folder="folder"))


ADA = SimpleNamespace(name="ada")


def calls(parts):
    return [
        lambda: routes_teach.new_class(SimpleNamespace(name="hairy"), ADA, parts),
        lambda: routes_teach.give_lesson("hairy", ADA, parts),
        lambda: routes_teach.switch("hairy", SimpleNamespace(on=True), ADA, parts),
    ]


def test_a_class_is_made_taught_and_switched(parts, recorded):
    for call in calls(parts):
        assert call() == ["classes"]
    assert routes_teach.taught_classes(parts, ADA) == ["classes"]
    says = "taught_says(<library>)"
    assert recorded.lines == [
        "draft('hairy')",
        says,
        "load_model('folder')",
        "teach_from_store(<library>, 'model', 'hairy', 'ada')",
        "add('lesson')",
        "switch('hairy', on=False)",
        says,
        "switch('hairy', True)",
        says,
        says,
    ]


def refused(call):
    with pytest.raises(HTTPException) as told:
        call()
    return told.value.status_code, told.value.detail


def test_what_is_refused(parts, recorded):
    for error in (DataError("too few", "mark more"), ModelError("too few", "mark more")):

        def refuse(*_, error=error):
            raise error

        recorded.put(routes_teach, "teach_from_store", refuse)
        assert refused(calls(parts)[1]) == (400, "too few: mark more")

    def absent(*_):
        raise DataError("no such class", "")

    parts.library.taught.switch = absent
    assert refused(calls(parts)[2]) == (404, "no such class")
    one = SimpleNamespace(name="unidentified")
    assert refused(lambda: routes_teach.new_class(one, ADA, parts)) == (
        400,
        "unidentified is no class",
    )
    parts.library.is_read_only = True
    recorded.lines.clear()
    for call in calls(parts):
        assert refused(call) == (423, routes_teach.READ_ONLY)
    assert recorded.lines == []


@pytest.mark.parametrize(
    ("begun", "is_taken"),
    [("1000", True), ("1600", True), ("1601", False), ("999", False), ("x", False), ("", False)],
)
def test_a_sign_in_has_ten_minutes(monkeypatch, begun, is_taken):
    from stream.oauth import SignInError

    monkeypatch.setattr(routes_signin, "time", lambda: 1600.0 if begun == "1000" else 1600.5)
    if begun == "999":
        monkeypatch.setattr(routes_signin, "time", lambda: 1599.5)
    handle = f"{begun}-random"
    doors = SimpleNamespace(secure=False, accounts=Named("accounts"))
    doors.accounts.derived = lambda word, of: f"{word} of {of}"
    cookies = {"cytostream_signin": handle}
    asked = SimpleNamespace(cookies=cookies, query_params={"code": "c"})
    provider = SimpleNamespace(finish=lambda request, answer: (request, answer))
    if not is_taken:
        with pytest.raises(SignInError, match="not begun here, or is too old") as told:
            routes_signin.signed_in(asked, doors, provider)
        assert told.value.hint == "sign in again"
        return
    request, answer = routes_signin.signed_in(asked, doors, provider)
    assert answer == {"code": "c"} and request.state == f"state of {handle}"
    assert (request.nonce, request.verifier) == (f"nonce of {handle}", f"verifier of {handle}")


def test_pages_that_listen():
    """One that is slow is told to look at everything; each leaves its place."""

    async def listened():
        hub = Hub(SimpleNamespace(look=dict, close=lambda: None), 0.01)
        may = {"ada": True}
        one = hub.listen("ada", lambda: may["ada"])
        assert await anext(one) == f"retry: 1000\ndata: {ALL}\n\n"
        other = hub.listen("ada", lambda: True)
        await anext(other)
        assert hub.listening("ada") == 2 and hub.listening("bob") == 0
        for number in range(64):
            hub._tell(json.dumps(number))
        assert await anext(one) == "data: 0\n\n"
        hub._tell("64")
        queues = list(hub._listeners)
        assert [queue.qsize() for queue in queues] == [64, 1]
        assert await anext(other) == f"data: {ALL}\n\n"
        may["ada"] = False
        with pytest.raises(StopAsyncIteration):
            await anext(one)
        assert hub.listening("ada") == 1
        waiting = asyncio.ensure_future(anext(other))
        await asyncio.wait([waiting], timeout=0.01)
        hub.close()
        assert await waiting == f"data: {ALL}\n\n"
        with pytest.raises(StopAsyncIteration):
            await anext(other)
        await hub.run()
        assert not hub._listeners

    asyncio.run(listened())


def test_a_page_hears_now_and_then_that_it_is_connected(monkeypatch):
    waits = []

    async def wait_for(awaitable, limit_s):
        waits.append(limit_s)
        task = asyncio.ensure_future(awaitable)
        await asyncio.sleep(0)
        task.cancel()
        raise TimeoutError

    async def listened():
        hub = Hub(SimpleNamespace(look=dict), 2.5)
        assert await hub._message(asyncio.Queue()) == ": still here\n\n"
        await hub._pause(2.5)

    own = SimpleNamespace(**{**vars(asyncio), "wait_for": wait_for})
    monkeypatch.setattr(live_updates, "asyncio", own)
    asyncio.run(listened())
    assert waits == [15.0, 2.5]


def test_a_store_is_looked_at_while_somebody_listens(recorded):
    async def run():
        looks = []
        hub = Hub(SimpleNamespace(look=lambda: looks.append(1) or {"all": True}), 0)
        hub._closing = SimpleNamespace(is_set=iter([False, False, True]).__next__)
        pauses = []

        async def pause(seconds):
            pauses.append(seconds)
            hub._listeners[asyncio.Queue(1)] = "ada"

        hub._pause = pause
        await hub.run()
        assert len(looks) == 1 and pauses == [0, 0]
        assert [queue.qsize() for queue in hub._listeners] == [1, 0]

    asyncio.run(run())
    watch = importlib.import_module("stream.review.web.live_updates").StoreWatch
    closed = SimpleNamespace(_reviews=SimpleNamespace(close=recorded.function("close")))
    watch.close(closed)
    Hub(SimpleNamespace(close=recorded.function("close")), 0).forget()
    assert recorded.lines == ["close()", "close()"]
