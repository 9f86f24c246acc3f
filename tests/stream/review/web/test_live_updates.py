"""Live updates go on whatever a look at the store comes upon."""

import asyncio

import pytest

from ingest import CytostreamError
from stream.review.web.live_updates import ALL, Hub

NEWS = {"slides": [{"slide_id": "a"}]}


class Watch:
    """Gives or raises one thing a look, in order, then nothing new."""

    def __init__(self, *looks):
        self.looks = list(looks)

    def look(self):
        found = self.looks.pop(0) if self.looks else {}
        if isinstance(found, Exception):
            raise found
        return found


async def heard(watch, count):
    """The first messages that a page gets, after the one with which it begins."""
    hub = Hub(watch, 0)
    listening = hub.listen("ada", lambda: True)
    await anext(listening)
    running = asyncio.create_task(hub.run())
    messages = [await asyncio.wait_for(anext(listening), 10) for _ in range(count)]
    await listening.aclose()
    running.cancel()
    return messages


@pytest.mark.parametrize(
    "error, first",
    [
        (RuntimeError("dictionary changed size"), [f"data: {ALL}\n\n"]),
        (CytostreamError("the store is busy"), []),
    ],
)
def test_a_look_that_fails_does_not_silence_the_page(error, first):
    messages = asyncio.run(heard(Watch(error, NEWS), len(first) + 1))
    assert messages[:-1] == first
    assert messages[-1] == 'data: {"slides": [{"slide_id": "a"}]}\n\n'
