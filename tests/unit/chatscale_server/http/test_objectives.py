"""The SLO can change while a replica runs: new requests are judged by the file's current content."""

import logging
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from chatscale_contract.server.metrics import SloObjective
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.objectives import ObjectivesFile
from tests.unit.chatscale_server.builders import a_server, chat, eventually, gated_engine

STRICT = LatencyObjectives(ttft_s=1e-9, tpot_s=1e-9)
LOOSE = LatencyObjectives(ttft_s=600.0, tpot_s=60.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "slo.json"


def update(path: Path, objectives: LatencyObjectives) -> None:
    """As the kubelet does: readers see the old content or the new one, and nothing between."""
    (written := path.with_suffix(".new")).write_text(objectives.to_json())
    written.replace(path)


async def ask(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/chat/completions", json=chat()) as response:
        assert response.status == 200
        await response.read()


async def test_new_requests_are_judged_by_a_file_that_changed_under_a_running_server(path: Path):
    update(path, LOOSE)
    async with a_server(objectives_path=path) as (server, client):
        assert server.bridge.info is not None
        # With a speed, each prompt would be allowed some time of its own.
        server.bridge.info = replace(server.bridge.info, max_tokens_per_second=0.0)
        misses = server.bridge.counts.slo_misses
        await ask(client)
        assert misses[SloObjective.TTFT] == 0
        update(path, STRICT)
        await eventually(lambda: server.bridge.objectives == STRICT)
        await ask(client)
        assert misses[SloObjective.TTFT] == 1
        update(path, LOOSE)
        await eventually(lambda: server.bridge.objectives == LOOSE)
        await ask(client)
        assert misses[SloObjective.TTFT] == 1


async def test_a_request_in_flight_keeps_the_objectives_of_its_admission(path: Path):
    update(path, LOOSE)
    engine, gate = gated_engine()
    async with a_server(engine, objectives_path=path) as (server, client):
        async with client.post("/v1/chat/completions", json=chat(stream=True)) as response:
            assert response.status == 200
            update(path, STRICT)
            await eventually(lambda: server.bridge.objectives == STRICT)
            gate.open()
            await response.read()
        assert server.bridge.counts.slo_misses == dict.fromkeys(SloObjective, 0)


async def test_a_server_without_a_file_follows_its_environment():
    async with a_server(slo_ttft_milliseconds=700, slo_tpot_milliseconds=30) as (server, _):
        assert server.bridge.objectives == LatencyObjectives(0.7, 0.03)


async def test_the_file_applies_before_the_first_request_and_replaces_the_environment(path: Path):
    update(path, STRICT)
    async with a_server(objectives_path=path, loaded=False, slo_ttft_milliseconds=700) as (server, _):
        assert server.bridge.objectives == STRICT


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(b'{"ttft_seconds": 2}', id="half"),
        pytest.param(b'{"ttft_seconds": 0, "time_per_output_token_seconds": 0.1}', id="zero"),
        pytest.param(b'{"ttft_seconds": 601, "time_per_output_token_seconds": 0.1}', id="too-long"),
        pytest.param(b'{"ttft_seconds": NaN, "time_per_output_token_seconds": 0.1}', id="nan"),
        pytest.param(b'{"ttft_seconds": true, "time_per_output_token_seconds": 0.1}', id="bool"),
        pytest.param(b'{"ttft_seconds": "2", "time_per_output_token_seconds": 0.1}', id="text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"\xff\xfe", id="no-utf-8"),
    ],
)
async def test_invalid_content_keeps_the_last_objectives_and_is_logged_once(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
):
    update(path, LOOSE)
    bridge = Bridge(1, 1)
    followed = ObjectivesFile(path, bridge)
    await followed.refresh()
    path.write_bytes(content)  # noqa: ASYNC240 - nothing else runs on this loop
    with caplog.at_level(logging.WARNING):
        await followed.refresh()
        await followed.refresh()
    assert bridge.objectives == LOOSE
    assert [record.message for record in caplog.records] == ["objectives rejected"]
    update(path, STRICT)
    await followed.refresh()
    assert bridge.objectives == STRICT


async def test_a_file_that_vanishes_keeps_the_last_objectives(path: Path):
    update(path, LOOSE)
    bridge = Bridge(1, 1)
    followed = ObjectivesFile(path, bridge)
    await followed.refresh()
    path.unlink()  # noqa: ASYNC240 - nothing else runs on this loop
    await followed.refresh()
    assert bridge.objectives == LOOSE
