from .backend import Unwritable
from .place import SERVER_FILE, has_state, server_of, use_server
from .schema import ACCESS, IDENTITY_COLUMNS, REVIEWS, SCHEMAS, STATE
from .sqlite import COPY_HINT, can_write, is_on_share
from .state import Row, State, Statements, Value, listed

__all__ = [
    "ACCESS",
    "COPY_HINT",
    "IDENTITY_COLUMNS",
    "REVIEWS",
    "Row",
    "SCHEMAS",
    "SERVER_FILE",
    "STATE",
    "State",
    "Statements",
    "Unwritable",
    "Value",
    "can_write",
    "has_state",
    "is_on_share",
    "listed",
    "server_of",
    "use_server",
]
