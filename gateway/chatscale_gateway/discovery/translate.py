"""What the gateway keeps of the manifests that it watches. Pure.

Almost every field of a pod's manifest may be missing: the pod may be a second old.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel, parse_chatmodel, parse_shopassistant
from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale_contract.assistant.endpoints import TASKS_PATH
from chatscale_contract.gateway.endpoints import DRAIN_ANNOTATION
from chatscale_contract.server.endpoints import HTTP_PORT
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_gateway.discovery.live_facts import read_assistant_facts, read_live_facts
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey, Replica

TEMPLATE_HASH_LABEL: Final = "pod-template-hash"
"""Set by the Deployment controller. A ReplicaSet's name is the Deployment's name, a dash and this value."""
_FINISHED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class FoundModel:
    """One valid ChatModel or ShopAssistant."""

    model: Model
    kind: names.CustomKind
    slots: int
    """Batch slots of a replica that reports no load; 0 if the ChatModel does not say."""


@dataclass(frozen=True, slots=True)
class FoundReplica:
    """One pod of a ChatModel or ShopAssistant."""

    model: ModelKey
    kind: names.CustomKind
    replica: Replica


@dataclass(frozen=True, slots=True)
class GatewayPod:
    """One pod of the gateway that is not ended."""

    uid: str
    name: str
    address: str
    """IP address; empty until it has one."""


def read_model(manifest: Mapping[str, Any]) -> FoundModel:
    """Raises InvalidSpecError, with the object and its faults, for a ChatModel that cannot be parsed."""
    chatmodel = parse_chatmodel(manifest)
    meta, spec = chatmodel.metadata, chatmodel.spec
    slo = spec.autoscaling.slo
    model = Model(
        key=ModelKey(meta.namespace, meta.name),
        uid=meta.uid,
        served_name=chatmodel.served_name,
        created=datetime.fromisoformat(manifest["metadata"]["creationTimestamp"]),
        routing=spec.routing,
        slo=LatencyObjectives(slo.ttft_milliseconds / 1000, slo.tpot_milliseconds / 1000),
        replicas=spec.replicas,
        max_model_len=spec.server.max_model_len,
        weights=spec.model.weights,
        scale_to_zero=_scales_to_zero(manifest),
        start_s=_measured_start_s(manifest),
        live=read_live_facts(chatmodel),
    )
    return FoundModel(model, names.CHATMODEL, _slots(chatmodel))


def read_assistant(manifest: Mapping[str, Any]) -> FoundModel:
    """Raises InvalidSpecError, with the object and its faults, for a ShopAssistant that cannot be parsed.

    It has the default routing, and the tasks as further paths.
    """
    assistant = parse_shopassistant(manifest)
    meta = assistant.metadata
    model = Model(
        key=ModelKey(meta.namespace, meta.name),
        uid=meta.uid,
        served_name=meta.name,
        created=datetime.fromisoformat(manifest["metadata"]["creationTimestamp"]),
        routing=RoutingSpec(),
        slo=LatencyObjectives(),
        replicas=assistant.status.desired_replicas or assistant.spec.replicas.min,
        live=read_assistant_facts(assistant),
        is_assistant=True,
        path_prefixes=(TASKS_PATH,),
    )
    return FoundModel(model, names.SHOPASSISTANT, 0)


def read_replica(manifest: Mapping[str, Any]) -> FoundReplica | None:
    """None for a pod that is ended, or that no Deployment of the resource in its label controls.

    Anyone who may create pods can copy our labels. The name of the controlling ReplicaSet names the Deployment.
    """
    meta = manifest["metadata"]
    labels = meta.get("labels") or {}
    kind = names.SHOPASSISTANT if labels.get(names.NAME_LABEL) == names.ASSISTANT_NAME else names.CHATMODEL
    name = labels.get(kind.label, "")
    if not name or _is_finished(manifest) or not _is_controlled_by(manifest, _deployments(kind, name)):
        return None
    address = _address(manifest)
    replica = Replica(
        uid=meta["uid"],
        name=meta["name"],
        address=address,
        port=HTTP_PORT,
        ready=bool(address) and _is_ready(manifest),
        leaving=bool(meta.get("deletionTimestamp")) or DRAIN_ANNOTATION in (meta.get("annotations") or {}),
    )
    return FoundReplica(ModelKey(meta["namespace"], name), kind, replica)


def read_gateway_pod(manifest: Mapping[str, Any]) -> GatewayPod | None:
    """None for a pod that is ended. A pod that is being deleted still has requests in flight, so it counts."""
    if _is_finished(manifest):
        return None
    meta = manifest["metadata"]
    return GatewayPod(meta["uid"], meta["name"], _address(manifest))


def build_catalog(models: Iterable[FoundModel], replicas: Iterable[FoundReplica]) -> Catalog:
    """All models and their replicas, replicas ordered by name. A replica without its resource is left out.

    Of a ChatModel and a ShopAssistant of the same name only the ChatModel is a model.
    """
    known: dict[ModelKey, FoundModel] = {}
    for found in models:
        if found.kind is names.CHATMODEL or found.model.key not in known:
            known[found.model.key] = found
    by_model: dict[ModelKey, list[Replica]] = defaultdict(list)
    for pod in replicas:
        if pod.model in known and known[pod.model].kind is pod.kind:
            by_model[pod.model].append(pod.replica)
    ordered = {key: tuple(sorted(by_model.get(key, ()), key=lambda each: (each.name, each.uid))) for key in known}
    return Catalog({key: found.model for key, found in known.items()}, ordered)


def _slots(chatmodel: ChatModel) -> int:
    return chatmodel.spec.server.max_concurrency or 0


def _scales_to_zero(manifest: Mapping[str, Any]) -> bool:
    autoscaling = (manifest.get("spec") or {}).get("autoscaling") or {}
    return autoscaling.get("scaleToZero") is not None


def _measured_start_s(manifest: Mapping[str, Any]) -> float | None:
    """`coldStartSeconds` plus `schedulingSeconds` of the status. A bad value counts as none."""
    autoscaling = _status(manifest).get("autoscaling") or {}
    found = [autoscaling.get("coldStartSeconds"), autoscaling.get("schedulingSeconds", 0)]
    return float(sum(found)) if all(isinstance(each, int) and each >= 0 for each in found) else None


def _deployments(kind: names.CustomKind, name: str) -> tuple[str, ...]:
    """Names of the Deployments of a resource."""
    if kind is names.SHOPASSISTANT:
        return (names.assistant_child(name),)
    return (name, f"{name}{names.CANARY_SUFFIX}")


def _is_controlled_by(manifest: Mapping[str, Any], deployments: tuple[str, ...]) -> bool:
    meta = manifest["metadata"]
    template = (meta.get("labels") or {}).get(TEMPLATE_HASH_LABEL, "")
    replica_sets = {f"{deployment}-{template}" for deployment in deployments}
    return bool(template) and any(
        owner.get("controller")
        and owner.get("kind") == "ReplicaSet"
        and str(owner.get("apiVersion", "")).startswith("apps/")
        and owner.get("name") in replica_sets
        for owner in meta.get("ownerReferences") or ()
    )


def _is_ready(manifest: Mapping[str, Any]) -> bool:
    conditions = _status(manifest).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _is_finished(manifest: Mapping[str, Any]) -> bool:
    return _status(manifest).get("phase") in _FINISHED


def _address(manifest: Mapping[str, Any]) -> str:
    return _status(manifest).get("podIP") or ""


def _status(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    return manifest.get("status") or {}
