"""Promise: every recommendation passes every limit, and a limit that does not apply changes nothing."""

from typing import Any

import pytest

from chatscale.scaling.decision import Basis, DecisionInput, Reason, Recommendation
from chatscale.scaling.floor import floor_at
from chatscale.scaling.history import History
from chatscale.scaling.limits import limit
from chatscale.scaling.load import read_load
from chatscale.scaling.signals import Observation, ReplicaPhase
from tests.support.replicas import SLOTS, a_spec, at, in_phase, seen, under_load

NO_NODE = tuple(in_phase(name, ReplicaPhase.UNSCHEDULABLE, since=-600, detail="0/3 nodes") for name in "abc")


def inputs(current: int, observation: Observation | None = None, **spec: Any) -> DecisionInput:
    parsed, observed = a_spec(**spec), observation or under_load(0, 0, current)
    load = read_load(observed, {}, parsed.source, at(0))
    return DecisionInput(parsed, SLOTS, current, observed, load, at(0), floor_at(parsed, 80.0, at(0)))


def recommended(replicas: int, basis: Basis = Basis.LOAD) -> Recommendation:
    return Recommendation(replicas, Reason.STEADY, "as recommended", basis)


@pytest.mark.parametrize("basis", [basis for basis in Basis if basis is not Basis.LOAD])
def test_only_recommendations_for_a_load_are_stabilized_and_rate_limited(basis: Basis) -> None:
    limited = limit(inputs(2), recommended(18, basis), History.starting_with(2, at(0)))

    assert limited == recommended(18, basis)


def test_each_limit_adds_its_name_to_the_message() -> None:
    limited = limit(inputs(4, maxReplicas=7), recommended(30), History.starting_with(4, at(0)))

    assert limited.replicas == 7
    assert limited.message == "as recommended; scaleUp rate limit allows 20 now; maxReplicas is 7"


@pytest.mark.parametrize(
    ("current", "reason"),
    [
        pytest.param(4, Reason.LOAD_ABOVE_TARGET, id="a rise up to maxReplicas follows the load"),
        pytest.param(7, Reason.TOO_MANY_REPLICAS, id="maxReplicas holds the count"),
        pytest.param(9, Reason.TOO_MANY_REPLICAS, id="maxReplicas lowers the count"),
    ],
)
def test_a_rise_is_never_explained_with_too_many_replicas(current: int, reason: Reason) -> None:
    load = Recommendation(20, Reason.LOAD_ABOVE_TARGET, "as recommended")
    limited = limit(inputs(current, maxReplicas=7), load, History.starting_with(current, at(0)))

    assert (limited.replicas, limited.reason) == (7, reason)


def test_scale_down_is_stabilized_before_it_is_rate_limited() -> None:
    limited = limit(inputs(4), recommended(1), History.starting_with(4, at(0)))

    assert (limited.replicas, limited.reason) == (4, Reason.STABILIZING)
    assert limited.message == "as recommended; scaleDown stabilization window (630 s) allows 4"


def test_a_shortage_is_named_but_lowers_nothing_while_no_replica_is_ready() -> None:
    limited = limit(inputs(3, seen(0, *NO_NODE)), recommended(3, Basis.NOTHING_READY), History.starting_with(3, at(0)))

    assert (limited.replicas, limited.reason) == (3, Reason.TOO_FEW_NODES)


@pytest.mark.parametrize("basis", list(Basis))
def test_bounds_apply_to_every_recommendation(basis: Basis) -> None:
    limited = limit(inputs(1, minReplicas=3), recommended(1, basis), History.starting_with(1, at(0)))

    assert (limited.replicas, limited.reason, limited.message) == (
        3,
        Reason.TOO_FEW_REPLICAS,
        "minReplicas is 3, current 1",
    )
