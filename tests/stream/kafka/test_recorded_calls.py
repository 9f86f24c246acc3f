"""What is asked of kafka-python, call by call, by a client that writes it down: the whole record is
a text that a person has read. Brokers are in the contracts and in the other files.
"""

import logging
from collections import namedtuple
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kafka import TopicPartition
from kafka.errors import (
    AuthorizationError,
    InvalidRecordError,
    KafkaConfigurationError,
    KafkaError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    SaslAuthenticationFailedError,
    TopicAlreadyExistsError,
)
from kafka.structs import OffsetAndMetadata

from stream.config import Config, Kafka
from stream.events import to_record
from stream.kafka import client, consumer, delivery_check
from stream.kafka import sink as sink_module
from stream.kafka.client import end_offsets, hint, make_topics, reach
from stream.kafka.consumer import follow, read_all, topic_names
from stream.kafka.delivery_check import ReadBack
from stream.kafka.sink import KafkaSink, _Producer, producer_settings
from stream.sinks import EventRefusedError, SinkError, SinkFencedError
from stream.store import OutboxRecord
from tests.approved import approved
from tests.stream.making import make_events

CONFIG = Kafka(bootstrap="one:9092,two:9093", answer_s=1.5, linger_ms=7, partitions=3)
Sent = namedtuple("Sent", "topic partition offset")


class Recorder:
    """Stands for a client: writes every call down, and gives what is scripted by its name."""

    def __init__(self, lines, name, **given):
        self.lines, self.name, self.given = lines, name, given

    def __call__(self, *words, **settings):
        plain = ["config" if isinstance(one, Kafka) else str(one) for one in words]
        about = [*plain, *(f"{key}={one}" for key, one in sorted(settings.items()))]
        self.lines.append(f"{self.name}({', '.join(about)})")
        return self

    def __getattr__(self, name):
        def call(*words, **settings):
            plain = ["records" if isinstance(one, Iterator) else str(one) for one in words]
            about = [*plain, *(f"{key}={one}" for key, one in sorted(settings.items()))]
            self.lines.append(f"{self.name}.{name}({', '.join(about)})")
            given = self.given.get(name)
            if isinstance(given, list):
                given = given.pop(0) if given else None
            if isinstance(given, BaseException):
                raise given
            return given(*words) if callable(given) else given

        return call


def records(first, last, kind="cells"):
    events = make_events(last)
    return [OutboxRecord.of(seq, event) for seq, event in enumerate(events[first - 1 :], first)]


class Sending:
    """A sink whose clients write down what they are asked."""

    def __init__(self, monkeypatch, config=CONFIG, mark=None, ends=0, ids=(), **producer):
        self.lines = lines = []
        self.marks = [mark] if not isinstance(mark, list) else mark
        reader = Recorder(
            lines,
            "reader",
            committed=lambda *_: self.marks[0] if len(self.marks) == 1 else self.marks.pop(0),
            partitions_for_topic=lambda topic: None if "red" in topic else {0, 1},
            end_offsets=lambda places: {place: ends for place in places},
        )
        sent = [Sent("t", 1, 7), Sent("t", 1, 5), Sent("t", 0, 9)]
        self.producer = Recorder(lines, "producer", put_all=lambda all_: self.put(all_, sent))
        self.producer.given |= {"send_offsets_to_transaction": self.keep, **producer}
        self.back = Recorder(lines, "read_back", all_ids=lambda: set(ids), has=self.has)
        self.found = True
        for name, stand_in in (
            ("reach", lambda config: lines.append("reach")),
            ("make_topics", lambda config: lines.append("make_topics")),
            ("_Producer", self.producer),
            ("KafkaConsumer", reader),
            ("ReadBack", self.back),
        ):
            monkeypatch.setattr(sink_module, name, stand_in)
        self.sink = KafkaSink(config, "store-1")

    def put(self, all_, sent):
        self.lines += [f"  {one['topic']} {one['key']} {len(one['headers'])}" for one in all_]
        return sent

    def keep(self, offsets, group):
        """The place of the store, as the broker has it from now on."""
        if len(self.marks) == 1:
            (self.marks[0],) = offsets.values()

    def has(self, starts, ids):
        self.lines.append(f"  from {starts} ids {len(set(ids))}")
        return self.found


@pytest.fixture
def sending(monkeypatch):
    return lambda **about: Sending(monkeypatch, **about)


def test_settings_of_a_producer():
    """Whole, since a missing one loses events."""
    assert producer_settings(CONFIG, "id-1") == {
        "sasl_oauth_token_provider": None,
        "bootstrap_servers": ["one:9092", "two:9093"],
        "bootstrap_timeout_ms": 1500,
        "reconnect_backoff_max_ms": 1000,
        "transactional_id": "id-1",
        "enable_idempotence": True,
        "acks": "all",
        "max_in_flight_requests_per_connection": 5,
        "transaction_timeout_ms": 60_000,
        "max_block_ms": 1500,
        "request_timeout_ms": 1500,
        "delivery_timeout_ms": 3000,
        "retry_backoff_ms": 20,
        "linger_ms": 7,
        "compression_type": CONFIG.compression,
        "max_request_size": CONFIG.max_event_bytes,
    }


def test_a_sink_connects_sends_and_closes(sending):
    one = sending()
    assert one.sink.place() == 0  # nothing was ever there
    one.sink.send(records(1, 3))
    one.sink.send([])
    one.sink.send(records(2, 5))
    assert one.sink.place() == 5
    one.sink.close()
    one.sink.close()
    one.lines.append("again")
    assert one.sink.place() == 5
    approved(__file__, "a-sink-sends", "\n".join(one.lines))


def test_a_sink_that_reads_back(sending):
    there = records(1, 2)
    config = CONFIG.model_copy(update={"read_back": True})
    mark = OffsetAndMetadata(2, there[1].id, -1)
    one = sending(config=config, mark=mark, ids=[record.id for record in there])
    assert one.sink.place() == 0
    one.sink.send(records(1, 4))
    one.sink.send(records(1, 4))
    one.found = False
    with pytest.raises(SinkError, match="has dropped a transaction that it had committed"):
        one.sink.send(records(1, 6))
    approved(__file__, "a-sink-reads-back", "\n".join(one.lines))


@pytest.mark.parametrize(
    ("mark", "ends", "place"),
    [
        (OffsetAndMetadata(0, "e0", -1), 0, 0),
        (OffsetAndMetadata(7, "e7", -1), 3, 7),
        (None, 0, 0),  # a new broker
        (None, 3, None),  # one that has forgotten
    ],
)
def test_the_place_that_a_broker_has_of_a_store(sending, mark, ends, place):
    assert sending(mark=mark, ends=ends).sink.place() == place


def test_a_copied_store_is_told_by_the_id_at_the_place(sending):
    here = records(1, 4)
    same = sending(mark=OffsetAndMetadata(2, here[1].id, -1))
    same.sink.send(here)
    assert [line for line in same.lines if line.startswith("  ")] == [
        f"  {CONFIG.topics.cells} {one.key} {len(one.headers)}" for one in here[2:]
    ]
    with pytest.raises(SinkFencedError, match="another copy of this store") as fenced:
        sending(mark=OffsetAndMetadata(2, "another", -1)).sink.send(here)
    assert fenced.value.hint == "a copied store must not send: run the slides into a new store"
    behind = sending(mark=OffsetAndMetadata(2, "another", -1))
    behind.sink.send(here[2:])
    assert "producer.commit_transaction()" in behind.lines


def test_a_broker_that_has_lost_records_gets_no_place_behind_the_gap(sending):
    here = records(1, 6)
    first = OffsetAndMetadata(3, here[2].id, -1)
    for later, said in (
        (OffsetAndMetadata(2, here[1].id, -1), "it is at 2, and was at 3"),
        (None, "it is at None, and was at 3"),
    ):
        one = sending(mark=[first, later])
        with pytest.raises(SinkError, match=f"the broker has lost records: {said}"):
            one.sink.send(here)
        assert "producer.commit_transaction()" not in one.lines and one.lines[-1] == (
            "reader.close(autocommit=False)"
        )
    sending(mark=[first, first]).sink.send(here)


def test_a_batch_with_a_refused_event_is_halved_down_to_it(sending):
    too_large = records(1, 7)[4].value

    def put(all_):
        if too_large in [one["value"] for one in all_]:
            raise MessageSizeTooLargeError("5 MB")
        return []

    one = sending(mark=OffsetAndMetadata(0, "", -1))
    one.producer.given["put_all"] = put
    with pytest.raises(EventRefusedError) as refused:
        one.sink.send(records(1, 7))
    assert refused.value.seq == 5
    assert refused.value.reason.startswith("MessageSizeTooLargeError: ")
    approved(__file__, "a-refused-event", "\n".join(one.lines))


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            ProducerFencedError("epoch"),
            SinkFencedError,
            "kafka:one:9092,two:9093 is taken over by another run of this store (let that one go "
            "on, or stop it and run this one again)",
        ),
        (KafkaError("no leader"), SinkError, "kafka:one:9092,two:9093: KafkaError: no leader"),
        (ValueError("port"), SinkError, "kafka:one:9092,two:9093: port (check [kafka]"),
        (OSError("refused"), SinkError, "kafka:one:9092,two:9093: refused (is the broker up"),
        (SinkError("as it is", "so"), SinkError, "as it is (so)"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
def test_after_any_error_the_sink_is_closed_and_says_so_in_one_line(sending, error, kind, said):
    one = sending(mark=OffsetAndMetadata(0, "", -1), begin_transaction=error)
    with pytest.raises(kind) as raised:
        one.sink.send(records(1, 1))
    assert str(raised.value).startswith(said) and type(raised.value) is kind
    assert one.lines[-2:] == ["producer.drop()", "reader.close(autocommit=False)"]


def test_a_sink_that_cannot_begin_drops_its_producer(sending):
    one = sending(init_transactions=KafkaTimeoutError("no coordinator"))
    with pytest.raises(SinkError, match="no coordinator"):
        one.sink.send(records(1, 1))
    assert one.lines[-2:] == ["producer.init_transactions()", "producer.drop()"]


def test_the_sink_of_a_config_and_its_names():
    config = Config(kafka={"bootstrap": "one:9092"})
    one = KafkaSink.open("", config, "store-1")
    assert (one.name, one._group, one.usage) == (
        "kafka:one:9092",
        "cytostream-relay-store-1",
        "kafka",
    )
    assert one._mark_at == TopicPartition(config.kafka.topics.slides, 0)


class Future:
    def __init__(self, exception=None, value=None):
        self.exception, self.value = exception, value

    def succeeded(self):
        return self.exception is None


@pytest.fixture
def producer():
    """The producer's own steps above a client that writes down what it is asked."""
    lines = []
    one = _Producer.__new__(_Producer)
    one._closed = True
    one.config = {"delivery_timeout_ms": 3000, "max_block_ms": 1500}
    one._sender = Recorder(lines, "sender")
    answer = SimpleNamespace(wait=lambda ms: lines.append(f"wait {ms} ms") or ms == 1500)
    one._transaction_manager = Recorder(
        lines,
        "transactions",
        send_offsets_to_transaction=answer,
        begin_commit=answer,
        begin_abort=answer,
    )
    one.flush = lambda seconds: lines.append(f"flush within {seconds} s")
    one.close = lambda timeout, **_: lines.append(f"close within {timeout} s")
    return one, lines


def test_the_steps_of_a_transaction_are_waited_for(producer):
    one, lines = producer
    one._transaction_manager.given = {
        name: lambda *_, step=step: step for name, step in one._transaction_manager.given.items()
    }
    one.send_offsets_to_transaction({"place": 3}, "group")
    one.commit_transaction()
    one.abort_transaction()
    one.drop()
    assert lines == [
        "transactions.send_offsets_to_transaction({'place': 3}, group)",
        "sender.wakeup()",
        "wait 1500 ms",
        "transactions.begin_commit()",
        "sender.wakeup()",
        "wait 1500 ms",
        "transactions.begin_abort()",
        "sender.wakeup()",
        "wait 1500 ms",
        "sender.force_close()",
        "sender.join(2.0)",
        "close within 0 s",
    ]
    one.config["max_block_ms"] = 1
    with pytest.raises(KafkaTimeoutError, match="the transaction coordinator does not answer"):
        one.commit_transaction()


@pytest.mark.parametrize(
    ("errors", "raised"),
    [
        ([None, None], None),
        ([KafkaError("late"), InvalidRecordError("bad")], InvalidRecordError),
        ([InvalidRecordError("bad"), KafkaError("late")], InvalidRecordError),
        ([None, KafkaTimeoutError("late")], KafkaTimeoutError),
        ([KafkaTimeoutError("late"), KafkaError("also")], KafkaTimeoutError),
    ],
)
def test_a_refusal_goes_before_the_errors_that_it_causes(producer, errors, raised):
    one, lines = producer
    futures = iter([Future(error, n) for n, error in enumerate(errors)])
    one.send = lambda **record: lines.append(f"send {record}") or next(futures)
    batch = ({"value": n} for n in range(2))
    if raised is None:
        assert one.put_all(batch) == [0, 1]
    else:
        with pytest.raises(raised) as error:
            one.put_all(batch)
        assert type(error.value) is raised
    assert lines == ["send {'value': 0}", "send {'value': 1}", "flush within 3.0 s"]


def test_topics_that_are_not_there_are_made_and_others_are_left(monkeypatch, caplog):
    lines, names = [], sorted(CONFIG.topics.model_dump().values())
    admin = Recorder(
        lines,
        "admin",
        list_topics=[[names[0], names[1], "other"], [*names], []],
        describe_topics=[
            [
                {"name": names[0], "partitions": [0, 1, 2]},
                {"topic": names[1], "partitions": [0]},
            ],
            [],
        ],
        create_topics=[None, TopicAlreadyExistsError("raced")],
    )
    monkeypatch.setattr(client, "KafkaAdminClient", admin)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            make_topics(CONFIG)
    lines += [one.getMessage() for one in caplog.records]
    approved(__file__, "topics", "\n".join(lines))


def test_a_first_knock_tries_each_server_and_says_what_the_last_one_said(monkeypatch):
    asked, up = [], set()

    def connect(address, timeout_s):
        asked.append((address, timeout_s))
        if address[0] not in up:
            raise OSError(f"{address[0]} refused")
        return SimpleNamespace(close=lambda: asked.append("close"))

    monkeypatch.setattr(client.socket, "create_connection", connect)
    with pytest.raises(OSError, match="two refused"):
        reach(CONFIG)
    assert asked == [(("one", 9092), 1.5), (("two", 9093), 1.5)]
    up.add("two")
    reach(CONFIG)
    assert asked[2:] == [(("one", 9092), 1.5), (("two", 9093), 1.5), "close"]
    up.add("one")
    asked.clear()
    reach(CONFIG)
    assert asked == [(("one", 9092), 1.5), "close"]
    asked.clear()
    reach(CONFIG.model_copy(update={"bootstrap": "[::1]:9092"}) if up.add("::1") else CONFIG)
    up.add("::1")
    reach(CONFIG.model_copy(update={"bootstrap": "[::1]:9092"}))
    assert asked[-2:] == [(("::1", 9092), 1.5), "close"]
    asked.clear()
    reach(CONFIG.model_copy(update={"security": {"proxy_url": "socks5://p:1"}}))
    assert asked == []


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (AuthorizationError(), "give this client the rights"),
        (ValueError("x"), "check [kafka] in the config"),
        (SaslAuthenticationFailedError(), "check the account and password"),
        (KafkaConfigurationError(), "install the package that has it"),
        (KafkaTimeoutError("bootstrap"), "the port is open"),
        (KafkaTimeoutError("else"), "is the broker up"),
        (KafkaError("bootstrap"), "is the broker up"),
    ],
)
def test_what_to_do_next(error, step):
    assert hint(error).startswith(step)


def test_a_partition_that_is_still_being_made_is_no_key_error():
    place = TopicPartition("t", 1)
    assert end_offsets(None, []) == {}
    assert end_offsets(SimpleNamespace(end_offsets=lambda places: {place: 4}), [place]) == {
        place: 4
    }

    def missing(places):
        raise KeyError(place)

    with pytest.raises(LeaderNotAvailableError, match="the broker does not lead .* yet"):
        end_offsets(SimpleNamespace(end_offsets=missing), [place])


class Log:
    """Stands for a consumer of a broker that holds some records by partition; each poll gives the
    next one of each.
    """

    def __init__(self, lines, held, lost=()):
        self.lines, self.held, self.lost, self.at = lines, held, lost, {}
        self.sought = []

    def __call__(self, **settings):
        self.lines.append(f"consumer {dict(sorted(settings.items()))}")
        return self

    def topics(self):
        return {place.topic for place in self.held}

    def partitions_for_topic(self, topic):
        return {place.partition for place in self.held if place.topic == topic} or None

    def end_offsets(self, places):
        self.lines.append(f"ends of {sorted(places)}")
        return {place: len(self.held[place]) for place in places}

    def assign(self, places):
        self.lines.append(f"assign {sorted(places)}")
        self.at = dict.fromkeys(places, 0)

    def subscribe(self, topics):
        self.lines.append(f"subscribe {topics}")
        self.at = {place: 0 for place in self.held if place.topic in topics}

    def seek(self, place, offset):
        self.at[place] = offset
        self.sought.append((place, offset))

    def position(self, place):
        return self.at[place]

    def poll(self, wait_ms):
        if self.sought:
            self.lines.append(f"seek {sorted(self.sought)}")
            self.sought = []
        self.lines.append(f"poll {wait_ms} ms")
        found = {}
        for place, offset in self.at.items():
            if offset < len(self.held[place]) and place not in self.lost:
                found[place] = [self.held[place][offset]]
                self.at[place] += 1
        return found

    def close(self, autocommit):
        self.lines.append(f"close, commit {autocommit}")


def kept(place, offset, event=None):
    _, headers, value = to_record(event) if event else (b"", [], b"hello")
    return SimpleNamespace(
        topic=place.topic, partition=place.partition, offset=offset, headers=headers, value=value
    )


CELLS = TopicPartition(CONFIG.topics.cells, 0)
SLIDES = TopicPartition(CONFIG.topics.slides, 1)


@pytest.fixture
def held():
    events = make_events(4)
    return events, {
        CELLS: [kept(CELLS, n, event) for n, event in enumerate(events[:3])],
        SLIDES: [kept(SLIDES, 0), kept(SLIDES, 1, events[3])],
        TopicPartition("other", 0): [],
    }


@pytest.fixture
def reading(monkeypatch, held):
    lines = []
    monkeypatch.setattr(consumer, "reach", lambda config: lines.append("reach"))
    monkeypatch.setattr(consumer, "KafkaConsumer", Log(lines, held[1]))
    return lines


def test_all_events_are_read_to_the_end_and_others_programs_texts_skipped(reading, held, caplog):
    assert {event.id for event in read_all(CONFIG)} == {event.id for event in held[0]}
    reading += [one.getMessage() for one in caplog.records]
    assert topic_names(CONFIG) == {CELLS.topic, SLIDES.topic, "other"}
    assert list(read_all(CONFIG, ["dead"])) == []
    approved(__file__, "all-events", "\n".join(reading))


@pytest.mark.parametrize("from_beginning", [True, False])
def test_events_are_followed_until_it_is_stopped(reading, held, from_beginning):
    stop = SimpleNamespace(is_set=lambda: reading.count("poll 200 ms") >= 3)
    found = list(follow(CONFIG, ["cells"], from_beginning, stop))
    assert found == held[0][:3]
    start = "earliest" if from_beginning else "latest"
    assert f"'auto_offset_reset': '{start}'" in reading[1]
    assert reading[2:] == [
        f"subscribe ['{CELLS.topic}']",
        *["poll 200 ms"] * 3,
        "close, commit False",
    ]


def test_a_broker_that_does_not_answer_a_reader(monkeypatch):
    def absent(config):
        raise OSError("refused")

    monkeypatch.setattr(consumer, "reach", absent)
    with pytest.raises(SinkError) as error:
        next(follow(CONFIG))
    assert str(error.value).startswith("kafka:one:9092,two:9093: refused (is the broker up")


@pytest.fixture
def read_back(monkeypatch):
    """A reader of a broker that holds some records, and the clock that it looks at."""

    def open_one(held, lost=(), step_s=0.125):
        lines, now = [], [0.0]

        def monotonic():
            now[0] += step_s
            return now[0]

        monkeypatch.setattr(delivery_check, "KafkaConsumer", Log(lines, held, lost))
        monkeypatch.setattr(delivery_check, "monotonic", monotonic)
        return ReadBack(CONFIG), lines

    return open_one


def all_topics(held):
    """Each topic of the config with a partition."""
    names = CONFIG.topics.model_dump().values()
    there = {place.topic for place in held}
    return held | {TopicPartition(name, 0): [] for name in names if name not in there}


def test_the_ids_of_everything_that_a_broker_has(read_back, held):
    events, some = held
    back, lines = read_back(all_topics(some))
    assert back.all_ids() == {event.id for event in events} | {""}
    back.close()
    approved(__file__, "read-back", "\n".join(lines))


def test_a_broker_that_does_not_know_a_topic_yet(read_back, held):
    with pytest.raises(KafkaError, match=f"does not know .*{CONFIG.topics.alerts}.* yet"):
        read_back(held[1])[0].all_ids()


def test_events_are_there_from_a_place_on_or_are_not(read_back, held):
    events, some = held
    ids = [event.id for event in events]
    back, lines = read_back(some)
    assert back.has({CELLS: 1}, ids[1:3])
    assert f"seek {[(CELLS, 1)]}" in lines and lines.count("poll 50 ms") == 2
    assert back.has({CELLS: 3}, [])
    assert not back.has({CELLS: 1}, ids[:1])  # it lies before the place
    looks = [line for line in lines if line.startswith("ends of")]
    assert len(looks) == 2 + 4  # until the time is over


def test_a_broker_that_gives_only_half_back_is_an_error(read_back, held):
    back, lines = read_back(held[1], lost={SLIDES})
    with pytest.raises(KafkaError, match="the broker does not give back what it has"):
        back.has({CELLS: 0, SLIDES: 0}, ["x"])
    assert lines.count("poll 50 ms") == 12
