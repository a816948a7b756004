"""What HTTP is compared with: our engine's loop, and plain `generate`, each in a process of its own.

    python -m tests.benchmarks.server.without_http bare|generate MODEL DTYPE DEVICE < CELLS

CELLS is a JSON list of [clients, [[prompt, max tokens], ...]]; the tokens per second of each are printed as JSON.
"""

import itertools
import json
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatscale_server.engine.protocol import ChatMessage, ModelInfo
from chatscale_server.engine.request import FinishReason, Request, Sampling, StepReport
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.engine.worker import Worker
from chatscale_server.settings import Device, Dtype, Settings
from tests.benchmarks.server.peers import CONTEXT_TOKENS, SLOTS

Asks = Sequence[tuple[str, int]]
TIMEOUT_S = 600.0


@dataclass(slots=True)
class BareLoop:
    """A listener that asks anew within the engine's own thread, so that nothing but the loop is measured."""

    engine: TransformersEngine
    worker: Worker = field(init=False)
    tokens: int = 0
    failure: BaseException | None = None
    _line: Iterable[Request] = ()
    _open: int = 0
    _idle: threading.Event = field(default_factory=threading.Event)

    def run(self, clients: int, requests: Sequence[Request]) -> float:
        """Work through the requests, `clients` at a time; tokens per second."""
        self.tokens, self._open = 0, min(clients, len(requests))
        self._line = iter(requests)
        self._idle.clear()
        began_s = time.perf_counter()
        for request in list(itertools.islice(self._line, clients)):
            self.worker.submit(request)
        self._wait()
        return self.tokens / (time.perf_counter() - began_s)

    def start(self) -> None:
        """Load the model."""
        self.worker.start()
        self._wait()

    def phase(self, name: str, seconds: float) -> None:
        """See Listener."""

    def loaded(self, info: ModelInfo) -> None:  # noqa: ARG002 - the protocol
        """See Listener."""
        self._idle.set()

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

    def _wait(self) -> None:
        if not self._idle.wait(TIMEOUT_S) or self.failure:
            raise RuntimeError("the engine did not come to its end") from self.failure


def bare(model: Path, dtype: str, device: str, cells: Sequence[tuple[int, Asks]]) -> list[float]:
    """Our engine and its worker, without HTTP."""
    settings = Settings(
        model_uri=f"file://{model}", served_name="bench", dtype=Dtype(dtype), device=Device(device),
        max_concurrency=SLOTS, max_queue=SLOTS, max_model_len=CONTEXT_TOKENS,
    )  # fmt: skip
    engine = TransformersEngine(settings)
    loop = BareLoop(engine)
    loop.worker = Worker(engine, loop, SLOTS, TIMEOUT_S)
    loop.start()

    def request(at: int, prompt: str, max_tokens: int) -> Request:
        tokens = engine.encode_chat([ChatMessage("user", prompt)])
        return Request(
            id=str(at), prompt=tuple(tokens), max_tokens=max_tokens, sampling=Sampling(temperature=0),
            queued_s=time.monotonic(),
        )  # fmt: skip

    loop.run(2, [request(at, "Hello, is my order 17 on its way?", 4) for at in range(2)])
    return [
        loop.run(clients, [request(at, prompt, tokens) for at, (prompt, tokens) in enumerate(asks)])
        for clients, asks in cells
    ]


def generate(model: Path, dtype: str, device: str, cells: Sequence[tuple[int, Asks]]) -> list[float]:
    """transformers' `generate`, one prompt after the other."""
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
        return output.shape[1] - inputs["input_ids"].shape[1]

    answer("Hello, is my order 17 on its way?", 4)
    speeds = []
    for _, asks in cells:
        began_s = time.perf_counter()
        tokens = sum(answer(prompt, max_tokens) for prompt, max_tokens in asks)
        speeds.append(tokens / (time.perf_counter() - began_s))
    return speeds


if __name__ == "__main__":
    kind, folder, number_format, place = sys.argv[1:]
    run = {"bare": bare, "generate": generate}[kind]
    print(json.dumps(run(Path(folder), number_format, place, json.load(sys.stdin))))
