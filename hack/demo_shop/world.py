"""The sample shop as objects of the cluster: its files, its MCP server, its desk, its model and its assistant. Pure."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any, Final

from chatscale.names import API_VERSION, KIND
from hack.kube import Manifest

NAMESPACE: Final = "chatscale-shop"
MODEL: Final = "assistant"
ASSISTANT: Final = "shop"
ASSISTANT_KIND: Final = "ShopAssistant"
SERVER: Final = "orders"
DESK: Final = "desk"
PORT: Final = 8080
MAX_REPLICAS: Final = 3
READS: Final = ("get_order_details", "get_user_details", "get_product_details", "get_item_details")
WRITES: Final = (
    "cancel_pending_order",
    "return_delivered_order_items",
    "exchange_delivered_order_items",
    "modify_pending_order_address",
)
_START_SERVER: Final = """
import gzip, pathlib, runpy, sys
data = pathlib.Path("/tmp/shop")
data.mkdir()
(data / "db.json").write_bytes(gzip.decompress(pathlib.Path("/data/db.json.gz").read_bytes()))
sys.path.insert(0, "/code")
sys.argv = ["hack.shop", "serve", "--data", str(data), "--token-file", "/secrets/token"]
runpy.run_module("hack.shop", run_name="__main__", alter_sys=True)
"""


def chat_model(image: str) -> Manifest:
    """SmolLM2 on the CPU: one replica, for the conversations."""
    return _chat_model(
        {"image": image, "maxModelLen": 2048, "maxConcurrency": 4, "maxQueue": 8},
        {"requests": {"cpu": "100m", "memory": "768Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        {"mode": "Fixed"},
    )


def chat_model_of_the_sale() -> Manifest:
    """The same ChatModel with simulated 8B replicas: real ones on one machine share its cores."""
    return _chat_model(
        {
            "engine": "Simulated",
            "simulated": {"profile": "8b-a100", "startupSeconds": 5},
            "maxConcurrency": 2,
            "maxQueue": 4,
        },
        {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
        {
            "mode": "Operator",
            "minReplicas": 1,
            "maxReplicas": MAX_REPLICAS,
            "windowSeconds": 10,
            "panicWindowSeconds": 4,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 30}},
            "metrics": [{"type": "ActiveRequests", "target": 1}],
        },
    )


def _chat_model(server: Manifest, resources: Manifest, autoscaling: Manifest) -> Manifest:
    fixed = {"replicas": 1} if autoscaling["mode"] == "Fixed" else {}
    spec = {
        "model": {"uri": "file:///models/SmolLM2-135M-Instruct"},
        "device": "CPU",
        "server": server,
        "resources": resources,
        "autoscaling": autoscaling,
        **fixed,
    }
    return _object(KIND, MODEL, spec, API_VERSION)


def shop_assistant() -> Manifest:
    """The assistant of the shop. `Always` is for trials: it shows what the fact check does with a weak model."""
    return _object(
        ASSISTANT_KIND,
        ASSISTANT,
        {
            "model": {
                "chatModel": MODEL,
                "keySecretRef": {"name": "assistant-key", "key": "key"},
                "writes": "Always",
                "timeoutSeconds": 1,
            },
            "languages": ["en", "zh", "fr"],
            "persona": {"name": "Mia", "shop": "Sample Shop", "contact": "service@shop.example", "currency": "USD"},
            "knowledge": [
                {"name": "policy", "configMap": "policy"},
                {"name": "catalogue", "kind": "Catalogue", "configMap": "catalogue"},
            ],
            "tools": [
                {
                    "name": SERVER,
                    "mcp": f"http://{SERVER}.{NAMESPACE}:{PORT}/mcp",
                    "tokenSecretRef": {"name": "shop", "key": "token"},
                    "allow": [*READS, *WRITES],
                    "writes": list(WRITES),
                }
            ],
            "identity": {"secretRef": {"name": "shop", "key": "identity"}},
            "guardrails": {"handOver": {"type": "Webhook", "urlSecretRef": {"name": "desk", "key": "url"}}},
            "replicas": {"min": 2},
            "resources": {"requests": {"cpu": "150m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        },
        API_VERSION,
    )


def files(name: str, texts: Mapping[str, str]) -> Manifest:
    """A ConfigMap with files."""
    return {**_object("ConfigMap", name), "data": dict(texts)}


def compressed_file(name: str, file: str, content: bytes) -> Manifest:
    """A ConfigMap with one compressed file: an object of the API has at most 1 MiB."""
    packed = base64.b64encode(gzip.compress(content, mtime=0)).decode()
    return {**_object("ConfigMap", name), "binaryData": {f"{file}.gz": packed}}


def secret(name: str, texts: Mapping[str, str]) -> Manifest:
    """A Secret."""
    return {**_object("Secret", name), "stringData": dict(texts)}


def order_server(image: str) -> list[Manifest]:
    """The MCP server of hack/shop. image: any with Python and the package `mcp`."""
    volumes = [
        {"name": "code", "configMap": {"name": "shop-code"}},
        {"name": "data", "configMap": {"name": "shop-data"}},
        {"name": "secrets", "secret": {"secretName": "shop", "items": [{"key": "token", "path": "token"}]}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts = [
        {"name": "code", "mountPath": "/code/hack/shop"},
        {"name": "data", "mountPath": "/data"},
        {"name": "secrets", "mountPath": "/secrets"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    return [
        _deployment(SERVER, image, ["python", "-c", _START_SERVER], volumes, mounts, "/livez"),
        _service(SERVER),
    ]


def desk_server(image: str, signature: str) -> list[Manifest]:
    """The receiver of handed-over cases. image: any with Python."""
    volumes = [{"name": "code", "configMap": {"name": "desk-code"}}]
    mounts = [{"name": "code", "mountPath": "/code"}]
    deployment = _deployment(DESK, image, ["python", "/code/receiver.py"], volumes, mounts, "/cases")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "DESK_SIGNATURE", "value": signature}]
    return [deployment, _service(DESK)]


def _object(kind: str, name: str, spec: Mapping[str, Any] | None = None, version: str = "v1") -> Manifest:
    manifest: Manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}}
    return manifest if spec is None else {**manifest, "spec": dict(spec)}


def _service(name: str) -> Manifest:
    return _object("Service", name, {"selector": {"app": name}, "ports": [{"port": PORT, "targetPort": PORT}]})


def _deployment(
    name: str, image: str, command: list[str], volumes: list[Manifest], mounts: list[Manifest], probe: str
) -> Manifest:
    container = {
        "name": name,
        "image": image,
        "command": command,
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": probe, "port": PORT}, "periodSeconds": 2, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "120m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532},
        "containers": [container],
        "volumes": volumes,
    }
    labels = {"app": name}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return _object("Deployment", name, spec, "apps/v1")
