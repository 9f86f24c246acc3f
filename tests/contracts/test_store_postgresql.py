"""The state of a store on a real PostgreSQL server, which also goes away in the middle."""

from contextlib import closing
from unittest.mock import Mock

import pytest
from sqlalchemy.exc import OperationalError

from ingest import StoreError
from stream.store import Outbox, SlideQueries, has_state, use_server
from stream.store.database import State
from stream.store.database.postgresql import PostgresqlBackend
from tests.contracts.store_contract import StoreContract
from tests.postgres_server import PostgresServer, why_absent
from tests.stream.making import make_events

psycopg = pytest.importorskip("psycopg", reason="the postgres extra is not installed")
ENDS_ALL = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'cytostream' AND pid != pg_backend_pid()"""


@pytest.fixture(scope="module")
def server():
    if reason := why_absent():
        pytest.skip(reason)
    server = PostgresServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def url(server):
    return server.database()


@pytest.fixture
def administer(server, url):
    """Executes a statement beside all stores."""

    def administer(sql):
        with psycopg.connect(url, autocommit=True) as link:
            link.execute(sql)

    yield administer
    schemas = ", ".join(f"cytostream_{name}" for name in ("state", "reviews", "access"))
    administer(f"DROP SCHEMA IF EXISTS {schemas} CASCADE")


@pytest.fixture
def folder(tmp_path, url, administer):
    use_server(tmp_path / "store", url)
    return tmp_path / "store"


class TestPostgresql(StoreContract):
    @pytest.fixture
    def folder(self, folder):
        return folder


def test_two_folders_are_one_store(tmp_path, url, folder):
    use_server(tmp_path / "second", url)
    with Outbox(folder / "state.db") as one, Outbox(tmp_path / "second" / "state.db") as two:
        assert one.store_id == two.store_id and one.secret == two.secret
        assert one.leases.take("a") and not two.leases.take("a")
    assert has_state(folder) and not (folder / "state.db").exists()


def test_a_connection_that_is_lost_in_a_transaction_delays_it(folder, administer):
    with Outbox(folder / "state.db") as outbox:
        outbox.leases.take("slide s1")
        with outbox.transaction() as tx:
            tx.hold("slide s1")
            tx.add(make_events(2))
            administer(ENDS_ALL)
            tx.add_cells("s1", [("c1", "{}", None, None)])
        administer(ENDS_ALL)
        assert len(outbox.unsent("a", 9)) == 2 and outbox.cell_ids("s1") == {"c1"}


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_connection_that_is_lost_in_a_commit_adds_each_row_once(
    folder, administer, monkeypatch, takes_effect
):
    """Whether the COMMIT came to the server or not."""
    with closing(State(folder / "state.db")) as state:
        state.rows("CREATE SCHEMA cytostream_state")
        state.rows("CREATE TABLE numbers (number bigint)")
        state.backend.open_session(state._link)
        commit = state._commit
        plain = state._link

        class LosesCommit:
            closed = invalidated = False

            def exec_driver_sql(self, sql, *values):
                if sql != "COMMIT":
                    return plain.exec_driver_sql(sql, *values)
                state._link = plain
                if takes_effect:
                    plain.exec_driver_sql(sql)
                administer(ENDS_ALL)
                return plain.exec_driver_sql("SELECT 1")  # finds that the connection is lost

            def close(self):
                plain.close()

        monkeypatch.setattr(state, "_link", LosesCommit())
        monkeypatch.setattr(state, "_commit", commit)
        with state.transaction() as db:
            db.change("INSERT INTO numbers VALUES (1)")
        assert state.rows("SELECT number FROM numbers") == [(1,)]


def test_what_another_changed_meanwhile_is_not_overwritten(folder, administer):
    with Outbox(folder / "state.db") as outbox:
        with outbox.transaction() as tx:
            tx.set_status("s1", "running")
        with (
            pytest.raises(StoreError, match="changed by another process"),
            outbox.transaction() as tx,
        ):
            assert tx._db.rows("SELECT status FROM slides") == [("running",)]
            administer(ENDS_ALL)
            administer("UPDATE cytostream_state.slides SET status = 'done'")
            tx.set_status("s1", "failed")
        assert outbox.status("s1") == "done"


def test_a_holder_that_is_silent_by_the_clock_of_the_server_is_taken_over(folder, administer):
    with Outbox(folder / "state.db", lease_s=10_000) as outbox:
        administer(
            """INSERT INTO cytostream_state.leases VALUES
            ('a', 'elsewhere/1 77 1.0 x', 5, extract(epoch FROM now())),
            ('b', 'elsewhere/1 77 1.0 x', 5, extract(epoch FROM now()) - 20000)"""
        )
        assert not outbox.leases.take("a")
        assert not outbox.leases.take("b")  # the server has not been up for so long
        outbox.leases.lease_s = -1.0
        assert outbox.leases.take("a") and outbox.leases.take("b")


def test_a_row_that_another_has_locked_is_left_to_it(folder):
    with Outbox(folder / "state.db") as one, Outbox(folder / "state.db") as two:
        two.leases.take("a")
        with two.transaction() as tx:
            tx.hold("a")
            assert not one.leases.take("a")  # at once, without waiting for the transaction


def test_a_server_that_never_answers_is_an_error(tmp_path, monkeypatch):
    use_server(tmp_path, f"postgresql://nobody@/none?host={tmp_path}")
    with pytest.raises(StoreError, match="nobody@/none.*is the server up"):
        Outbox(tmp_path / "state.db")


def test_no_wait_is_endless_and_the_server_is_found_again(folder, administer, monkeypatch):
    with closing(SlideQueries(folder / "state.db", unwritable="read")) as queries:
        assert not queries._state.has_table("slides")
        queries._state.backend.waits_s = 0.0
        administer(ENDS_ALL)
        with monkeypatch.context() as away:
            refused = OperationalError("", {}, psycopg.OperationalError("gone"))
            away.setattr(PostgresqlBackend, "connect", Mock(side_effect=refused))
            for _ in range(2):
                with pytest.raises(StoreError, match="gone|terminating|closed"):
                    queries._state.has_table("slides")
        assert not queries._state.has_table("slides")


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ("mysql://root@db/lab", "no database of PostgreSQL"),
        ("postgresql://db.lab", "no database of PostgreSQL"),
        ("not a url", "no URL of a database"),
        ("postgresql://me:secret@db/lab", "a password in the URL"),
        ("postgresql://me@db/lab?password=secret", "a password in the URL"),
    ],
)
def test_a_url_that_cannot_be_kept(tmp_path, stated, why):
    with pytest.raises(StoreError, match=why) as refused:
        use_server(tmp_path, stated)
    assert "secret" not in str(refused.value) and list(tmp_path.iterdir()) == []


def test_a_store_keeps_its_place(tmp_path):
    use_server(tmp_path / "a", "postgresql://me@db/lab")
    use_server(tmp_path / "a", "postgresql://me@db/lab")
    with pytest.raises(StoreError, match="leave out --state"):
        use_server(tmp_path / "a", "postgresql://me@db/other")
    Outbox(tmp_path / "b" / "state.db").close()
    with pytest.raises(StoreError, match="leave out --state"):
        use_server(tmp_path / "b", "postgresql://me@db/lab")


def test_a_neighbour_s_tables_are_not_taken_for_the_own(folder, administer):
    """Two laboratories on one server: what the one has is added for the other all the same."""
    with Outbox(folder / "state.db") as outbox:
        assert outbox.slide_ids() == []
    own = "cytostream_state.backlog"
    administer("DROP SCHEMA IF EXISTS neighbour CASCADE")
    administer("CREATE SCHEMA neighbour")
    administer(f"CREATE TABLE neighbour.backlog (LIKE {own})")
    administer("CREATE INDEX backlog_of_state ON neighbour.backlog (state)")
    administer("DROP INDEX cytostream_state.backlog_of_state")
    administer(f"ALTER TABLE {own} DROP COLUMN announced")
    with Outbox(folder / "state.db") as outbox:
        found = outbox.rows("SELECT announced FROM backlog")
        sql = """SELECT count(*) FROM pg_indexes
            WHERE schemaname = current_schema() AND indexname = 'backlog_of_state'"""
        assert found == [] and outbox.rows(sql) == [(1,)]
    administer("DROP SCHEMA neighbour CASCADE")
