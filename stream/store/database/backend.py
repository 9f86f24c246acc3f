"""What differs between the databases that may have the state of a store."""

from collections.abc import Sequence
from typing import Literal, Protocol

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

# What to do with a file that cannot be written: an error; read it; or a copy in memory, whose
# changes are lost at the end.
Unwritable = Literal["refuse", "read", "copy"]


class Backend(Protocol):
    """A database. The texts are parts of queries: the time of the server's clock in Unix seconds
    (`now_s`, 0 where there is no server) and since a lease was renewed or the server came up
    (`silent_s`, NULL there), the ends of a SELECT that locks its rows until the
    transaction ends (`take_row`; `share_row` against change alone; `skip_row` leaves out what
    another has locked), and queries of what each database says about itself.
    """

    place: str
    dialect: Dialect
    is_kept: bool
    makes_tables: bool
    waits_s: float
    now_s: str
    silent_s: str
    take_row: str
    share_row: str
    skip_row: str
    begin_reading: str
    change_mark: str
    has_table: str
    parts: str
    size_bytes: str
    begin_erasing: Sequence[str]
    end_erasing: Sequence[str]

    def connect(self) -> Connection:
        """A connection that commits each statement but between BEGIN and COMMIT."""
        ...

    def open_session(self, link: Connection) -> None:
        """Prepares a new connection to write."""
        ...

    def begin(self, ordered: bool) -> str:
        """What begins a transaction; `ordered` ones commit in the order in which they begin."""
        ...

    def was_committed(self, link: Connection) -> bool:
        """Whether the transaction begun last was committed, asked after its connection was lost."""
        ...

    def is_lost(self, error: DBAPIError) -> bool:
        """Whether the server ended what was begun, through no fault of it: it is tried again."""
        ...

    def hint(self, error: DBAPIError) -> str:
        """What to do about an error."""
        ...

    def close(self) -> None:
        """Frees what the connections needed."""
        ...
