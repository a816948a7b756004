"""Promise: when customers queue, replicas are added, and the reason can be read."""

from collections.abc import Callable

from hack import kube
from hack.load import Fate
from tests.e2e.support import Model, start_load


def test_scales_up_on_queue(make_model: Callable[..., Model]) -> None:
    model = make_model()
    model.wait_ready(1)

    load = start_load(model, rate_per_s=8, duration_s=90)
    kube.wait_for("three replicas answer", lambda: model.ready_replicas() >= 3, within_s=60)
    report = load.finish()

    assert report.count(Fate.LOST) == 0, str(report)
    assert report.count(Fate.ANSWERED) > 20, str(report)
    scalings = [message for reason, message in model.events() if reason == "ScaledUp"]
    assert scalings, model.events()
    history = model.status()["autoscaling"]["history"]
    assert history[-1]["from"] == 1
    assert history[-1]["to"] > 1
    assert history[-1]["reason"]


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
