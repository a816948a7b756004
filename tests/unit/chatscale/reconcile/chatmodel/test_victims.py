"""A scale-down removes the replicas that cost the least, and gateways send them nothing new."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale import names
from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT, POD
from chatscale.errors import ConflictError, ForbiddenError, NotFoundError
from chatscale.observe.aggregate import observe
from chatscale.observe.pods import Pod, read_pods
from chatscale.reconcile.chatmodel.victims import MARK_LASTS, choose_victims, plan_marks
from chatscale.scaling.signals import ClientDemand
from chatscale_contract.gateway.endpoints import DRAIN_ANNOTATION
from tests.support.builders import Manifest, PodBuilder, a_chatmodel, a_pod, at
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_reader import a_sample
from tests.support.gateways import FakeGateways
from tests.support.world import World, a_settled_world

NOW = at(600)
REMOVED = {names.DELETION_COST_ANNOTATION: None, DRAIN_ANNOTATION: None}
SET = {names.DELETION_COST_ANNOTATION: names.VICTIM_COST, DRAIN_ANNOTATION: "2026-11-27T08:10:00+00:00"}


def a_ready_pod(name: str, created: float = 0) -> PodBuilder:
    return a_pod(name).created_at(at(created)).ready(at(created))


def marks(
    *pods: PodBuilder,
    count: tuple[int, int],
    requests: dict[str, int] | None = None,
    sent: dict[str, int] | None = None,
) -> dict[str, bool]:
    """Whether each mark of the plan is set or removed, by pod.

    count: the Deployment's, now and next. requests: in the replicas' own samples; sent: in the gateways'.
    """
    found = read_pods(pod.manifest() for pod in pods)
    samples = {name: a_sample(NOW, running=running) for name, running in (requests or {}).items()}
    by_uid = {f"uid-{name}": in_flight for name, in_flight in (sent or {}).items()}
    clients = ClientDemand(NOW, gateways=1, in_flight_by_pod=by_uid)
    planned = plan_marks(found, observe(found, samples, NOW, clients), *count, NOW)
    assert all(mark.annotations == (SET if mark.is_set else REMOVED) for mark in planned)
    return {mark.pod: mark.is_set for mark in planned}


def test_the_replica_with_the_fewest_requests_is_marked():
    pods = [a_ready_pod(name) for name in ("a", "b", "c")]
    assert marks(*pods, count=(3, 2), requests={"a": 2, "b": 1, "c": 3}) == {"b": True}
    assert marks(*pods, count=(3, 1), requests={"a": 2, "b": 1, "c": 3}) == {"a": True, "b": True}
    assert marks(*pods, count=(3, 0), requests={"a": 2, "b": 1, "c": 3}) == {"a": True, "b": True, "c": True}


def test_a_replica_that_is_not_ready_is_marked_before_an_idle_one():
    pods = [a_ready_pod("idle"), a_pod("starting")]
    assert marks(*pods, count=(2, 1), requests={"idle": 0}) == {"starting": True}


def test_of_equally_loaded_replicas_the_youngest_is_marked():
    pods = [a_ready_pod("old", created=1), a_ready_pod("young", created=3), a_ready_pod("middle", created=2)]
    assert marks(*pods, count=(3, 2), requests=dict.fromkeys(("old", "young", "middle"), 1)) == {"young": True}


def test_unknown_load_is_not_zero_load():
    pods = [a_ready_pod("unread"), a_ready_pod("busy")]
    assert marks(*pods, count=(2, 1), requests={"busy": 8}) == {"busy": True}


def test_a_gateway_that_sent_more_than_the_last_sample_shows_counts():
    pods = [a_ready_pod("a"), a_ready_pod("b")]
    assert marks(*pods, count=(2, 1), requests={"a": 0, "b": 1}, sent={"a": 5}) == {"b": True}


@pytest.mark.parametrize("count", [pytest.param((2, 2), id="equal"), pytest.param((2, 3), id="higher")])
def test_nothing_is_marked_if_the_count_does_not_fall(count: tuple[int, int]):
    surge = [a_ready_pod("a"), a_ready_pod("b"), a_pod("surge")]
    assert marks(*surge, count=count) == {}


def test_a_mark_stays_until_its_pod_is_deleted():
    pods = [a_ready_pod("a"), a_ready_pod("b").marked(NOW)]
    assert marks(*pods, count=(1, 1), requests={"a": 0, "b": 9}) == {}
    assert marks(pods[0], pods[1].terminating(NOW), count=(1, 1)) == {}


def test_a_second_scale_down_marks_another_replica_while_the_first_is_not_deleted_yet():
    pods = [a_ready_pod("a"), a_ready_pod("b").marked(NOW), a_ready_pod("c")]
    assert marks(*pods, count=(2, 1), requests={"a": 2, "b": 9, "c": 3}) == {"a": True}


def test_a_mark_is_removed_if_the_replica_set_deleted_another_pod():
    pods = [a_ready_pod("a").terminating(NOW), a_ready_pod("b").marked(NOW)]
    assert marks(*pods, count=(1, 1)) == {"b": False}


def test_a_mark_on_which_no_deletion_follows_is_removed():
    """A rollout has one pod more than the count, and it can take for ever."""
    stuck = [a_ready_pod("new").marked(NOW - MARK_LASTS - timedelta(seconds=1)), a_ready_pod("old")]
    assert marks(*stuck, count=(1, 1)) == {"new": False}


def test_a_mark_that_someone_else_set_stays():
    by_hand = a_ready_pod("a").marked(NOW, cost="5")
    assert marks(by_hand, count=(1, 1)) == {}


@pytest.mark.parametrize("text", ["", "yesterday"])
def test_an_unreadable_mark_is_removed(text: str):
    pod = a_ready_pod("a").marked(NOW)
    pod.annotations[DRAIN_ANNOTATION] = text
    assert marks(pod, count=(1, 1)) == {"a": False}


def test_a_time_without_a_zone_is_utc():
    pod = a_ready_pod("a").marked(NOW)
    pod.annotations[DRAIN_ANNOTATION] = "2026-11-27T08:10:00"
    assert read_pods([pod.manifest()])[0].marked_at == NOW


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 9)), max_size=8), st.integers(0, 8))
def test_the_marked_pods_are_never_more_than_the_pods_above_the_count(
    states: list[tuple[bool, bool, int]], replicas: int
):
    """And a second plan after the first changes nothing."""
    pods = {}
    for index, (is_ready, is_marked, _) in enumerate(states):
        pod = a_ready_pod(f"p{index}") if is_ready else a_pod(f"p{index}")
        pods[pod.name] = pod.marked(NOW) if is_marked else pod
    requests = {f"p{index}": running for index, (_, _, running) in enumerate(states)}
    for name, is_set in marks(*pods.values(), count=(len(pods), replicas), requests=requests).items():
        pods[name] = pods[name].marked(NOW) if is_set else a_ready_pod(name)
    left: tuple[Pod, ...] = read_pods(pod.manifest() for pod in pods.values())
    assert sum(pod.marked_at is not None for pod in left) == max(0, len(pods) - replicas)
    if replicas < len(pods):
        assert marks(*pods.values(), count=(replicas, replicas), requests=requests) == {}


def costing(pod: PodBuilder, cost: str) -> PodBuilder:
    return replace(pod, annotations={**pod.annotations, names.DELETION_COST_ANNOTATION: cost})


@pytest.mark.parametrize(
    ("costs", "victim"),
    [
        pytest.param({"a": "100"}, "b", id="a pod to keep"),
        pytest.param({"b": "-5"}, "b", id="a pod to remove first"),
        pytest.param({"a": "high"}, "a", id="no number"),
    ],
)
def test_a_deletion_cost_that_a_user_set_counts_before_the_requests(costs: dict[str, str], victim: str):
    pods = read_pods(costing(a_ready_pod(name), costs.get(name, "0")).manifest() for name in ("a", "b"))
    chosen = choose_victims(pods, set(), lambda pod: {"a": 1, "b": 2}[pod.name], 1)
    assert [pod.name for pod in chosen] == [victim]


async def test_a_deletion_cost_that_a_user_set_is_restored_if_the_pod_stays():
    world = await a_settled_world(MODEL, *(costing(a_ready_pod(name), "7").manifest() for name in "abc"))
    world.reader.running_by_pod = {"a": 4, "b": 2, "c": 5}
    await scale(world, 2)
    assert annotations(world, "b")[names.DELETION_COST_ANNOTATION] == names.VICTIM_COST
    await scale(world, 3)
    assert [annotations(world, name) for name in "abc"] == [{names.DELETION_COST_ANNOTATION: "7"}] * 3


# ---- whole passes ----

MODEL = a_chatmodel().in_mode("Operator", min_replicas=1, max_replicas=3).with_replicas(3)


async def a_world_of_three(running: dict[str, int]) -> World:
    pods = [a_ready_pod(name).manifest() for name in running]
    world = await a_settled_world(MODEL, *pods)
    world.reader.running_by_pod = running
    return world


async def scale(world: World, replicas: int) -> list[str]:
    """The next pass, and its requests."""
    autoscaling = {"mode": "Operator", "minReplicas": replicas, "maxReplicas": replicas}
    world.cluster.user_sets_spec(autoscaling=autoscaling)
    world.cluster.requests()
    await world.tick()
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == replicas
    return world.cluster.requests()


def annotations(world: World, name: str) -> Manifest:
    return world.cluster.the(POD, name)["metadata"].get("annotations") or {}


async def test_a_scale_down_removes_the_replica_with_the_fewest_requests():
    world = await a_world_of_three({"a": 4, "b": 2, "c": 5})
    requests = await scale(world, 2)
    assert annotations(world, "b")[names.DELETION_COST_ANNOTATION] == names.VICTIM_COST
    assert DRAIN_ANNOTATION in annotations(world, "b")
    assert (annotations(world, "a"), annotations(world, "c")) == ({}, {})
    assert requests.index("annotate Pod") < requests.index("apply Deployment"), "the mark comes before the count"
    await world.tick()
    assert "annotate Pod" not in world.cluster.requests()


async def test_a_marked_replica_gets_its_mark_removed_if_the_count_rises():
    world = await a_world_of_three({"a": 4, "b": 2, "c": 5})
    await scale(world, 2)
    await scale(world, 3)
    assert annotations(world, "b") == {}


@pytest.mark.parametrize("error", [NotFoundError, ConflictError, ForbiddenError])
async def test_a_pod_that_cannot_be_marked_does_not_stop_the_scale_down(error: type[Exception]):
    world = await a_world_of_three({"a": 4, "b": 2, "c": 5})
    world.cluster.fail("annotate Pod", error("tiny"))
    await scale(world, 1)
    assert [name for name in "abc" if annotations(world, name)] == ["b"], "a was the first to be marked, and failed"
    assert world.cluster.the(CHATMODEL)["spec"]["replicas"] == 1


async def test_a_lower_count_of_an_hpa_is_marked_too():
    world = await a_settled_world(
        a_chatmodel().in_mode("HPA").with_replicas(2), *(a_ready_pod(name).manifest() for name in ("a", "b"))
    )
    world.reader.running_by_pod = {"a": 1, "b": 2}
    world.cluster.autoscaler_sets_replicas(1)
    await world.tick()
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 1
    assert [name for name in "ab" if annotations(world, name)] == ["a"]


async def test_the_last_replica_is_marked_before_a_model_goes_to_zero():
    asleep = a_chatmodel().with_spec(server={"maxConcurrency": 8}).in_mode("Operator", scaleToZero={"idleSeconds": 60})
    world = World(FakeCluster(asleep.manifest(), a_ready_pod("a").manifest()), gateways=FakeGateways())
    for _ in range(20):
        await world.tick()
        if world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == 0:
            break
    assert world.cluster.the(CHATMODEL)["spec"]["replicas"] == 0
    assert annotations(world, "a")[names.DELETION_COST_ANNOTATION] == names.VICTIM_COST
