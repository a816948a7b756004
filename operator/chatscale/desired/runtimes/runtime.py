"""The parts of a ChatModel's children that differ between runtimes. Data only; `workload.py` builds the pod from it.

Every runtime must follow the same rules for the rest of the pod: it listens on HTTP port 8000 (`endpoints.HTTP_PORT`),
serves `/metrics` there, runs as a user without privileges and writes only to the folders in `scratch`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalMetrics:
    """Names of the External metrics that an HPA reads. Each value is a sum over the pods of one ChatModel."""

    queue_depth: str
    """Requests that wait for a slot."""
    requests_running: str
    """Requests in a slot."""
    kv_cache_usage_ratio: str
    """0 to 1 for each pod."""
    chatmodel_label: str
    """The metric label that holds the ChatModel's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How the operator runs one inference server."""

    container: Callable[[ChatModel], Manifest]
    """The container fields that only this runtime knows: `env`, `ports`, the three probes, and `args` or `lifecycle`
    where it needs them."""
    grace_period_s: Callable[[ChatModel], int]
    """terminationGracePeriodSeconds: the longest drain, then the time to exit."""
    scratch: Mapping[str, Manifest] = field(default_factory=dict)
    """Folders that the server writes, by mount path, each with the options of its emptyDir volume."""
    objectives_path: str
    """Mount path of the ConfigMap with the latency objectives. The server rereads its file while it runs."""
    external_metrics: ExternalMetrics
