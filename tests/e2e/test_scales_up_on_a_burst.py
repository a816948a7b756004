"""Promise: the default policy answers a burst with the count that it needs, at once, and names the evidence."""

import re
import time
from collections.abc import Callable

from hack import kube
from tests.e2e.support import Model, assert_served, start_load

EVIDENCE = re.compile(
    r"(RequestsRefused: [\d.]+ requests/s refused"
    r"|QueueGrowing: queue growing \(\d+ waiting\)"
    r"|ArrivalRateJumped: arrival rate [\d.]+ requests/s after [\d.]+).*load [\d.]+ replicas"
)
SUFFICIENT = 4
REACTION_S = 15
"""Two readings of 2 s, and what the API server and kubectl take on a loaded machine."""


def test_scales_up_on_a_burst_in_one_step(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling={"maxReplicas": SUFFICIENT})
    model.wait_ready(1)

    # One replica serves 2.5 requests/s.
    load = start_load(model, rate_per_s=14, duration_s=60)
    kube.wait_for(
        "the sufficient count", lambda: model.deployment_replicas() == SUFFICIENT, within_s=REACTION_S, every_s=0.5
    )
    took_s = time.monotonic() - load.began_s
    kube.wait_for("more replicas answer", lambda: model.ready_replicas() == SUFFICIENT, within_s=60)
    report = load.finish()

    assert_served(report, at_least=20)
    assert took_s <= REACTION_S
    raised = [record for record in model.status()["autoscaling"]["history"] if record["to"] > record["from"]]
    # The first reading may have seen only the first requests of the burst.
    assert 1 <= len(raised) <= 2, f"the count rose in small steps: {raised}"
    assert all(EVIDENCE.match(record["reason"]) for record in raised), raised
    model.wait_event("ScaledUp", "Scaled 1 -> ")
