"""All that the dispatcher knows of one model: its pods, its queue, the health of replicas, and the counters."""

from collections.abc import Iterable, Mapping
from typing import Final

from chatscale.api.v1alpha1.routing import RoutingStrategy
from chatscale_contract.gateway.demand import GatewayDemand, ModelDemand
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.dispatch.accounts import Accounts
from chatscale_gateway.dispatch.interface import ModelPhase, ModelStatus
from chatscale_gateway.dispatch.pods import Pod
from chatscale_gateway.dispatch.request import Request
from chatscale_gateway.holding.drain_rate import DrainRate, retry_after_start_s
from chatscale_gateway.holding.queue import HoldBudget, HoldQueue
from chatscale_gateway.routing.candidates import Rng
from chatscale_gateway.routing.catalog import Model, ModelKey, Replica
from chatscale_gateway.routing.ejection import Ejections
from chatscale_gateway.routing.least_load import choose_least_loaded
from chatscale_gateway.routing.prefix_hash import HashRing, PrefixChoice, choose_bounded, prefix_key, session_order
from chatscale_gateway.routing.shares import background_cap, background_limit, place_cap, place_limit


class ModelState:
    """One model in this gateway. Call `refresh` after a change of pods or ejections."""

    __slots__ = ("_ring", "_ring_uids", "accepting", "accounts", "candidates", "deleted", "drain_rate", "ejections",
                 "in_flight", "key", "model", "no_wake_held", "no_wake_in_flight", "pods", "prefill_rate", "queue",
                 "start_requested", "starting_since_s")  # fmt: skip

    def __init__(self, model: Model, budget: HoldBudget) -> None:
        self.key: Final[ModelKey] = model.key
        self.model = model
        self.deleted = False
        self.pods: dict[str, Pod] = {}
        """By UID: the catalog's pods, and those that it dropped while requests are in flight."""
        self.queue: HoldQueue[Request] = HoldQueue(budget)
        self.ejections = Ejections()
        self.drain_rate = DrainRate()
        self.accounts = Accounts()
        self.accepting: tuple[str, ...] = ()
        """UIDs of pods that may get new requests, ejected ones included."""
        self.candidates: dict[str, Pod] = {}
        """Those of them that are not ejected."""
        self.in_flight = 0
        self.no_wake_held = 0
        self.no_wake_in_flight = 0
        """Of the requests in flight, those whose key has `wake: false`."""
        self.prefill_rate = 0.0
        """Of the replica that reported it last; for requests that have no replica."""
        self.start_requested = False
        """`wake_seq` has grown since the model last had an accepting replica."""
        self.starting_since_s: float | None = None
        """When the first replica was requested; None while a replica accepts requests."""
        self._ring = HashRing(())
        self._ring_uids: frozenset[str] = frozenset()

    def set_model(self, model: Model) -> None:
        """Apply the catalog. A model that went back to 0 replicas needs a new start."""
        if model.replicas == 0 and self.model.replicas > 0:
            self.start_requested = False
            self.starting_since_s = None
        self.model = model

    @property
    def asleep(self) -> bool:
        """Whether it is at 0 replicas and nothing starts it yet."""
        return self.model.replicas == 0 and not self.accepting

    @property
    def phase(self) -> ModelPhase:
        """Whether the model can answer now."""
        if self.accepting:
            return ModelPhase.READY
        if self.model.stopped:
            return ModelPhase.STOPPED
        return ModelPhase.ASLEEP if self.asleep and not self.start_requested else ModelPhase.STARTING

    def status(self, peers: Iterable[GatewayDemand]) -> ModelStatus:
        """The state, with the requests of this and the other gateways. peers: their reports."""
        reports = [report.models[str(self.key)] for report in peers if str(self.key) in report.models]
        return ModelStatus(
            model=self.model,
            state=self.phase,
            ready=len(self.accepting),
            slots=sum(self.pods[uid].slots for uid in self.accepting),
            in_flight=self.in_flight + sum(report.in_flight for report in reports),
            held=len(self.queue) + sum(report.held for report in reports),
        )

    def set_replicas(self, replicas: tuple[Replica, ...]) -> None:
        """Apply the catalog. A pod that is missing there gets nothing new, even if its deletion was not seen."""
        found = {replica.uid: replica for replica in replicas}
        for uid, pod in list(self.pods.items()):
            if uid not in found:
                pod.exists = False
                self.forget_if_unused(pod)
        for uid, replica in found.items():
            pod = self.pods.setdefault(uid, Pod(replica))
            pod.replica = replica
            pod.exists = True
        self.ejections.forget_all_but(found)
        self.refresh()

    def forget_if_unused(self, pod: Pod) -> None:
        """Drop a pod that the catalog has dropped, after its last request."""
        if not pod.exists and pod.in_flight == 0:
            self.pods.pop(pod.uid, None)

    def refresh(self) -> None:
        """Compute the candidates again."""
        self.accepting = tuple(uid for uid, pod in self.pods.items() if pod.accepting)
        self.candidates = {uid: self.pods[uid] for uid in self.ejections.routable(self.accepting)}
        if self._ring_uids != (uids := frozenset(self.accepting)):
            # Ejected replicas stay on the ring, so that gateways with different ejections still agree about the rest.
            self._ring_uids = uids
            self._ring = HashRing(uids)
        if self.accepting:
            self.start_requested = False
            self.starting_since_s = None

    def retry_after_s(self, now_s: float) -> int:
        """Seconds until a repeated request may find a place, 1 to 60."""
        if self.accepting:
            return self.drain_rate.retry_after_s(len(self.queue), now_s)
        since_s = now_s if self.starting_since_s is None else self.starting_since_s
        return retry_after_start_s(self.model.start_s, now_s - since_s)

    def set_limits(self, gateway: str, peers: Mapping[str, GatewayDemand]) -> None:
        """Compute this gateway's share of each pod. peers: the other gateways' reports by name."""
        if not peers:
            for pod in self.pods.values():
                pod.set_limit(place_cap(pod.slots), background_cap(pod.slots))
            return
        name = str(self.key)
        nothing = ModelDemand()
        reports = {peer: report.models.get(name, nothing) for peer, report in peers.items()}
        demands = {peer: report.held + report.in_flight for peer, report in reports.items()}
        demands[gateway] = len(self.queue) + self.in_flight
        for pod in self.pods.values():
            on_pod = {peer: report.in_flight_by_pod.get(pod.uid, 0) for peer, report in reports.items()}
            pod.set_limit(
                place_limit(gateway, pod.uid, pod.slots, demands, on_pod),
                background_limit(gateway, pod.uid, pod.slots, demands),
            )

    def read(self, pod: Pod, load: ReplicaLoad | None) -> None:
        """Apply a load reading to one pod."""
        pod.read(load)
        if pod.prefill_rate > 0:
            self.prefill_rate = pod.prefill_rate

    def choose(self, request: Request, rng: Rng) -> tuple[Pod, PrefixChoice | None] | None:
        """A replica with a free place, by the model's strategy; None if there is none for this request."""
        candidates = self.candidates
        if request.avoid:
            candidates = {uid: pod for uid, pod in candidates.items() if uid not in request.avoid} or candidates
        if request.priority < 0:
            candidates = {uid: pod for uid, pod in candidates.items() if pod.takes_background}
        arrival = request.arrival
        if arrival.session:
            chosen = choose_bounded(session_order(arrival.session, candidates), candidates, rng)
        elif arrival.prefix and self.model.routing.strategy is RoutingStrategy.PREFIX_HASH:
            order = self._ring.order(prefix_key(self.key, arrival.prefix))
            chosen = choose_bounded(order, candidates, rng)
        else:
            pod = choose_least_loaded(candidates.values(), rng)
            return None if pod is None else (pod, None)
        return None if chosen is None else (chosen.candidate, chosen.choice)

    def report(self, now_s: float) -> ModelDemand:
        """The demand for this model."""
        oldest = self.queue.oldest()
        return self.accounts.report(
            held=len(self.queue),
            held_prompt_tokens=self.queue.prompt_tokens,
            in_flight=self.in_flight,
            no_wake_held=self.no_wake_held,
            no_wake_in_flight=self.no_wake_in_flight,
            oldest_s=0.0 if oldest is None else max(0.0, now_s - oldest.arrival.arrived_s),
            in_flight_by_pod={uid: pod.in_flight for uid, pod in self.pods.items() if pod.in_flight},
            recent_ttft=self.accounts.recent_ttft.counts(now_s),
        )
