"""Promise: node drains, a replica that stops to answer, and a gateway that cannot be read lose no other request."""

import time
from collections.abc import Callable

import pytest

from chatscale.names import MODEL_LABEL
from hack import kube
from hack.load import Fate, LoadReport
from tests.e2e.faults import drain, paused, pid_of
from tests.e2e.support import OPERATOR_NAMESPACE, Model, never, start_load

REPLICAS = 2
READING_KEPT_S = 10
"""As docs/guide/troubleshooting.md says of GatewayUnreadable."""
STREAMS_BEGIN_S = 4
EJECTED_AFTER_S = 8
"""Three missed readings of the load, with their timeouts, and time for a busy machine."""

pytestmark = pytest.mark.operator_alone


def test_drains_and_processes_that_stop_to_answer_lose_no_request(make_model: Callable[..., Model]) -> None:
    """One test: its steps share a model, whose start is most of the time."""
    model = make_model(autoscaling={"mode": "Fixed"}, replicas=REPLICAS)
    model.wait_ready(REPLICAS)

    _drain_under_load(model)
    _pause_a_gateway(model)
    _pause_a_replica(model)


def _drain_under_load(model: Model) -> None:
    """A node drain evicts every replica of the model; its PodDisruptionBudget lets one go at a time."""
    before = {pod["metadata"]["uid"] for pod in model.pods()}
    load = start_load(model, rate_per_s=3, duration_s=180, through_gateway=True)
    drain(f"{MODEL_LABEL}={model.name}", timeout_s=120)
    model.wait_ready(REPLICAS)
    report = load.finish()

    assert not before & {pod["metadata"]["uid"] for pod in model.pods() if "deletionTimestamp" not in pod["metadata"]}
    _assert_all_answered(report)


def _pause_a_gateway(model: Model) -> None:
    """Its last reading counts for a while, then a condition names it; it recovers. The other one serves."""
    gateways = kube.list_items("pods", OPERATOR_NAMESPACE, "app.kubernetes.io/name=chatscale-gateway")
    gateway = next(pod for pod in gateways if "deletionTimestamp" not in pod["metadata"])
    load = start_load(model, rate_per_s=2, duration_s=60, through_gateway=True)
    with paused(pid_of(gateway)):
        never(
            "the condition came before the reading was too old",
            lambda: kube.condition(model.read(), "RoutingReady").get("status") == "False",
            for_s=READING_KEPT_S - 3,
        )
        message = model.wait_condition("RoutingReady", "False", "GatewayUnreadable", within_s=20)
    model.wait_condition("RoutingReady", "True", within_s=30)
    report = load.finish()

    assert gateway["metadata"]["name"] in message
    # Requests that the paused gateway had accepted are answered when it goes on.
    _assert_all_answered(report)


def _pause_a_replica(model: Model) -> None:
    """The other replica serves. Streams that have begun on the paused one end with an error when its pod is removed."""
    streams = start_load(model, rate_per_s=16, duration_s=0.5, max_tokens=600, through_gateway=True)
    time.sleep(STREAMS_BEGIN_S)
    victim = model.pods()[0]
    with paused(pid_of(victim)):
        time.sleep(EJECTED_AFTER_S)
        served = start_load(model, rate_per_s=2, duration_s=5, seed=2, max_tokens=8, through_gateway=True).join()
        kube.kubectl(
            "delete", "pod", victim["metadata"]["name"], "-n", model.namespace, "--grace-period=0", "--force"
        )  # fmt: skip
        cut = streams.join()

    _assert_all_answered(served)
    lost = [outcome.detail for outcome in cut.outcomes if outcome.fate is Fate.LOST]
    assert lost, "no stream ran on the paused replica"
    assert all(detail.startswith("error in stream") for detail in lost), lost


def _assert_all_answered(report: LoadReport) -> None:
    assert report.count(Fate.ANSWERED) == len(report.outcomes) > 0, str(report)
