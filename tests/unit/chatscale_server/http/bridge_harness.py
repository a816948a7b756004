"""A bridge with a clock and an engine port that a test controls."""

from collections.abc import Iterable
from typing import Any

from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import FinishReason, Output, Request, StepReport
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.in_flight import InFlightRequest
from tests.unit.chatscale_server.builders import a_request

INFO = ModelInfo(max_model_len=512, kv_capacity_tokens=1024, tokens_per_step=64, max_tokens_per_second=256.0,
                 vocab_size=9, end_tokens=frozenset())  # fmt: skip


class Port:
    """A fake worker that records the bridge's commands."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.cancelled: list[str] = []

    def submit(self, request: Request) -> None:
        self.submitted.append(request.id)

    def submit_search(self, search: tuple[Request, ...]) -> None:
        self.submitted.append("+".join(request.id for request in search))

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)


class BridgeHarness:
    """A bridge with a fake worker and a fake clock."""

    def __init__(self, *, slots: int = 2, max_queue: int = 2, **settings: Any) -> None:
        self.now_s = 0.0
        self.port = Port()
        self.bridge = Bridge(
            slots, max_queue, clock=lambda: self.now_s, wall_clock=lambda: 1000.0 + self.now_s, **settings
        )
        self.bridge._port = self.port

    def submit(self, request: Request) -> InFlightRequest:
        """One request alone."""
        return self.bridge.submit([request])[0]

    def step(self, *, started: Iterable[str] = "", tokens: str = "", finished: str = "", **fields: float) -> None:
        outputs = [Output(name, name, 1, FinishReason.STOP if name in finished else None) for name in tokens]
        report = StepReport(started=tuple(started), outputs=tuple(outputs), batch_size=1, **fields)
        self.bridge._on_step(report, self.now_s)

    def work_off(self, count: int, seconds_each: float, waiting: int) -> None:
        """Finish requests one after the other while others wait."""
        for at in range(waiting):
            self.submit(a_request(f"w{at}"))
        self.submit(a_request("long"))
        self.step(started=["long"])
        for _ in range(count):
            self.now_s += seconds_each
            self.submit(a_request("a", arrived_s=self.now_s))
            self.step(started="a", tokens="a", finished="a")
