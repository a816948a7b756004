"""Pods and scrape results joined into the input of the scaling policy."""

from chatscale.observe.aggregate import merge_samples, observe
from chatscale.observe.pods import read_pods
from chatscale.observe.reader import ScrapeResult
from chatscale.scaling.signals import Observation, Replica, ReplicaPhase
from tests.support.builders import a_pod, at
from tests.support.fake_reader import a_sample


def test_a_pod_whose_scrape_failed_keeps_its_last_sample():
    pods = read_pods([a_pod("a").manifest(), a_pod("b").manifest()])
    earlier = {"a": a_sample(at(0), queue=1), "b": a_sample(at(0), queue=2)}
    reading = ScrapeResult(at(5), samples={"a": a_sample(at(5), queue=3)}, failures={"b": "timeout"})
    assert merge_samples(earlier, reading, pods) == {"a": a_sample(at(5), queue=3), "b": a_sample(at(0), queue=2)}


def test_the_samples_of_a_deleted_pod_are_dropped():
    pods = read_pods([a_pod("b").manifest()])
    assert merge_samples({"a": a_sample(at(0))}, ScrapeResult(at(5)), pods) == {}


def test_every_pod_is_a_replica_with_its_phase():
    pods = read_pods(
        [a_pod("a").running("n1", at(0)).ready(at(1)).manifest(), a_pod("b").unschedulable("no room", at(2)).manifest()]
    )
    assert observe(pods, {"a": a_sample(at(5))}, at(5)) == Observation(
        taken_at=at(5),
        replicas=(
            Replica("a", ReplicaPhase.READY, at(1), a_sample(at(5)), created=pods[0].created, scheduled=at(0)),
            Replica(
                "b",
                ReplicaPhase.UNSCHEDULABLE,
                at(2),
                detail="no room",
                created=pods[1].created,
                reason="Unschedulable",
            ),
        ),
    )
