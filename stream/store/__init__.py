from .account_table import AccountChange, AccountRow, AccountTable
from .backlog import FAILED, RUNNING, STAT, WAITING, Backlog, Job, job_lease
from .database import COPY_HINT, can_write
from .leases import LeaseLostError
from .outbox import DiskLimits, Outbox, Transaction
from .outbox_record import OutboxRecord
from .private_files import (
    OTHERS,
    PRIVATE_FILE,
    close_to_others,
    make_private_file,
    make_private_folder,
    open_to_others,
    write_private_file,
)
from .results import LABEL_COLUMN, ResultWriter, body_of, crop_digest, store_path
from .slide_facts import facts_of, slide_of
from .slide_queries import SlideQueries, StoredEvent
from .slide_store import CHUNK_ROWS, SlideStore
from .trail_records import NO_DIGEST, TrailQueries, TrailRecords, TrailRow

__all__ = [
    "AccountChange",
    "AccountRow",
    "AccountTable",
    "Backlog",
    "CHUNK_ROWS",
    "COPY_HINT",
    "FAILED",
    "Job",
    "LABEL_COLUMN",
    "LeaseLostError",
    "OTHERS",
    "Outbox",
    "OutboxRecord",
    "PRIVATE_FILE",
    "RUNNING",
    "ResultWriter",
    "DiskLimits",
    "NO_DIGEST",
    "STAT",
    "SlideQueries",
    "TrailQueries",
    "TrailRecords",
    "TrailRow",
    "SlideStore",
    "StoredEvent",
    "Transaction",
    "WAITING",
    "body_of",
    "can_write",
    "close_to_others",
    "crop_digest",
    "facts_of",
    "job_lease",
    "make_private_file",
    "make_private_folder",
    "open_to_others",
    "slide_of",
    "store_path",
    "write_private_file",
]
