from .account_table import ACCOUNT_NAME, AccountChange, AccountRow, AccountTable
from .backlog import FAILED, RUNNING, STAT, WAITING, Backlog, Job, job_lease
from .cell_body import CellBody, marked_body
from .database import COPY_HINT, SERVER_FILE, can_write, has_state, server_of, use_server
from .identity_table import RefusedOrder
from .journal import CellEntry, KeptFailure
from .leases import LeaseLostError
from .outbox import DiskLimits, Outbox, Transaction
from .outbox_record import OutboxRecord
from .people import PreferenceTable, ProvidedPerson, ProvidedTable, SeenAreaTable
from .places import (
    KeptObjects,
    StorePlace,
    remove_results,
    store_path,
    store_paths,
    use_bucket,
)
from .private_files import (
    OTHERS,
    PRIVATE_FILE,
    close_to_others,
    make_private_file,
    make_private_folder,
    open_to_others,
    write_private_file,
)
from .results import (
    FEATURE_COLUMN,
    LABEL_COLUMN,
    ResultWriter,
    crop_digest,
    entry_of,
    stored_features,
)
from .search import LikeCell, LikenessIndex, index_store, like_cells, slides_between, unit_features
from .shadow_results import (
    ShadowVerdicts,
    begin_shadow,
    put_shadow,
    read_shadow,
    shadow_ids,
    shadow_tries,
)
from .slide_facts import facts_of, slide_of
from .slide_queries import SlideQueries, StoredEvent
from .slide_store import CHUNK_ROWS, SlideStore
from .store_figures import FigureQueries, SinkFigures, StoreFigures
from .trail_records import NO_DIGEST, MarkedPixels, TrailQueries, TrailRecords, TrailRow

__all__ = [
    "KeptFailure",
    "ACCOUNT_NAME",
    "AccountChange",
    "AccountRow",
    "AccountTable",
    "Backlog",
    "CHUNK_ROWS",
    "CellBody",
    "CellEntry",
    "COPY_HINT",
    "FEATURE_COLUMN",
    "FigureQueries",
    "FAILED",
    "Job",
    "KeptObjects",
    "LABEL_COLUMN",
    "LeaseLostError",
    "LikeCell",
    "LikenessIndex",
    "MarkedPixels",
    "OTHERS",
    "Outbox",
    "OutboxRecord",
    "PRIVATE_FILE",
    "PreferenceTable",
    "SeenAreaTable",
    "ProvidedPerson",
    "ProvidedTable",
    "RUNNING",
    "RefusedOrder",
    "ResultWriter",
    "DiskLimits",
    "NO_DIGEST",
    "STAT",
    "ShadowVerdicts",
    "SinkFigures",
    "begin_shadow",
    "put_shadow",
    "read_shadow",
    "shadow_ids",
    "shadow_tries",
    "SlideQueries",
    "TrailQueries",
    "TrailRecords",
    "TrailRow",
    "SlideStore",
    "StoreFigures",
    "StoredEvent",
    "Transaction",
    "WAITING",
    "use_server",
    "server_of",
    "has_state",
    "SERVER_FILE",
    "can_write",
    "close_to_others",
    "crop_digest",
    "entry_of",
    "facts_of",
    "stored_features",
    "job_lease",
    "index_store",
    "like_cells",
    "make_private_file",
    "marked_body",
    "make_private_folder",
    "open_to_others",
    "slide_of",
    "slides_between",
    "StorePlace",
    "remove_results",
    "store_path",
    "store_paths",
    "use_bucket",
    "unit_features",
    "write_private_file",
]
