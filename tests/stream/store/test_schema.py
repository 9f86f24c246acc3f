"""Every table, index, trigger and routine of a store, in the words of both databases."""

import re

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from stream.store.database.schema import SCHEMAS, index_statements, table_statements, wanted_parts
from tests.approved import approved

DIALECTS = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}


@pytest.mark.parametrize("name", DIALECTS)
def test_the_tables_are_those_that_earlier_stores_have(name):
    """A key, a bound or a default that changes makes two kinds of store of one version."""
    dialect, lines = DIALECTS[name], []
    for file, schema in SCHEMAS.items():
        lines.append(f"{file}: {len(wanted_parts(schema, dialect))} parts")
        for statement in (*table_statements(schema, dialect), *index_statements(schema, dialect)):
            lines.append("  " + re.sub(r"\s+", " ", statement).strip())
    approved(__file__, f"tables-{name}", "\n".join(lines))
