"""JSON lines on standard output: events with fields. Prompts and answers are never among them."""

import json
import logging
import sys
import traceback
from typing import Final

from typing_extensions import override

_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line; whatever was passed as `extra` becomes fields of their own."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        entry.update({key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def where(error: BaseException) -> dict[str, str]:
    """Fields that tell where a request failed, without the error's message: that may quote the prompt."""
    kinds, frames = [], []
    link: BaseException | None = error
    while link is not None:
        kinds.append(type(link).__name__)
        frames += traceback.format_tb(link.__traceback__)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return {"error": " from ".join(kinds), "traceback": "".join(frames)}


def set_up_logging(level: str) -> None:
    """Send everything from `level` up to standard output; replaces earlier handlers."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
