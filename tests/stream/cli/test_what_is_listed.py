"""What the commands that list something print, for a person and for a program."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ingest import CytostreamError
from stream import kafka
from stream.cli.app import app
from stream.cli.commands import topics as commands
from stream.cli.json_lines import json_lines
from stream.config import ConfigError, Kafka
from stream.events import TOPICS
from tests.stores import filled


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    one = filled(tmp_path_factory.mktemp("listed") / "store", cells=6, odd=2)
    yield one
    one.close()


@pytest.fixture
def events(made):
    return [row.event for row in made.outbox.events(made.slide.slide_id)]


def said(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


def test_the_models_are_a_table_or_a_line_each(made):
    lines = said("models", "list", "--store", made.store, "--json").stdout.splitlines()
    rows = {row["name"]: row for row in map(json.loads, lines)}
    assert {name: row["is_in_use"] for name, row in rows.items()} == {"white": True, "red": True}
    assert rows["white"]["kind"] == "white" and not rows["white"]["fault"]
    table = said("models", "list", "--store", made.store)
    assert not table.stdout
    for name, row in rows.items():
        line = next(line for line in table.stderr.splitlines() if name in line.split())
        assert row["model_id"] in line and "in use" in line and "in use before" not in line
        assert "shadow" not in line


def test_the_topics_are_followed_as_asked(made, events, monkeypatch):
    asked = []

    def follow(settings, topics, from_beginning):
        asked.append((list(topics), from_beginning))
        yield from events

    monkeypatch.setattr(kafka, "follow", follow)
    lines = said("tail", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [event.id for event in events]
    shown = said("tail", "alerts", "--from-beginning")
    assert not shown.stdout and len(shown.stderr.splitlines()) == len(events)
    assert asked == [(list(TOPICS), False), (["alerts"], True)]
    with pytest.raises(ConfigError, match="no topic cell ") as refused:
        commands.follow_topics(Kafka(), ["alerts", "cell"], False)
    assert "cells" in refused.value.hint


def test_an_event_that_is_sent_again_says_so(events):
    line = commands.sentence(events[0])
    at = f"{events[0].time:%H:%M:%S} {events[0].subject[:8]} "
    assert line.startswith(at) and "sent again" not in line
    again = commands.sentence(replace(events[0], replay_of=events[0].id))
    assert again == f"{line} (sent again)"


def test_schemas_come_with_the_asyncapi_document_where_it_is_asked_for(tmp_path):
    plain = said("schemas", "--out", tmp_path / "a").stdout.split()
    more = said("schemas", "--asyncapi", "--out", tmp_path / "b").stdout.split()
    assert len(more) == len(plain) + 1 and more[-1].endswith("b/asyncapi.json")
    assert json.loads((tmp_path / "b" / "asyncapi.json").read_text())["asyncapi"].startswith("3")
    assert not (tmp_path / "a" / "asyncapi.json").exists()


def test_the_configuration_is_shown_without_the_broker_s_secrets(tmp_path):
    path = tmp_path / "c.toml"
    names = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}
    names |= {"sasl_plain_username": "u", "sasl_plain_password": "hidden"}
    lines = [f'{name} = "{value}"' for name, value in names.items()]
    path.write_text("\n".join(["[kafka.security]", *lines]))
    path.chmod(0o600)
    shown = said("config", path).stdout
    assert json.loads(shown)["kafka"]["bootstrap"] and "hidden" not in shown


def test_lines_for_programs_go_where_they_are_asked(tmp_path, capsys):
    with json_lines(None) as write:
        write({"a": 1})
    with json_lines(tmp_path / "one") as write:
        write({"a": 2})
    with json_lines(tmp_path.joinpath("-").relative_to(tmp_path)) as write:
        write({"a": 3})
    assert capsys.readouterr().out == '{"a": 3}\n'
    assert (tmp_path / "one").read_text() == '{"a": 2}\n'
    absent = tmp_path / "absent" / "one"
    with pytest.raises(CytostreamError, match="absent/one") as refused, json_lines(absent):
        pass
    assert refused.value.hint == "choose another --json file"
