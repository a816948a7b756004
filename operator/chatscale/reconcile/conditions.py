"""Conditions before they have a time of transition, and how they join those of the status. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chatscale.api.conditions import set_condition
from chatscale.api.v1alpha1 import Condition, ConditionStatus

MESSAGE_LENGTH: Final = 4096
"""Characters of a condition's message. A quoted pod or API server can have more to say than the CRD accepts."""


@dataclass(frozen=True, slots=True)
class ConditionState:
    """One condition before it has a time of transition."""

    type: str
    status: ConditionStatus
    reason: str
    message: str


def merge_conditions(
    before: list[Condition], states: list[ConditionState], generation: int, now: datetime
) -> list[Condition]:
    """Those of the earlier status, with these in their place. One that stays the same keeps its time of transition."""
    conditions = before
    for state in states:
        conditions = set_condition(
            conditions,
            type=state.type,
            status=state.status,
            reason=state.reason,
            message=state.message[:MESSAGE_LENGTH],
            observed_generation=generation,
            now=now,
        )
    return conditions
