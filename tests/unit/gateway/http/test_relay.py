"""Attempts, ends and disconnects: what a client and a replica see when something goes wrong in between."""

import asyncio
import json
import socket
from dataclasses import replace

import aiohttp
import openai
import pytest
from aiohttp import web

from chatscale.api.v1alpha1.routing import HoldSpec, KeepAlive, RoutingSpec
from chatscale_contract.openai import sse
from chatscale_contract.server.endpoints import COMPLETIONS_PATH
from tests.unit.gateway.http.fakes import (
    CHAT,
    Pod,
    a_gateway,
    answer,
    chat,
    chunk,
    end_without_done,
    eventually,
    never_answer,
    serving,
    start_stream,
    stream_for_ever,
)


def abort(http: web.Request) -> None:
    """Reset the connection, as a killed pod does."""
    raw = http.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    http.transport.abort()


async def reset(http: web.Request) -> web.StreamResponse:
    abort(http)
    return web.Response()


async def die_in_mid_stream(http: web.Request) -> web.StreamResponse:
    response = await start_stream(http)
    await response.write(chunk("a"))
    abort(http)
    return response


def an_openai(world, **options) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="none", base_url=f"{world.url}/v1", **options)


# ---- attempts ----


async def test_sends_a_request_twice_at_most_and_then_refuses_in_words():
    pods = [Pod(f"pod-{n}", reset) for n in range(3)]
    async with serving(pods[0]), serving(pods[1]), serving(pods[2]), a_gateway(*pods) as world:
        async with world.client.post(CHAT, json=chat()) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json())["error"]["code"] == "replica_unreachable"
        assert sum(len(pod.bodies) for pod in pods) == 2
        await eventually(lambda: world.demand().in_flight == 0)


async def test_tries_another_replica_after_a_connection_that_failed():
    gone = Pod("gone", port=1)
    async with serving(Pod("pod-1")) as pod, a_gateway(gone, pod) as world:
        for _ in range(6):
            async with world.client.post(CHAT, json=chat()) as response:
                assert response.status == 200
        assert len(pod.bodies) == 6


@pytest.mark.parametrize("behaviour", [die_in_mid_stream, end_without_done], ids=["killed", "no end"])
async def test_never_sends_again_what_a_replica_has_begun(behaviour):
    pods = [Pod("pod-0", behaviour), Pod("pod-1", behaviour)]
    async with serving(pods[0]), serving(pods[1]), a_gateway(*pods) as world:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with world.client.post(CHAT, json=chat(stream=True)) as response:
                await response.read()
        assert sum(len(pod.bodies) for pod in pods) == 1
        assert (world.lines[0]["outcome"], world.lines[0]["attempts"]) == ("broken", 1)


async def test_never_sends_again_after_the_first_byte_of_a_response():
    async def half_a_head(http: web.Request) -> web.StreamResponse:
        http.transport.write(b"HTTP/1.1 200 OK\r\n")
        http.transport.close()
        return web.Response()

    pods = [Pod("pod-0", half_a_head), Pod("pod-1", half_a_head)]
    async with serving(pods[0]), serving(pods[1]), a_gateway(*pods) as world:
        assert await status_of(world) == 502
        assert sum(len(pod.bodies) for pod in pods) == 1


async def test_refuses_a_malformed_response():
    async def malformed(http: web.Request) -> web.StreamResponse:
        http.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok")
        return web.Response()

    async with serving(Pod(behaviour=malformed)) as pod, a_gateway(pod) as world:
        assert await status_of(world) == 502
        assert world.lines[0]["outcome"] == "broken"


async def test_does_not_send_again_what_a_replica_never_answered():
    pods = [Pod("pod-0", never_answer), Pod("pod-1", never_answer)]
    async with serving(pods[0]), serving(pods[1]), a_gateway(*pods, response_timeout_s=0.2) as world:
        async with world.client.post(CHAT, json=chat()) as response:
            assert (response.status, response.headers["x-should-retry"]) == (504, "false")
        assert sum(len(pod.bodies) for pod in pods) == 1


async def test_ends_a_stream_whose_replica_falls_silent_as_an_error():
    async with serving(Pod(behaviour=stream_for_ever)) as pod, a_gateway(pod, response_timeout_s=0.2) as world:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with world.client.post(CHAT, json=chat(stream=True)) as response:
                await response.read()
        assert world.lines[0]["outcome"] == "broken"
        await eventually(lambda: pod.left == 1)


@pytest.mark.parametrize("status", [429, 503])
async def test_holds_what_a_full_replica_refuses_and_blames_nobody(status):
    async def full_once(http: web.Request) -> web.StreamResponse:
        if len(pod.bodies) == 1:
            return web.json_response({"error": {}}, status=status, headers={"Retry-After": "9"})
        return await answer(http)

    async with serving(Pod(behaviour=full_once)) as pod, a_gateway(pod) as world, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(status_of(world))
        await eventually(lambda: len(pod.bodies) == 1 and world.demand().held == 1)
        world.read_loads(pod)
        assert await asked == 200
        assert len(pod.bodies) == 2


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_relays_a_replicas_error(status):
    async def refuse(_http: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "why", "type": "t", "param": "p", "code": "c"}}, status=status)

    async with (
        serving(Pod(behaviour=refuse)) as pod,
        a_gateway(pod) as world,
        world.client.post(CHAT, json=chat(stream=True)) as response,
    ):
        assert response.status == status
        assert (await response.json())["error"]["message"] == "why"


async def test_does_not_count_a_stale_connection_against_the_replica():
    async def close_after(http: web.Request) -> web.StreamResponse:
        response = await answer(http)
        if len(pod.bodies) == 2:
            abort(http)  # the second request meets the reset of its kept connection
        return response

    async with serving(Pod(behaviour=close_after)) as pod, a_gateway(pod) as world:
        for _ in range(2):
            async with world.client.post(CHAT, json=chat()) as response:
                assert response.status == 200
        assert [line["attempts"] for line in world.lines] == [1, 1]
        assert len(pod.bodies) == 3


# ---- ends ----


@pytest.mark.parametrize("behaviour", [die_in_mid_stream, end_without_done], ids=["killed", "no end"])
async def test_ends_a_broken_stream_as_an_error_never_as_an_answer(behaviour):
    async with serving(Pod(behaviour=behaviour)) as pod, a_gateway(pod) as world:
        async with an_openai(world) as api:
            stream = await api.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "x"}], stream=True
            )
            with pytest.raises(openai.APIError, match="did not complete"):
                [part async for part in stream]
        assert world.demand().in_flight == 0


async def test_answers_502_to_a_body_that_is_cut():
    async def cut(http: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 1000
        await response.prepare(http)
        await response.write(b'{"id"')
        abort(http)
        return response

    async with serving(Pod(behaviour=cut)) as pod, a_gateway(pod) as world:
        assert await status_of(world) == 502


async def test_cuts_a_large_body_that_is_cut():
    async def cut(http: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 3 * 2**20
        await response.prepare(http)
        await response.write(b"0" * 2 * 2**20)
        await begun.wait()
        abort(http)
        return response

    begun = asyncio.Event()
    async with (
        serving(Pod(behaviour=cut)) as pod,
        a_gateway(pod) as world,
        world.client.post("/v1/embeddings", json=chat()) as response,
    ):
        begun.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_never_collects_a_stream():
    more = asyncio.Event()

    async def slow(http: web.Request) -> web.StreamResponse:
        response = await start_stream(http)
        await response.write(chunk("a"))
        await more.wait()
        await response.write(chunk("b") + sse.DONE)
        return response

    async with serving(Pod(behaviour=slow)) as pod, a_gateway(pod, keep_alive_s=60.0) as world:
        headers = {"Accept-Encoding": "gzip"}
        async with world.client.post(CHAT, json=chat(stream=True), headers=headers) as response:
            assert await response.content.readuntil(b"\n\n") == chunk("a")
            assert "Content-Encoding" not in response.headers
            more.set()
            assert await response.content.readuntil(b"\n\n") == chunk("b")


# ---- clients that leave ----


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "complete"])
@pytest.mark.parametrize("behaviour", [never_answer, stream_for_ever], ids=["before first byte", "after"])
async def test_stops_the_replicas_work_when_a_client_leaves(behaviour, streamed):
    async with serving(Pod(behaviour=behaviour)) as pod, a_gateway(pod) as world:
        session = aiohttp.ClientSession(world.url)
        asked = asyncio.ensure_future(session.post(CHAT, json=chat(stream=streamed)))
        await eventually(lambda: len(pod.bodies) == 1)
        if behaviour is stream_for_ever:
            response = await asked
            response.close()
        else:
            asked.cancel()
        await eventually(lambda: pod.left == 1, within_s=1)
        assert (world.demand().in_flight, world.demand().abandoned) == (0, 1)
        await session.close()


async def test_forgets_a_held_request_whose_client_left():
    async with a_gateway() as world:
        asked = asyncio.ensure_future(world.client.post(CHAT, json=chat(stream=True)))
        await eventually(lambda: world.demand().held == 1)
        asked.cancel()
        await eventually(lambda: world.demand().held == 0, within_s=1)
        assert world.lines[0]["status"] in {200, 499}


@pytest.mark.parametrize("streamed", [True, False])
async def test_logs_how_long_a_request_was_held_that_no_replica_got(*, streamed: bool):
    async with a_gateway(keep_alive_s=5.0) as world:
        refused, left = (asyncio.ensure_future(world.client.post(CHAT, json=chat(stream=streamed))) for _ in range(2))
        await eventually(lambda: world.demand().held == 2)
        both_held_after_s = world.demand().oldest_held_s
        await eventually(lambda: world.demand().oldest_held_s >= both_held_after_s + 0.1)
        left.cancel()
        await eventually(lambda: len(world.lines) == 1)
        world.models = (replace(world.models[0], replicas=0, scale_to_zero=False),)
        world.show()
        assert (await refused).status == 503
        assert [line["code"] for line in world.lines] == ["", "model_stopped"]
        assert all(0.09 < line["held_s"] <= line["duration_s"] for line in world.lines)


async def test_counts_in_flight_back_to_zero_after_any_mix_of_ends():
    behaviours = (answer, reset, die_in_mid_stream, end_without_done, stream_for_ever, never_answer)

    async def mixed(http: web.Request) -> web.StreamResponse:
        return await behaviours[len(pod.bodies) % len(behaviours)](http)

    async with serving(Pod(behaviour=mixed)) as pod, a_gateway(pod, response_timeout_s=0.3) as world:

        async def ask(streamed: bool) -> None:  # noqa: FBT001
            try:
                async with asyncio.timeout(0.5), world.client.post(CHAT, json=chat(stream=streamed)) as response:
                    await response.read()
            except (aiohttp.ClientError, TimeoutError):
                pass

        await asyncio.gather(*(ask(n % 2 == 0) for n in range(40)))
        await eventually(lambda: (world.demand().in_flight, world.demand().held) == (0, 0))


# ---- keep-alives ----

FORMATS = [(KeepAlive.COMMENT, CHAT), (KeepAlive.CHUNK, CHAT), (KeepAlive.CHUNK, COMPLETIONS_PATH)]


@pytest.mark.parametrize(("kind", "path"), FORMATS)
async def test_keeps_a_waiting_stream_alive_in_a_form_that_clients_parse(kind, path):
    routing = RoutingSpec(hold=HoldSpec(keep_alive=kind))
    async with serving(Pod()) as pod, a_gateway(routing=routing) as world, an_openai(world) as api:
        message = {"messages": [{"role": "user", "content": "x"}]} if path == CHAT else {"prompt": "x"}
        create = api.chat.completions.create if path == CHAT else api.completions.create
        stream = await create(model="tiny", stream=True, **message)
        world.show(pod)
        texts = [part.choices[0] async for part in stream]
        assert len(texts) >= 3
        assert world.lines[0]["held_s"] > 0
        assert "X-Chatscale-Held-Seconds" not in stream.response.headers


async def test_keeps_a_stream_alive_until_the_replicas_first_byte():
    go = asyncio.Event()

    async def slow(http: web.Request) -> web.StreamResponse:
        await go.wait()
        return await answer(http)

    async with (
        serving(Pod(behaviour=slow)) as pod,
        a_gateway(pod) as world,
        world.client.post(CHAT, json=chat(stream=True)) as response,
    ):
        for _ in range(3):
            assert (await response.content.readuntil(b"\n\n")).startswith(b": ")
        go.set()
        assert (await response.text()).endswith("data: [DONE]\n\n")


async def test_sends_an_error_event_when_a_kept_stream_is_refused():
    async def refuse(_http: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "why"}}, status=400)

    async with (
        serving(Pod(behaviour=refuse)) as pod,
        a_gateway() as world,
        world.client.post(CHAT, json=chat(stream=True)) as response,
    ):
        await response.content.readuntil(b"\n\n")
        world.show(pod)
        event = b": "
        while event.startswith(b": "):
            event = await response.content.readuntil(b"\n\n")
        assert json.loads(event.removeprefix(b"data: "))["error"]["message"] == "why"
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_keeps_the_status_of_quick_refusals():
    async with (
        a_gateway(routing=RoutingSpec(hold=HoldSpec(max_requests=0))) as world,
        world.client.post(CHAT, json=chat(stream=True)) as response,
    ):
        assert response.status == 429


# ---- refusals, as OpenAI's client obeys them ----


async def test_lets_clients_retry_when_waiting_helps(monkeypatch):
    waits = []
    routing = RoutingSpec(hold=HoldSpec(max_requests=1))
    async with serving(Pod()) as pod, a_gateway(routing=routing) as world, an_openai(world, max_retries=1) as api:
        blocker = asyncio.ensure_future(status_of(world))
        await eventually(lambda: world.demand().held == 1)

        async def sleep_for_retry(*, response, **_rest: object) -> None:
            waits.append(response.headers["Retry-After"])
            world.show(pod)

        monkeypatch.setattr(api, "_sleep_for_retry", sleep_for_retry)
        done = await api.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x"}])
        assert done.choices[0].message.content == "hello"
        assert int(waits[0]) >= 1
        assert await blocker == 200


async def test_stops_retries_where_waiting_cannot_help():
    async with a_gateway() as world, an_openai(world, max_retries=3) as api:
        world.models = (replace(world.models[0], replicas=0, scale_to_zero=False),)
        world.show()
        with pytest.raises(openai.InternalServerError, match="does not start"):
            await api.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x"}])
        assert len(world.lines) == 1


async def status_of(world) -> int:
    async with world.client.post(CHAT, json=chat()) as response:
        await response.read()
        return response.status
