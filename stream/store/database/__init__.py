from .backend import Unwritable
from .place import SERVER_FILE, has_state, server_of, use_server
from .schema import ACCESS_SCHEMA, IDENTITY_COLUMNS, REVIEWS_SCHEMA, SCHEMAS, STATE_SCHEMA
from .sqlite import COPY_HINT, can_write, is_on_share
from .state import BoundValue, Row, State, Statements, listed

__all__ = [
    "ACCESS_SCHEMA",
    "COPY_HINT",
    "IDENTITY_COLUMNS",
    "REVIEWS_SCHEMA",
    "Row",
    "SCHEMAS",
    "SERVER_FILE",
    "STATE_SCHEMA",
    "State",
    "Statements",
    "Unwritable",
    "BoundValue",
    "can_write",
    "has_state",
    "is_on_share",
    "listed",
    "server_of",
    "use_server",
]
