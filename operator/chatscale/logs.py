"""Log lines as events with fields: JSON for machines, text for people at a terminal.

`log.info("scaled", extra={"chatmodel": key, "from": 1, "to": 3})`. The names of fields given in `extra` become
keys of the JSON object. Nothing here decides what is worth a line.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from typing_extensions import override

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "settings", "taskName"}
"""What every record carries; `settings` is kopf's own attachment. Everything else came in `extra`."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, event and `key=value` fields."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        found = "".join(f" {key}={value}" for key, value in _fields(record).items())
        line = f"{time} {record.levelname:<7} {record.name}: {record.getMessage()}{found}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up_logs(level: str, *, as_json: bool) -> None:
    """Send this process's logs to stderr. kopf's own lines about every event it sees are kept out below WARNING."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("kopf").setLevel(max(logging.WARNING, root.level))
    # It warns about each slow request to pods that are shutting down.
    logging.getLogger("aiohttp").setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}
