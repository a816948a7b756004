"""A gateway process for the browser: its API server and its replica are played here.

The last question of a request selects the answer, e.g. `say 100000` or `break`.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale_contract.gateway.keys import hash_key
from chatscale_contract.openai import sse
from chatscale_contract.server.endpoints import HTTP_PORT
from tests.support.builders import a_chatmodel
from tests.support.gateway_pods import a_key_secret, a_replica_pod, ready
from tests.unit.gateway.test_process import Cluster, a_process

KEY, REVOKED = "csk-of-the-browser-tests", "csk-that-was-revoked"
REPLICA_ADDRESS = f"127.42.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}"
"""On the loopback interface, one for each worker of pytest: the port of a replica is fixed."""
MARKUP = "org/<img src=x onerror=alert(1)>&amp;<b>bold</b>"
USAGE = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}
HOSTILE = """# Title <script>window.hacked = 1</script>

<script>window.hacked = 2</script>
<img src=x onerror="window.hacked = 3"> <svg onload="window.hacked = 4"></svg>
<iframe src="https://evil.example/"></iframe><style>body { display: none }</style>
<form action="https://evil.example/"><input name=q><button>send</button></form>

[a link](javascript:window.hacked=5) [another](https://good.example/ "title") ![picture](https://evil.example/p.png)
[data](data:text/html,<script>window.hacked=6</script>) <a href="javascript:alert(1)" id="messages">x</a>

```html
<script>window.hacked = 7</script>
```

| a | b |
|---|---|
| <b onclick=alert(1)>x</b> | 2 |

- [x] done
- [ ] open
"""
SHOWCASE = """A **Horizontal Pod Autoscaler** reads a metric and sets the number of replicas. For a chat model the CPU \
is a poor metric: use requests in flight per replica instead.

1. Measure what one replica can serve within its objective.
2. Set the target a little below that.
3. Let the operator do the rest:

```yaml
apiVersion: chatscale.dev/v1alpha1
kind: ChatModel
metadata:
  name: shop
spec:
  autoscaling:
    minReplicas: 1
    maxReplicas: 8
```

| Load | Replicas |
|---|---|
| 8 requests | 1 |
| 26 requests | 4 |

Scaling up is immediate; scaling down waits for `stabilizationWindowSeconds`."""


@dataclass
class Replica:
    """Streams what the last question selects. `bodies` has the requests."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    left: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Releases answers to `slow`."""
    in_flight: int = 0

    async def handle(self, http: web.Request) -> web.StreamResponse:
        if http.path == "/load":
            return web.json_response({"running": self.in_flight, "waiting": 0, "slots": 8})
        body = await http.json()
        self.bodies.append(body)
        question = body["messages"][-1]["content"]
        if question == "refuse":
            error = {"message": "this prompt has 9000 tokens; the model takes 4096", "code": "context_length_exceeded"}
            return web.json_response({"error": error}, status=400)
        response = web.StreamResponse(headers={"Content-Type": sse.CONTENT_TYPE})
        await response.prepare(http)
        self.in_flight += 1
        try:
            if question == "think":
                for text in ("First ", "this, ", "then that."):
                    await _write(response, text, "reasoning_content")
                await self.go_on.wait()
            await self._answer(response, question)
        except (asyncio.CancelledError, ConnectionError):
            self.left += 1
            raise
        finally:
            self.in_flight -= 1
        return response

    async def _answer(self, response: web.StreamResponse, question: str) -> None:
        order, _, argument = question.partition(" ")
        match order.lower():
            case "say":
                text = "".join(f"Line {number} of *many*.\n\n" for number in range(int(argument) // 20))
                for begin in range(0, len(text), 997):
                    await _write(response, text[begin : begin + 997])
            case "hostile":
                for char in HOSTILE:
                    await _write(response, char)
            case "show":
                await _write(response, SHOWCASE)
            case "slow":
                for number in range(100):
                    await _write(response, f"Sentence {number} of a slow answer.\n\n")
                await self.go_on.wait()
                await _write(response, "The end of it.")
            case "fail":
                await _write(response, "The beginning of")
                await response.write(sse.event({"error": {"message": "the GPU fell off the bus", "code": "engine"}}))
                return
            case "break":
                await _write(response, "The beginning of")
                assert response._req is not None
                assert response._req.transport is not None
                response._req.transport.abort()
                raise ConnectionResetError
            case _:
                await _write(response, f"You said: {question}")
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        await response.write(sse.event({"choices": [choice]}))
        await response.write(sse.event({"choices": [], "usage": USAGE}))
        await response.write(sse.DONE)


async def _write(response: web.StreamResponse, text: str, name: str = "content") -> None:
    await response.write(sse.event({"choices": [{"index": 0, "delta": {name: text}, "finish_reason": None}]}))


@dataclass
class World:
    """The running gateway and what it depends on."""

    url: str
    replica: Replica
    cluster: Cluster

    async def wake(self) -> None:
        """Let the sleeping model get its first replica."""
        pod = _pod("sleepy-v1-a", "sleepy")
        self.cluster.pods.items.append(pod)
        await self.cluster.pods.scripts.put([{"type": "ADDED", "object": pod}, "end"])


@asynccontextmanager
async def a_world(folder: Path, **settings: str) -> AsyncIterator[World]:
    replica, cluster = Replica(), Cluster()
    cluster.models.items = [
        _model("tiny"),
        _model("sleepy", replicas=0, autoscaling={"scaleToZero": {}}),
        _model("full", replicas=0, autoscaling={"scaleToZero": {}}, routing={"hold": {"maxRequests": 0}}),
    ]
    cluster.pods.items = [_pod("tiny-v1-a", "tiny")]
    cluster.secrets.items = [a_key_secret("live", sha256=hash_key(KEY))]
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", replica.handle)
    async with (
        TestServer(app, host=REPLICA_ADDRESS, port=HTTP_PORT),
        a_process(cluster, folder, **settings) as gateway,
        asyncio.TaskGroup() as group,
    ):
        # A full pipe would block the gateway's log, and with it the gateway.
        readers = [group.create_task(_discard(pipe)) for pipe in (gateway.process.stdout, gateway.process.stderr)]
        yield World(gateway.api, replica, cluster)
        for reader in readers:
            reader.cancel()


async def _discard(pipe: asyncio.StreamReader | None) -> None:
    while pipe and await pipe.read(65536):
        pass


def _model(name: str, **spec: Any) -> dict[str, Any]:
    manifest = deepcopy(a_chatmodel().manifest())
    manifest["metadata"] |= {
        "name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-11-27T08:00:00Z", "resourceVersion": "1",
    }  # fmt: skip
    manifest["spec"] |= spec
    return json.loads(json.dumps(manifest))


def _pod(name: str, chatmodel: str) -> dict[str, Any]:
    status = {"phase": "Running", "podIP": REPLICA_ADDRESS, "conditions": [ready()]}
    return a_replica_pod(name, chatmodel=chatmodel, status=status)
