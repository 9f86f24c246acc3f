"""Texts and times as a laboratory system reads them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from stream.lis.hl7_text import escaped, framed, hl7_time, iso_date, timestamp, unescaped


def test_a_time_is_utc_with_its_zone():
    berlin = timezone(timedelta(hours=2))
    assert timestamp(datetime(2026, 7, 1, 0, 30, 5, tzinfo=berlin)) == "20260630223005+0000"
    assert hl7_time("2026-07-01T00:30:05+02:00") == "20260630223005+0000"
    assert hl7_time("1960-02-29") == "19600229"
    assert timestamp(datetime(2026, 1, 2, tzinfo=UTC)) == "20260102000000+0000"


@pytest.mark.parametrize(
    ("text", "date"),
    [("19600229", "1960-02-29"), ("196002291230+0100", "1960-02-29"), ("1960", ""), ("", "")],
)
def test_a_date_that_is_none_is_left_out(text, date):
    assert iso_date(text) == date


def test_a_text_keeps_its_delimiters_and_cannot_end_its_line():
    text = r"a|b^c&d~e\f"
    assert escaped(text) == r"a\F\b\S\c\T\d\R\e\E\f" and unescaped(escaped(text)) == text
    assert escaped("a\r\nOBX|1\x0b") == r"a OBX\F\1"
    assert unescaped(r"a\H\b\N\c") == "abc" and unescaped("a\\b") == "a\\b"


def test_a_message_stands_between_the_marks():
    assert framed(b"MSH|") == b"\x0bMSH|\x1c\r"
