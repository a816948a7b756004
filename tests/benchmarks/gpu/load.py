"""Clients of a server: lean readers of server-sent events, in processes of their own.

    python -m tests.benchmarks.gpu.load        a worker: one job a line on its input, one result a line on its output

A worker counts events by searching the bytes and parses no JSON, so that eight of them read 20,000 tokens a second and
more. Times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

import asyncio
import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from typing_extensions import override

CONTENT: Final = re.compile(rb'"(?:content|text)": ?"[^"]')
USAGE: Final = re.compile(rb'"prompt_tokens": ?(\d+), ?"completion_tokens": ?(\d+)')
LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
REQUEST_TIMEOUT_S: Final = 120.0
PATH: Final = "/v1/chat/completions"
HEAD: Final = (
    "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)


@dataclass(slots=True)
class Answer:
    """One response. Times are on the machine's monotonic clock, 0 where there is none."""

    sent_s: float = 0.0
    first_s: float = 0.0
    last_s: float = 0.0
    """The end of the response."""
    gaps_s: list[float] = field(default_factory=list)
    """Between two reads with text."""
    prompt_tokens: int = 0
    tokens: int = 0
    """Of the answer, by the server's own count."""
    problem: str = ""
    """Empty for a whole answer."""

    @property
    def ttft_s(self) -> float:
        """Time to first token."""
        return self.first_s - self.sent_s


def body(prompt: str, max_tokens: int, **fields: Any) -> dict[str, Any]:
    """A streamed chat request, greedy unless `fields` say otherwise."""
    return {
        "model": "bench", "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens,
        "temperature": 0, "stream": True, "stream_options": {"include_usage": True}, **fields,
    }  # fmt: skip


class _Reader(asyncio.Protocol):
    """One connection that is kept alive, with at most one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer = Answer()
        self._done: asyncio.Future[None] | None = None
        self._status = self._ended = self._closes = False
        self._read_s = 0.0
        self.transport: asyncio.Transport
        self.open = False

    @override
    def connection_made(self, transport: Any) -> None:
        self.transport, self.open = transport, True

    @override
    def connection_lost(self, _error: Exception | None) -> None:
        self.open = False
        self._end("connection closed")

    async def send(self, data: bytes) -> Answer:
        self._buffer.clear()
        self._status = self._ended = False
        self._done = asyncio.get_running_loop().create_future()
        self._answer = answer = Answer(sent_s=time.monotonic())
        self.transport.write(data)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await self._done
        except TimeoutError:
            answer.problem = f"no end within {REQUEST_TIMEOUT_S:g} s"
            self.transport.abort()
        answer.last_s = time.monotonic()
        return answer

    @override
    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        self._buffer += data
        if not self._status:
            if b"\r\n\r\n" not in self._buffer:
                return
            if not self._buffer.startswith(b"HTTP/1.1 200"):
                self._refused()
                return
            self._status = True
            head = bytes(self._buffer[: self._buffer.index(b"\r\n\r\n")]).lower()
            self._closes = b"connection: close" in head
        end = self._buffer.rfind(b"\n\n")
        if end >= 0:
            self._events(bytes(self._buffer[: end + 2]), now_s)
            del self._buffer[: end + 2]
        if self._ended and self._buffer.endswith(b"0\r\n\r\n"):
            self._end("" if self._answer.tokens and self._answer.first_s else "no tokens")

    def _refused(self) -> None:
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if length and len(rest) >= int(length[1]):
            self._end(f"HTTP {head[9:12].decode()}: {rest[:200].decode(errors='replace')}")

    def _events(self, events: bytes, now_s: float) -> None:
        answer = self._answer
        if CONTENT.search(events):
            if answer.first_s:
                answer.gaps_s.append(now_s - self._read_s)
            else:
                answer.first_s = now_s
            self._read_s = now_s
        if usage := USAGE.search(events):
            answer.prompt_tokens, answer.tokens = int(usage[1]), int(usage[2])
        if b'data: {"error"' in events:
            answer.problem = events[:200].decode(errors="replace")
        if b"data: [DONE]" in events or answer.problem:
            self._ended = True

    def _end(self, problem: str) -> None:
        if self._done and not self._done.done():
            self._answer.problem = self._answer.problem or problem
            self._done.set_result(None)
            if self._closes:
                self.open = False
                self.transport.close()


async def _client(port: int, requests: Sequence[dict[str, Any]], start_s: float, until_s: float) -> list[Answer]:
    """Send the requests one after the other; none after `until_s`, or after a refused connection."""
    loop, reader = asyncio.get_running_loop(), None
    await asyncio.sleep(max(0.0, start_s - time.monotonic()))
    answers: list[Answer] = []
    for request in requests:
        data = json.dumps(request).encode()
        head = HEAD.format(path=PATH, length=len(data))
        if time.monotonic() >= until_s:
            break
        if reader is None or not reader.open:
            try:
                _, reader = await loop.create_connection(_Reader, "127.0.0.1", port)
            except OSError as error:
                answers.append(Answer(problem=f"no connection: {error}"))
                break
        answers.append(await reader.send(head.encode() + data))
    return answers


async def _job(job: dict[str, Any]) -> dict[str, Any]:
    began_s, cpu_s = time.monotonic(), time.process_time()
    done = await asyncio.gather(
        *(_client(job["port"], requests, job["start_s"], job["until_s"]) for requests in job["clients"])
    )
    busy = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
    return {"busy": busy, "answers": [asdict(answer) for answers in done for answer in answers]}


def _work() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(_job(json.loads(line)))), flush=True)


class Clients:
    """Worker processes that share the clients of a job."""

    START_DELAY_S: Final = 0.15
    """For all workers to read their jobs; then all clients send at once."""

    def __init__(self, workers: int) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.gpu.load"]
        self._workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(workers)
        ]
        for worker in self._workers:
            _line(worker)
        self.busiest = 0.0
        """Share of one core that the busiest worker used in the last job. Near 1 the clients limit the throughput."""

    def begin(self, port: int, clients: Sequence[Sequence[dict[str, Any]]], until_s: float = math.inf) -> None:
        """Start one client for each list of requests."""
        start_s = time.monotonic() + self.START_DELAY_S
        for at, worker in enumerate(self._workers):
            share = clients[at :: len(self._workers)]
            job = {"port": port, "clients": share, "start_s": start_s, "until_s": min(until_s, 1e12)}
            if worker.stdin is None:
                raise RuntimeError("the worker has no input")
            worker.stdin.write(json.dumps(job) + "\n")
            worker.stdin.flush()

    def results(self) -> list[Answer]:
        """Wait for all answers of the job."""
        found = [json.loads(_line(worker)) for worker in self._workers]
        self.busiest = max((job["busy"] for job in found if job["answers"]), default=0.0)
        return [Answer(**answer) for job in found for answer in job["answers"]]

    def run(self, port: int, clients: Sequence[Sequence[dict[str, Any]]]) -> list[Answer]:
        """`begin` and `results`."""
        self.begin(port, clients)
        return self.results()

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.kill()
            worker.wait()


def _line(worker: "subprocess.Popen[str]") -> str:
    line = worker.stdout.readline() if worker.stdout else ""
    if not line:
        raise RuntimeError("a worker of the load generator ended")
    return line


if __name__ == "__main__":
    _work()
