"""Promise: with `metrics: [QueueDepth]`, replicas are added when requests queue, and the reason can be read."""

import re
from collections.abc import Callable

from hack import kube
from tests.e2e.support import Model, assert_served, autoscaling, start_load


def test_scales_up_on_queue(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling=autoscaling(metrics=[{"type": "QueueDepth", "target": 2}]))
    model.wait_ready(1)

    load = start_load(model, rate_per_s=8, duration_s=90)
    kube.wait_for("three replicas answer", lambda: model.ready_replicas() >= 3, within_s=60)
    report = load.finish()

    assert_served(report, at_least=20)
    # The reason has its numbers, in an Event and in the status.
    model.wait_event("ScaledUp", "Scaled 1 -> ")
    raised = [record for record in model.status()["autoscaling"]["history"] if record["to"] > record["from"]]
    assert raised
    assert all(re.match(r"[A-Z]\w+: .*\d", record["reason"]) for record in raised), raised


def test_kubectl_get_shows_what_happens(make_model: Callable[..., Model]) -> None:
    model = make_model()
    model.wait_ready(1)
    kube.wait_for("the queue was read", lambda: "queueDepth" in model.status(), within_s=20)

    header, row = kube.kubectl("get", "chatmodel", "-n", model.namespace).strip().splitlines()

    assert header.split() == ["NAME", "MODEL", "MODE", "MIN", "MAX", "DESIRED", "READY", "QUEUE", "REASON", "AGE"]
    name, uri, mode, low, high, desired, ready, queue, reason, _age = row.split()
    assert (name, uri, mode) == ("shop", "hf://example/customer-service", "Operator")
    assert (low, high, desired, ready, queue) == ("1", "4", "1", "1", "0")
    assert reason
