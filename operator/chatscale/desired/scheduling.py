"""The scheduling fields of a pod, from `spec.scheduling` and from the resources that the pod requests."""

from pydantic import BaseModel

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel, ResourceRequirements
from chatscale.desired.manifest import Manifest


def scheduling_fields(chatmodel: ChatModel) -> Manifest:
    """The fields that have a value: a ChatModel without `spec.scheduling` keeps its pod template, and its pods."""
    scheduling = chatmodel.spec.scheduling
    selector = {"labelSelector": {"matchLabels": names.pod_selector(chatmodel.metadata.name)}}
    spread = [{**_passed(constraint), **selector} for constraint in scheduling.topology_spread_constraints]
    fields: Manifest = {
        "tolerations": _tolerations(chatmodel.spec.resources, [_passed(entry) for entry in scheduling.tolerations]),
        "nodeSelector": dict(scheduling.node_selector),
        "affinity": _passed(scheduling.affinity) if scheduling.affinity else None,
        "topologySpreadConstraints": spread,
        "priorityClassName": scheduling.priority_class_name,
        "runtimeClassName": scheduling.runtime_class_name,
        "schedulerName": scheduling.scheduler_name,
    }
    return {name: value for name, value in fields.items() if value}


def _passed(part: BaseModel) -> Manifest:
    """As the user wrote it, without fields that are not set."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _tolerations(resources: ResourceRequirements, user: list[Manifest]) -> list[Manifest]:
    """Tolerate a taint named like a resource that the pod requests, as GPU nodes commonly have, and the user's.

    The admission plugin ExtendedResourceToleration does the same, but is off by default.
    """
    ours = [{"key": name, "operator": "Exists"} for name in sorted(resources.limits) if "/" in name]
    return [*ours, *(toleration for toleration in user if toleration not in ours)]
