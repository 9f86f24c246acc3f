import json

from typer.testing import CliRunner

from stream.cli.app import app
from tests.stream.making import make_events


def test_a_replay_goes_out_once_more_and_marked(outbox, add, tmp_path):
    add(make_events(3))
    with outbox.transaction() as tx:
        tx.set_status("s1", "done")
    words = ["--store", str(outbox.path.parent), "--sink", f"jsonl:{tmp_path / 'e.jsonl'}"]
    for _ in range(2):
        assert CliRunner().invoke(app, ["replay", "s1", *words]).exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    firsts = [line["id"] for line in lines[:3]]
    assert [line.get("replayof") for line in lines] == [None] * 3 + firsts * 2
    assert len({line["id"] for line in lines}) == 9
