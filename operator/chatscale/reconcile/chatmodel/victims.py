"""Which replicas a scale-down removes, and the marks on their pods. Pure; docs/design/0017.

A ReplicaSet deletes pods that are not Ready first, then those with the lowest deletion cost. A mark sets that cost, and
the drain annotation, so that gateways send the pod no new request. The pod's drain on SIGTERM waits for the requests in
flight. If the ReplicaSet deletes another pod, or the count rises again, the mark is removed, and a deletion cost that a
user had set is restored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chatscale import names
from chatscale.observe.pods import Pod
from chatscale.scaling.signals import Observation, ReplicaPhase
from chatscale_contract.gateway.endpoints import DRAIN_ANNOTATION

MARK_LASTS: Final = timedelta(seconds=30)
"""A ReplicaSet deletes its surplus pods within seconds. A pod that still lives after this time is not its choice, for
example because a rollout removes pods of another template. Without this limit such a pod would get no requests."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A change of one pod's annotations."""

    pod: str
    annotations: Mapping[str, str | None]
    """None removes the annotation."""

    @property
    def is_set(self) -> bool:
        """Whether it marks the pod; False: it removes the mark."""
        return self.annotations[DRAIN_ANNOTATION] is not None


def plan_marks(pods: Sequence[Pod], seen: Observation, current: int, replicas: int, now: datetime) -> tuple[Mark, ...]:
    """The marks to set and to remove, in the order of `pods`; none if all are as they should be.

    current: the Deployment's count as it is. replicas: the count that is written next.
    """
    alive = [pod for pod in pods if pod.phase is not ReplicaPhase.TERMINATING]
    marked = {pod.name for pod in alive if pod.marked_at is not None and now - pod.marked_at <= MARK_LASTS}
    # An earlier scale-down that the ReplicaSet has not finished, minus what a higher count takes back.
    unfinished = min(len(marked), max(0, len(alive) - max(current, replicas)))
    count = max(0, current - replicas) + unfinished
    victims = {pod.name for pod in choose_victims(alive, marked, _requests_of(seen), count)}
    return tuple(
        Mark(pod.name, _set_on(pod, now) if pod.name in victims else _removed_from(pod))
        for pod in alive
        if (pod.name in victims - marked) or (pod.marked_at is not None and pod.name not in victims)
    )


def choose_victims(
    alive: Sequence[Pod], marked: set[str], requests_of: Callable[[Pod], float], count: int
) -> list[Pod]:
    """At most `count` pods: marked ones first, so that the choice is stable.

    Then pods that are not Ready, then those with the lowest deletion cost that a user set, then those with the fewest
    requests in flight, then the youngest.
    """

    def rank(pod: Pod) -> tuple[bool, bool, int, float, float, str]:
        is_ready = pod.phase is ReplicaPhase.READY
        requests = requests_of(pod) if is_ready else 0
        return pod.name not in marked, is_ready, pod.deletion_cost, requests, -pod.created.timestamp(), pod.name

    return sorted(alive, key=rank)[:count]


def _set_on(pod: Pod, now: datetime) -> dict[str, str | None]:
    mark: dict[str, str | None] = {
        names.DELETION_COST_ANNOTATION: names.VICTIM_COST, DRAIN_ANNOTATION: now.isoformat()
    }  # fmt: skip
    return mark if pod.users_cost is None else {**mark, names.USERS_COST_ANNOTATION: pod.users_cost}


def _removed_from(pod: Pod) -> dict[str, str | None]:
    mark: dict[str, str | None] = {names.DELETION_COST_ANNOTATION: pod.users_cost, DRAIN_ANNOTATION: None}
    return mark if pod.users_cost is None else {**mark, names.USERS_COST_ANNOTATION: None}


def _requests_of(seen: Observation) -> Callable[[Pod], float]:
    """Requests in flight by pod: running and waiting in its newest sample, or as the gateways count if that is more.

    Infinite for a pod of which neither is known: unknown load is not zero load.
    """
    sampled = {
        replica.name: replica.sample.running + replica.sample.queue_depth for replica in seen.replicas if replica.sample
    }
    sent = seen.clients.in_flight_by_pod if seen.clients is not None else {}

    def requests(pod: Pod) -> float:
        known = [count for count in (sampled.get(pod.name), sent.get(pod.uid)) if count is not None]
        return max(known, default=float("inf"))

    return requests
