"""What every client program shares: the server's address, the questions, and the report of its cases as JSON.

The programs run in the clients' environment (`hack.clients`), which does not have the project's packages.
"""

import asyncio
import inspect
import json
import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel

BASE_URL, MODEL = sys.argv[1:3]
QUESTION = "My order arrived damaged. What should I do?"
CLASSIFY = "Classify as JSON: 'My order arrived damaged!'"
MAX_TOKENS = 64
FRAMES = 3
"""Stack frames of the report of a failed case."""


class Review(BaseModel):
    """The structured output that the clients request."""

    sentiment: Literal["good", "bad"]
    refund: bool


def weather(city: Literal["Paris", "Rome"]) -> str:
    """Get the weather in a city."""
    return f"It is sunny in {city}."


WEATHER_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Get the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def check(condition: object, found: object) -> None:
    """Fail the case unless the condition holds. An assert statement would not be run with -O."""
    if not condition:
        raise AssertionError(f"found {found!r}")


def report(cases: dict[str, Callable[[], Any]]) -> None:
    """Run the cases and write {case: error, or "" if it works} as the last line."""
    logging.disable(logging.WARNING)
    results = {}
    with asyncio.Runner() as runner:  # one loop, since clients keep connections between the cases
        for name, case in cases.items():
            try:
                outcome = case()
                if inspect.iscoroutine(outcome):
                    runner.run(outcome)
            except Exception as error:  # noqa: BLE001 - the report needs every failure
                where = " ".join(traceback.format_tb(error.__traceback__)[-FRAMES:])
                results[name] = f"{type(error).__name__}: {error} {where}"[:2000]
            else:
                results[name] = ""
    sys.stdout.write("\n" + json.dumps(results) + "\n")
