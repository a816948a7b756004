"""What HTTP is compared with: our engine's loop, and plain `generate`, each in a process of its own.

    python -m tests.benchmarks.server.without_http bare
    python -m tests.benchmarks.server.without_http generate MODEL DTYPE DEVICE < ASKS

`bare` is our server, with settings from the environment. It prints its port; then it reads cells, one a line, each as
[clients, [[prompt, max tokens], ...]] in JSON, answers them without HTTP, and prints the tokens per second of each.
`generate` reads the latter list and prints one such number.
"""

import asyncio
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatscale_server.engine.factory import build_engine
from chatscale_server.engine.protocol import ChatMessage, Engine, ModelInfo
from chatscale_server.engine.request import FinishReason, Request, Sampling, StepReport
from chatscale_server.engine.worker import Worker
from chatscale_server.http.serve import listening, reduce_garbage_collection
from chatscale_server.settings import read_settings

Asks = Sequence[tuple[str, int]]
TIMEOUT_S = 600.0


@dataclass(slots=True)
class BareLoop:
    """Asks anew within the engine's own thread, so that nothing but the loop is measured."""

    worker: Worker
    tokens: int = 0
    failure: BaseException | None = None
    _line: Iterable[Request] = ()
    _open: int = 0
    _idle: threading.Event = field(default_factory=threading.Event)

    def run(self, clients: int, requests: Sequence[Request]) -> float:
        """Work through the requests, `clients` at a time; tokens per second.

        The worker must be loaded and idle. Its own listener hears nothing until this returns.
        """
        usual, self.worker.listener = self.worker.listener, self
        try:
            return self._run(clients, requests)
        finally:
            self.worker.listener = usual

    def phase(self, name: str, seconds: float) -> None:
        """See Listener."""

    def loaded(self, info: ModelInfo) -> None:
        """See Listener."""

    def stepped(self, report: StepReport) -> None:
        """See Listener."""
        for output in report.outputs:
            self.tokens += output.tokens
            if not output.finish:
                continue
            if output.finish not in {FinishReason.STOP, FinishReason.LENGTH}:
                self.failed(RuntimeError(f"request {output.request_id} ended with {output.finish}"))
            if (request := next(iter(self._line), None)) is not None:
                self.worker.submit(request)
            else:
                self._open -= 1
                if self._open == 0:
                    self._idle.set()

    def failed(self, error: BaseException) -> None:
        """See Listener."""
        self.failure = error
        self._idle.set()

    def _run(self, clients: int, requests: Sequence[Request]) -> float:
        self.tokens, self._open = 0, min(clients, len(requests))
        self._line = iter(requests)
        self._idle.clear()
        began_s = time.perf_counter()
        for request in list(itertools.islice(self._line, clients)):
            self.worker.submit(request)
        if not self._idle.wait(TIMEOUT_S) or self.failure:
            raise RuntimeError("the engine did not come to its end") from self.failure
        return self.tokens / (time.perf_counter() - began_s)


async def bare() -> None:
    """Our server, which also answers cells without HTTP, until there is no further line."""
    settings = read_settings(os.environ)
    engine, keep_what_is_loaded = build_engine(settings), reduce_garbage_collection()
    async with listening(engine, settings, host="127.0.0.1", port=0) as server:
        await server.bridge.loaded_or_failed.wait()
        if server.bridge.failure:
            raise server.bridge.failure
        keep_what_is_loaded()
        print(server.port, flush=True)
        loop = BareLoop(server.worker)
        while line := await asyncio.to_thread(sys.stdin.readline):
            if server.bridge.in_flight:
                raise RuntimeError(f"{server.bridge.in_flight} requests came over HTTP and are not answered yet")
            clients, asks = json.loads(line)
            requests = [_request(engine, at, prompt, tokens) for at, (prompt, tokens) in enumerate(asks)]
            print(await asyncio.to_thread(loop.run, clients, requests), flush=True)


def _request(engine: Engine, at: int, prompt: str, max_tokens: int) -> Request:
    tokens = engine.encode_chat([ChatMessage("user", prompt)])
    return Request(
        id=f"bare-{at}", prompt=tuple(tokens), max_tokens=max_tokens, sampling=Sampling(temperature=0),
        queued_s=time.monotonic(),
    )  # fmt: skip


def generate(model: Path, dtype: str, device: str, asks: Asks) -> float:
    """transformers' `generate`, one prompt after the other; tokens per second."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).to(device).eval()

    def answer(prompt: str, max_tokens: int) -> int:
        messages = [{"role": "user", "content": prompt}]
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(device)
        with torch.inference_mode():
            output = network.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
        return int(output.shape[1] - inputs["input_ids"].shape[1])

    answer("Hello, is my order 17 on its way?", 4)
    began_s = time.perf_counter()
    tokens = sum(answer(prompt, max_tokens) for prompt, max_tokens in asks)
    return tokens / (time.perf_counter() - began_s)


if __name__ == "__main__":
    if sys.argv[1] == "bare":
        asyncio.run(bare())
        # As the server ends: on the way out of the interpreter some of torch's packages print pages about leaks.
        os._exit(0)
    else:
        _, _, folder, number_format, place = sys.argv
        print(generate(Path(folder), number_format, place, json.load(sys.stdin)))
