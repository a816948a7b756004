"""Promises that take minutes to test: `make chaos`, not a part of `make test`."""

import time
from collections.abc import Callable

import pytest

from hack import kube
from hack.load import Fate, LoadReport
from tests.e2e.faults import paused, pid_of, without_api_server
from tests.e2e.support import Model, autoscaling, gateway_url, start_load

AWAY_S = 60
PLACES = 5
"""Of one replica with 4 slots."""

pytestmark = pytest.mark.chaos


@pytest.mark.operator_alone
def test_requests_are_answered_while_the_api_server_is_away(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling={"mode": "Fixed"}, replicas=1)
    model.wait_ready(1)

    url = gateway_url()
    flowing = start_load(model, rate_per_s=0.5, duration_s=300, max_tokens=16, through_gateway=True)
    with without_api_server():
        began_s = time.monotonic()
        held = start_load(
            model, rate_per_s=4 * PLACES, duration_s=1, max_tokens=200, seed=2, through_gateway=True, url=url
        )
        held_report = held.join()
        time.sleep(max(0.0, began_s + AWAY_S - time.monotonic()))
    model.manifest["spec"]["replicas"] = 2
    model.apply()
    model.wait_ready(2, within_s=180)
    report = flowing.finish()

    assert len(held_report.outcomes) > PLACES, "some of them were held"
    _assert_all_answered(held_report)
    _assert_all_answered(report)


def test_the_kubelet_ends_a_replica_that_never_answers(make_model: Callable[..., Model]) -> None:
    """Nobody removes the pod: its liveness probe fails for a minute, and the drain deadline passes."""
    model = make_model(autoscaling={"mode": "Fixed"}, replicas=2, drain={"timeoutSeconds": 5, "preStopDelaySeconds": 1})
    model.wait_ready(2)

    load = start_load(model, rate_per_s=2, duration_s=300, max_tokens=100, through_gateway=True)
    time.sleep(5)
    with paused(pid_of(model.pods()[0])):
        kube.wait_for("a restart", lambda: any(_restarts(pod) for pod in model.pods()), within_s=200)
    model.wait_ready(2)
    report = load.finish()

    lost = [outcome for outcome in report.outcomes if outcome.fate is not Fate.ANSWERED]
    assert all(outcome.detail.startswith("error in stream") for outcome in lost), str(report)
    assert len(lost) <= 2 * PLACES, str(report)


def test_an_hpa_takes_over_from_zero_and_the_model_goes_back_to_zero(make_model: Callable[..., Model]) -> None:
    model = make_model(replicas=0, autoscaling=autoscaling("HPA", maxReplicas=3, scaleToZero={"idleSeconds": 10}))
    kube.wait_for("no replica", lambda: model.deployment_replicas() == 0 and not model.pods(), within_s=120)

    load = start_load(model, rate_per_s=8, duration_s=180, through_gateway=True)
    kube.wait_for("the HPA raised the count", lambda: model.ready_replicas() >= 2, within_s=150)
    report = load.finish()
    model.wait_event("ScaledUp", "Scaled 0 -> 1")
    model.wait_event("ScaledUp", "a HorizontalPodAutoscaler set spec.replicas to")

    kube.wait_for("no replica", lambda: model.deployment_replicas() == 0, within_s=240)
    # The steps n -> 1 of the HPA and 1 -> 0 of the operator can be one write of the Deployment.
    model.wait_event("ScaledDown", "-> 0: Idle: no request for")
    _assert_all_answered(report)


def _restarts(pod: kube.Manifest) -> int:
    return sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))


def _assert_all_answered(report: LoadReport) -> None:
    assert report.count(Fate.ANSWERED) == len(report.outcomes) > 0, str(report)
