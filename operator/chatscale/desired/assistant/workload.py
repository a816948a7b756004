"""The Deployment of a ShopAssistant. It keeps no state, so its pods are replaced and scaled freely.

The manifest has no `replicas`: as for a ChatModel, a field manager of its own owns them, or the HPA.
"""

from dataclasses import dataclass
from typing import Final

from chatscale import names
from chatscale.api.v1alpha1 import ResourceRequirements, ShopAssistant
from chatscale.desired.assistant.configuration import spec_digest
from chatscale.desired.assistant.volumes import SCRATCH_PATH, mounts, volumes
from chatscale.desired.environment import literal
from chatscale.desired.hardening import container_security, pod_security
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale.desired.probes import STARTUP_TIMEOUT_S, http_probe
from chatscale.desired.workload import REVISIONS_KEPT, resource_fields
from chatscale_contract.assistant import endpoints
from chatscale_contract.server.endpoints import HTTP_PORT_NAME, METRICS_PATH, TERMINATION_MESSAGE_PATH

DEFAULT_RESOURCES: Final = ResourceRequirements(
    requests={"cpu": "500m", "memory": "1Gi"}, limits={"memory": "2Gi"}
)  # fmt: skip
GRACE_MARGIN_S: Final = 15
"""After SIGTERM a pod still accepts requests for 5 s; the rest is for what surrounds an answer of the model."""
EXIT_MARGIN_S: Final = 10
"""Between the end of the grace period and SIGKILL: time to close connections and exit."""
STARTUP_PERIOD_S: Final = 2

_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""The encoders compute in one thread; more threads of a pod with less than one CPU wait for each other."""


@dataclass(frozen=True, slots=True)
class AssistantPods:
    """What the chart sets for the pods of all assistants."""

    image: str
    gateway_url: str = ""
    """Empty: there is no gateway, so an assistant of a ChatModel answers without it."""


def build_deployment(assistant: ShopAssistant, pods: AssistantPods) -> Manifest:
    """The Deployment without `replicas`."""
    name = assistant.metadata.name
    return with_template_hash(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": child_metadata(assistant, names.assistant_child(name)),
            "spec": {
                "selector": {"matchLabels": names.SHOPASSISTANT.pod_labels(name)},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "progressDeadlineSeconds": STARTUP_TIMEOUT_S,
                "revisionHistoryLimit": REVISIONS_KEPT,
                "template": {"metadata": _pod_metadata(assistant), "spec": _pod_spec(assistant, pods)},
            },
        }
    )


def _pod_metadata(assistant: ShopAssistant) -> Manifest:
    return {
        "labels": child_metadata(assistant)["labels"],
        "annotations": {
            names.ASSISTANT_SPEC_ANNOTATION: spec_digest(assistant.spec),
            "kubectl.kubernetes.io/default-container": names.ASSISTANT_CONTAINER,
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(endpoints.HTTP_PORT),
            "prometheus.io/path": METRICS_PATH,
        },
    }


def _pod_spec(assistant: ShopAssistant, pods: AssistantPods) -> Manifest:
    spec = assistant.spec
    selector = {"matchLabels": names.SHOPASSISTANT.pod_labels(assistant.metadata.name)}
    pod: Manifest = {
        "containers": [_container(assistant, pods)],
        "volumes": volumes(assistant),
        "terminationGracePeriodSeconds": _grace_s(assistant) + EXIT_MARGIN_S,
        "automountServiceAccountToken": False,
        # A Service named chatscale-assistant-* would add variables that look like settings.
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ],
    }
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": ref.name} for ref in spec.image_pull_secrets]
    return pod


def _container(assistant: ShopAssistant, pods: AssistantPods) -> Manifest:
    spec = assistant.spec
    environment = {
        endpoints.GATEWAY_URL_VARIABLE: pods.gateway_url,
        endpoints.GRACE_VARIABLE: str(_grace_s(assistant)),
        "HOME": SCRATCH_PATH,
        **dict.fromkeys(_THREAD_VARIABLES, "1"),
    }
    return {
        "name": names.ASSISTANT_CONTAINER,
        "image": spec.image or pods.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [literal(name, value) for name, value in environment.items() if value],
        "ports": [{"name": HTTP_PORT_NAME, "containerPort": endpoints.HTTP_PORT, "protocol": "TCP"}],
        # The first index takes minutes where thousands of passages are embedded.
        "startupProbe": http_probe(
            endpoints.READYZ_PATH, period_s=STARTUP_PERIOD_S, failures=STARTUP_TIMEOUT_S // STARTUP_PERIOD_S
        ),
        "readinessProbe": http_probe(endpoints.READYZ_PATH, period_s=5, failures=3),
        "livenessProbe": http_probe(endpoints.LIVEZ_PATH, period_s=10, failures=6),
        "resources": resource_fields(spec.resources) or resource_fields(DEFAULT_RESOURCES),
        "securityContext": container_security(),
        "terminationMessagePath": TERMINATION_MESSAGE_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(assistant),
    }


def _grace_s(assistant: ShopAssistant) -> int:
    """How long requests may last after SIGTERM. The pod delays and drains by itself and needs no preStop hook."""
    return assistant.spec.model.timeout_seconds + GRACE_MARGIN_S
