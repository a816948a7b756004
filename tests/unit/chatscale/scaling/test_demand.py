from typing import Any

import pytest

from chatscale.api.v1alpha1 import MetricTarget, MetricType
from chatscale.scaling.demand import Demand, MetricValue, Signal, is_burst, propose
from tests.support.replicas import SLOTS, a_spec


def a_demand(active: float = 0, waiting: float = 0, kv_percent: float = 0, ready: int = 1, **short: float) -> Demand:
    """The same load in both windows, unless `short` has another for one of them."""
    return Demand(
        active=Signal(active, short.get("active_short", active)),
        waiting=Signal(waiting, waiting),
        kv_percent=Signal(kv_percent, short.get("kv_short", kv_percent)),
        nothing_waits=waiting == 0,
        ready=ready,
    )


def proposed(metric: str, target: int, current: int, demand: Demand, *, in_burst: bool = False, **spec: Any) -> int:
    chosen = MetricTarget(type=MetricType(metric), target=target)
    return propose(chosen, SLOTS, current, demand, a_spec(**spec), in_burst=in_burst).replicas


@pytest.mark.parametrize(
    ("current", "demand", "expected"),
    [
        pytest.param(1, a_demand(26, 18), 3, id="26-in-flight-at-8-plus-4-is-3"),
        pytest.param(1, a_demand(13, 5), 1, id="within-tolerance-of-12"),
        pytest.param(1, a_demand(13.3, 5.3), 2, id="beyond-tolerance"),
        pytest.param(4, a_demand(48, 16), 4, id="exactly-on-target"),
        pytest.param(4, a_demand(32, 0), 4, id="all-slots-full-and-nothing-waits"),
        pytest.param(4, a_demand(19, 0), 3, id="19-fill-3-replicas-to-80-percent"),
        pytest.param(4, a_demand(19, 1), 4, id="nothing-is-lowered-while-something-waits"),
        pytest.param(4, a_demand(0), 1, id="idle-keeps-one"),
        pytest.param(4, a_demand(6, active_short=19), 3, id="a-fall-looks-at-the-worse-window"),
        pytest.param(1, a_demand(6, active_short=50), 1, id="in-calm-a-rise-follows-the-long-window"),
    ],
)
def test_queue_depth(current: int, demand: Demand, expected: int) -> None:
    assert proposed("QueueDepth", 4, current, demand) == expected


def test_in_a_burst_scale_up_follows_the_short_window() -> None:
    assert proposed("QueueDepth", 4, 1, a_demand(6, active_short=50), in_burst=True) == 5


@pytest.mark.parametrize(
    ("current", "active", "expected"),
    [
        pytest.param(4, 50, 9, id="50-at-6-is-9"),
        pytest.param(4, 26, 4, id="within-tolerance-above"),
        pytest.param(4, 22, 4, id="within-tolerance-below"),
        pytest.param(4, 12, 2, id="12-at-6-is-2"),
    ],
)
def test_active_requests(current: int, active: float, expected: int) -> None:
    assert proposed("ActiveRequests", 6, current, a_demand(active)) == expected


@pytest.mark.parametrize(
    ("current", "kv_percent", "expected"),
    [
        pytest.param(2, 190, 3, id="190-percent-at-75-is-3"),
        pytest.param(2, 160, 2, id="within-tolerance"),
        pytest.param(3, 70, 1, id="70-percent-fit-one"),
    ],
)
def test_kv_cache_utilization(current: int, kv_percent: float, expected: int) -> None:
    assert proposed("KVCacheUtilization", 75, current, a_demand(kv_percent=kv_percent)) == expected


def test_the_number_of_ready_replicas_does_not_change_the_proposal() -> None:
    assert [proposed("QueueDepth", 4, 3, a_demand(60, 36, ready=ready)) for ready in (1, 3)] == [5, 5]


def test_the_message_has_the_numbers() -> None:
    proposal = propose(
        MetricTarget(type=MetricType.QUEUE_DEPTH, target=4),
        SLOTS,
        1,
        a_demand(26, 18, ready=2),
        a_spec(),
        in_burst=False,
    )

    assert proposal.message == "QueueDepth: 26.0 requests in flight, target 12 per replica"
    assert proposal.value == MetricValue(MetricType.QUEUE_DEPTH, 9.0, 4)


@pytest.mark.parametrize(
    ("demand", "burst"),
    [
        pytest.param(a_demand(active=5, active_short=25), True, id="25-is-above-200-percent-of-12"),
        pytest.param(a_demand(active=5, active_short=24), False, id="24-is-not"),
        pytest.param(a_demand(active=5, active_short=25, ready=2), False, id="two-ready-replicas-aim-at-24"),
        pytest.param(a_demand(active=100, active_short=5), False, id="only-the-short-window-counts"),
    ],
)
def test_recognises_a_burst(demand: Demand, burst: bool) -> None:  # noqa: FBT001
    assert is_burst(a_spec(), SLOTS, demand) is burst
