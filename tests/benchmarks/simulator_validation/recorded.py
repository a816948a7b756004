"""Poisson traffic sent to a real server over HTTP, and the same requests in the simulator."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import aiohttp
import numpy as np

from chatscale_contract.server.endpoints import METRICS_PATH, TOKENIZE_PATH
from chatscale_contract.server.environment import SimulatedProfile
from chatscale_contract.server.metrics import Metric
from chatscale_contract.server.profiles import PROFILES, Profile
from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.profiles import ServerProfile
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import Scenario, Track
from chatscale_simulator.simulation.score import latencies
from chatscale_simulator.simulation.snapshot import MetricsSnapshot
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.server.client import Answer, ask, session
from tests.benchmarks.server.machine import load_average
from tests.benchmarks.server.peers import QUEUE, SLOTS, Peer, chatscale, running, simulated
from tests.benchmarks.server.workload import Ask, poisson

SEED: Final = "validation"
_PACES: Final = (0.25, 16.0)
_HALVINGS: Final = 12
"""Steps of the bisection: to a thousandth of the range."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One server and its traffic."""

    name: str
    peer: Peer
    profile: SimulatedProfile
    """The profile that the simulator uses for it."""
    rate_per_s: float
    requests: int


@dataclass(frozen=True, slots=True)
class Waits:
    """One number per request, nan where there is none."""

    ttft_s: FloatArray
    """Seconds to the first token."""
    tpot_s: FloatArray
    """Seconds per token after it."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The recorded and the simulated result of one scene."""

    scene: Scene
    workload: Workload
    """The workload as it was sent: real times, tokens as the server counted them."""
    recorded: Waits
    simulated: Waits
    """With the step times of the profile."""
    at_pace: Waits
    """With step times multiplied by `pace`."""
    pace: float
    """Factor on the profile's step times for which the mean time per token is the recorded one."""
    warm_up: float
    """Factor on the profile's step times by the server's own measurement in warm-up."""
    late_p99_s: float
    """Delay of the requests against their planned times."""
    load_before: float
    """Load average of the minute before."""
    busy: float
    """Share of all cores' time that was not idle during the recording."""


def scenes(model: Path, seconds: float) -> tuple[Scene, ...]:
    """The Simulated engine with two profiles, and SmolLM2. model: folder of its weights."""

    def scene(name: str, peer: Peer, profile: SimulatedProfile, rate_per_s: float) -> Scene:
        return Scene(name, peer, profile, rate_per_s, round(rate_per_s * seconds))

    cpu, a100 = SimulatedProfile.SMOLLM2_135M_CPU, SimulatedProfile.LLAMA_8B_A100
    return (
        scene(f"Simulated engine, {cpu}", simulated(cpu, 0.0), cpu, 4.0),
        scene(f"Simulated engine, {a100}", simulated(a100, 0.0), a100, 6.0),
        scene(f"SmolLM2-135M on this CPU, as {cpu}", chatscale(model, "bfloat16", "cpu"), cpu, 1.5),
    )


async def compare(scene: Scene) -> Compared:
    """Record the server, then simulate the same traffic. Raises RuntimeError if the server fails."""
    before = load_average()
    async with running(scene.peer) as server, session(server.base_url) as http:
        warm_up = PROFILES[scene.profile].max_tokens_per_second / await _warm_up_rate(http)
        asks = poisson(scene.rate_per_s, scene.requests, SEED).asks
        prompts = [await _prompt_tokens(http, scene.peer.model, asked) for asked in asks]
        idle_s, began_s = _idle_seconds(), time.perf_counter()
        answers, sent_s = await _record(http, scene.peer.model, asks)
        cores_s = (time.perf_counter() - began_s) * (os.cpu_count() or 1)
        busy = 1 - (_idle_seconds() - idle_s) / cores_s
    outputs = [answer.tokens for answer in answers]
    workload = Workload(np.array(sent_s), np.array(prompts, dtype=np.int64), np.array(outputs, dtype=np.int64))
    recorded = _waits(answers)
    pace = _pace(workload, PROFILES[scene.profile], recorded)
    return Compared(
        scene=scene,
        workload=workload,
        recorded=recorded,
        simulated=_simulate(workload, PROFILES[scene.profile]),
        at_pace=_simulate(workload, _slower(PROFILES[scene.profile], pace)),
        pace=pace,
        warm_up=warm_up,
        late_p99_s=float(np.percentile(workload.arrival_s - [asked.at_s for asked in asks], 99)),
        load_before=before,
        busy=busy,
    )


def _waits(answers: Sequence[Answer]) -> Waits:
    ttft_s = np.array([answer.ttft_s for answer in answers])
    more = np.array([answer.tokens - 1 for answer in answers])
    after_first_s = np.array([answer.duration_s for answer in answers]) - ttft_s
    return Waits(ttft_s, np.where(more > 0, after_first_s / np.maximum(more, 1), np.nan))


async def _warm_up_rate(http: aiohttp.ClientSession) -> float:
    """Tokens per second of a full step, as the server measured in warm-up."""
    async with http.get(METRICS_PATH, raise_for_status=True) as response:
        text = await response.text()
    values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(Metric.MAX_TOKENS_PER_SECOND)]
    return float(values[0])


def _pace(workload: Workload, profile: Profile, recorded: Waits) -> float:
    """Bisect the pace: slower steps mean fuller batches, so the time per token grows by more than the pace."""
    low, high = _PACES
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        simulated = _simulate(workload, _slower(profile, middle))
        below = np.nanmean(simulated.tpot_s) < np.nanmean(recorded.tpot_s)
        low, high = (middle, high) if below else (low, middle)
    return float((low * high) ** 0.5)


def _slower(profile: Profile, pace: float) -> Profile:
    return replace(
        profile,
        c0_ms=profile.c0_ms * pace,
        c1_ms_per_token=profile.c1_ms_per_token * pace,
        c2_ms_per_token=profile.c2_ms_per_token * pace,
        c3_ms_per_kv_token=profile.c3_ms_per_kv_token * pace,
        table_ms=tuple((tokens, ms * pace) for tokens, ms in profile.table_ms),
    )


async def _prompt_tokens(http: aiohttp.ClientSession, model: str, asked: Ask) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": asked.prompt}]}
    async with http.post(TOKENIZE_PATH, json=body, raise_for_status=True) as response:
        return int((await response.json())["count"])


async def _record(http: aiohttp.ClientSession, model: str, asks: Sequence[Ask]) -> tuple[list[Answer], list[float]]:
    """Send each request at its time. Returns the answers and the real times of sending."""
    began_s = time.perf_counter()

    async def customer(asked: Ask) -> tuple[Answer, float]:
        await asyncio.sleep(began_s + asked.at_s - time.perf_counter())
        sent_s = time.perf_counter() - began_s
        return await ask(http, model, asked), sent_s

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(customer(asked)) for asked in asks]
    done = [task.result() for task in tasks]
    return [answer for answer, _ in done], [sent_s for _, sent_s in done]


class _One:
    """A fixed count of one replica."""

    period_s = 1.0
    reads_live = True

    def decide(self, snapshot: MetricsSnapshot) -> int:  # noqa: ARG002 - the count is fixed
        return 1


def _simulate(workload: Workload, profile: Profile) -> Waits:
    """Simulate it on one replica. Results are in the order of the workload."""
    # Requests of one moment may have been sent in either order.
    order = np.argsort(workload.arrival_s, kind="stable")
    # A last request far behind keeps the run going until all the others are through.
    end = Workload(
        np.append(workload.arrival_s[order], workload.arrival_s.max() + 600.0),
        np.append(workload.prompt_tokens[order], 1),
        np.append(workload.output_tokens[order], 1),
    )
    server = ServerProfile(profile, max_sequences=SLOTS, max_queue=QUEUE)
    scenario = Scenario(track=Track.NATIVE, server=server, max_replicas=1, scrape_loss=0.0, outage=False)
    ttft_s, tpot_s = np.empty(len(order)), np.empty(len(order))
    ttft_s[order], tpot_s[order] = (each[:-1] for each in latencies(run(end, scenario, _One())))
    return Waits(ttft_s, tpot_s)


def _idle_seconds() -> float:
    """Seconds of all cores since boot: idle, and waiting for disks."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=6)
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
