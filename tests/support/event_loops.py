"""The event loop of the gateway's process, for tests that open connections."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """A hook of pytest-asyncio: import it in a conftest.py."""
    return {"uvloop": uvloop.new_event_loop}
