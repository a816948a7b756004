"""Log lines are events with fields: JSON for machines, text for a person at a terminal.

`log.info("scaled", extra={"chatmodel": key, "from": 1, "to": 3})`: the names in `extra` become keys of the JSON object.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter
from typing_extensions import override

_NOT_FIELDS: Final = (*RESERVED_ATTRS, "taskName", "settings")
"""Attributes of a record that did not come in `extra`; kopf attaches `settings` to its own records."""


class JsonFormatter(BaseJsonFormatter):
    """One JSON object for each line: time, level, logger, event, then the fields and a traceback."""

    def __init__(self) -> None:
        super().__init__(
            ("asctime", "levelname", "name", "message"),
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "message": "event",
                "exc_info": "traceback",
            },
            reserved_attrs=_NOT_FIELDS,
            json_default=str,
        )

    @override
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    @override
    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {**log_data, "level": log_data["level"].lower()}


class TextFormatter(logging.Formatter):
    """Time, level, event and `key=value` fields."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        fields = "".join(f" {key}={value}" for key, value in vars(record).items() if key not in _NOT_FIELDS)
        line = f"{time} {record.levelname:<7} {record.name}: {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up_logs(level: str, *, as_json: bool, quiet: Iterable[str]) -> None:
    """Send the process's logs to stderr.

    quiet: loggers of libraries that log at WARNING at least, e.g. because they log headers and bodies at DEBUG.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library in quiet:
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
