"""Whoever has the store alters it; whoever has the key, the heads or the topic sees it."""

import json
import sqlite3
from contextlib import closing

import pytest
import zarr
from typer.testing import CliRunner

from ingest import StoreError
from stream.cli.app import app as command
from stream.config import Config
from stream.events.codec import from_line, to_line
from stream.review.audit_check import altered_crop, check_store
from stream.review.audit_trail import REVIEWS_FILE, Trail, TrailEntry, digest_of
from stream.review.report.report import ReportError, report_of
from stream.review.slides import SlideLibrary
from stream.store import store_path
from tests.stores import CARD, STAMP, filled

SLIDE = "a" * 20


def writes(trail, count=4, action="confirm", slide_id=SLIDE):
    for n in range(count):
        about = {"cell_id": f"{n:020x}", "label": "blast", "was": "monocyte", "act": f"a{n}"}
        trail.write(slide_id, "ada", [TrailEntry(action, about)], STAMP)


@pytest.fixture
def store(tmp_path):
    """A trail of six entries with a signature, sealed; its folder, and the folder of its key and
    heads.
    """
    store, custody = tmp_path / "store", tmp_path / "custody"
    with closing(Trail(store, custody)) as trail:
        trail.note("login", "ada", "ada", STAMP, address="192.0.2.1")
        writes(trail)
        trail.write(
            SLIDE, "ada", [TrailEntry("sign", {"counts": {"blast": 4}, "upto_row": 4})], STAMP
        )
    return store


def altered(store, *statements):
    with closing(sqlite3.connect(store / REVIEWS_FILE)) as db, db:
        for trigger in ("trail_keeps", "trail_stays"):
            db.execute(f"DROP TRIGGER {trigger}")
        for statement, *values in statements:
            db.execute(statement, values)


def check(store, **options):
    with SlideLibrary(store, Config(), store.parent / "custody") as library:
        return check_store(library, **options)


def test_an_untouched_trail_holds(store):
    found = check(store)
    assert (found.entries, found.sealed, found.heads, found.signatures) == (
        6,
        6,
        6,
        1,
    ) and found.head.startswith("6:")
    assert check(store, expected=found.head).heads == 7


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trail SET slide_id = 'bbbbbbbbbbbbbbbbbbbb' WHERE number = 6",
        "UPDATE trail SET slide_id = '' WHERE number = 3",
        "UPDATE trail SET slide_id = 'aaaaaaaaaaaaaaaaaaaa' WHERE number = 1",
        "UPDATE trail SET line = replace(line, 'blast', 'ig') WHERE number = 3",
        "UPDATE trail SET number = 99 WHERE number = 6",
        "DELETE FROM trail WHERE number = 3",
        "DELETE FROM seals WHERE number = 3",
        "UPDATE seals SET seal = (SELECT seal FROM seals WHERE number = 2) WHERE number = 3",
    ],
)
def test_no_column_can_be_changed(store, statement):
    altered(store, (statement,))
    with pytest.raises(StoreError, match="broken at entry"):
        check(store)


def test_a_tail_that_was_cut_shows(store):
    altered(store, ("DELETE FROM trail WHERE number = 6",), ("DELETE FROM seals WHERE number = 6",))
    with pytest.raises(StoreError, match="cut: it had an entry 6"):
        check(store)


def test_a_chain_that_was_computed_again_shows(store):
    with closing(sqlite3.connect(store / REVIEWS_FILE)) as db:
        lines = [line for (line,) in db.execute("SELECT line FROM trail ORDER BY number")]
    previous, statements = "0" * 64, []
    for number, line in enumerate(lines, 1):
        forged = json.loads(line.replace("blast", "neutrophil") if number == 3 else line)
        forged["data"]["previous"] = previous
        line = to_line(from_line(json.dumps(forged)))
        previous = digest_of(line)
        statements.append(
            ("UPDATE trail SET line = ?, digest = ? WHERE number = ?", line, previous, number)
        )
    altered(store, *statements)
    with SlideLibrary(store, Config()) as library:
        assert library.trail.verify() == 6  # the chain alone is whole
    with pytest.raises(StoreError, match="broken at entry 3"):
        check(store)
    altered_seals = [("DELETE FROM seals",)]
    with closing(sqlite3.connect(store / REVIEWS_FILE)) as db, db:
        db.execute(*altered_seals[0])
    with pytest.raises(StoreError):
        check(store)


def test_a_trail_put_in_the_place_of_another_shows(store):
    for path in store.glob(f"{REVIEWS_FILE}*"):
        path.unlink()
    with closing(Trail(store)) as trail:
        writes(trail)
    with pytest.raises(StoreError, match="another audit trail was here before"):
        check(store)


def test_without_its_key_a_trail_neither_goes_on_nor_holds(store):
    for path in (store.parent / "custody").glob("*.keys"):
        path.unlink()
    with closing(Trail(store, store.parent / "custody")) as trail:
        with pytest.raises(StoreError, match="is not in"):
            writes(trail, 1)
        with pytest.raises(StoreError, match="is not in"):
            check(store)
        trail.renew_key("root", STAMP)
        writes(trail, 1)
    assert check(store).entries == 8


def test_acts_after_the_last_signature_cannot_be_cut_away(store):
    with closing(Trail(store, store.parent / "custody")) as trail:
        writes(trail, 2)
        trail.note("login", "ada", "ada", STAMP, address="192.0.2.1")
    check(store)
    altered(store, ("DELETE FROM trail WHERE number = 9",))
    with pytest.raises(StoreError, match="was cut: it had an entry 9"):
        check(store)


def test_the_topic_shows_what_the_store_no_longer_has(store):
    with closing(Trail(store)) as trail:
        sent = [event for _, event in trail.entries()]
    assert check(store, events=sent).events == 6
    with closing(Trail(store.parent / "other")) as other:  # another store writes to the same topic
        writes(other)
        sent += [event for _, event in other.entries()]
    assert check(store, events=sent).events == 6
    altered(store, ("DELETE FROM trail WHERE number = 6",))
    for heads in (store.parent / "custody").glob("*.heads"):
        heads.unlink()
    with pytest.raises(StoreError, match="entry 6 was sent"):
        check(store, events=sent)


def test_a_verdict_altered_under_a_signed_report_shows(tmp_path):
    made = filled(tmp_path / "store", cells=6, odd=0)
    slide_id = made.slide.slide_id
    made.close()
    with SlideLibrary(made.store, Config(), tmp_path / "custody") as library:
        about = {
            "counts": dict(made.counts),
            "upto_row": 6,
            "verdicts": library.verdict_digest(slide_id, 6),
        }
        library.trail.write(slide_id, "ada", [TrailEntry("sign", about)], STAMP)
        assert check_store(library).signatures == 1
        assert report_of(library, library.shelf(slide_id), "a").signature.by == "ada"
        with closing(sqlite3.connect(made.store / "state.db")) as db, db:
            score = f'"{CARD.counted[0]}": 0.'
            changed = db.execute(
                "UPDATE cells SET body = replace(body, ?1, ?1 || '1') WHERE instr(body, ?1)",
                (score,),
            )
            assert changed.rowcount
        with pytest.raises(StoreError, match="were altered after entry 1"):
            check_store(library)
        with pytest.raises(ReportError, match="altered after ada signed"):
            report_of(library, library.shelf(slide_id), "a")


def test_an_image_altered_under_a_signed_report_shows(tmp_path):
    made = filled(tmp_path / "store", cells=6, odd=0)
    slide_id = made.slide.slide_id
    with SlideLibrary(made.store, Config(), tmp_path / "custody") as library:
        about = {"upto_row": 6, "verdicts": library.verdict_digest(slide_id, 6), "counts": {}}
        library.trail.write(slide_id, "ada", [TrailEntry("sign", about)], STAMP)
        assert check_store(library).signatures == 1
        assert altered_crop(library, slide_id, 6) is None
        group = zarr.open_group(store_path(made.store, slide_id))
        crop = group["crop"][4]
        crop[..., 64, 64] ^= 1
        group["crop"][4] = crop
        with pytest.raises(StoreError, match="the image of cell"):
            check_store(library)
    made.close()


def test_the_key_and_the_heads_are_their_owners_alone(store):
    custody = store.parent / "custody"
    assert custody.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in custody.iterdir()} == {0o600} and len(
        list(custody.iterdir())
    ) == 2
    (key,) = [json.loads(path.read_text()) for path in custody.glob("*.keys")]
    assert all(key["key"].encode() not in path.read_bytes() for path in store.iterdir())


def test_logins_failures_and_accounts_are_entries(open_lab):
    lab = open_lab("accounts")
    lab.person("ada").post("/api/logout")
    lab.stranger().post("/api/login", json={"name": "ada", "password": "wrong"})
    said = [
        (e.data["action"], e.data["account"], e.data["address"])
        for _, e in lab.library.trail.entries()
    ]
    assert said == [
        ("login", "ada", "testclient"),
        ("logout", "ada", "testclient"),
        ("login_failed", "ada", "testclient"),
    ]
    admin = lab.person("root", "admin").get("/api/audit").json()
    assert [entry["action"] for entry in admin] == ["login", "logout", "login_failed", "login"]


def test_the_commands_write_and_check_entries(tmp_path):
    config = tmp_path / "lab.toml"
    config.write_text(f'[review]\naudit_folder = "{tmp_path / "custody"}"\n')
    words = ["--store", str(tmp_path / "store"), "--config", str(config)]
    for name in ("ada", "rob"):
        added = CliRunner().invoke(
            command,
            ["accounts", "add", name, "--role", "admin", *words],
            input="a long password\n" * 2,
        )
        assert added.exit_code == 0, added.output
    assert CliRunner().invoke(command, ["accounts", "remove", "rob", *words]).exit_code == 0
    with closing(Trail(tmp_path / "store")) as trail:
        assert [(e.data["action"], e.data["account"]) for _, e in trail.entries()] == [
            ("account_added", "ada"),
            ("account_added", "rob"),
            ("account_removed", "rob"),
        ]
    said = CliRunner().invoke(command, ["audit", *words])
    assert said.exit_code == 0 and "3 entries" in said.output and "3 sealed" in said.output
    altered(tmp_path / "store", ("DELETE FROM trail WHERE number = 1",))
    assert CliRunner().invoke(command, ["audit", *words]).exit_code == 1
