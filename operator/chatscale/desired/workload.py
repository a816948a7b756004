"""The Deployment of one ChatModel, and, apart from it, its replica count.

`replicas` never stands in the Deployment's manifest: the scaler owns that field under a field manager of
its own, so a change of the template cannot reset the count.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel, Device, ResourceRequirements
from chatscale.desired.environment import WRITABLE_PATH, env_from, server_env
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale_contract.server import endpoints
from chatscale_contract.server.environment import EngineName

RUN_AS: Final = 65532
"""User and group of the server process: `nonroot` of the common base images."""
GRACE_MARGIN_S: Final = 10
"""Between the end of the drain and SIGKILL: time to close connections and exit."""
STARTUP_PERIOD_S: Final = 2
STARTUP_TIMEOUT_S: Final = 1800
"""Loading a large model from a cold cache takes minutes (measured: 5); half an hour is a hang."""
REVISIONS_KEPT: Final = 3
_PVC_SCHEME: Final = "pvc://"


@dataclass(frozen=True, slots=True)
class ServerImages:
    """The chart's images, by engine."""

    transformers: str
    simulated: str

    def for_engine(self, engine: EngineName) -> str:
        """The image that runs `engine`."""
        match engine:
            case EngineName.TRANSFORMERS:
                return self.transformers
            case EngineName.SIMULATED:
                return self.simulated
            case _:
                assert_never(engine)


def build_deployment(chatmodel: ChatModel, images: ServerImages) -> Manifest:
    """Everything of the Deployment but `replicas`, which another field manager owns."""
    return with_template_hash(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": child_metadata(chatmodel),
            "spec": {
                "selector": {"matchLabels": names.pod_selector(chatmodel.metadata.name)},
                "strategy": _strategy(chatmodel.spec.device),
                "progressDeadlineSeconds": STARTUP_TIMEOUT_S,
                "revisionHistoryLimit": REVISIONS_KEPT,
                "template": {"metadata": _pod_metadata(chatmodel), "spec": _pod_spec(chatmodel, images)},
            },
        }
    )


def build_replicas(chatmodel: ChatModel, replicas: int) -> Manifest:
    """The smallest body that server-side apply takes to own `spec.replicas` and nothing else."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": chatmodel.metadata.name, "namespace": chatmodel.metadata.namespace},
        "spec": {"replicas": replicas},
    }


def _strategy(device: Device) -> Manifest:
    # With every GPU taken a surplus pod would wait for ever, so the old one goes first.
    surge, unavailable = (0, 1) if device is Device.GPU else (1, 0)
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def _pod_metadata(chatmodel: ChatModel) -> Manifest:
    return {
        "labels": child_metadata(chatmodel)["labels"],
        "annotations": {
            "kubectl.kubernetes.io/default-container": names.SERVER_CONTAINER,
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(endpoints.HTTP_PORT),
            "prometheus.io/path": endpoints.METRICS_PATH,
        },
    }


def _pod_spec(chatmodel: ChatModel, images: ServerImages) -> Manifest:
    spec, drain = chatmodel.spec, chatmodel.spec.drain
    pod: Manifest = {
        "containers": [_container(chatmodel, images)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *_model_volumes(spec.model.uri)],
        "terminationGracePeriodSeconds": drain.timeout_seconds + drain.pre_stop_delay_seconds + GRACE_MARGIN_S,
        "automountServiceAccountToken": False,
        # A Service called chatscale-* would bring variables that look like settings.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": RUN_AS,
            "runAsGroup": RUN_AS,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if spec.server.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": ref.name} for ref in spec.server.image_pull_secrets]
    if tolerations := _tolerations(spec.resources):
        pod["tolerations"] = tolerations
    return pod


def _container(chatmodel: ChatModel, images: ServerImages) -> Manifest:
    server = chatmodel.spec.server
    container: Manifest = {
        "name": names.SERVER_CONTAINER,
        "image": server.image or images.for_engine(server.engine),
        "imagePullPolicy": server.image_pull_policy.value,
        "env": server_env(chatmodel),
        "ports": [{"name": endpoints.HTTP_PORT_NAME, "containerPort": endpoints.HTTP_PORT, "protocol": "TCP"}],
        "startupProbe": _probe(
            endpoints.READYZ_PATH, period_s=STARTUP_PERIOD_S, failures=STARTUP_TIMEOUT_S // STARTUP_PERIOD_S
        ),
        "readinessProbe": _probe(endpoints.READYZ_PATH, period_s=5, failures=3),
        "livenessProbe": _probe(endpoints.LIVEZ_PATH, period_s=10, failures=6),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": endpoints.TERMINATION_MESSAGE_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": WRITABLE_PATH}, *_model_mounts(chatmodel.spec.model.uri)],
    }
    if server.env_from:
        container["envFrom"] = env_from(server.env_from)
    if resources := _resources(chatmodel.spec.resources):
        container["resources"] = resources
    return container


def _probe(path: str, *, period_s: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": endpoints.HTTP_PORT_NAME},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _resources(resources: ResourceRequirements) -> Manifest:
    parts = {"limits": resources.limits, "requests": resources.requests}
    return {part: {name: str(amount) for name, amount in amounts.items()} for part, amounts in parts.items() if amounts}


def _tolerations(resources: ResourceRequirements) -> list[Manifest]:
    """GPU nodes are commonly tainted by the name of what they offer; who asks for it may go there.

    The same as the API server's ExtendedResourceToleration plugin, which is off by default.
    """
    return [{"key": name, "operator": "Exists"} for name in sorted(resources.limits) if "/" in name]


def _claim_of(uri: str) -> str | None:
    """The claim of `pvc://CLAIM/PATH`, None for other schemes."""
    return uri.removeprefix(_PVC_SCHEME).partition("/")[0] if uri.startswith(_PVC_SCHEME) else None


def _model_volumes(uri: str) -> list[Manifest]:
    claim = _claim_of(uri)
    if claim is None:
        return []
    return [{"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]


def _model_mounts(uri: str) -> list[Manifest]:
    claim = _claim_of(uri)
    if claim is None:
        return []
    return [{"name": "model", "mountPath": f"{endpoints.MODEL_MOUNT_PATH}/{claim}", "readOnly": True}]
