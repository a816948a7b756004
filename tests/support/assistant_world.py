"""A reconciler of ShopAssistants among fakes: one cluster, one operator process."""

from dataclasses import dataclass, field
from typing import Any

from chatscale import names
from chatscale.api.v1alpha1 import ShopAssistant, ShopAssistantStatus, parse_shopassistant
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import DEPLOYMENT, SHOPASSISTANT
from chatscale.cluster.write_through import WriteThrough
from chatscale.desired.assistant.workload import AssistantPods
from chatscale.desired.network_policy import PodAccess
from chatscale.observe.assistants import StateReading, readable
from chatscale.observe.pods import Pod
from chatscale.reconcile.shopassistant.reconciler import ShopAssistantReconciler
from chatscale.reconcile.shopassistant.watches import shopassistant_key
from chatscale.reconcile.watches import WATCHES, resources_concerned
from chatscale_contract.assistant.state import AssistantState, SourceState, ToolServerState
from tests.support.builders import START, Manifest, k8s_time
from tests.support.clock import FakeClock
from tests.support.fake_cluster import FakeCluster, matches

SHOP = shopassistant_key("demo", "shop")
PODS = AssistantPods("assistant:1", "http://gateway.system.svc")
CHILD = "shop-assistant"
KEY = b"k" * 32


def assistant_manifest(*, name: str = "shop", uid: str = "uid-shop", **spec: Any) -> Manifest:
    """As the API server stores it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.SHOPASSISTANT.kind,
        "metadata": {"name": name, "namespace": "demo", "uid": uid, "generation": 1, "resourceVersion": "1"},
        "spec": {"model": {"chatModel": "tiny", "writes": "Never"}, "replicas": {"min": 1}, **spec},
    }


def an_assistant(**spec: Any) -> ShopAssistant:
    return parse_shopassistant(assistant_manifest(**spec))


def assistant_pod(name: str = "shop-assistant-1", *, digest: str, ready: bool = True) -> Manifest:
    """A running pod. digest: of the spec that it was started with."""
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": k8s_time(START)}]
    if ready:
        conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": k8s_time(START)})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "demo",
            "uid": f"uid-{name}",
            "creationTimestamp": k8s_time(START),
            "labels": {**names.SHOPASSISTANT.pod_labels("shop"), "pod-template-hash": "v1"},
            "annotations": {names.ASSISTANT_SPEC_ANNOTATION: digest},
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "startTime": k8s_time(START),
            "conditions": conditions,
        },
    }


def state(
    *,
    index: str = "i1",
    sources: dict[str, str] | None = None,
    tools: dict[str, str] | None = None,
    **fields: Any,
) -> AssistantState:
    """sources: message by name; empty if it is used. tools: digest by name."""
    return AssistantState(
        index=index,
        sources=tuple(
            SourceState(name=name, digest="" if message else f"d-{index}", chunks=0 if message else 3, message=message)
            for name, message in (sources or {}).items()
        ),
        tools=tuple(ToolServerState(name=name, digest=digest) for name, digest in (tools or {}).items()),
        **fields,
    )


class FakeStates:
    """Answers with `states` by pod name; a pod without one cannot be read."""

    def __init__(self) -> None:
        self.states: dict[str, AssistantState] = {}
        self.reads = 0

    async def read(self, assistant: str, pods: tuple[Pod, ...]) -> StateReading:
        assert assistant == "demo/shop"
        self.reads += 1
        known = [pod.name for pod in readable(pods)]
        return StateReading(
            {name: self.states[name] for name in known if name in self.states},
            {name: "no answer within 2 s" for name in known if name not in self.states},
        )


@dataclass
class AssistantWorld:
    """One cluster, one operator process; `restart_operator` makes a new process in the same cluster."""

    cluster: FakeCluster
    states: FakeStates = field(default_factory=FakeStates)
    clock: FakeClock = field(default_factory=FakeClock)
    access: PodAccess = field(default_factory=PodAccess)

    def __post_init__(self) -> None:
        self.restart_operator()

    def restart_operator(self) -> None:
        self.cache = WatchCache(owners_of=resources_concerned)
        self.operator = ShopAssistantReconciler(
            WriteThrough(self.cluster, self.cache), self.cache, self.states, PODS, self.clock, self.clock.monotonic,
            lambda: KEY, access=self.access,
        )  # fmt: skip
        self.deliver()
        for manifest in self.cluster.snapshot():
            if any(matches(manifest, watch) for watch in WATCHES):
                self.cache.store(manifest)

    def deliver(self) -> set[Any]:
        """The watches deliver all changes. Returns what they would wake."""
        woken = set()
        for kind, manifest in self.cluster.watch_events():
            is_watched = any(matches(manifest, watch) for watch in WATCHES)
            woken |= self.cache.store(manifest) if kind != "DELETED" and is_watched else self.cache.remove(manifest)
        return woken

    async def tick(self, times: int = 1, seconds: float = 5) -> float | None:
        """Time passes, the watches deliver, and a pass follows, so many times."""
        delay: float | None = None
        for _ in range(times):
            self.clock.advance(seconds)
            self.deliver()
            delay = await self.operator.reconcile(SHOP)
        return delay

    def start_pod(self, name: str = "shop-assistant-1", *, ready: bool = True, **fields: Any) -> None:
        """The Deployment controller starts a pod of the present template, and it reports this state."""
        template = self.cluster.the(DEPLOYMENT, CHILD)["spec"]["template"]
        digest = template["metadata"]["annotations"][names.ASSISTANT_SPEC_ANNOTATION]
        self.cluster.put(assistant_pod(name, digest=digest, ready=ready))
        self.states.states[name] = state(**fields)

    def set_spec(self, **fields: Any) -> None:
        """A user changes these fields of the spec."""
        manifest = self.cluster.the(SHOPASSISTANT, "shop")
        manifest["spec"] |= fields
        manifest["metadata"]["generation"] += 1
        self.cluster.put(manifest)

    @property
    def status(self) -> ShopAssistantStatus:
        return ShopAssistantStatus.model_validate(self.cluster.the(SHOPASSISTANT, "shop")["status"])

    def condition(self, kind: str) -> tuple[str, str]:
        found = next(c for c in self.status.conditions if c.type == kind)
        return found.status.value, found.reason

    def message(self, kind: str) -> str:
        return next(c.message for c in self.status.conditions if c.type == kind)


async def a_running_assistant(*others: Manifest, fields: dict[str, Any] | None = None, **spec: Any) -> AssistantWorld:
    """One Ready pod, and empty lists of writes, requests and Events. fields: of the pod's state."""
    world = AssistantWorld(FakeCluster(assistant_manifest(**spec), *others))
    await world.tick()
    world.start_pod(**(fields or {}))
    await world.tick(2)
    world.cluster.written()
    world.cluster.requests()
    world.cluster.event_reasons()
    return world
