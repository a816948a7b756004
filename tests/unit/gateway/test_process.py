"""One gateway process, with an API server, a replica and a trace collector that the test plays.

The settings reach the process by its environment, as in a pod. Clients mark their secrets and their text with one
string, which must appear nowhere but at the replica.
"""

import asyncio
import base64
import json
import os
import socket
import ssl
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwk, jwt

from chatscale_contract.gateway.keys import hash_key
from chatscale_contract.gateway.live import LIVE_STREAM_PATH, LiveSnapshot
from chatscale_contract.openai import sse
from chatscale_contract.server.endpoints import HTTP_PORT
from tests.support.builders import a_chatmodel
from tests.support.certificates import write_certificate
from tests.support.gateway_pods import FakeApiServer, a_key_secret, a_replica_pod, ready, serving, until
from tests.support.otlp_receiver import OtlpReceiver

CHAT = "/v1/chat/completions"
MARK = "m4rk3d-by-the-test"
KEY, OLD_KEY, TWIN = f"csk-now-{MARK}", f"csk-old-{MARK}", f"csk-twin-{MARK}"
LATER = "2126-11-27T08:00:00Z"
ORIGIN = "https://shop.example"
REPLICA_ADDRESS = "127.41.93.7"
"""On the loopback interface; the port of a replica is fixed."""
REPLICA_POD = a_replica_pod(
    status={"phase": "Running", "podIP": REPLICA_ADDRESS, "conditions": [ready()]}
)  # fmt: skip
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
clusters: [{{name: test, cluster: {{server: "{url}"}}}}]
users: [{{name: test, user: {{token: "{token}"}}}}]
"""


@dataclass
class Replica:
    """Answers as `modes` say, one after the other, and then as the last one. Never repeats what it got."""

    modes: list[str] = field(default_factory=lambda: ["answer"])
    texts: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def handle(self, http: web.Request) -> web.StreamResponse:
        if http.path == "/load":
            return web.json_response({"running": 0, "waiting": 0, "slots": 4})
        body = await http.json()
        self.texts.append(json.dumps(body))
        self.headers.append(dict(http.headers))
        mode = self.modes.pop(0) if len(self.modes) > 1 else self.modes[0]
        if mode == "error":
            return web.json_response({"error": {"message": "no"}}, status=500)
        if not body.get("stream"):
            return web.json_response({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        response = web.StreamResponse(headers={"Content-Type": sse.CONTENT_TYPE})
        await response.prepare(http)
        await response.write(sse.event({"choices": [{"index": 0, "delta": {"content": "x"}}]}))
        if mode == "break":
            if http.transport is not None:
                http.transport.abort()
            return response
        await response.write(sse.DONE)
        return response


@dataclass
class Cluster:
    """The API server: one ChatModel, its replica, and the Secrets of keys."""

    models: FakeApiServer = field(default_factory=FakeApiServer)
    pods: FakeApiServer = field(default_factory=FakeApiServer)
    secrets: FakeApiServer = field(default_factory=FakeApiServer)
    events: FakeApiServer = field(default_factory=FakeApiServer)

    async def handle(self, http: web.Request) -> web.StreamResponse:
        servers = {"pods": self.pods, "secrets": self.secrets, "events": self.events}
        return await servers.get(http.path.rpartition("/")[2], self.models).handle(http)


@dataclass
class Running:
    """The process and its ports."""

    process: Process
    api: str
    admin: str

    async def stop(self) -> str:
        """End it with SIGTERM. Returns all that it wrote."""
        self.process.terminate()
        out, err = await self.process.communicate()
        return (out + err).decode()


@asynccontextmanager
async def a_process(cluster: Cluster, folder: Path, **settings: str) -> AsyncIterator[Running]:
    ports = dict(zip(("API_PORT", "ADMIN_PORT", "LIVENESS_PORT"), map(str, free_ports(3)), strict=True))
    async with serving(cluster.handle) as api_server:
        kubeconfig = folder / "config"
        kubeconfig.write_text(KUBECONFIG.format(url=str(api_server.make_url("")).rstrip("/"), token=MARK))
        ours = {
            "POD_NAME": "gw-1",
            "ENDPOINT_DELAY_SECONDS": "0",
            "GRACE_SECONDS": "1",
            "KUBE_CONTEXT": "test",
            **ports,
        }
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "KUBECONFIG": str(kubeconfig),
            **{f"CHATSCALE_GATEWAY_{name}": value for name, value in ours.items()}, **settings,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chatscale_gateway", env=environment, stdout=PIPE, stderr=PIPE
        )
        found = Running(process, *(f"http://127.0.0.1:{ports[name]}" for name in ("API_PORT", "ADMIN_PORT")))
        try:
            await until_ready(found)
            yield found
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def until_ready(gateway: Running) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as client:
        while gateway.process.returncode is None:
            try:
                async with client.get(gateway.admin + "/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
    _, err = await gateway.process.communicate()
    pytest.fail(err.decode())


def free_ports(count: int) -> Iterator[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    yield from [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()


def a_cluster() -> Cluster:
    cluster = Cluster()
    model = a_chatmodel().manifest()
    model["metadata"] |= {"creationTimestamp": "2026-11-27T08:00:00Z", "resourceVersion": "1"}
    cluster.models.items, cluster.pods.items = [model], [REPLICA_POD]
    return cluster


async def test_serves_under_the_prefix_and_to_the_origins_of_its_settings(tmp_path: Path):
    settings = {
        "CHATSCALE_GATEWAY_AUTH": "None",
        "CHATSCALE_GATEWAY_PATH_PREFIX": "/llm",
        "CHATSCALE_GATEWAY_CORS_ORIGINS": f"{ORIGIN},https://b.example",
    }
    async with a_process(a_cluster(), tmp_path, **settings) as gateway, aiohttp.ClientSession() as client:
        for path in ("/llm/v1/models", "/v1/models"):
            async with client.get(gateway.api + path, headers={"Origin": ORIGIN}) as response:
                assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
                assert [each["id"] for each in (await response.json())["data"]] == ["tiny"]
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        async with client.options(gateway.api + "/llm" + CHAT, headers=asked) as response:
            assert (response.status, response.headers["Access-Control-Allow-Methods"]) == (204, "GET, POST")
        for path, origin in (("/other/v1/models", ORIGIN), ("/llm/v1/models", "https://evil.example")):
            async with client.get(gateway.api + path, headers={"Origin": origin}) as response:
                allowed = "Access-Control-Allow-Origin" in response.headers
                assert (response.status, allowed) == ((404, True) if origin == ORIGIN else (200, False))


async def test_serves_the_live_state_of_what_it_discovered(tmp_path: Path):
    cluster = a_cluster()
    history = [{"time": "2026-11-27T19:00:00Z", "from": 1, "to": 2, "reason": "SloAtRisk: 26 in flight"}]
    cluster.models.items[0]["status"] = {"phase": "Starting", "autoscaling": {"history": history}}
    async with (
        a_process(cluster, tmp_path, CHATSCALE_GATEWAY_AUTH="None") as gateway,
        aiohttp.ClientSession() as client,
        client.get(gateway.api + LIVE_STREAM_PATH) as response,
    ):
        line = await response.content.readline()
        (model,) = LiveSnapshot.from_json(json.loads(line.removeprefix(b"data: "))).models
        assert (model.key, model.phase, model.replicas.ready) == ("demo/tiny", "Starting", 1)
        assert [(each.to_replicas, each.reason) for each in model.decisions] == [(2, "SloAtRisk: 26 in flight")]


async def test_serves_tls_with_the_files_of_its_settings(tmp_path: Path):
    write_certificate(tmp_path, serial=7)
    settings = {
        "CHATSCALE_GATEWAY_AUTH": "None",
        "CHATSCALE_GATEWAY_TLS_CERT_FILE": str(tmp_path / "tls.crt"),
        "CHATSCALE_GATEWAY_TLS_KEY_FILE": str(tmp_path / "tls.key"),
    }
    trusting = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    async with a_process(a_cluster(), tmp_path, **settings) as gateway, aiohttp.ClientSession() as client:
        url = gateway.api.replace("http:", "https:") + "/v1/models"
        async with client.get(url, ssl=trusting) as response:
            assert response.status == 200
        (tmp_path / "tls.key").unlink()
        written = await gateway.stop()
    assert gateway.process.returncode == 0
    assert "PRIVATE KEY" not in written


async def test_promise_23_no_secret_and_no_text_of_a_client_is_in_logs_errors_metrics_or_spans(tmp_path: Path):
    """At the most verbose level, over answers, failures and every kind of refusal that a client can cause.

    Keys are real ones, and some Secrets have a key or a hash where it does not belong.
    """
    cluster = a_cluster()
    cluster.secrets.items = [
        a_key_secret("live", sha256=hash_key(KEY), previousSha256=hash_key(OLD_KEY), previousExpires=LATER),
        a_key_secret("pasted", sha256=KEY),
        a_key_secret("swapped", sha256=hash_key("a"), maxConcurrency=hash_key(KEY)),
        a_key_secret("renamed", sha256=hash_key("b"), raw={KEY: ""}),
        a_key_secret("bytes", sha256=hash_key("c"), raw={"wake": base64.b64encode(b"\xff" + MARK.encode()).decode()}),
        a_key_secret("twin", sha256=hash_key(TWIN)),
        a_key_secret("twin-2", sha256=hash_key(TWIN)),
    ]
    replica, collector = Replica(["answer", "answer", "error", "break", "answer"]), OtlpReceiver()
    server = TestServer(application(replica), host=REPLICA_ADDRESS, port=HTTP_PORT)
    async with server, serving(collector.handle) as otlp, aiohttp.ClientSession() as client:
        settings = {
            "CHATSCALE_GATEWAY_LOG_LEVEL": "DEBUG",
            "CHATSCALE_GATEWAY_MAX_BODY_BYTES": "4096",
            "OTEL_EXPORTER_OTLP_ENDPOINT": str(otlp.make_url("")).rstrip("/"),
        }
        async with a_process(cluster, tmp_path, **settings) as gateway:
            errors = [await post(client, gateway.api, body) for body in marked_bodies()]
            assert [status for status, _ in errors] == [200, 200, 500, 200, 404, 400, 400, 400, 413, 404]
            for headers in refused_headers():
                errors.append(await post(client, gateway.api, next(marked_bodies()), headers))
                assert errors[-1][0] == 401
            await until(lambda: len(cluster.events.created) == 6)
            async with client.get(gateway.admin + "/metrics") as response:
                metrics = await response.text()
            written = await gateway.stop()
    assert sum(MARK in text for text in replica.texts) == 4, "the replica gets the text"
    assert len(collector.spans) == len(errors)
    assert collector.resource["k8s.pod.name"] == "gw-1"
    assert written.count('"event":"request"') == len(errors)
    answers = {f"answer {number}": text for number, (_, text) in enumerate(errors)}
    events = json.dumps(list(cluster.events.created.values()))
    secrets = [MARK, *(part for key in (KEY, OLD_KEY, TWIN) for part in (key[:12], hash_key(key)[:12]))]
    found = {"logs": written, "metrics": metrics, "spans": collector.text, "events": events, **answers}
    for name, text in found.items():
        assert text, name
        assert not [secret for secret in secrets if secret in text], name
    assert 'gateway_key_errors{reason="malformed"} 4.0' in metrics
    assert not [header for headers in replica.headers for header in headers.items() if MARK in str(header)]


def application(replica: Replica) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", replica.handle)
    return app


def marked_bodies() -> Iterator[tuple[str, bytes]]:
    """Path and body of each request."""
    message = {"role": "user", "content": f"{MARK}: where is my order?"}
    chat = {"model": "tiny", "messages": [{"role": "system", "content": MARK}, message], "user": MARK}
    yield CHAT, json.dumps(chat).encode()
    yield CHAT, json.dumps({**chat, "stream": True}).encode()
    yield CHAT, json.dumps(chat).encode()
    yield CHAT, json.dumps({**chat, "stream": True}).encode()
    yield CHAT, json.dumps({**chat, "model": "other"}).encode()
    yield CHAT, f'{{"model": "tiny", "messages": {MARK}}}'.encode()
    yield CHAT, json.dumps([MARK]).encode()
    yield CHAT, f'{{"model": "tiny", "prompt": "{MARK}'.encode() + b'\xff"}'
    yield CHAT, json.dumps({**chat, "padding": MARK * 400}).encode()
    yield f"/v1/{MARK}", json.dumps(chat).encode()


def refused_headers() -> Iterator[dict[str, str]]:
    yield {"Authorization": f"Bearer {TWIN}"}
    yield {"Authorization": f"Bearer wrong-{MARK}"}
    yield {"Authorization": f"Basic {MARK}"}
    yield {"Authorization": f"Bearer {KEY}", "Api-Key": f"other-{MARK}"}


async def post(
    client: aiohttp.ClientSession, api: str, request: tuple[str, bytes], keys: dict[str, str] | None = None
) -> tuple[int, str]:
    """Status and body. keys: the headers with keys; None sends a valid one in all three."""
    path, body = request
    headers = {
        **(keys or {"Authorization": f"Bearer {KEY}", "X-Api-Key": KEY, "Api-Key": KEY}),
        "Cookie": f"session={MARK}", "X-Request-Id": f"{MARK} {MARK}", "Content-Type": "application/json",
    }  # fmt: skip
    text = b""
    async with client.post(f"{api}{path}?key={MARK}", data=body, headers=headers) as response:
        try:
            async for part in response.content.iter_any():
                text += part
        except aiohttp.ClientPayloadError:
            pass  # a broken stream
        return response.status, text.decode()


async def test_takes_tokens_of_an_identity_provider_beside_keys_and_logs_none(tmp_path: Path):
    private = jwk.ECKey.generate_key("P-256", {"kid": "one"}, private=True)

    async def key_set(_http: web.Request) -> web.Response:
        return web.json_response({"keys": [private.as_dict(private=False)]})

    cluster = a_cluster()
    cluster.secrets.items = [a_key_secret("live", sha256=hash_key(KEY))]
    async with serving(key_set) as provider, aiohttp.ClientSession() as client:
        settings = {
            "CHATSCALE_GATEWAY_LOG_LEVEL": "DEBUG",
            "CHATSCALE_GATEWAY_POD_NAMESPACE": "system",
            "CHATSCALE_GATEWAY_KEY_NAMESPACES": "demo",
            "CHATSCALE_GATEWAY_OIDC_ISSUER": "https://id.example",
            "CHATSCALE_GATEWAY_OIDC_AUDIENCE": "chat",
            "CHATSCALE_GATEWAY_OIDC_JWKS_URL": str(provider.make_url("/keys")),
            "CHATSCALE_GATEWAY_OIDC_CLAIMS": '{"models": "groups"}',
        }
        claims = {"iss": "https://id.example", "aud": "chat", "sub": "ada", "exp": int(time.time()) + 3600}
        header = {"alg": "ES256", "kid": "one"}
        tokens = [
            jwt.encode(header, {**claims, "groups": [name]}, private, algorithms=["ES256"]) for name in ("tiny", "big")
        ]
        async with a_process(cluster, tmp_path, **settings) as gateway:
            listed = []
            for token in (*tokens, KEY, tokens[0][:-4]):
                headers = {"Authorization": f"Bearer {token}"}
                async with client.get(gateway.api + "/v1/models", headers=headers) as response:
                    listed.append(len((await response.json())["data"]) if response.status == 200 else response.status)
            written = await gateway.stop()
    assert listed == [1, 0, 1, 401]
    assert not [token for token in tokens if token.rpartition(".")[2] in written]


async def test_promise_25_a_request_that_waits_for_a_replica_is_refused_within_5_s_of_its_keys_end(tmp_path: Path):
    cluster = a_cluster()
    secret = a_key_secret("live", sha256=hash_key(KEY))
    cluster.pods.items, cluster.secrets.items = [], [secret]
    async with a_process(cluster, tmp_path) as gateway, aiohttp.ClientSession() as client:
        waiting = asyncio.create_task(post(client, gateway.api, next(marked_bodies())))
        async with client.get(f"{gateway.admin}/demand?wake_seq=0&wait_s=5") as response:
            assert (await response.json())["models"]["demo/tiny"]["held"] == 1
        await cluster.secrets.scripts.put([{"type": "DELETED", "object": secret}])
        async with asyncio.timeout(5):
            status, body = await waiting
        assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")
