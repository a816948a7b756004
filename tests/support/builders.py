"""Builders of what tests are about: each shows only what matters to the case, defaults fill in the rest.

`a_chatmodel().in_mode("Operator", max_replicas=4).with_replicas(2)` is immutable: every step gives a new builder.
"""

import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale_contract.gateway.endpoints import DRAIN_ANNOTATION
from chatscale_contract.server.metrics import Metric, RejectReason

Manifest = dict[str, Any]

START = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
"""The first second of a Black Friday; every test's clock begins here."""


def at(seconds: float) -> datetime:
    """A time `seconds` after `START`."""
    return START + timedelta(seconds=seconds)


def k8s_time(time: datetime) -> str:
    """As the API server writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class ChatModelBuilder:
    """A ChatModel demo/tiny on the Simulated engine, mode Fixed, one replica."""

    name: str = "tiny"
    namespace: str = "demo"
    uid: str = "uid-tiny"
    generation: int = 1
    spec: Manifest = field(default_factory=dict)
    status: Manifest = field(default_factory=dict)

    def named(self, name: str, namespace: str = "demo") -> "ChatModelBuilder":
        return replace(self, name=name, namespace=namespace, uid=f"uid-{name}")

    def with_spec(self, **fields: Any) -> "ChatModelBuilder":
        """Replace top-level fields of the spec, in camelCase."""
        return replace(self, spec={**self.spec, **fields})

    def with_replicas(self, replicas: int) -> "ChatModelBuilder":
        return self.with_spec(replicas=replicas)

    def in_mode(self, mode: str, min_replicas: int = 1, max_replicas: int = 4, **fields: Any) -> "ChatModelBuilder":
        autoscaling = {"mode": mode, "minReplicas": min_replicas, "maxReplicas": max_replicas, **fields}
        return self.with_spec(autoscaling=autoscaling)

    def with_status(self, **fields: Any) -> "ChatModelBuilder":
        return replace(self, status={**self.status, **fields})

    def desiring(self, replicas: int) -> "ChatModelBuilder":
        """As left by an operator that last decided for `replicas`."""
        return self.with_status(desiredReplicas=replicas)

    def manifest(self) -> Manifest:
        spec: Manifest = {
            "model": {"uri": "hf://example/tiny"},
            "device": "CPU",
            "server": {"engine": "Simulated"},
            "replicas": 1,
            **self.spec,
        }
        return copy.deepcopy(
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "metadata": {
                    "name": self.name,
                    "namespace": self.namespace,
                    "uid": self.uid,
                    "generation": self.generation,
                    "resourceVersion": "1",
                },
                "spec": spec,
                "status": self.status,
            }
        )

    def build(self) -> ChatModel:
        return ChatModel.model_validate(self.manifest())


def a_chatmodel() -> ChatModelBuilder:
    return ChatModelBuilder()


@dataclass(frozen=True)
class PodBuilder:
    """A pod of demo/tiny that was just scheduled."""

    name: str = "tiny-1"
    chatmodel: str = "tiny"
    template: str = "v1"
    created: datetime = START
    address: str = "10.0.0.1"
    conditions: tuple[Manifest, ...] = ()
    container: Manifest = field(default_factory=dict)
    deleted: datetime | None = None
    pod_phase: str = "Running"
    node: str = ""
    spec: Manifest = field(default_factory=dict)
    started: datetime | None = None
    """When the kubelet accepted it."""
    annotations: dict[str, str] = field(default_factory=dict)

    def of_template(self, template: str) -> "PodBuilder":
        return replace(self, template=template)

    def created_at(self, time: datetime) -> "PodBuilder":
        return replace(self, created=time)

    def at_address(self, address: str) -> "PodBuilder":
        return replace(self, address=address)

    def ready(self, since: datetime = START) -> "PodBuilder":
        return self._with_condition("Ready", "True", since)

    def unschedulable(self, message: str, since: datetime = START) -> "PodBuilder":
        pod = replace(self, address="", pod_phase="Pending")
        return pod._with_condition("PodScheduled", "False", since, reason="Unschedulable", message=message)

    def gated(self, *gates: str) -> "PodBuilder":
        """As the API server creates a pod with scheduling gates: the condition has no time."""
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastTransitionTime": None,
        }
        spec = {**self.spec, "schedulingGates": [{"name": gate} for gate in gates]}
        return replace(self, address="", pod_phase="Pending", spec=spec, conditions=(*self.conditions, condition))

    def ignored_by(self, scheduler: str) -> "PodBuilder":
        """No scheduler of this name runs, so nobody writes a condition."""
        return replace(self, address="", pod_phase="Pending", spec={**self.spec, "schedulerName": scheduler})

    def scheduled(self, node: str, since: datetime = START) -> "PodBuilder":
        """Bound to a node whose kubelet has not accepted it yet."""
        pod = replace(self, address="", pod_phase="Pending", node=node)
        return pod._with_condition("PodScheduled", "True", since)

    def accepted(self, node: str, since: datetime = START) -> "PodBuilder":
        """Accepted by the kubelet; its containers do not run yet."""
        return replace(self.scheduled(node, since), started=since)

    def running(self, node: str, since: datetime = START) -> "PodBuilder":
        """Accepted by the kubelet at that time; its containers run."""
        return replace(self.accepted(node, since), address=self.address, pod_phase="Running")

    def without_sandbox(self, since: datetime = START) -> "PodBuilder":
        """Volumes or network are not ready."""
        return self._with_condition("PodReadyToStartContainers", "False", since)

    def on_lost_node(self, node: str, since: datetime = START) -> "PodBuilder":
        """Was Ready until the node controller gave up on its node."""
        pod = replace(self, node=node, started=START)
        pod = pod._with_condition("PodScheduled", "True", START)._with_condition("ContainersReady", "True", START)
        return pod._with_condition("Ready", "False", since)

    def unready(self, since: datetime) -> "PodBuilder":
        """Not Ready by the kubelet's word."""
        return self._with_condition("ContainersReady", "False", since)._with_condition("Ready", "False", since)

    def waiting(self, reason: str, message: str = "") -> "PodBuilder":
        return replace(self, container={"state": {"waiting": {"reason": reason, "message": message}}})

    def ended(self, exit_code: int, message: str = "", reason: str = "Error") -> "PodBuilder":
        """Ended and waits for its next try."""
        terminated = {"exitCode": exit_code, "message": message, "reason": reason}
        state = {"waiting": {"reason": "CrashLoopBackOff"}}
        return replace(self, container={"state": state, "lastState": {"terminated": terminated}})

    def terminating(self, since: datetime = START) -> "PodBuilder":
        return replace(self, deleted=since)

    def marked(self, since: datetime = START, cost: str = names.VICTIM_COST) -> "PodBuilder":
        """By the operator, as the next to be removed."""
        annotations = {names.DELETION_COST_ANNOTATION: cost, DRAIN_ANNOTATION: k8s_time(since)}
        return replace(self, annotations=annotations)

    def finished(self, phase: str) -> "PodBuilder":
        return replace(self, pod_phase=phase)

    def _with_condition(self, kind: str, status: str, since: datetime, **more: str) -> "PodBuilder":
        condition = {"type": kind, "status": status, "lastTransitionTime": k8s_time(since), **more}
        return replace(self, conditions=(*self.conditions, condition))

    def manifest(self) -> Manifest:
        meta: Manifest = {
            "name": self.name,
            "namespace": "demo",
            "uid": f"uid-{self.name}",
            "creationTimestamp": k8s_time(self.created),
            "labels": {**names.pod_selector(self.chatmodel), "pod-template-hash": self.template},
        }
        if self.annotations:
            meta["annotations"] = self.annotations
        if self.deleted is not None:
            meta["deletionTimestamp"] = k8s_time(self.deleted)
        status: Manifest = {"phase": self.pod_phase, "conditions": list(self.conditions), "podIP": self.address}
        if self.started is not None:
            status["startTime"] = k8s_time(self.started)
        if self.container:
            status["containerStatuses"] = [{"name": names.SERVER_CONTAINER, "image": "server:1", **self.container}]
        spec = {**self.spec, **({"nodeName": self.node} if self.node else {})}
        return copy.deepcopy({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status})


def a_pod(name: str = "tiny-1") -> PodBuilder:
    return PodBuilder(name=name)


def a_foreign_hpa(
    name: str = "theirs", kind: str = names.KIND, target: str = "tiny", namespace: str = "demo"
) -> Manifest:
    """A HorizontalPodAutoscaler that someone else created."""
    api_version = names.API_VERSION if kind == names.KIND else "apps/v1"
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": api_version, "kind": kind, "name": target},
            "maxReplicas": 9,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                }
            ],
        },
    }


def an_exposition(queue: float = 0, running: float = 0, slots: float = 8, kv: float = 0.0, rejected: float = 0) -> str:
    """A replica's /metrics, with the names that the server uses and some that are not ours."""
    labels = '{chatmodel="tiny",model_name="tiny"}'
    refused = f'{{chatmodel="tiny",model_name="tiny",reason="{RejectReason.QUEUE_FULL.value}"}}'
    return "\n".join(
        (
            "# TYPE python_gc_objects_collected_total counter",
            'python_gc_objects_collected_total{generation="0"} 353',
            f"{Metric.QUEUE_DEPTH.value}{labels} {queue}",
            f"{Metric.REQUESTS_RUNNING.value}{labels} {running}",
            f"{Metric.SLOTS.value}{labels} {slots}",
            f"{Metric.KV_CACHE_USAGE_RATIO.value}{labels} {kv}",
            f"{Metric.REQUESTS_REJECTED_TOTAL.value}{refused} {rejected}",
            "",
        )
    )
