"""What scaling reads of a replica is exact, whichever engine is behind it, and there at once, however busy that is."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import aiohttp
import pytest

from chatscale_contract.server.environment import SimulatedProfile
from chatscale_contract.server.metrics import Metric, SloObjective
from chatscale_contract.server.profiles import PROFILES
from chatscale_server.engine.protocol import Engine
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.settings import Dtype
from tests.unit.chatscale_server.builders import FAST, SETTINGS, a_server, chat, eventually
from tests.unit.chatscale_server.http.test_server import gauges, own_gauges
from tests.unit.chatscale_server.tiny_models import save_model

PROMPTS = ("Where is my order?", "Where is my order? It should have been here on Monday.", "Where is my order?", "Hi")
ANSWERS = (5, 1, 7, 3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("models") / "llama")


def simulated(_tiny: Path) -> Engine:
    return SimulatedEngine(FAST)


def transformers(tiny: Path) -> Engine:
    return TransformersEngine(SETTINGS.model_copy(update={"model_uri": f"file://{tiny}", "dtype": Dtype.FLOAT32}))


@pytest.mark.parametrize("build", [simulated, transformers])
async def test_counters_equal_what_the_answers_say_and_histograms_count_requests(
    tiny: Path, build: Callable[[Path], Engine]
):
    used = {"prompt_tokens": 0, "completion_tokens": 0}
    async with a_server(build(tiny)) as (server, client):
        for prompt, max_tokens in zip(PROMPTS, ANSWERS, strict=True):
            body = {"model": "m", "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "n": 2}
            async with client.post("/v1/completions", json=body) as response:
                usage = (await response.json())["usage"]
            used["prompt_tokens"] += 2 * usage["prompt_tokens"]  # usage has it once, each choice looks for it
            used["completion_tokens"] += usage["completion_tokens"]
        found = await gauges(client)
        info = server.bridge.info
    assert info is not None
    answered = 2 * len(PROMPTS)
    assert {name: found[name] for name in (
        Metric.PROMPT_TOKENS_TOTAL, Metric.GENERATED_TOKENS_TOTAL, f"{Metric.TIME_TO_FIRST_TOKEN_SECONDS}_count",
        f"{Metric.TIME_PER_OUTPUT_TOKEN_SECONDS}_count", f"{Metric.INTER_TOKEN_LATENCY_SECONDS}_count",
        Metric.MAX_TOKENS_PER_STEP, Metric.MAX_TOKENS_PER_SECOND,
    )} == {
        Metric.PROMPT_TOKENS_TOTAL: used["prompt_tokens"],
        Metric.GENERATED_TOKENS_TOTAL: used["completion_tokens"],
        f"{Metric.TIME_TO_FIRST_TOKEN_SECONDS}_count": answered,
        f"{Metric.TIME_PER_OUTPUT_TOKEN_SECONDS}_count": answered,
        f"{Metric.INTER_TOKEN_LATENCY_SECONDS}_count": used["completion_tokens"] - answered,
        Metric.MAX_TOKENS_PER_STEP: info.tokens_per_step,
        Metric.MAX_TOKENS_PER_SECOND: info.max_tokens_per_second,
    }  # fmt: skip
    assert info.tokens_per_step > 0
    assert info.max_tokens_per_second > 0
    assert found[f"{Metric.STEP_DURATION_SECONDS}_count"] >= max(ANSWERS)
    assert 0 < found[f"{Metric.STEP_DURATION_SECONDS}_sum"] <= 60
    assert (found[Metric.PREFIX_CACHE_HITS_TOTAL] > 0) == info.reuses_prefixes


@pytest.mark.parametrize("build", [simulated, transformers])
@pytest.mark.parametrize("choices", [1, 2])
@pytest.mark.parametrize("together", [False, True], ids=["one-by-one", "together"])
async def test_a_shared_prefix_is_computed_once_and_found_by_every_other_prompt(
    tiny: Path, build: Callable[[Path], Engine], choices: int, *, together: bool
):
    """Ten prompts of 100 tokens, 60 of them in common. Each further choice computes its last token only."""
    prompts = [[*range(100, 160), 10 + at, *range(20, 59)] for at in range(10)]
    async with a_server(build(tiny), max_queue=20) as (_server, client):

        async def complete(prompt: list[int]) -> None:
            body = {"model": "m", "prompt": prompt, "max_tokens": 2, "temperature": 0, "n": choices}
            async with client.post("/v1/completions", json=body) as response:
                assert response.status == 200

        if together:
            await asyncio.gather(*map(complete, prompts))
        else:
            for prompt in prompts:
                await complete(prompt)
        found = await gauges(client)
    total, computed = choices * 10 * 100, 60 + 10 * (40 + choices - 1)
    assert {name: found[name] for name in (
        Metric.PROMPT_TOKENS_TOTAL, Metric.PREFIX_CACHE_QUERIES_TOTAL, Metric.PREFIX_CACHE_HITS_TOTAL,
    )} == {
        Metric.PROMPT_TOKENS_TOTAL: total,
        Metric.PREFIX_CACHE_QUERIES_TOTAL: total,
        Metric.PREFIX_CACHE_HITS_TOTAL: total - computed,
    }  # fmt: skip


@pytest.mark.parametrize("build", [simulated, transformers])
@pytest.mark.parametrize(
    ("ttft_ms", "tpot_ms", "objective"),
    [
        pytest.param(0, 0, SloObjective.TTFT, id="both-missed"),
        pytest.param(60_000, 0, SloObjective.TPOT, id="only-tpot-missed"),
        pytest.param(60_000, 60_000, None, id="both-kept"),
    ],
)
async def test_a_request_that_misses_its_slo_counts_once_by_the_objective_that_it_missed_first(
    tiny: Path, build: Callable[[Path], Engine], ttft_ms: int, tpot_ms: int, objective: SloObjective | None
):
    async with a_server(build(tiny), slo_ttft_milliseconds=ttft_ms, slo_tpot_milliseconds=tpot_ms) as (server, client):
        assert server.bridge.info is not None
        # With a speed, each prompt would be allowed some time of its own.
        server.bridge.info = replace(server.bridge.info, max_tokens_per_second=0.0)
        tokens = []
        for prompt, max_tokens in zip(PROMPTS, ANSWERS, strict=True):
            body = {"model": "m", "prompt": prompt, "max_tokens": max_tokens, "temperature": 0}
            async with client.post("/v1/completions", json=body) as response:
                tokens.append((await response.json())["usage"]["completion_tokens"])
        assert server.bridge.counts.slo_misses == {
            SloObjective.TTFT: len(tokens) if objective is SloObjective.TTFT else 0,
            SloObjective.TPOT: sum(count > 1 for count in tokens) if objective is SloObjective.TPOT else 0,
        }
        assert max(tokens) > 1


async def read_an_endless_answer(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/chat/completions", json=chat(stream=True, max_tokens=8000)) as response:
        assert response.status == 200
        async for _ in response.content.iter_any():
            pass


async def test_metrics_take_at_most_50_ms_of_the_event_loop_while_every_slot_and_the_queue_are_full():
    slots, queue, scrapes = 32, 32, 100
    engine, times_s = SimulatedEngine(PROFILES[SimulatedProfile.LLAMA_8B_A100]), []
    async with (
        a_server(engine, max_concurrency=slots, max_queue=queue) as (server, client),
        asyncio.TaskGroup() as crowd,
    ):
        readers = [crowd.create_task(read_an_endless_answer(client)) for _ in range(slots + queue)]
        await eventually(lambda: server.bridge.state(draining=False).requests_running == slots)
        await eventually(lambda: server.bridge.in_flight == slots + queue)
        generated = server.bridge.counts.generated_tokens
        for _ in range(scrapes):
            began_s = time.thread_time()
            async with client.get("/metrics") as response:
                answer = await response.text()
            # The answer's time only: what the client makes of it costs as much again.
            times_s.append(time.thread_time() - began_s)
            found = own_gauges(answer)
            assert (found[Metric.REQUESTS_RUNNING], found[Metric.QUEUE_DEPTH]) == (slots, queue)
        generated = server.bridge.counts.generated_tokens - generated
        for reader in readers:
            reader.cancel()
    assert generated >= slots
    # CPU time of the event loop's thread, with the client's share: other processes on the machine do not count.
    assert median(times_s) <= 0.05
