import errno
import os

import pytest

from stream.events.codec import from_line, to_line
from stream.sinks.jsonl import JsonlSink
from stream.sinks.sink import SinkError, SinkFencedError
from tests.contracts.sink_contract import SinkContract, make_event, records


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "events.jsonl"


@pytest.fixture
def open_sink(path):
    sinks = []

    def open_one():
        sinks.append(JsonlSink(path))
        return sinks[-1]

    yield open_one
    for sink in sinks:
        sink.close()


@pytest.fixture
def received(path):
    return lambda: [from_line(line) for line in path.read_text().splitlines()]


class TestJsonlSink(SinkContract):
    pass


@pytest.mark.parametrize("kept", [1, 5, 30, 100])
def test_a_torn_line_is_cut_and_sent_again(open_sink, received, path, kept):
    path.parent.mkdir()
    path.write_text(to_line(make_event(1)) + "\n" + to_line(make_event(2))[:kept])
    open_sink().send(records(1, 3))
    assert [event.data["number"] for event in received()] == [1, 2, 3]


@pytest.mark.parametrize("text", ["my notes, no newline", "one line\n", '{"some": "json"}\n'])
def test_a_file_that_holds_something_else_stays_as_it_is(open_sink, path, text):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(SinkError, match="give a new file"):
        open_sink()
    assert path.read_text() == text


def test_one_run_at_a_time_holds_the_file(open_sink):
    open_sink().send(records(1, 1))
    with pytest.raises(SinkFencedError, match="another run"):
        open_sink().send(records(2, 2))


def test_a_full_disk_leaves_whole_batches_only(open_sink, received, monkeypatch):
    sink = open_sink()
    sink.send(records(1, 2))

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(SinkError, match="No space left on device.*free some space"):
            sink.send(records(3, 4))
        assert len(received()) == 2
    sink.send(records(3, 4))
    assert len(received()) == 4


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError):
        JsonlSink(tmp_path / "file" / "events.jsonl")
