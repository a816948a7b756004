"""JSON lines on standard output: events with fields. Prompts and generated text are never logged."""

import logging
import sys
import traceback
from typing import Final

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter as BaseJsonFormatter

_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%z"


class JsonFormatter(BaseJsonFormatter):
    """One JSON object per line: time, level, logger, event, the fields of `extra`, and a traceback if there is one."""

    def __init__(self) -> None:
        super().__init__(
            ("asctime", "levelname", "name", "message"),
            datefmt=_TIME_FORMAT,
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "message": "event",
                "exc_info": "traceback",
            },
            reserved_attrs=(*RESERVED_ATTRS, "taskName"),
            json_default=str,
        )


def where(error: BaseException) -> dict[str, str]:
    """Log fields with type and traceback of an error, without its message: the message may quote the prompt."""
    kinds, frames = [], []
    link: BaseException | None = error
    while link is not None:
        kinds.append(type(link).__name__)
        frames += traceback.format_tb(link.__traceback__)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return {"error": " from ".join(kinds), "traceback": "".join(frames)}


def set_up_logging(level: str) -> None:
    """Log to standard output from `level` on. Replaces earlier handlers.

    Warnings of libraries become log lines too: as text they would break a reader of the JSON lines.
    """
    logging.captureWarnings(True)  # noqa: FBT003 - the only parameter, without a name
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
