"""Load, lifecycle, probes, tasks and privacy of the HTTP front."""

import asyncio
import json
import logging

import pytest

from chatscale_assistant.http.options import HttpOptions
from chatscale_assistant.http.tasks import MAX_LARGE_BODIES
from tests.unit.assistant.http.fakes import FakeResponder, question, running

CHAT = "/v1/chat/completions"


def closed_responder(**more) -> FakeResponder:
    responder = FakeResponder(**more)
    responder.gate.clear()
    return responder


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the server is another part of this loop
            await asyncio.sleep(0.005)


async def test_beyond_its_capacity_a_pod_answers_429_with_a_time():
    options = HttpOptions(max_running=1, max_waiting=1, wait_timeout_s=0.1, drain_delay_s=0, grace_period_s=1)
    async with running(responder=closed_responder(), options=options) as world, asyncio.TaskGroup() as group:
        first = group.create_task(world.post(CHAT, question()))
        await until(lambda: world.responder.seen)
        waits = group.create_task(world.post(CHAT, question()))
        await asyncio.sleep(0.02)
        refused = await world.post(CHAT, question())
        load = json.loads((await world.get("/load"))[1])
        late = await waits
        world.responder.gate.set()
        done = await first

    assert (refused[0], refused[1]["error"]["code"], refused[2]["Retry-After"]) == (429, "assistant_busy", "1")
    assert late[0] == 429
    assert done[0] == 200
    assert (load["running"], load["waiting"], load["slots"], load["draining"]) == (1, 1, 1, False)


async def test_a_client_that_leaves_frees_its_place():
    options = HttpOptions(max_running=1, max_waiting=0, drain_delay_s=0, grace_period_s=1)
    async with running(responder=closed_responder(), options=options) as world:
        leaving = asyncio.create_task(world.post(CHAT, question()))
        await until(lambda: world.responder.seen)
        leaving.cancel()
        await until(lambda: world.responder.cancelled)
        world.responder.gate.set()
        status, _, _ = await world.post(CHAT, question())

    assert status == 200


async def test_a_drain_waits_for_open_requests_and_takes_no_new_ones():
    async with running(responder=closed_responder()) as world:
        open_request = asyncio.create_task(world.post(CHAT, question()))
        await until(lambda: world.responder.seen)
        drain = asyncio.create_task(world.server.lifecycle.drain())
        await until(lambda: world.server.lifecycle.leaving)
        await asyncio.sleep(0.02)
        assert not drain.done()
        world.responder.gate.set()
        status, _, headers = await open_request
        await drain

    assert status == 200
    assert headers["Connection"] == "close"


async def test_what_is_open_after_the_grace_period_gets_503():
    options = HttpOptions(drain_delay_s=0.0, grace_period_s=0.05)
    async with running(responder=closed_responder(), options=options) as world:
        open_request = asyncio.create_task(world.post(CHAT, question()))
        await until(lambda: world.responder.seen)
        await world.server.lifecycle.drain()
        status, body, headers = await open_request

    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "stopping", "1")


async def test_ready_from_the_first_index_until_sigterm():
    async with running() as world:
        world.state["index"] = False
        before = await world.get("/readyz")
        world.state["index"] = True
        ready = await world.get("/readyz")
        world.server.lifecycle.leaving = True
        leaving = await world.get("/readyz")
        alive = await world.get("/livez")

    assert before == (503, "no index yet\n")
    assert ready == (200, "ready\n")
    assert leaving == (503, "leaving\n")
    assert alive == (200, "ok\n")


async def test_the_operator_reads_the_state_and_prometheus_the_metrics():
    async with running() as world:
        state = json.loads((await world.get("/state"))[1])
        _, metrics = await world.get("/metrics")

    assert state["index"] == "v1"
    assert 'chatscale_assistant_requests_in_flight{shopassistant="shop"}' in metrics


async def test_a_task_has_one_result_or_one_per_input():
    async with running() as world:
        # `model` names the assistant for the gateway, which forwards the body as it is.
        one = await world.post("/v1/tasks/double", {"model": "shop", "number": 2})
        batch = await world.post("/v1/tasks/double", {"inputs": [{"number": 1}, {"number": "x"}, 3]})
        unknown = await world.post("/v1/tasks/triple", {})
        wrong = await world.post("/v1/tasks/double", {})
        _, listed = await world.get("/v1/tasks")

    assert one[1] == {"object": "task.result", "task": "double", "output": {"number": 4, "engine": "double"}}
    first, second, third = batch[1]["data"]
    assert first == {"index": 0, "output": {"number": 2, "engine": "double"}}
    assert second["error"]["param"] == "inputs[1].number"
    assert third["error"]["param"] == "inputs[2]"
    assert (unknown[0], wrong[0], wrong[1]["error"]["param"]) == (404, 400, "number")
    assert [each["name"] for each in json.loads(listed)["data"]] == ["double"]


async def test_few_large_bodies_of_tasks_are_in_memory_at_once():
    options = HttpOptions(drain_delay_s=0.0, grace_period_s=1.0, max_body_bytes=100, request_timeout_s=5.0)
    async with running(options=options) as world:
        ends = [asyncio.Event() for _ in range(MAX_LARGE_BODIES)]

        async def slowly(end: asyncio.Event):
            yield b'{"number": 2' + b" " * 200
            await end.wait()
            yield b"}"

        async with asyncio.TaskGroup() as group:
            for end in ends:
                group.create_task(world.session.post(world.url + "/v1/tasks/double", data=slowly(end)))
            async with asyncio.timeout(5):
                while (await world.post("/v1/tasks/double", {"number": 2, "pad": "x" * 200}))[0] != 429:
                    pass
            small = await world.post("/v1/tasks/double", {"number": 2})
            for end in ends:
                end.set()
        again = await world.post("/v1/tasks/double", {"number": 2, "pad": "x" * 200})

    assert (small[0], again[0]) == (200, 400)


@pytest.mark.parametrize("path", ["/", "/v1/completions", "/v1/chat/completions"])
async def test_other_paths_and_methods_get_404_in_openais_form(path):
    async with running() as world:
        status, text = await world.get(path)

    assert (status, json.loads(text)["error"]["code"]) == (404, "not_found")


async def test_a_body_that_is_too_large_gets_413():
    options = HttpOptions(max_body_bytes=2000, drain_delay_s=0, grace_period_s=1)
    async with running(options=options) as world:
        status, body, _ = await world.post(CHAT, question("x" * 3000))

    assert (status, body["error"]["code"]) == (413, "body_too_large")


async def test_nothing_of_a_conversation_is_in_logs_or_metrics(caplog):
    """Privacy: also on error paths and at DEBUG."""
    caplog.set_level(logging.DEBUG)
    planted = "planted-5f3a"
    async with running() as world:
        await world.post(CHAT, question(planted, chatscale={"conversation": planted, "pending": planted}))
        await world.post(CHAT, question(planted), headers={"X-Shop-Customer": planted})
        await world.post(CHAT, question(planted * 100))
        await world.post(CHAT, {**question(), "model": planted})
        await world.post(CHAT, {**question(), "messages": [{"role": planted}]})
        await world.post("/v1/tasks/double", {"number": planted})
        await world.get(f"/{planted}?{planted}={planted}")
        world.responder.error = ValueError(planted)
        await world.post(CHAT, question(planted))
        async with world.session.post(world.url + CHAT, data=planted.encode()) as response:
            assert response.status == 400
        _, metrics = await world.get("/metrics")

    own = [record for record in caplog.records if not record.name.startswith("aiohttp.client")]
    logs = "\n".join([*world.lines, *(logging.Formatter().format(record) + str(vars(record)) for record in own)])
    assert len(world.lines) == 9
    assert planted not in logs
    assert planted not in metrics
