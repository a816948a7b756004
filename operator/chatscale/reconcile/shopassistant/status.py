"""The ShopAssistant's status, computed from the result of a pass, and the Events of its changes. Pure."""

from datetime import datetime
from typing import Any, Final

from chatscale.api.v1alpha1 import ConditionStatus, ShopAssistantStatus, SourceStatus, ToolServerStatus
from chatscale.desired.assistant.children import endpoint_url
from chatscale.reconcile.chatmodel.conditions import invalid_spec_condition, ready_count
from chatscale.reconcile.conditions import merge_conditions
from chatscale.reconcile.events import EventDraft
from chatscale.reconcile.shopassistant.conditions import BAD_REASONS, compute_conditions
from chatscale.reconcile.shopassistant.pass_result import PassResult
from chatscale.reconcile.shopassistant.pins import pin_of, pinned_for

WRITE_EVERY_S: Final = 10.0
"""Minimum time between two writes of a status in which only messages changed."""


def compute_status(result: PassResult, now: datetime) -> ShopAssistantStatus:
    """The whole status. Conditions that stay the same keep their time of transition."""
    assistant = result.assistant
    before, model = assistant.status, assistant.spec.model
    conditions = merge_conditions(before.conditions, compute_conditions(result), assistant.metadata.generation, now)
    states = result.ready_states.values()
    versions = {state.index for state in states}
    return ShopAssistantStatus(
        observed_generation=assistant.metadata.generation,
        replicas=result.existing,
        ready_replicas=len(result.ready_pods),
        desired_replicas=result.replicas,
        model=model.chat_model or (model.external.model if model.external else None),
        phase=next(condition.reason for condition in conditions if condition.type == "Ready"),
        endpoint=endpoint_url(assistant),
        index=next(iter(versions)) or None if result.is_read_whole and len(versions) == 1 else None,
        sources=[_source(result, source.name) for source in assistant.spec.knowledge],
        tools=[
            ToolServerStatus(
                name=tool.name,
                digest=pin_of(result, tool),
                pinned_for=pinned_for(tool),
                message=_first(tool_messages(result, tool.name)),
            )
            for tool in assistant.spec.tools
        ],
        model_writes=all(state.model_writes for state in states) if states else None,
        conditions=conditions,
    )


def invalid_status(before: ShopAssistantStatus, generation: int, message: str, now: datetime) -> ShopAssistantStatus:
    """The earlier status with `Ready=False`, reason InvalidSpec: the pods continue to run unchanged."""
    invalid = invalid_spec_condition(message)
    conditions = merge_conditions(before.conditions, [invalid], generation, now)
    return before.model_copy(
        update={"observed_generation": generation, "phase": invalid.reason, "conditions": conditions}
    )


def as_patch(status: ShopAssistantStatus) -> dict[str, Any]:
    """The status as a merge patch: an unset field becomes null, which removes it."""
    return status.model_dump(mode="json", by_alias=True)


def write_due_in_s(
    before: ShopAssistantStatus, after: ShopAssistantStatus, since_write_s: float | None
) -> float | None:
    """Seconds until the change of the status is worth a request; 0 for now, None if nothing changed.

    since_write_s: seconds since the last write; None if unknown.
    """
    if before == after:
        return None
    if since_write_s is None or _headline(before) != _headline(after):
        return 0.0
    return max(0.0, WRITE_EVERY_S - since_write_s)


def status_events(before: ShopAssistantStatus, after: ShopAssistantStatus) -> list[EventDraft]:
    """New bad reasons, each once even if several conditions have it, and a return to Ready."""
    known = {condition.reason for condition in before.conditions}
    new = {c.reason: c.message for c in reversed(after.conditions) if c.reason in BAD_REASONS - known}
    events = [EventDraft(reason, message, warning=True) for reason, message in new.items()]
    if _is_ready(after) and not _is_ready(before):
        events.append(EventDraft("Ready", ready_count(after.ready_replicas, after.desired_replicas or 0)))
    return events


def tool_messages(result: PassResult, tool: str) -> list[str]:
    """Why pods do not use an MCP server."""
    return [
        found.message
        for state in result.known_states.values()
        for found in state.tools
        if found.name == tool and found.message
    ]


def _source(result: PassResult, name: str) -> SourceStatus:
    """The source as in the oldest index: while pods differ, the digest of the last status counts if a pod has it."""
    found = [each for state in result.known_states.values() for each in state.sources if each.name == name]
    before = next((each.digest for each in result.assistant.status.sources if each.name == name), "")
    oldest = next((each for each in found if each.digest == before), found[0] if found else None)
    message = _first([each.message for each in found if each.message])
    if oldest is None:
        return SourceStatus(name=name)
    return SourceStatus(name=name, chunks=oldest.chunks, digest=oldest.digest, message=message)


def _first(messages: list[str]) -> str:
    return messages[0] if messages else ""


def _headline(status: ShopAssistantStatus) -> object:
    """What is written at once when it changes."""
    conditions = [(condition.type, condition.status, condition.reason) for condition in status.conditions]
    counts = (status.replicas, status.ready_replicas, status.desired_replicas)
    pins = [(tool.name, tool.digest, tool.pinned_for) for tool in status.tools]
    return conditions, counts, pins, status.index, status.model_writes


def _is_ready(status: ShopAssistantStatus) -> bool:
    return any(c.type == "Ready" and c.status is ConditionStatus.TRUE for c in status.conditions)
