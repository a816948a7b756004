"""The Deployment of a ChatModel, and its replica count as a separate manifest.

The Deployment's manifest never contains `replicas`: a field manager of its own owns that field, so a change of the
template cannot reset the count. The container fields that differ between runtimes come from `desired/runtimes`.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel, Device, ResourceRequirements
from chatscale.desired.environment import env_from, with_user_env
from chatscale.desired.hardening import container_security, pod_security
from chatscale.desired.manifest import Manifest, child_metadata, with_template_hash
from chatscale.desired.probes import STARTUP_TIMEOUT_S
from chatscale.desired.runtimes.registry import RUNTIMES
from chatscale.desired.runtimes.runtime import Runtime
from chatscale.desired.scheduling import scheduling_fields
from chatscale_contract.server import endpoints
from chatscale_contract.server.environment import EngineName

REVISIONS_KEPT: Final = 3
_PVC_SCHEME: Final = "pvc://"
_OBJECTIVES_VOLUME: Final = "slo"


@dataclass(frozen=True, slots=True)
class ServerImages:
    """The images that the chart sets, by engine."""

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
    """The Deployment without `replicas`, which another field manager owns."""
    return with_template_hash(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**child_metadata(chatmodel), "labels": _labels(chatmodel)},
            "spec": {
                "selector": {"matchLabels": names.deployment_selector(chatmodel.metadata.name)},
                "strategy": _strategy(chatmodel.spec.device),
                "progressDeadlineSeconds": STARTUP_TIMEOUT_S,
                "revisionHistoryLimit": REVISIONS_KEPT,
                "template": {"metadata": _pod_metadata(chatmodel), "spec": _pod_spec(chatmodel, images)},
            },
        }
    )


def build_replicas(namespace: str, deployment: str, replicas: int) -> Manifest:
    """The smallest manifest with which server-side apply owns `spec.replicas` and nothing else."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment, "namespace": namespace},
        "spec": {"replicas": replicas},
    }


def _strategy(device: Device) -> Manifest:
    # If every GPU is in use, a surge pod stays Pending forever, so the old pod must go first.
    surge, unavailable = (0, 1) if device is Device.GPU else (1, 0)
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def _labels(chatmodel: ChatModel) -> dict[str, str]:
    return {**child_metadata(chatmodel)["labels"], names.TRACK_LABEL: names.STABLE_TRACK}


def _pod_metadata(chatmodel: ChatModel) -> Manifest:
    """The user's labels and annotations, then ours: selectors never depend on what a user writes."""
    user = chatmodel.spec.pod
    return {
        "labels": {**user.labels, **_labels(chatmodel), names.ENGINE_LABEL: chatmodel.spec.server.engine.value},
        "annotations": {
            **user.annotations,
            "kubectl.kubernetes.io/default-container": names.SERVER_CONTAINER,
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(endpoints.HTTP_PORT),
            "prometheus.io/path": endpoints.METRICS_PATH,
        },
    }


def _pod_spec(chatmodel: ChatModel, images: ServerImages) -> Manifest:
    spec = chatmodel.spec
    runtime = RUNTIMES[spec.server.engine]
    scratch = [{"name": _volume_name(path), "emptyDir": dict(options)} for path, options in runtime.scratch.items()]
    pod: Manifest = {
        "containers": [_container(chatmodel, runtime, images)],
        "volumes": [*scratch, _objectives_volume(chatmodel), *_model_volumes(spec.model.uri)],
        "terminationGracePeriodSeconds": runtime.grace_period_s(chatmodel),
        "automountServiceAccountToken": False,
        # A Service named chatscale-* would add variables that look like settings.
        "enableServiceLinks": False,
        "securityContext": pod_security(),
    }
    if spec.server.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": ref.name} for ref in spec.server.image_pull_secrets]
    if spec.pod.service_account_name:
        pod["serviceAccountName"] = spec.pod.service_account_name
    return pod | scheduling_fields(chatmodel)


def _container(chatmodel: ChatModel, runtime: Runtime, images: ServerImages) -> Manifest:
    server = chatmodel.spec.server
    own = runtime.container(chatmodel)
    scratch = [{"name": _volume_name(path), "mountPath": path} for path in runtime.scratch]
    objectives = {"name": _OBJECTIVES_VOLUME, "mountPath": runtime.objectives_path, "readOnly": True}
    container: Manifest = {
        "name": names.SERVER_CONTAINER,
        "image": server.image or images.for_engine(server.engine),
        "imagePullPolicy": server.image_pull_policy.value,
        **own,
        "env": with_user_env(own["env"], server.env),
        "securityContext": container_security(),
        "terminationMessagePath": endpoints.TERMINATION_MESSAGE_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*scratch, objectives, *_model_mounts(chatmodel.spec.model.uri)],
    }
    if server.env_from:
        container["envFrom"] = env_from(server.env_from)
    if resources := resource_fields(chatmodel.spec.resources):
        container["resources"] = resources
    return container


def _volume_name(path: str) -> str:
    """E.g. /dev/shm: dev-shm."""
    return path.strip("/").replace("/", "-")


def resource_fields(resources: ResourceRequirements) -> Manifest:
    """A container's `resources`; empty if there are none."""
    parts = {"limits": resources.limits, "requests": resources.requests}
    return {part: {name: str(amount) for name, amount in amounts.items()} for part, amounts in parts.items() if amounts}


def _objectives_volume(chatmodel: ChatModel) -> Manifest:
    """Optional, so that a pod starts without the ConfigMap too, with the server's defaults."""
    name = names.slo_configmap(chatmodel.metadata.name)
    return {"name": _OBJECTIVES_VOLUME, "configMap": {"name": name, "optional": True}}


def _claim_of(uri: str) -> str | None:
    """CLAIM of `pvc://CLAIM/PATH`; None for other schemes."""
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
