"""Conditions as in metav1: one of each type; the transition time changes only with the status."""

from collections.abc import Iterable
from datetime import datetime

from chatscale.api.v1alpha1 import Condition, ConditionStatus


def set_condition(
    conditions: Iterable[Condition],
    *,
    type: str,  # noqa: A002 - the field's name in metav1.Condition
    status: ConditionStatus,
    reason: str,
    message: str,
    observed_generation: int,
    now: datetime,
) -> list[Condition]:
    """A new list in which this condition replaces the earlier one of its type, or is added."""
    before = list(conditions)
    earlier = next((condition for condition in before if condition.type == type), None)
    changed = earlier is None or earlier.status is not status
    condition = Condition(
        type=type,
        status=status,
        observed_generation=observed_generation,
        last_transition_time=now if changed or earlier is None else earlier.last_transition_time,
        reason=reason,
        message=message,
    )
    if earlier is None:
        return [*before, condition]
    return [condition if old.type == type else old for old in before]
