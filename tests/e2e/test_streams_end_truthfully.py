"""Promise: the stream of a pod that dies ends with an error event, and the next request waits for the next pod."""

import asyncio
import json
from collections.abc import Callable

import aiohttp

from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH
from hack import kube
from hack.keys import bearer
from tests.e2e.support import Model, gateway_key, gateway_url


def test_a_dead_pod_ends_its_stream_with_an_error(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling={"mode": "Fixed"}, replicas=1)
    model.wait_ready(1)
    lines, whole = asyncio.run(_kill_in_mid_stream(model))

    assert len(lines) > 1
    assert b"[DONE]" not in b"".join(lines)
    last = [line for line in lines if line.startswith(b"data: ")][-1]
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error["message"]
    assert whole["choices"][0]["finish_reason"] == "length"


async def _kill_in_mid_stream(model: Model) -> tuple[list[bytes], kube.Manifest]:
    """The lines of the stream whose pod was killed, and the answer to a request that was sent after it."""
    url = gateway_url() + CHAT_COMPLETIONS_PATH
    messages = [{"role": "user", "content": "Tell me everything about this jacket."}]
    body = {"model": f"{model.namespace}/{model.name}", "messages": messages, "max_tokens": 1000}
    lines: list[bytes] = []
    timeout = aiohttp.ClientTimeout(total=180)
    async with aiohttp.ClientSession(timeout=timeout, headers=bearer(gateway_key())) as session:
        async with session.post(url, json=body | {"stream": True}) as response:
            assert response.status == 200
            try:
                async for line in response.content:
                    if not line.startswith(b"data: "):
                        continue
                    lines.append(line)
                    if len(lines) == 2:
                        [pod] = model.pods()
                        await asyncio.to_thread(
                            kube.kubectl, "delete", "pod", pod["metadata"]["name"], "-n", model.namespace,
                            "--grace-period=0", "--force",
                        )  # fmt: skip
            except aiohttp.ClientPayloadError:
                pass  # The connection is aborted, so that no client takes the answer for a whole one.
        async with session.post(url, json=body | {"max_tokens": 5}) as response:
            assert response.status == 200, await response.text()
            return lines, await response.json()
