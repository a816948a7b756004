"""Section equality: the server's answers against transformers, with small random models.

- float32: every answer equals `generate` token for token: alone, in a batch, and beside a long neighbour.
- bfloat16: the root mean square error of our log-probabilities against a float32 forward of the same weights is no
  larger than that of transformers' own bfloat16 forward on the same tokens.
"""

import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Self

from tests.benchmarks.gpu.prompts import as_text, token_ids
from tests.benchmarks.gpu.reference import VOCAB
from tests.benchmarks.gpu.results import Bench
from tests.benchmarks.gpu.server import Server, ServerEndedError, environment, start

ANSWER: Final = 48
LENGTHS: Final = (3, 17, 40, 5, 64, 128, 31, 90)
LONG: Final = 1500
TOP: Final = 20
SLACK: Final = 1.05
"""Rounding errors are random: the ratio of two equal methods varies by a few percent."""
FLOAT32_RMS: Final = 1e-3
"""Largest error of log-probabilities that count as equal in float32."""
TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Case:
    """One server."""

    family: str
    dtype: str


CASES: Final = (
    Case("llama", "float32"),
    Case("llama", "bfloat16"),
    Case("qwen3", "float32"),
    Case("qwen3", "bfloat16"),
)
TINY_CASES: Final = (Case("llama", "float32"),)


def equality(bench: Bench) -> None:
    """All servers start at once; each is compared when it is ready. One that finds no memory starts again, alone."""
    cases = TINY_CASES if bench.small else CASES
    answer, long = (12, 150) if bench.small else (ANSWER, LONG)
    rng = random.Random("equality")
    prompts = [token_ids(rng, VOCAB, length) for length in (*LENGTHS, long)]
    with Reference(bench, sorted({case.family for case in cases})) as reference, ExitStack() as started:
        servers = [_start(bench, case) for case in cases]
        for server in servers:
            started.callback(server.kill)
        expected = {family: reference.generate(family, prompts, answer) for family in reference.families}
        late = []
        for case, server in zip(cases, servers, strict=True):
            if not _compare(bench, case, server, prompts, expected[case.family], answer, reference):
                late.append(case)
            server.kill()
        for case in late:
            server = _start(bench, case)
            started.callback(server.kill)
            if not _compare(bench, case, server, prompts, expected[case.family], answer, reference):
                bench.add(
                    "equality", model=case.family, dtype=case.dtype, kept=False, problem=server.exit_reason()[-600:]
                )
            server.kill()


def _start(bench: Bench, case: Case) -> Server:
    folder = bench.folder / case.family
    return start(environment(folder, bench.device, case.dtype, MAX_MODEL_LEN=2048, MAX_CONCURRENCY=16))


def _compare(
    bench: Bench, case: Case, server: Server, prompts: Sequence[list[int]], expected: Sequence[str], answer: int,
    reference: "Reference",
) -> bool:  # fmt: skip
    """False if the server does not start."""
    try:
        server.until_ready()
    except ServerEndedError as error:
        print(f"equality: {case}: {error}", flush=True)
        return False
    try:
        _compare_texts(bench, case, server, prompts, expected, answer)
        _compare_scores(bench, case, server, prompts, answer, reference)
    except (OSError, LookupError, RuntimeError) as error:
        bench.add("equality", model=case.family, dtype=case.dtype, kept=False, problem=repr(error)[:600])
        print(server.log()[-3000:], flush=True)
    return True


def _compare_texts(
    bench: Bench, case: Case, server: Server, prompts: Sequence[list[int]], expected: Sequence[str], answer: int
) -> None:
    """Answers equal to `generate`; in bfloat16 the numbers are for information."""
    texts = [as_text(ids, VOCAB) for ids in prompts]
    crowd = len(LENGTHS)
    alone = [_request(server, text, answer) for text in texts[:4]]
    batch = _request_all(server, texts[:crowd], answer)
    beside = _request_all(server, texts, answer)
    equal = {
        "alone": _equal(alone, expected[:4]),
        "in_a_batch": _equal(batch, expected[:crowd]),
        "beside_a_long_prompt": _equal(beside, expected),
    }
    kept = all(same == total for same, total in equal.values())
    counts = {name: f"{same} of {total}" for name, (same, total) in equal.items()}
    if case.dtype != "float32":
        counts["note"] = "equal answers are no goal in bfloat16"
    result = {"kept": kept} if case.dtype == "float32" else {}
    bench.add("equality", model=case.family, dtype=case.dtype, compared="text with generate", **counts, **result)


def _equal(found: Sequence[dict[str, Any]], expected: Sequence[str]) -> tuple[int, int]:
    texts = [choice["message"]["content"] for choice in found]
    return sum(text == wanted for text, wanted in zip(texts, expected, strict=True)), len(texts)


def _compare_scores(
    bench: Bench, case: Case, server: Server, prompts: Sequence[list[int]], answer: int, reference: "Reference"
) -> None:
    """Log-probabilities of the most likely tokens at each position of our own answers, in a batch."""
    found = _request_all(server, [as_text(ids, VOCAB) for ids in prompts], answer, logprobs=True, top_logprobs=TOP)
    rows = [
        {
            "prompt": ids,
            "answer": [entry["token"] for entry in choice["logprobs"]["content"]],
            "top": [[(top["token"], top["logprob"]) for top in entry["top_logprobs"]]
                    for entry in choice["logprobs"]["content"]],
        }
        for ids, choice in zip(prompts, found, strict=True)
    ]  # fmt: skip
    errors = reference.errors(case.family, case.dtype, rows)
    if case.dtype == "float32":
        kept = errors["ours_rms"] < FLOAT32_RMS
    else:
        errors["ratio"] = errors["ours_rms"] / errors["transformers_rms"]
        kept = errors["ratio"] <= SLACK
    bench.add(
        "equality", model=case.family, dtype=case.dtype, compared="log-probabilities with a float32 forward",
        **errors, kept=kept,
    )  # fmt: skip


def _request(server: Server, text: str, max_tokens: int, **fields: Any) -> dict[str, Any]:
    body = {"model": "bench", "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens,
            "temperature": 0, **fields}  # fmt: skip
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/v1/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        choice: dict[str, Any] = json.load(response)["choices"][0]
        return choice


def _request_all(server: Server, texts: Sequence[str], max_tokens: int, **fields: Any) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(len(texts)) as pool:
        return list(pool.map(lambda text: _request(server, text, max_tokens, **fields), texts))


class Reference:
    """A process with transformers, which writes the models and computes what is expected."""

    def __init__(self, bench: Bench, families: Sequence[str]) -> None:
        self.families = families
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.gpu.reference", bench.device, str(bench.folder), *families],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._read()  # the models are written
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def generate(self, family: str, prompts: Sequence[list[int]], max_tokens: int) -> list[str]:
        """Greedy answers of `generate` in float32."""
        texts: list[str] = self._call(work="generate", family=family, prompts=prompts, max_tokens=max_tokens)
        return texts

    def errors(self, family: str, dtype: str, rows: Sequence[dict[str, Any]]) -> dict[str, float]:
        """Errors of log-probabilities, ours and transformers' own, against float32."""
        found: dict[str, float] = self._call(work="errors", family=family, dtype=dtype, rows=rows)
        return found

    def _call(self, **job: Any) -> Any:
        if self._process.stdin is None:
            raise RuntimeError("the reference has no input")
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("the reference ended")
        return json.loads(line)
