"""The API as clients see it: answers, models, errors, headers."""

import io
import json
from dataclasses import replace
from ipaddress import ip_network

import pytest
from aiohttp import web

from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale_contract.assistant.endpoints import (
    CUSTOMER_TOKEN_HEADER,
    EXTRAS_FIELD,
    FROM_ASSISTANT_HEADER,
    TASKS_PATH,
)
from chatscale_gateway.http.extraction import estimate_prompt_tokens
from chatscale_gateway.routing.catalog import ModelKey
from tests.support.gateway_world import a_model
from tests.unit.gateway.http.fakes import CHAT, Pod, a_gateway, chat, eventually, serving, stream_for_ever


async def test_answers_a_request_and_counts_what_the_replica_counted():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        async with world.client.post(CHAT, json=chat(), headers={"X-Request-Id": "abc-1"}) as response:
            assert response.status == 200
            assert (await response.json())["choices"][0]["message"]["content"] == "hello"
            assert response.headers["X-Request-Id"] == "abc-1"
            assert float(response.headers["X-Chatscale-Held-Seconds"]) < 1
        demand = world.demand()
        assert (demand.in_flight, demand.finished, demand.prompt_tokens, demand.cached_tokens) == (0, 1, 7, 2)
        assert pod.headers[0]["x-request-id"] == "abc-1"
        [line] = world.lines
        assert (line["request_id"], line["status"], line["generated_tokens"], line["outcome"]) == (
            "abc-1", 200, 3, "completed",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "chunks"), [pytest.param(False, 3, id="not asked"), pytest.param(True, 4, id="asked")]
)
async def test_reads_usage_from_each_stream_and_shows_it_to_those_who_asked(asked, chunks):
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        body = chat(stream=True, **({"stream_options": {"include_usage": True}} if asked else {}))
        async with world.client.post(CHAT, json=body) as response:
            events = (await response.text()).split("\n\n")[:-1]
            assert response.headers["X-Accel-Buffering"] == "no"
            assert response.headers["Cache-Control"] == "no-cache"
        assert len(events) == chunks + 1
        assert events[-1] == "data: [DONE]"
        assert ("usage" in events[-2]) is asked
        assert pod.bodies[0]["stream_options"] == {"include_usage": True}
        assert world.demand().generated_tokens == 3
        assert world.lines[0]["ttft_s"] > 0


async def test_keeps_the_clients_bytes_unless_the_model_has_another_name():
    model = a_model(ModelKey("demo", "tiny"), served_name="org/tiny")
    async with serving(Pod()) as pod, a_gateway(pod, models=(model,)) as world:
        async with world.client.post(CHAT, json=chat(seed=5, stream_options=None)) as response:
            assert response.status == 200
        assert pod.bodies[0] == {**chat(seed=5, stream_options=None), "model": "org/tiny"}


async def test_never_forwards_keys_cookies_or_hop_by_hop_headers():
    sent = {
        "Authorization": "Bearer s", "Cookie": "a=b", "Connection": "x-secret", "X-Secret": "1", "TE": "trailers",
        "traceparent": "00-aa-bb-01", "tracestate": "v=1",
    }  # fmt: skip
    async with (
        serving(Pod()) as pod,
        a_gateway(pod) as world,
        world.client.post(CHAT, json=chat(), headers=sent) as response,
    ):
        assert response.status == 200
    found = pod.headers[0]
    assert not {"authorization", "cookie", "x-secret", "te"} & set(found)
    assert (found["traceparent"], found["tracestate"]) == ("00-aa-bb-01", "v=1")


async def test_logs_the_clients_address_and_forwards_no_header_of_proxies():
    sent = {
        "X-Forwarded-For": "198.51.100.7", "X-Real-IP": "198.51.100.8", "Forwarded": "for=198.51.100.9",
        "X-Forwarded-Proto": "https", "Via": "1.1 lb",
    }  # fmt: skip
    for proxies, expected in (((), "127.0.0.1"), ((ip_network("127.0.0.0/8"),), "198.51.100.7")):
        async with (
            serving(Pod()) as pod,
            a_gateway(pod, trusted_proxies=proxies) as world,
            world.client.post(CHAT, json=chat(), headers=sent) as response,
        ):
            assert response.status == 200
            await eventually(lambda world=world: bool(world.lines))
        assert world.lines[0]["client"] == expected
        assert not {name.lower() for name in sent} & set(pod.headers[0])


async def test_lists_known_models_and_never_wakes_one():
    models = (
        a_model(ModelKey("a", "org"), replicas=0),
        a_model(ModelKey("b", "org"), replicas=0),
        a_model(ModelKey("b", "tiny"), replicas=0),
    )
    async with a_gateway(models=models) as world:
        async with world.client.get("/v1/models") as response:
            assert [model["id"] for model in (await response.json())["data"]] == ["a/org", "b/org", "tiny"]
        async with world.client.get("/v1/models/a/org") as response:
            assert ((await response.json())["id"], response.status) == ("a/org", 200)
        async with world.client.get("/v1/models/org") as response:
            assert response.status == 404
            assert "a/org" in (await response.json())["error"]["message"]
        assert world.dispatcher.demand().wake_seq == 0


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        pytest.param("GET", CHAT, 405, "POST", id="method"),
        pytest.param("DELETE", "/v1/models", 405, "GET,HEAD", id="models"),
        pytest.param("GET", "/v1/nothing", 404, None, id="path"),
        pytest.param("POST", "/tokenize", 404, None, id="runtime path"),
        pytest.param("GET", "/metrics", 404, None, id="admin path"),
    ],
)
async def test_answers_unknown_paths_and_methods_in_openais_shape(method, path, status, allow):
    async with a_gateway() as world, world.client.request(method, path, json=chat()) as response:
        assert (response.status, response.headers.get("Allow")) == (status, allow)
        assert set((await response.json())["error"]) == {"message", "type", "param", "code"}


async def test_forwards_the_paths_that_the_chatmodel_allows():
    async with serving(Pod()) as pod, a_gateway(pod, routing=RoutingSpec(extra_paths=["/tokenize"])) as world:
        for path, status in (("/tokenize", 200), ("/v1/embeddings", 200), ("/detokenize", 404)):
            async with world.client.post(path, json=chat()) as response:
                assert response.status == status


async def test_forwards_the_tasks_of_an_assistant_and_of_no_chatmodel():
    body = {**chat(), "input": "great"}
    assistant = replace(a_model(), path_prefixes=(TASKS_PATH,))
    async with serving(Pod()) as pod, a_gateway(pod, models=(assistant,)) as world:
        for path, status in (("/v1/tasks/sentiment", 200), ("/v1/tasks", 404), ("/v1/tasksX/sentiment", 404),
                             ("/v1/tasks/a/b", 404), ("/v1/tasks/My%20address", 404)):  # fmt: skip
            async with world.client.post(path, json=body) as response:
                assert response.status == status
        assert pod.bodies[0]["input"] == "great"
    async with a_gateway() as world, world.client.post("/v1/tasks/sentiment", json=body) as response:
        assert response.status == 404


async def test_passes_the_customers_token_and_the_extras_to_the_assistant_and_logs_neither(
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level("DEBUG")
    extras = {"conversation": "c-17", "customer_token": "secret-token"}
    assistant = replace(a_model(), is_assistant=True)
    async with serving(Pod()) as pod, a_gateway(pod, models=(assistant,)) as world:
        headers = {CUSTOMER_TOKEN_HEADER: "header-token"}
        async with world.client.post(CHAT, json={**chat(), EXTRAS_FIELD: extras}, headers=headers) as response:
            assert response.status == 200
        assert pod.bodies[0][EXTRAS_FIELD] == extras
        assert pod.headers[0][CUSTOMER_TOKEN_HEADER.lower()] == "header-token"
    logged = " ".join(str(vars(record)) for record in caplog.records) + json.dumps(world.lines)
    assert "secret-token" not in logged
    assert "header-token" not in logged


async def test_gives_the_customers_token_to_no_chatmodel():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        response = await world.client.post(CHAT, json=chat(), headers={CUSTOMER_TOKEN_HEADER: "token"})
        assert response.status == 200
        response.release()
    assert CUSTOMER_TOKEN_HEADER.lower() not in pod.headers[0]


async def test_an_assistant_sees_that_another_assistant_calls_it():
    assistant = replace(a_model(), is_assistant=True)
    async with serving(Pod()) as pod, a_gateway(pod, models=(assistant,)) as world:
        response = await world.client.post(CHAT, json=chat(), headers={FROM_ASSISTANT_HEADER: "1"})
        assert response.status == 200
        response.release()
    assert pod.headers[0][FROM_ASSISTANT_HEADER.lower()] == "1"


async def give_embeddings(http: web.Request) -> web.StreamResponse:
    """An answer without `completion_tokens`, as for every encoder."""
    rows = [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    return web.json_response({"object": "list", "data": rows, "model": "tiny", "usage": usage})


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/classify"])
async def test_a_request_to_an_encoder_is_counted_like_a_generation(path):
    body = {"model": "tiny", "input": ["a" * 40, "b" * 40]}
    assert estimate_prompt_tokens(body) == 20
    async with serving(Pod(behaviour=give_embeddings)) as pod, a_gateway(pod) as world:
        async with world.client.post(path, json=body) as response:
            assert (response.status, len((await response.json())["data"])) == (200, 1)
        assert pod.bodies[0]["input"] == body["input"]
        demand = world.demand()
    assert (demand.in_flight, demand.finished, demand.prompt_tokens) == (0, 1, 9)


async def test_serves_under_a_path_prefix_and_to_listed_origins():
    origin = {"Origin": "https://shop.example"}
    options = {"path_prefix": "/llm", "cors_origins": frozenset({"https://shop.example"})}
    async with serving(Pod()) as pod, a_gateway(pod, **options) as world:
        async with world.client.post("/llm" + CHAT, json=chat(), headers=origin) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, origin["Origin"])
        async with world.client.options("/llm" + CHAT, headers=origin) as response:
            assert (response.status, response.headers["Access-Control-Allow-Methods"]) == (204, "GET, POST")
        async with world.client.get("/v1/models", headers={"Origin": "https://evil.example"}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_takes_long_prompts_and_names_the_limit_when_it_does_not():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        long = chat(messages=[{"role": "user", "content": "word " * 3_000_000}])
        async with world.client.post(CHAT, data=io.BytesIO(json.dumps(long).encode())) as response:
            assert response.status == 200
        longer = chat(messages=[{"role": "user", "content": "word " * 3_500_000}])
        async with world.client.post(CHAT, data=io.BytesIO(json.dumps(longer).encode())) as response:
            assert response.status == 413
            assert "16777216" in (await response.json())["error"]["message"]


async def test_logs_no_text_from_headers_or_bodies():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        headers = {"X-Request-Id": 'a" b canary', "User-Agent": "canary", "X-Canary": "canary"}
        async with world.client.post(CHAT + "?canary=1", json=chat(user="canary"), headers=headers) as response:
            assert response.headers["X-Request-Id"] != headers["X-Request-Id"]
        async with world.client.post("/canary", json=chat(model="canary"), headers=headers):
            pass
        async with world.client.post(CHAT, json=chat(model="canary"), headers=headers) as response:
            assert response.status == 404
        assert len(world.lines) == 3
        assert "canary" not in json.dumps(world.lines)


async def test_balances_requests_of_one_kept_connection():
    async with serving(Pod("pod-0")) as one, serving(Pod("pod-1")) as two:
        for pod in (one, two):
            pod.behaviour = stream_for_ever
        async with a_gateway(one, two) as world:
            opened = [await world.client.post(CHAT, json=chat(stream=True)) for _ in range(8)]
            assert (len(one.bodies), len(two.bodies)) == (4, 4)
            for response in opened:
                response.close()
            await eventually(lambda: world.demand().in_flight == 0)


async def test_tells_metrics_readiness_and_demand_on_the_admin_port_only():
    async with serving(Pod()) as pod, a_gateway(pod) as world:
        async with world.client.post(CHAT, json=chat()):
            pass
        async with world.client.get(f"{world.admin_url}/metrics") as response:
            text = await response.text()
        assert 'gateway_requests_total{code="200",key="",model="tiny",namespace="demo"}' in text
        assert 'gateway_requests_held{model="tiny",namespace="demo"} 0.0' in text
        async with world.client.get(f"{world.admin_url}/readyz") as response:
            assert response.status == 200
        async with world.client.get(f"{world.admin_url}/demand") as response:
            assert (await response.json())["models"]["demo/tiny"]["finished"] == 1
        async with world.client.get(f"http://127.0.0.1:{world.gateway.ports.liveness}/livez") as response:
            assert response.status == 200
