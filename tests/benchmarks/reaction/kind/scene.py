"""The scene on the kind cluster: the ChatModel of each variant and the requests of the burst."""

from enum import StrEnum
from typing import Any, Final

import numpy as np

from chatscale.names import API_VERSION, KIND
from chatscale_simulator.simulation.workload import Workload
from hack.kube import Manifest

NAME: Final = "reaction"
PROFILE: Final = "8b-a100"
SLOTS: Final = 8
STARTUP_S: Final = 5
IDLE_S: Final = 75.0
"""From the first Ready to the first request."""
BURST_S: Final = 75.0
REQUESTS_PER_S: Final = 14.0
PROMPT_TOKENS: Final = 40
ANSWER_TOKENS: Final = 100
MAX_REPLICAS: Final = 8


class Variant(StrEnum):
    """An autoscaling block."""

    SLO = "slo"
    QUEUE_DEPTH = "queue-depth"
    HPA = "hpa"


AUTOSCALING: Final[dict[Variant, dict[str, Any]]] = {
    Variant.SLO: {"maxReplicas": MAX_REPLICAS},
    Variant.QUEUE_DEPTH: {"maxReplicas": MAX_REPLICAS, "metrics": [{"type": "QueueDepth", "target": 4}]},
    Variant.HPA: {"maxReplicas": MAX_REPLICAS, "mode": "HPA"},
}
"""`spec.autoscaling` of each variant. Mode HPA follows its default metrics: 4 waiting, 80 % of the slots running."""


def scaled(variant: Variant, namespace: str) -> Manifest:
    """The ChatModel that a variant scales, from one replica on."""
    return _chatmodel(namespace, {"autoscaling": AUTOSCALING[variant]})


def fixed(replicas: int, namespace: str) -> Manifest:
    """The same ChatModel with a fixed count."""
    return _chatmodel(namespace, {"replicas": replicas, "autoscaling": {"mode": "Fixed"}})


def burst(seed: int) -> Workload:
    """A Poisson process; the first request is at second 0."""
    rng = np.random.default_rng((seed, 0xB0))
    count = int(REQUESTS_PER_S * BURST_S * 2)
    arrival_s = np.concatenate(([0.0], rng.exponential(1 / REQUESTS_PER_S, count).cumsum()))
    arrival_s = arrival_s[arrival_s < BURST_S]
    requests = len(arrival_s)
    return Workload(arrival_s, np.full(requests, PROMPT_TOKENS), np.full(requests, ANSWER_TOKENS))


def _chatmodel(namespace: str, scaling: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "model": {"uri": "hf://example/customer-service"},
            "device": "CPU",
            "server": {
                "engine": "Simulated",
                "simulated": {"profile": PROFILE, "startupSeconds": STARTUP_S},
                "maxConcurrency": SLOTS,
            },
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
            **scaling,
        },
    }
