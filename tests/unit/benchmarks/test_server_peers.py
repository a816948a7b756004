"""`make bench-server` counts right: its page holds each promise against the medians, and no peer runs on empty."""

import asyncio
import math

import pytest

from chatscale_contract.server.environment import SimulatedProfile
from tests.benchmarks.server.client import Figures
from tests.benchmarks.server.http_cost import Pair, http_costs
from tests.benchmarks.server.peers import simulated
from tests.benchmarks.server.prefixes import Reuse
from tests.benchmarks.server.report import GENERATE, OURS, SERVE, Results, page, targets, vllm_page, vllm_targets
from tests.benchmarks.server.vllm import Beside
from tests.benchmarks.server.without_http import BareLoop
from tests.benchmarks.server.workload import closed_loop, mixed_loop, poisson, system_prompts, turned
from tests.unit.chatscale_server.builders import a_request, a_server, chat


def results(**speeds: float) -> Results:
    """Three rounds of which the middle one counts; speeds by peer and clients, such as `ours_16`."""
    found = Results()
    peers = {"ours": OURS, "serve": SERVE, "generate": GENERATE}
    for name, speed in speeds.items():
        peer, clients = name.split("_")
        for tokens_per_s in (speed, 10 * speed, speed / 10):
            figures = Figures(tokens_per_s=tokens_per_s, ttft_p95_s=1 / tokens_per_s)
            found.cells[peers[peer], f"closed loop, {clients}"].append(figures)
    return found


def test_each_promise_is_held_against_the_median_of_the_rounds():
    found = results(ours_1=30, generate_1=25, ours_16=150, serve_16=100, ours_32=150, serve_32=100)
    # The median of the pairs' costs is not the cost of the medians.
    found.http_costs["closed loop, 16"] = [Pair(150, 160), Pair(300, 200), Pair(40, 80)]
    found.http_costs["closed loop, 32"] = [Pair(150, 200)]
    found.refusal_p99_s, found.scrape_p99_s, found.ready_s[OURS] = [0.01, 0.02, 9.0], [0.06], [7.0]
    found.first_answer_s.update({OURS: [8.0], SERVE: [10.0]})
    found.drains, found.drain_losses = 50, {"exit code 70": 1}
    assert [(target.what, target.found, target.kept) for target in targets(found)] == [
        ("tok/s against `transformers serve`, 16 at a time", "1.50x", True),
        ("TTFT p95 against `transformers serve`, 16 at a time", "0.667x", True),
        ("cost of HTTP and SSE, 16 at a time", "6.25 %", True),
        ("tok/s against `transformers serve`, 32 at a time", "1.50x", False),
        ("TTFT p95 against `transformers serve`, 32 at a time", "0.667x", True),
        ("cost of HTTP and SSE, 32 at a time", "25 %", False),
        ("tok/s against `generate`, alone", "1.20x", True),
        ("refusal when full, p99", "20 ms", True),
        ("`/metrics` when full, p99", "60 ms", False),
        ("start to ready", "7 s", True),
        ("start to the first answer against `transformers serve`", "0.8x", True),
        ("lost or cut streams in 50 drains under load", "1", False),
    ]


def test_the_page_says_what_reuse_saves_and_what_graphs_gain():
    found = results(ours_16=150)
    found.prefixes["one for all"].append(Reuse(Figures(tokens_per_s=60, ttft_p95_s=0.5), 0.9))
    found.prefixes["one for each"].append(Reuse(Figures(tokens_per_s=20, ttft_p95_s=2.0), 0.0))
    found.graphs.append("used: True, 1.8 times as fast")
    text = page(found, [("CPU", "one")], ["greedy"])
    assert "| one for all | 90 % | 60.0 |  | 500 |" in text
    assert "Reuse makes 3.00 times the tokens per second, and the TTFT p95 0.25 times as long." in text
    assert "- Decode steps as CUDA graphs, by the server's own warm-up: used: True, 1.8 times as fast." in text
    assert "| CPU | one |" in text


def test_the_page_names_the_winner_of_each_cell_beside_vllm():
    found, cell = Results(), "closed loop, 16"
    beside = found.vllm["bfloat16"] = Beside(ours_ready_s=10, vllm_ready_s=100, load_averages=[0.5, 0.7])
    for ours, theirs in ((100, 200), (150, 120), (90, 130)):
        beside.ours[cell].append(Figures(tokens_per_s=ours, ttft_p50_s=0.1, ttft_p95_s=0.2, gap_p95_s=0.03))
        beside.vllm[cell].append(Figures(tokens_per_s=theirs, ttft_p50_s=0.3, ttft_p95_s=0.4, gap_p95_s=0.05))
    text = vllm_page(found, [("CPU", "one")], ["greedy"])
    assert "| bfloat16 | closed loop, 16 | 100.0 | 130.0 | 0.77 | **vLLM** | 100 / 300 | 200 / 400 | 30 / 50 |" in text
    assert "| bfloat16 | 10.0 | 100.0 | 0.10 | 0.5, 0.7 |" in text
    assert [(target.what, target.kept) for target in vllm_targets(found)] == [
        ("tok/s against vLLM, closed loop, 16, bfloat16", False),
        ("start to ready against vLLM, bfloat16", True),
    ]


def test_chats_of_both_kinds_differ_only_in_whose_instructions_they_have():
    shared, own = system_prompts(16, 8, "0")
    assert [ask.prompt for ask in shared.asks] == [ask.prompt for ask in own.asks]
    assert (len({ask.system for ask in shared.asks}), len({ask.system for ask in own.asks})) == (1, 8)
    assert (shared, own) == system_prompts(16, 8, "0")


@pytest.mark.parametrize(
    "cell",
    [closed_loop(16, 32, 64, "0"), mixed_loop(16, 32, "0"), poisson(1.5, 32, "0")],
    ids=lambda cell: cell.name,
)
def test_no_prompt_comes_twice(cell):
    assert len({ask.prompt for ask in cell.asks}) == len(cell.asks) == 32


def test_a_turned_cell_asks_the_same_words_in_an_order_that_no_cache_has():
    cell = closed_loop(16, 32, 64, "0")
    other = turned(cell)
    assert (other.name, other.clients, len(other.asks)) == (cell.name, 16, 32)
    for ask, again in zip(cell.asks, other.asks, strict=True):
        assert sorted(again.prompt.split()) == sorted(ask.prompt.split())
        assert (again.prompt.split(". ")[-1], again.max_tokens) == (ask.prompt.split(". ")[-1], ask.max_tokens)
    assert not {ask.prompt for ask in cell.asks} & {ask.prompt for ask in other.asks}


def test_the_page_has_the_cost_of_http_by_pairs():
    found = Results(http_costs={"closed loop, 16": [Pair(150, 160), Pair(300, 200), Pair(40, 80)]})
    text = page(found, [("CPU", "one")], ["greedy"])
    assert "| closed loop, 16 | 150.0 | 160.0 | 6.2 % | -50.0 %, 6.2 %, 50.0 % |" in text


async def test_the_bare_loop_works_through_all_requests_behind_the_servers_back():
    async with a_server() as (server, client):
        loop = BareLoop(server.worker)
        requests = [a_request(str(at), max_tokens=5, queued_s=server.worker.clock()) for at in range(6)]
        speed = await asyncio.to_thread(loop.run, 2, requests)
        assert (loop.tokens, 0 < speed < math.inf) == (30, True)
        async with client.post("/v1/chat/completions", json=chat(max_tokens=7)) as response:
            assert (await response.json())["usage"]["completion_tokens"] == 7
        assert server.bridge.counts.generated_tokens == 7


async def test_a_bare_loop_whose_requests_end_without_an_answer_says_so():
    async with a_server() as (server, _client):
        late = a_request("late", queued_s=server.worker.clock() - server.worker.queue_timeout_s - 1)
        with pytest.raises(RuntimeError, match="did not come to its end"):
            await asyncio.to_thread(BareLoop(server.worker).run, 2, [late])
        assert server.worker.listener is server.bridge


async def test_each_cell_is_measured_over_http_and_in_the_bare_loop_of_the_same_server():
    cells = [closed_loop(2, 4, 8, "0"), closed_loop(4, 4, 8, "0")]
    pairs = await http_costs(simulated(SimulatedProfile.LLAMA_8B_A100, drain_delay_s=0), cells, 0)
    assert [(pair.over_http > 0, pair.bare > 0) for pair in pairs] == [(True, True)] * 2
