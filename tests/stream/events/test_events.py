import base64
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from classify import Anomaly, Verdict
from ingest import Failure
from segment import RedCell
from stream.alerts.cell_rules import alerts_of
from stream.config import Alerts
from stream.events.act_events import access_event, dead_letter_event, review_event
from stream.events.alert import SlideAlert
from stream.events.cell_events import RedSaid, alert_event, cell_event, red_event
from stream.events.codec import from_line, from_record, to_line, to_record
from stream.events.event import Event, EventError, replayed
from stream.events.event_types import CELL, EVENT_TYPES, event_schemas, write_schemas
from stream.events.failure_codes import text_of
from stream.events.payloads import Progress
from stream.events.slide_events import failure_event, slide_alert_event, slide_event
from tests.approved import approved, laid_out, picture
from tests.stream.making import STAMP, make_cell, make_events, make_slide, make_verdict, share_names

SLIDE = make_slide()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
ATOM = st.none() | st.booleans() | st.integers() | NUMBER | TEXT
VALUE = st.recursive(
    ATOM, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=8
)
EVENTS = st.builds(
    Event,
    NAME,
    st.sampled_from(sorted(EVENT_TYPES)),
    NAME,
    NAME,
    st.datetimes(timezones=st.just(UTC)),
    st.dictionaries(TEXT, VALUE),
)


@settings(max_examples=60)
@given(EVENTS)
def test_a_line_reads_back_equal(event):
    line = to_line(event)
    assert "\n" not in line
    assert from_line(line) == event


@settings(max_examples=60)
@given(EVENTS)
def test_a_kafka_record_reads_back_equal(event):
    key, headers, value = to_record(event)
    assert key == event.subject.encode()
    assert from_record(headers, value) == event


def test_a_replay_is_marked_and_reads_back_equal():
    (event,) = make_events(1)
    again = replayed(event, "monday")
    assert again.replay_of == event.id != again.id
    assert replayed(again, "monday") == again != replayed(event, "tuesday")
    assert from_line(to_line(again)) == again and from_record(*to_record(again)[1:]) == again


def test_a_line_is_a_cloudevent():
    line = json.loads(to_line(cell_event(SLIDE, make_cell(), make_verdict(), STAMP)))
    assert {"id", "type", "source", "subject", "time", "data", "specversion"} <= set(line)
    assert (line["type"], line["subject"], line["specversion"]) == (CELL, "s1", "1.0")
    facts = {
        "score": 0.5,
        "relative": 0.2,
        "absolute": -0.3,
        "reason": "an ordinary cell",
        "p_value": 0.5,
    }
    assert line["data"]["anomaly"] == facts


def test_a_record_is_binary_mode():
    _, headers, value = to_record(cell_event(SLIDE, make_cell(), make_verdict(), STAMP))
    assert {
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_subject",
        "ce_time",
        "ce_specversion",
        "content-type",
    } == set(dict(headers))
    assert json.loads(value)["cell_id"] == "c1"


@pytest.mark.parametrize(
    "line",
    ["", "{}", "[]", "null", '{"id": "a"', '{"id":"a","type":"other","source":"s","data":{}}'],
)
def test_what_is_no_event_says_so(line):
    with pytest.raises(EventError, match="not an event"):
        from_line(line)


def test_an_event_without_a_subject_is_none_of_ours():
    line = json.loads(to_line(cell_event(SLIDE, make_cell(), make_verdict(), STAMP)))
    del line["subject"]
    with pytest.raises(EventError, match="not an event"):
        from_line(json.dumps(line))


@pytest.mark.parametrize(
    "headers, value",
    [([], b"hello"), ([("ce_id", b"\xff")], b"{}"), ([("ce_type", CELL.encode())], b"[]")],
)
def test_a_foreign_record_says_so(headers, value):
    with pytest.raises(EventError, match="another program"):
        from_record(headers, value)


def test_a_rerun_gives_the_same_ids():
    def ids(stamp):
        cell, verdict, failure = (
            make_cell(),
            make_verdict(1.0),
            Failure("s1", "read", "torn tile", box_px0=(0, 0, 9, 9)),
        )
        alert = alerts_of(cell, verdict, Alerts())[0]
        made = [
            cell_event(SLIDE, cell, verdict, stamp),
            alert_event(SLIDE, cell, verdict, alert, stamp),
        ]
        made += [
            slide_event(SLIDE, "done", stamp),
            slide_event(SLIDE, "seen", stamp),
            failure_event(failure, stamp),
        ]
        return [event.id for event in made]

    assert ids(STAMP) == ids(STAMP)
    assert len(set(ids(STAMP))) == 5
    assert set(ids(STAMP)).isdisjoint(ids(share_names(type(STAMP)("test", model_hash="m2"))))


def test_progress_makes_a_new_event_and_no_progress_does_not():
    def event_id(done):
        return slide_event(SLIDE, "running", STAMP, Progress(tiles_done=done, tiles=9)).id

    assert event_id(1) == event_id(1) != event_id(2)


def one_of_each(stamp=STAMP):
    cell, verdict = make_cell(), make_verdict(1.0)
    return [
        cell_event(SLIDE, cell, verdict, stamp),
        alert_event(SLIDE, cell, verdict, alerts_of(cell, verdict, Alerts())[0], stamp),
        slide_event(SLIDE, "done", stamp, Progress(cells=3), counts={"neutrophil": 3}),
        failure_event(Failure("s1", "read", "torn"), stamp),
        slide_alert_event(
            "s1", SlideAlert("drift", "urgent", 9.0, 5.0, "more odd cells", 900, "scanner-1"), STAMP
        ),
        review_event("s1", "reclassify", "anna", stamp, cell_id="c1", label="ig", was="neutrophil"),
        dead_letter_event(make_events(1)[0], 2_000_000, "too large", "kafka:b"),
        access_event(
            "login",
            stamp,
            {"number": 1, "previous": "0" * 64, "store": "s"},
            account="anna",
            by="anna",
        ),
        red_event(
            SLIDE,
            RedCell(40, 50, 41.5, 0.9, 0.2, box_px0=(30, 40, 50, 60)),
            RedSaid("spherocyte", 0.8, 0.1, "red-1"),
            stamp,
        ),
    ]


def test_every_event_whole_and_in_a_line_for_a_person():
    """As it is sent by a laboratory that shares no names, and by one that does."""
    lines = []
    for stamp in (STAMP, replace(share_names(), share_codes="clear", set_id="set-1")):
        for event in one_of_each(stamp):
            lines += [f"{event.kind}: {event.sentence()}", f"  {event.subject}"]
            data = dict(event.data)
            if shown := data.get("thumbnail_png"):
                data["thumbnail_png"] = picture(base64.b64decode(shown))
            lines.append(laid_out({**json.loads(to_line(event)), "data": data}))
    approved(__file__, "every-event", "\n".join(lines))


def test_every_kind_of_event_fits_its_model():
    made = one_of_each()
    assert [event.type for event in made] == list(EVENT_TYPES)
    assert [event.kind for event in made] == [
        "cells",
        "alerts",
        "slides",
        "failures",
        "alerts",
        "reviews",
        "dead",
        "reviews",
        "red",
    ]
    for event in made:
        assert event.payload().model_dump(mode="json") == from_line(to_line(event)).data


def test_numpy_numbers_become_numbers():
    cell = make_cell()
    anomaly = Anomaly(np.float64(0.5), np.float32(1), 0.0, "")
    verdict = Verdict("ig", {"ig": np.float32(0.5)}, anomaly, np.int64(3), np.bool_(True))
    assert from_line(to_line(cell_event(SLIDE, cell, verdict, STAMP))).data["draws"] == 3


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused(score):
    with pytest.raises(EventError, match="anomaly.score"):
        cell_event(SLIDE, make_cell(), make_verdict(score), STAMP)


def test_times_are_now_or_as_said():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert cell_event(SLIDE, make_cell(), make_verdict(), STAMP, at).time == at
    assert datetime.now(UTC) - cell_event(
        SLIDE, make_cell(), make_verdict(), STAMP
    ).time < timedelta(seconds=5)


# what readers said of files, and whose names the words hold
LEAKS = [
    ("DOE_JANE.vms", "{path}: damaged: Couldn't open {folder}/DOE_JANE_map2.jpg"),
    ("DOE_JANE_2.dcm", "{path}: series is torn: {folder}/DOE_JANE_1.dcm is missing"),
    ("DOE_JANE.mrxs", "{folder}/DOE_JANE_0001.dat: [Errno 5] Input/output error"),
    ("O'DOE JANE.tiff", "{path!r}: not a slide, b'O\\\\'DOE JANE.tiff'"),
    ("JANE\u00a0DOE.tiff", "JANE\\xa0DOE.tiff cannot be read"),
    ("DOE_JANE.tiff", "{folder}/../ROE_DOE_RICHARD/JANE.tiff: a sibling"),
    ("DOE_JANE.tiff", "doe_jane.TIFF: lower case JANE"),
]


@pytest.mark.parametrize(("name", "text"), LEAKS)
def test_no_word_of_a_reader_leaves(name, text):
    path = Path("/scans/DOE JANE 1980") / name
    said = text.format(path=path, folder=path.parent)
    for slide_id, code in (("", "open.unreadable"), ("s1", "tile.unavailable"), ("s1", "")):
        failure = Failure(slide_id, "open", said, said, code=code)
        slide = replace(SLIDE, path=path)
        sent = [
            failure_event(failure, STAMP, path),
            slide_event(slide, "failed", STAMP, failure=failure),
        ]
        for event in sent:
            line = to_line(event)
            assert not any(word in line.upper() for word in ("DOE", "JANE", "SCANS", "1980")), line
            assert text_of(code).what in line
        assert sent[0].data["code"] == (code or "unknown")


def test_a_laboratory_that_shares_names_shares_texts():
    failure = Failure("", "open", f"{SLIDE.path}: not a slide", "is it a slide?")
    opened = [
        slide_event(SLIDE, "failed", share_names()),
        failure_event(failure, share_names(), SLIDE.path),
    ]
    assert all("Smith John 1970.tiff" in to_line(event) for event in opened)


def test_a_guess_of_a_name_is_not_confirmed_by_its_digest():
    path, failure = Path("/scans/DOE_JANE_1980.tiff"), Failure("", "open", "no slide")
    mine, theirs = replace(STAMP, secret="a" * 64), replace(STAMP, secret="b" * 64)
    digests = {failure_event(failure, s, path).data["file_digest"] for s in (STAMP, mine, theirs)}
    assert len(digests) == 3
    guesses = {blake2b(str(path).encode(), digest_size=n).hexdigest() for n in range(8, 33)}
    assert not digests & guesses
    folders = {
        slide_event(SLIDE, "seen", replace(s, set_id="f")).data["set_id"] for s in (mine, theirs)
    }
    assert len(folders) == 2 and "f" not in folders and mine.secret not in repr(mine)


def test_two_failures_of_one_kind_are_two_events():
    made = [failure_event(Failure("s1", "tile", what), STAMP).id for what in ("a", "b", "a")]
    assert made[0] == made[2] != made[1]


def test_a_file_without_slide_id_is_a_digest_of_its_path():
    one, two, one_again = (
        failure_event(Failure("", "open", "no slide"), STAMP, Path(name))
        for name in ("a", "b", "a")
    )
    assert one.subject.startswith("file-") and one.data["slide_id"] is None
    assert one.id == one_again.id != two.id


def test_alerts_speak_above_the_threshold_only():
    cell = make_cell(7)
    assert alerts_of(cell, make_verdict(0.999), Alerts(anomaly_above=0.999)) == []
    (alert,) = alerts_of(cell, make_verdict(0.9995), Alerts(anomaly_above=0.999))
    event = alert_event(SLIDE, cell, make_verdict(0.9995), alert, STAMP)
    assert (event.data["score"], event.data["threshold"], event.data["x_px0"]) == (
        0.9995,
        0.999,
        107,
    )
    thumbnail = Image.open(io.BytesIO(base64.b64decode(event.data["thumbnail_png"])))
    assert np.array_equal(np.asarray(thumbnail), cell.crop)


def test_the_committed_schemas_are_the_models(tmp_path):
    committed = Path(__file__).parents[3] / "stream" / "events" / "schemas"
    written = write_schemas(tmp_path)
    assert {path.name for path in written} == {path.name for path in committed.glob("*.json")}
    for path in written:
        assert path.read_text() == (committed / path.name).read_text(), (
            "the models changed: a new field or a new version?"
        )


def test_a_schema_an_event_type():
    assert set(event_schemas()) == set(EVENT_TYPES)


def test_what_is_no_cell_is_named_and_not_alarmed():
    odd = replace(make_verdict(anomaly=0.9999), label="other")
    assert alerts_of(replace(make_cell(), kind="platelet"), odd, Alerts()) == []
    assert len(alerts_of(make_cell(), odd, Alerts())) == 1
