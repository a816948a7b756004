"""Log lines are events with fields."""

import json
import logging
import sys
from pathlib import Path

from chatscale_process.logs import JsonFormatter, TextFormatter
from chatscale_process.settings import LogFormat


def a_record(**extra: object) -> logging.LogRecord:
    record = logging.LogRecord("chatscale.reconcile", logging.INFO, "x.py", 1, "scaled", None, None)
    record.created = 1_795_000_000.5
    vars(record).update(extra)
    return record


def test_json_lines_have_the_fields_by_name():
    line = json.loads(JsonFormatter().format(a_record(chatmodel="demo/tiny", to=3)))
    assert line == {
        "time": "2026-11-18T11:06:40.500+00:00",
        "level": "info",
        "logger": "chatscale.reconcile",
        "event": "scaled",
        "chatmodel": "demo/tiny",
        "to": 3,
    }


def test_json_lines_have_the_traceback():
    try:
        int("boom")
    except ValueError:
        record = a_record(exc_info=sys.exc_info())
    assert "invalid literal for int() with base 10: 'boom'" in json.loads(JsonFormatter().format(record))["traceback"]


def test_json_lines_take_any_value_and_skip_what_kopf_attaches():
    line = json.loads(JsonFormatter().format(a_record(settings=object(), at=Path("/x"), mode=LogFormat.JSON)))
    assert (line["at"], line["mode"]) == ("/x", "json")
    assert "settings" not in line


def test_text_lines_have_the_fields_as_pairs():
    assert TextFormatter().format(a_record(chatmodel="demo/tiny", to=3)) == (
        "11:06:40 INFO    chatscale.reconcile: scaled chatmodel=demo/tiny to=3"
    )
