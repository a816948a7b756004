"""The replay tells the truth: prompts are as long as the trace says, fates are whole, pods count until gone."""

import os
import time
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale_contract.server.environment import SimulatedProfile
from chatscale_contract.server.profiles import PROFILES
from chatscale_server.engine.protocol import ChatMessage
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_simulator.simulation.result import PodLifetime
from chatscale_simulator.simulation.score import Score
from chatscale_simulator.simulation.workload import Workload
from hack.load import Fate
from tests.benchmarks.replay.customers import Answer, replay
from tests.benchmarks.replay.page import words
from tests.benchmarks.replay.traffic import LENGTH_S, first, prompt, replayed
from tests.benchmarks.replay.watch import (
    Event,
    Sighting,
    Watch,
    decided,
    listen,
    lives,
    reasons,
    sightings,
    start_ups_s,
)

PROFILE = PROFILES[SimulatedProfile.LLAMA_70B_4XH100]
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
TEXT = b'data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\ndata: [DONE]\n\n'


def pod(uid: str, *, ready: bool = False) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"uid": uid}, "status": {"conditions": conditions}}


def model(replicas: int, **status: Any) -> dict[str, Any]:
    return {"spec": {"replicas": replicas}, "status": status}


@pytest.mark.parametrize("tokens", [6, 7, 100, 4123])
def test_a_prompt_has_as_many_tokens_as_the_trace_says(tokens: int) -> None:
    message = ChatMessage(role="user", content=prompt(12_345, tokens))

    assert len(SimulatedEngine(PROFILE).encode_chat([message])) == tokens


def test_no_two_prompts_begin_alike() -> None:
    assert len({prompt(number, 100)[:9] for number in range(20_000)}) == 20_000


def test_both_workloads_fit_the_model_and_end_in_time() -> None:
    for item in replayed(PROFILE):
        assert (item.workload.prompt_tokens + item.workload.output_tokens).max() <= PROFILE.max_model_len
        assert LENGTH_S - 10 < item.workload.duration_s < LENGTH_S
        assert (np.diff(item.workload.arrival_s) >= 0).all()
        assert first(item.workload, 60).duration_s < 60


async def _answers(parts: list[bytes], status: int = 200, headers: dict[str, str] | None = None) -> list[Answer]:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    workload = Workload(np.array([0.0, 0.01]), np.array([20, 20]), np.array([5, 5]))
    async with TestServer(app) as server:
        address = f"http://127.0.0.1:{server.port}"
        return await replay(address, "replay", workload, time.monotonic(), lambda _line: None)


async def test_a_whole_stream_is_answered_and_timed() -> None:
    for answer in await _answers([ROLE, TEXT, END]):
        assert (answer.fate, answer.detail) == (Fate.ANSWERED, "")
        assert answer.first_text_s is not None
        assert answer.finish_s is not None
        assert answer.sent_s <= answer.first_text_s <= answer.finish_s


async def test_a_role_without_text_is_no_first_token() -> None:
    assert [answer.first_text_s for answer in await _answers([ROLE, END])] == [None, None]


async def test_a_cut_stream_is_lost_and_a_refusal_that_says_when_to_come_back_is_not() -> None:
    assert {answer.fate for answer in await _answers([ROLE, TEXT])} == {Fate.LOST}
    assert {answer.fate for answer in await _answers([], 429)} == {Fate.LOST}
    assert {answer.fate for answer in await _answers([], 429, {"Retry-After": "2"})} == {Fate.REFUSED}


def test_pods_are_counted_from_their_creation_until_they_are_gone() -> None:
    events = [
        Event(90.0, "ADDED", pod("a")),
        Event(95.0, "MODIFIED", pod("a", ready=True)),
        Event(110.0, "ADDED", pod("b")),
        Event(142.0, "MODIFIED", pod("b", ready=True)),
        Event(150.0, "MODIFIED", pod("b")),
        Event(160.0, "DELETED", pod("b")),
        Event(300.0, "ADDED", pod("c")),
    ]

    seen = sightings(events)

    assert seen == [Sighting(90.0, 95.0), Sighting(110.0, 142.0, 160.0), Sighting(300.0)]
    assert start_ups_s(seen) == (5.0, 32.0)
    assert lives(seen, began_s=100.0, end_s=180.0) == (
        PodLifetime(0, 0.0, 0.0, 180.0),
        PodLifetime(1, 10.0, 42.0, 60.0),
    )


def test_decisions_are_changes_of_the_count_within_the_replay() -> None:
    events = [Event(at_s, "MODIFIED", model(count)) for at_s, count in [(90, 1), (95, 1), (110, 3), (120, 3), (400, 1)]]

    assert decided(events, began_s=100.0, end_s=200.0) == ((0.0, 1), (10.0, 3))


def test_reasons_are_told_oldest_first() -> None:
    history = [{"from": 2, "to": 1, "reason": "less"}, {"from": 1, "to": 2, "reason": "more"}]

    assert reasons([Event(0, "MODIFIED", model(1, autoscaling={"history": history}))]) == [
        "1 -> 2: more",
        "2 -> 1: less",
    ]


def scored(attainment: float, replicas: float) -> Score:
    zeros = {field.name: 0 for field in fields(Score)}
    return Score(**{**zeros, "slo_attainment": attainment, "mean_replicas": replicas})


def test_the_difference_is_told_by_the_median_run_and_says_where_chance_ends() -> None:
    plain = [scored(0.97, 3.0), scored(0.99, 4.0), scored(0.98, 8.0)]
    by_chance = [scored(0.90, 4.0), scored(0.92, 4.5), scored(0.94, 4.8)]

    told = words(scored(0.93, 5.0), plain, by_chance)

    assert "25 % more replicas than forecast and kept the SLO for 93.0 %" in told
    assert "5.0 points below the forecast.**" in told
    assert "11 % more replicas and 1.0 points above" in told
    assert told.endswith("runs in what was kept, outside in replicas.")


def test_events_that_come_in_pieces_are_put_together() -> None:
    reader, writer = os.pipe()
    for piece in (b'{"type":"ADDED","obj', b'ect":{"a":1}}\n{"type":"DELETED","object":{}}\n{"ty'):
        os.write(writer, piece)
    os.close(writer)
    watch = Watch()

    listen(reader, watch)
    os.close(reader)

    assert [(event.kind, event.manifest) for event in watch.events] == [("ADDED", {"a": 1}), ("DELETED", {})]
