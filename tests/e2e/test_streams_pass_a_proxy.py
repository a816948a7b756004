"""Promise: a stream that is silent for 70 s passes HAProxy with the timeouts of the guide.

No ingress controller for HAProxy or Traefik can be built here, so HAProxy runs with the settings that the controller
makes of the guide's annotation and ConfigMap.
"""

import asyncio
import time
from collections.abc import Callable

import aiohttp
import yaml

from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH
from hack import kube
from hack.helm import RELEASE
from hack.paths import ROOT
from tests.e2e.support import OPERATOR_NAMESPACE, Model, gateway_key

SILENT_S = 70.0
START_S = 75
"""The model's start: the gateway holds the request until then."""
GUIDE = ROOT / "docs" / "guide" / "ingress.md"
ANNOTATION = "haproxy.org/"
WITH_GUIDE, WITH_DEFAULTS = 8081, 8082
CONFIG = """\
defaults
  mode http
  timeout connect 5s
frontend with-guide
  bind :{with_guide}
{client}
  default_backend with-guide
backend with-guide
{server}
  server gateway {gateway}
frontend with-defaults
  bind :{with_defaults}
  timeout client 50s
  default_backend with-defaults
backend with-defaults
  timeout server 50s
  server gateway {gateway}
"""


def guide_settings() -> tuple[dict[str, str], dict[str, str]]:
    """The ConfigMap entries and the annotations of the guide's section about HAProxy, as lines of HAProxy."""
    section = GUIDE.read_text(encoding="utf-8").partition("### HAProxy\n")[2].partition("### ")[0]
    ingress, config_map = (yaml.safe_load(block.partition("```")[0]) for block in section.split("```yaml\n")[1:])
    annotations = ingress["gateway"]["ingress"]["annotations"]
    return config_map["data"], {name.removeprefix(ANNOTATION): value for name, value in annotations.items()}


def haproxy_config() -> str:
    client, server = (
        "\n".join(f"  {name.replace('-', ' ')} {value}" for name, value in settings.items())
        for settings in guide_settings()
    )
    gateway = f"{RELEASE}-gateway.{OPERATOR_NAMESPACE}.svc.cluster.local:80"
    return CONFIG.format(
        with_guide=WITH_GUIDE, with_defaults=WITH_DEFAULTS, client=client, server=server, gateway=gateway
    )


def proxy(namespace: str, image: str) -> list[kube.Manifest]:
    """HAProxy with its configuration."""
    metadata = {"name": "haproxy", "namespace": namespace, "labels": {"app": "haproxy"}}
    container = {
        "name": "haproxy",
        "image": image,
        "readinessProbe": {"tcpSocket": {"port": WITH_GUIDE}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/config"}],
    }
    volumes = [{"name": "config", "configMap": {"name": "haproxy"}}]
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"haproxy.cfg": haproxy_config()}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [container], "volumes": volumes},
        },
    ]


def expose(namespace: str, port: int) -> str:
    node_port = kube.free_node_port()
    kube.apply(kube.node_port_service(f"haproxy-{port}", namespace, {"app": "haproxy"}, port, node_port))
    return f"http://127.0.0.1:{node_port}"


def test_a_stream_that_is_silent_for_70_s_passes_haproxy_with_the_timeouts_of_the_guide(
    make_model: Callable[..., Model], namespace: str, images: dict[str, str]
) -> None:
    kube.apply(*proxy(namespace, images["haproxy"]))
    kube.kubectl("wait", "pod/haproxy", "-n", namespace, "--for=condition=Ready", "--timeout=60s", timeout_s=70)
    addresses = [expose(namespace, port) for port in (WITH_GUIDE, WITH_DEFAULTS)]
    model = make_model(
        autoscaling={"mode": "Fixed"},
        routing={"hold": {"keepAlive": "Disabled", "timeoutSeconds": 300}},
        server={
            "engine": "Simulated",
            "simulated": {"profile": "8b-a10g", "startupSeconds": START_S},
            "maxConcurrency": 4,
            "maxQueue": 32,
        },
    )

    (silent_s, status, body), (_, status_with_defaults, _) = asyncio.run(_send_through(model, addresses))

    assert silent_s > SILENT_S, f"the stream was silent for {silent_s:.0f} s only"
    assert status == 200
    assert body.endswith(b"data: [DONE]\n\n")
    assert status_with_defaults == 504


async def _send_through(model: Model, addresses: list[str]) -> list[tuple[float, int, bytes]]:
    timeout = aiohttp.ClientTimeout(total=240)
    headers = {"Authorization": f"Bearer {await asyncio.to_thread(gateway_key)}"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        await _wait_until_known(session, addresses, model)
        return await asyncio.gather(*(_stream(session, address, model) for address in addresses))


async def _wait_until_known(session: aiohttp.ClientSession, addresses: list[str], model: Model) -> None:
    """Until both ports answer and the gateways have the model."""
    name = f"{model.namespace}/{model.name}"
    for address in addresses:
        async with asyncio.timeout(30):
            while True:
                try:
                    async with session.get(f"{address}/v1/models/{name}") as response:
                        if response.status == 200:
                            break
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.5)


async def _stream(session: aiohttp.ClientSession, address: str, model: Model) -> tuple[float, int, bytes]:
    """Seconds until the first byte of the body, the status, and the whole body."""
    messages = [{"role": "user", "content": "Where is my order?"}]
    request = {"model": f"{model.namespace}/{model.name}", "messages": messages, "max_tokens": 4, "stream": True}
    began_s = time.monotonic()
    async with session.post(address + CHAT_COMPLETIONS_PATH, json=request) as response:
        first = await response.content.readany()
        silent_s = time.monotonic() - began_s
        return silent_s, response.status, first + await response.read()
