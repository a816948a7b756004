from datetime import UTC, datetime, timedelta
from typing import Any

from chatscale.api.conditions import set_condition
from chatscale.api.v1alpha1 import Condition, ConditionStatus

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)


def set_ready(conditions: list[Condition], status: ConditionStatus, now: datetime, **other: Any) -> list[Condition]:
    fields = {"reason": "Because", "message": "so", "observed_generation": 1, **other}
    return set_condition(conditions, type="Ready", status=status, now=now, **fields)


def test_a_new_condition_starts_now() -> None:
    assert set_ready([], ConditionStatus.TRUE, NOON) == [
        Condition(
            type="Ready",
            status=ConditionStatus.TRUE,
            observed_generation=1,
            last_transition_time=NOON,
            reason="Because",
            message="so",
        )
    ]


def test_a_new_reason_leaves_the_transition_time() -> None:
    before = set_ready([], ConditionStatus.FALSE, NOON)

    after = set_ready(before, ConditionStatus.FALSE, LATER, reason="Other", message="thus", observed_generation=2)

    assert after == [before[0].model_copy(update={"reason": "Other", "message": "thus", "observed_generation": 2})]


def test_a_new_status_moves_the_transition_time() -> None:
    after = set_ready(set_ready([], ConditionStatus.FALSE, NOON), ConditionStatus.TRUE, LATER)

    assert [(condition.status, condition.last_transition_time) for condition in after] == [
        (ConditionStatus.TRUE, LATER)
    ]


def test_other_conditions_and_their_order_stay_and_the_given_list_is_not_changed() -> None:
    first = set_ready([], ConditionStatus.TRUE, NOON)
    two = set_condition(
        first,
        type="Available",
        status=ConditionStatus.UNKNOWN,
        reason="Unknown",
        message="",
        observed_generation=1,
        now=NOON,
    )

    after = set_ready(two, ConditionStatus.FALSE, LATER)

    assert [condition.type for condition in after] == ["Ready", "Available"]
    assert after[1] == two[1]
    assert first[0].status is ConditionStatus.TRUE
    assert two[0].status is ConditionStatus.TRUE
