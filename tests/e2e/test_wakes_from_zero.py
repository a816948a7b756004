"""Promise: a model without traffic has no replica; requests are held, start a replica at once, and are answered."""

import json
import re
import urllib.request
from collections.abc import Callable

from chatscale_contract.server.endpoints import MODELS_PATH
from hack import kube
from hack.keys import bearer
from hack.load import Fate
from tests.e2e.support import Model, autoscaling, gateway_key, gateway_url, never, start_load

REQUESTS_PER_S = 20
WAKES = 2
WRITTEN_WITHIN_S = 1.0
"""From the first held request to the write of the count."""


def test_holds_requests_at_zero_and_answers_all(make_model: Callable[..., Model]) -> None:
    model = make_model(replicas=0, autoscaling=autoscaling(scaleToZero={"idleSeconds": 10}))
    full_name = f"{model.namespace}/{model.name}"

    for _ in range(WAKES):
        kube.wait_for("no replica", lambda: model.deployment_replicas() == 0 and not model.pods(), within_s=120)
        model.wait_condition("Ready", "True", "ScaledToZero")
        load = start_load(model, REQUESTS_PER_S, duration_s=2, through_gateway=True)
        report = load.join()
        assert report.count(Fate.ANSWERED) == len(report.outcomes) > REQUESTS_PER_S, str(report)
        _assert_woken_in_time(model.status()["autoscaling"]["history"])

    kube.wait_for("no replica", lambda: model.deployment_replicas() == 0, within_s=120)
    model.wait_event("ScaledDown", "Scaled 1 -> 0: Idle: no request for")

    def models() -> set[str]:
        request = urllib.request.Request(gateway_url() + MODELS_PATH, headers=bearer(gateway_key()))
        with urllib.request.urlopen(request, timeout=10) as response:
            return {model["id"] for model in json.load(response)["data"]}

    assert {model.name, full_name} & models()
    never("a question for the list of models started a replica", lambda: model.deployment_replicas() != 0, for_s=5)


def _assert_woken_in_time(history: list[kube.Manifest]) -> None:
    """history: newest first."""
    reason = next(record["reason"] for record in history if record["from"] == 0)
    found = re.match(r"RequestsHeld: gateways hold \d+ requests \(oldest ([\d.]+) s\) at 0 replicas", reason)
    assert found, reason
    assert float(found[1]) <= WRITTEN_WITHIN_S, reason
