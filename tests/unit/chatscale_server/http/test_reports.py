"""Reports of the engine's thread reach the event loop in order, and seldom enough."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chatscale_contract.openai.errors import ApiError
from chatscale_server.engine.request import FinishReason, Output, StepReport
from chatscale_server.http.bridge import FEW_STREAMS
from tests.unit.chatscale_server.builders import a_request
from tests.unit.chatscale_server.http.bridge_harness import BridgeHarness


class CountingLoop:
    """Stands for the event loop: calls wait until the test runs them."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.timers: list[Callable[[], None]] = []

    def call_soon_threadsafe(self, function: Callable[..., None], *arguments: Any) -> None:
        self.calls.append(partial(function, *arguments))

    def call_later(self, _seconds: float, function: Callable[[], None]) -> None:
        self.timers.append(function)

    def run(self, calls: list[Callable[[], None]]) -> None:
        while calls:
            calls.pop(0)()


MANY = "".join(chr(ord("a") + at) for at in range(FEW_STREAMS + 1))


def short_step(token: str, finished: str = "", streams: str = MANY) -> StepReport:
    outputs = [Output(name, token, 1, FinishReason.STOP if name in finished else None) for name in streams]
    return StepReport(outputs=tuple(outputs), batch_size=len(streams), duration_s=0.001)


async def test_tokens_of_short_steps_wake_the_loop_once_and_an_end_at_once():
    """A 1B model makes 700 steps a second on a GPU."""
    harness, loop = BridgeHarness(slots=len(MANY)), CountingLoop()
    harness.bridge._loop = loop
    request, *_others = [harness.submit(a_request(name)) for name in MANY]
    harness.bridge.stepped(StepReport(started=tuple(MANY)))
    loop.run(loop.calls)
    for token in "xyz":
        harness.bridge.stepped(short_step(token))
    assert len(loop.calls) == 1
    loop.run(loop.calls)
    assert (request.take_delta().text, len(loop.timers)) == ("", 1)
    loop.run(loop.timers)
    assert request.take_delta().text == "xyz"
    harness.bridge.stepped(short_step("!"))
    harness.bridge.stepped(short_step("?", finished="a"))
    loop.run(loop.calls)
    assert (request.take_delta().text, request.finish) == ("!?", FinishReason.STOP)
    loop.run(loop.timers)


async def test_tokens_of_few_streams_are_reported_at_once():
    harness, loop = BridgeHarness(), CountingLoop()
    harness.bridge._loop = loop
    request = harness.submit(a_request("a"))
    harness.bridge.stepped(StepReport(started=("a",)))
    harness.bridge.stepped(short_step("x", streams="a"))
    loop.run(loop.calls)
    assert (request.take_delta().text, loop.timers) == ("x", [])


async def test_a_failure_is_reported_after_the_tokens_before_it():
    harness, loop = BridgeHarness(slots=len(MANY)), CountingLoop()
    harness.bridge._loop = loop
    request, *_others = [harness.submit(a_request(name)) for name in MANY]
    harness.bridge.stepped(StepReport(started=tuple(MANY)))
    harness.bridge.stepped(short_step("y"))
    harness.bridge.failed(RuntimeError("gone"))
    loop.run(loop.calls)
    assert request.take_delta().text == "y"
    with pytest.raises(ApiError, match="the engine failed"):
        request.take_delta()
