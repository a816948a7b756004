"""Scale to zero and back: 1 -> 0 for a model without requests, 0 -> 1 when a gateway holds a request. Pure.

Two facts must be certain before the last replica goes: that no request has come for `idleSeconds`, and that a gateway
is there to hold the next one. Seconds in which a gateway or a replica cannot be read count for nothing. A model at
zero that no gateway can start gets its replicas back.
"""

import math
from datetime import timedelta
from typing import Final

from chatscale.scaling.decision import Basis, DecisionInput, Reason, Recommendation
from chatscale.scaling.idleness import Idleness
from chatscale.scaling.reserve import Reserve
from chatscale.scaling.work import Work

WITHOUT_GATEWAY: Final = timedelta(seconds=60)
"""A model stays at zero for this long without a readable gateway: gateways restart, and so does the operator."""


def decide_at_zero(inputs: DecisionInput, idleness: Idleness, work: Work, reserve: Reserve) -> Recommendation | None:
    """The count of a model that is at zero or should be; None if the usual rules apply.

    The count after a wake is enough for what is held, at least minReplicas and at most maxReplicas.
    """
    if inputs.spec.scale_to_zero is None:
        return None
    if inputs.current == 0:
        return _decide_wake(inputs, idleness, work, reserve)
    idle_s, needed_s = idleness.idle_s, inputs.spec.scale_to_zero.idle_seconds
    if idle_s < needed_s or inputs.current > inputs.lower or inputs.floor.event is not None:
        return None
    message = f"no request for {idle_s:.0f} s, idleSeconds is {needed_s}"
    return Recommendation(0, Reason.IDLE, message, Basis.ZERO)


def _decide_wake(inputs: DecisionInput, idleness: Idleness, work: Work, reserve: Reserve) -> Recommendation:
    clients = inputs.seen.clients
    if inputs.floor.event is not None:
        message = f"{inputs.floor.because}, current 0"
        return Recommendation(inputs.lower, Reason.ANNOUNCED_EVENT, message, Basis.ZERO)
    if clients is not None and (clients.waking_held or idleness.was_refused):
        replicas = min(max(replicas_for_held(inputs, work, reserve), inputs.lower), inputs.upper)
        message = f"{describe_held(inputs)} at 0 replicas: recommended {replicas}"
        return Recommendation(replicas, Reason.REQUESTS_HELD, message, Basis.ZERO)
    since = idleness.unread_since
    if clients is None or (since is not None and inputs.now - since >= WITHOUT_GATEWAY):
        message = "no gateway can be read that would hold a request; scaled to zero, nobody could start the model"
        return Recommendation(inputs.lower, Reason.NO_GATEWAY, message, Basis.ZERO)
    message = "no gateway holds a request; the first one starts a replica"
    return Recommendation(0, Reason.SCALED_TO_ZERO, message, Basis.ZERO)


def describe_held(inputs: DecisionInput) -> str:
    """The evidence, such as `gateways hold 3 requests (oldest 0.4 s)`."""
    clients = inputs.seen.clients
    if clients is None or not clients.held:
        return "gateways refused requests"
    return f"gateways hold {clients.held} requests (oldest {clients.oldest_held_s:.1f} s)"


def replicas_for_held(inputs: DecisionInput, work: Work, reserve: Reserve) -> int:
    """Replicas that serve the held requests within a cold start, at most one slot for each request; at least 1.

    Until the length of a mean answer is known: one slot for each request.
    """
    clients = inputs.seen.clients
    held = clients.held if clients is not None else 0
    in_slots = max(math.ceil(held / inputs.slots), 1)
    if clients is None or not held or not work.has_sizes or work.speed.tokens_per_s <= 0:
        return in_slots
    request_s = work.speed.request_s(clients.held_prompt_tokens / held, work.generated_tokens)
    backlog_s = held * request_s * work.bottleneck_factor
    return min(max(math.ceil(backlog_s / reserve.drain_s - 1e-9), 1), in_slots)
