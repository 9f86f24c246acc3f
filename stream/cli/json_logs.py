"""Logs as lines of JSON, one an event of the program, with the ids by which a line is found beside
the events that were sent.
"""

import json
import logging
from datetime import UTC, datetime

from stream.config import MonitoringSettings

_IDS = ("slide_id", "event_id", "status", "sink", "stage", "seconds", "count")
LOGGERS = ("stream", "ingest", "segment", "classify")
TEXT = "%(asctime)s %(levelname)s %(message)s"


class JsonLines(logging.Formatter):
    """One object a line: at, level, logger, message, and the ids of the record where it has any."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {name: getattr(record, name) for name in _IDS if hasattr(record, name)}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


def set_up_logs(settings: MonitoringSettings) -> None:
    """Logs to stderr, in the form and from the level of the settings; more where --verbose asked
    for it.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    formatter = JsonLines() if settings.log_format == "json" else logging.Formatter(TEXT)
    for handler in root.handlers:
        handler.setFormatter(formatter)
    level = getattr(logging, settings.log_level.upper())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(min(level, logger.level or level))
