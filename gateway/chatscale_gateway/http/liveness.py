"""/livez on a thread and a port of its own: a busy event loop must not look like a dead one."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from typing_extensions import override

from chatscale_contract.server.endpoints import LIVEZ_PATH
from chatscale_gateway import metrics

BEAT_S: Final = 1.0
STUCK_AFTER_S: Final = 30.0


@dataclass(slots=True)
class Heartbeat:
    """When the event loop last ran. Written by the loop, read by the thread."""

    clock: Callable[[], float] = time.monotonic
    last_s: float = field(default=0.0)

    def beat(self) -> None:
        """The loop runs."""
        self.last_s = self.clock()

    @property
    def alive(self) -> bool:
        """Whether the loop ran within `STUCK_AFTER_S`."""
        return self.clock() - self.last_s < STUCK_AFTER_S

    async def run(self) -> None:
        """Beat each second, and measure how late the loop is."""
        while True:
            self.beat()
            due_s = self.last_s + BEAT_S
            await asyncio.sleep(BEAT_S)
            metrics.EVENT_LOOP_LAG_SECONDS.observe(max(0.0, self.clock() - due_s))


@asynccontextmanager
async def liveness(heartbeat: Heartbeat, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve /livez and beat while the context lasts. The port that was bound; 0 selects a free one."""
    heartbeat.beat()

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            status = 404 if self.path != LIVEZ_PATH else 200 if heartbeat.alive else 500
            text = b"ok\n" if status == 200 else b"the event loop is stuck\n" if status == 500 else b"not found\n"  # noqa: PLR2004
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Probes are not logged."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="livez", daemon=True)
    thread.start()
    beats = asyncio.get_running_loop().create_task(heartbeat.run())
    try:
        yield server.server_address[1]
    finally:
        beats.cancel()
        await asyncio.to_thread(server.shutdown)
        server.server_close()
