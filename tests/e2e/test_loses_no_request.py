"""Promise: scale downs, and rollouts of the model and of the gateway, lose and refuse no request at the gateway."""

from collections.abc import Callable

from hack import kube
from hack.load import Fate
from tests.e2e.support import OPERATOR_NAMESPACE, Model, start_load, with_spec

GATEWAY = ("deployment/chatscale-gateway", "-n", OPERATOR_NAMESPACE)


def test_loses_no_request_in_scale_downs_and_rollouts(make_model: Callable[..., Model]) -> None:
    fixed = {"mode": "Fixed"}
    model = make_model(autoscaling=fixed, replicas=3)
    model.wait_ready(3)

    load = start_load(model, rate_per_s=3, duration_s=600, through_gateway=True)
    model.manifest = with_spec(model.manifest, replicas=1)
    model.apply()
    model.wait_ready(1)
    model.manifest = with_spec(model.manifest, pod={"annotations": {"release": "2"}})
    model.apply()
    kube.wait_for("a rollout of the model", lambda: _has_only_release(model, "2"), within_s=180)
    kube.kubectl("rollout", "restart", *GATEWAY)
    kube.kubectl("rollout", "status", *GATEWAY, "--timeout=240s", timeout_s=250)
    report = load.finish()

    assert report.count(Fate.ANSWERED) == len(report.outcomes) > 0, str(report)


def _has_only_release(model: Model, release: str) -> bool:
    pods = [pod["metadata"] for pod in model.pods()]
    return bool(pods) and all(
        pod["annotations"].get("release") == release and "deletionTimestamp" not in pod for pod in pods
    )
