"""What stands in the tables after each act, row by row: a slide that is read twice or never, an
order that is lost, an event that is not sent all begin there.
"""

from types import SimpleNamespace

import pytest

from ingest import Failure
from stream.config import BacklogSettings
from stream.identity import Claim, Identity, Order
from stream.store import Backlog, Job
from stream.store import backlog as backlog_module
from stream.store.account_table import AccountRow, AccountTable
from tests.approved import approved
from tests.stream.making import make_events

ANNA = Identity("S26-1", "C1", "", "O1", "P1", "Anna Ito", "1970-01-31")
BEN = Identity("S26-2", "C2", "B2", "O2", "P2", "Ben Oja", "1981-12-01")


class Book:
    """Writes down what an act gives, and which rows of the tables it has changed."""

    def __init__(self, rows, folder, *tables):
        self.rows, self.folder, self.tables = rows, folder, tables
        self.before, self.lines = self.all_rows(), []

    def all_rows(self):
        return [
            f"{table}: {self.plain(row)}"
            for table in self.tables
            for row in self.rows(f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608
        ]

    @staticmethod
    def plain(row):
        return " | ".join(value.hex() if isinstance(value, bytes) else str(value) for value in row)

    def act(self, name, given=None):
        now = self.all_rows()
        self.lines += [f"# {name}", *([f"  gives {given}"] if given is not None else [])]
        self.lines += [f"  - {row}" for row in self.before if row not in now]
        self.lines += [f"  + {row}" for row in now if row not in self.before]
        self.before = now

    def is_approved(self, name, **names):
        approved(__file__, name, "\n".join(self.lines), folder=self.folder, **names)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(backlog_module, "monotonic", lambda: now.s)
    monkeypatch.setattr(backlog_module, "file_stamp", lambda path: f"stamp of {path.name}")
    monkeypatch.setattr(backlog_module, "stamp_of_version_0_2", lambda path: f"old {path.name}")
    return now


@pytest.fixture
def six(tmp_path):
    paths = [tmp_path / f"{name}.svs" for name in "abcdef"]
    for path in paths:
        path.write_text(path.name)
    return paths


def test_a_backlog_act_by_act(outbox, six, tmp_path, clock, monkeypatch):
    rules = BacklogSettings(tries=3, retry_s=10.0, deaths=2)
    backlog = Backlog(outbox, rules)
    book = Book(outbox.rows, tmp_path, "backlog")

    def name_of(job):
        return job and f"{job.path.name}, {job.state}, try {job.tries}"

    def take():
        job = backlog.next()
        book.act("next", name_of(job) or "nothing")
        return job

    jobs = [Job(path) for path in six[:4]]
    book.act("add four", backlog.add(jobs, "model-1"))
    book.act("add them again, one more", backlog.add([*jobs, Job(six[4], 5, 0.25, "set")]))
    book.act("only one", name_of(backlog.next({str(six[1])})))
    one, two = take(), take()
    book.act("finish", backlog.finish(one, "s1", 2.5))
    book.act("finish in part", backlog.finish(two, "s2", 1.5, whole=False))
    three = take()
    book.act("fail", backlog.fail(three, "no reader"))
    take()
    for passed in (9.0, 9.9, 10.0):
        clock.s = 1000 + passed
        again = take()
        if again and again.path == three.path:
            break
    book.act("fail again", backlog.fail(again, "no reader"))
    take()
    clock.s += 19.9
    take()
    clock.s += 0.1
    last = take()
    book.act("fail for good", backlog.fail(last, "no reader"))
    book.act("done asked for again", backlog.add([Job(six[4])]))
    book.act("done, asked for otherwise", backlog.add([Job(one.path)], "model-2"))
    book.act("done, files changed", backlog.add([Job(two.path)]))
    book.act("failed, once more and stat", backlog.add([Job(three.path, 10)]))
    four = take()
    book.act("give back", backlog.give_back(four, 3.0))
    take()
    clock.s += 3.0
    five = take()
    book.act("wait", backlog.wait(five, "the share is away"))
    book.act("drop", backlog.drop(five.path, "gone"))
    book.act("drop what is done", backlog.drop(one.path, "gone"))
    book.act("rename", backlog.rename(five.path, six[5]))
    book.act("rename what is not known", backlog.rename(tmp_path / "none.svs", six[5]))
    book.act("place", backlog.place(six[5]))
    book.act("place of 1", backlog.place_of(1))
    book.act("place of none", backlog.place_of(99))
    book.act("waiting", [path.name for path in backlog.waiting_paths()])
    book.act("open", [backlog.is_open(), backlog.is_open({"none"})])
    book.act("jobs", [name_of(job) for job in backlog.jobs()])
    book.is_approved("backlog")


def test_what_a_died_process_leaves(outbox, six, tmp_path, clock):
    rules = BacklogSettings(tries=3, retry_s=10.0, deaths=2)
    book = Book(outbox.rows, tmp_path, "backlog")
    Backlog(outbox, rules).add([Job(six[0])])
    for number in range(4):
        job = Backlog(outbox, rules).next()
        book.act(f"process {number} takes", job and job.path.name)
        outbox.leases.give(f"job {six[0]}")  # it has died: its lease goes, its row stays
    book.is_approved("deaths")


def test_identities_act_by_act(outbox, tmp_path):
    book = Book(outbox.rows, tmp_path, "claims", "orders", "refused_orders")

    def put(name, order):
        with outbox.transaction() as tx:
            book_given = tx.put_order(order)
        book.act(name, book_given)

    def claim(name, *about):
        with outbox.transaction() as tx:
            tx.set_claims(*about)
        resolution = outbox.resolution("s1")
        book.act(name, f"{resolution.status} {resolution.identity.known()}")

    claim("a barcode", "s1", "slide", "", [Claim("slide", Identity(barcode="C1"))])
    put("an order", Order(ANNA, source="hl7"))
    put("the same", Order(ANNA, source="csv"))
    put("another", Order(BEN, source="csv"))
    put("without a number", Order(Identity("S26-3", patient_id="P3"), source="csv"))
    put("another name", Order(Identity("S26-3", patient_id="P3", patient_name="Eva"), source="csv"))
    claim("nothing new", "s1", "slide", "", [Claim("slide", Identity(barcode="C1"))])
    claim("a name", "s1", "name", "a.svs", [Claim("name", Identity(accession="S26-2"))])
    claim("of another slide", "s2", "name", "a.svs", [Claim("name", Identity(accession="S26-1"))])
    claim("no name any more", "s1", "name", "a.svs", [])
    put("changed", Order(Identity("S26-9", "C1", "", "O1", "P1"), is_change=True))
    put("cancelled", Order(BEN, state="cancelled"))
    put("cancelled again", Order(BEN, state="cancelled"))
    put("cancelled, not known", Order(Identity(order="O7"), state="cancelled"))
    book.act("of a patient", [one.identity.accession for one in outbox.orders("P1")])
    with outbox.transaction() as tx:
        tx.keep_refused_order("M1", "AE 101: no code", b"body")
        tx.keep_refused_order("M2", "AE 101: no code", b"x" * 70_000)
    book.act(
        "refused", [(one.control_id, one.reason, len(one.body)) for one in outbox.refused_orders()]
    )
    with outbox.transaction() as tx:
        tx.forget_claims("s1")
    book.act("forgotten")
    book.lines = [line if len(line) < 400 else f"{line[:300]} ..." for line in book.lines]
    book.is_approved("identities")


def test_a_journal_act_by_act(outbox, tmp_path):
    book = Book(outbox.rows, tmp_path, "cursors", "cells", "failures", "slides")
    events = [*make_events(3, "s1"), *make_events(2, "s2")]
    with outbox.transaction() as tx:
        tx.add(events)
        tx.add_cells("s1", [("c1", "{}", b"crop", b"f"), ("c2", "{}", b"crop", None)])
        tx.add_cells("s2", [("c1", "{}", b"crop", b"f")])
        tx.set_status("s1", "running", at="t", mpp=0.25)
        tx.set_status("s2", "done", at="t")
        failure = Failure("s1", "read", "a.svs: broken", "scan it again", code="tile")
        tx.keep_failure("e1", "/a.svs", failure)
        tx.keep_failure("e2", "/a.svs", failure)
    book.act("a first tile")
    with outbox.transaction() as tx:
        tx.add(events)
        tx.add_cells("s1", [("c2", "{}", b"crop", None), ("c3", "{}", b"crop", b"f")])
        tx.drop_crops("s1", 1)
        tx.set_status("s1", "done", at="u")
        tx.keep_failure("e1", "/b.svs", Failure("s1", "read", "b.svs: broken", "", code="slide"))
    book.act("the same, and more")
    unsent = outbox.unsent("kafka:a", 2)
    book.act("unsent", [(one.seq, one.event.subject) for one in unsent])
    book.act("sent", outbox.mark_sent("kafka:a", 2))
    book.act("sent, an earlier one", outbox.mark_sent("kafka:a", 1))
    book.act(
        "counts", [outbox.sent("kafka:a"), outbox.count_unsent("kafka:a"), outbox.count_unsent("b")]
    )
    outbox.put_aside("kafka:a", 3, "too large")
    book.act("refused", [(r.reason, r.event.subject) for r in outbox.refused()])
    book.act("refused of b", outbox.refused("b"))
    book.act("ids", [sorted(outbox.cell_ids(name)) for name in ("s1", "s2", "s3")])
    book.act("cells", [(row.row, row.cell_id) for row in outbox.cells("s1", 1)])
    book.act("states", [outbox.status(name) for name in ("s1", "s2", "s3")])
    book.act("facts", [outbox.facts(name) for name in ("s1", "s3")])
    book.act("slides", outbox.slide_ids())
    book.act("given", [outbox.alerts_given("s1"), outbox.alerts_since(60)])
    book.act("failures", [(f.path, f.code, f.what, f.hint) for f in outbox.failures()])
    book.is_approved("journal")


def test_accounts_act_by_act(tmp_path):
    table = AccountTable(tmp_path / "access.db")
    book = Book(table._state.rows, tmp_path, "accounts", "sessions")
    with table.changing() as change:
        change.put(AccountRow("ada", "admin", "hash-a"))
        change.put(AccountRow("bob", "viewer", "hash-b"))
    book.act("two", [table.has_any(), table.has_removed()])
    for digest, name, ends in (("d1", "ada", 100.0), ("d2", "bob", 100.0), ("d3", "bob", 50.0)):
        table.begin_session(digest, name, 10.0, ends)
    book.act("sessions", [table.session_name(one, 99.9) for one in ("d1", "d2", "d3", "d4")])
    book.act("at their end", [table.session_name(one, 100.0) for one in ("d1", "d2")])
    book.act("roles", [str(table.session_account(one, 20.0)) for one in ("d1", "d3", "d4")])
    table.begin_session("d5", "ada", 60.0, 200.0)
    book.act("a session more, when one has ended")
    with table.changing() as change:
        said = change.role("ada"), change.role("eve"), change.other_roles("ada")
        change.put(AccountRow("bob", "reviewer", "hash-c"))
        change.end_sessions("bob")
    book.act("another role", said)
    table.end_session("d1")
    book.act("end of a session")
    with table.changing() as change:
        change.remove("bob", 70.0)
        said = change.is_removed("bob"), change.is_removed("ada"), change.is_provided("bob")
    book.act("removed", said)
    book.act("all", [str(row) for row in table.accounts()])
    book.act("one", [str(table.account(name)) for name in ("ada", "bob", "eve")])
    book.act("removed any", [table.has_any(), table.has_removed()])
    table.close()
    book.is_approved("accounts")
