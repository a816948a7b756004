"""Reads what the live page shows of a ChatModel or ShopAssistant. Pure.

The decisions and their reasons are in `status.autoscaling.history`, so the gateway needs no right to read Events.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from chatscale.api.v1alpha1 import AutoscalingMode, ChatModel, Condition, ConditionStatus, Device, ShopAssistant
from chatscale_contract.gateway.live import LiveDecision, LiveEvent, LiveWarning
from chatscale_contract.money import Price
from chatscale_gateway.routing.live_facts import LiveFacts

MESSAGE_CHARS: Final = 500
"""A condition can quote the answer of a whole API server."""
_NORMAL_REASONS: Final = frozenset({
    "ScaledToZero",  # also Ready=False: the user stopped the model
    "Starting",
    "NoReadyReplicas",  # Ready=False says why
    "ScalingDisabled",  # mode Fixed
    "DryRun",
    "Indexing",  # of a ShopAssistant that starts
    "ModelMayNotWrite",  # without a passed evaluation, the default of a ShopAssistant
})  # fmt: skip
"""Conditions with these reasons are False although nothing is wrong."""


def read_live_facts(chatmodel: ChatModel) -> LiveFacts:
    """What the page shows of one ChatModel."""
    spec, status = chatmodel.spec, chatmodel.status
    active = status.autoscaling.active_event
    return LiveFacts(
        phase=status.phase or "",
        mode=spec.autoscaling.mode.value,
        price=spec.price.as_price() if spec.price else Price(),
        paid_units_per_replica=_paid_units(chatmodel),
        decisions=tuple(
            LiveDecision(each.time, each.from_, each.to, each.reason) for each in status.autoscaling.history
        ),
        events=tuple(
            LiveEvent(each.name, each.start, each.end, each.min_replicas, active=each.name == active)
            for each in sorted(spec.autoscaling.events, key=lambda each: (each.start, each.name))
        ),
        warnings=tuple(_warnings(chatmodel.status.conditions)),
    )


def read_assistant_facts(assistant: ShopAssistant) -> LiveFacts:
    """What the page shows of one ShopAssistant. It has no price and no announced events."""
    mode = AutoscalingMode.FIXED if assistant.spec.replicas.max is None else AutoscalingMode.HPA
    return LiveFacts(
        phase=assistant.status.phase or "",
        mode=mode.value,
        warnings=tuple(_warnings(assistant.status.conditions)),
    )


def _warnings(conditions: Iterable[Condition]) -> Iterator[LiveWarning]:
    """Conditions that are False. One cause makes several of them False; the first one names it."""
    seen = set(_NORMAL_REASONS)
    for each in conditions:
        if each.status is ConditionStatus.FALSE and each.reason not in seen:
            seen.add(each.reason)
            yield LiveWarning(each.type, each.reason, _cut(each.message), each.last_transition_time)


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_CHARS else message[: MESSAGE_CHARS - 1] + "…"


def _paid_units(chatmodel: ChatModel) -> int:
    """GPUs are the resources with a domain in their name, as in the simulator's reports; at least 1."""
    if chatmodel.spec.device is Device.CPU:
        return 1
    counts = (str(count) for name, count in chatmodel.spec.resources.limits.items() if "/" in name)
    return sum(int(count) for count in counts if count.isdecimal()) or 1
