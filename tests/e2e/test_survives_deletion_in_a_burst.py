"""Promise: a ChatModel deleted in the middle of a burst finishes what it admitted, and hurts no neighbour."""

import time
from collections.abc import Callable

from hack import kube
from hack.load import Fate
from tests.e2e.support import Model, operator_restarts, start_load


def test_survives_deletion_in_a_burst(make_model: Callable[..., Model]) -> None:
    restarts = operator_restarts()
    neighbour = make_model("neighbour")
    model = make_model()
    model.wait_ready(1)

    load = start_load(model, rate_per_s=6, duration_s=60)
    kube.wait_for("requests queue", lambda: model.status().get("queueDepth", 0) > 0, within_s=30)
    deleted_at_s = time.monotonic() - load.began_s
    kube.kubectl("delete", "chatmodel", model.name, "-n", model.namespace, "--timeout=20s")
    report = load.finish()

    admitted = [outcome for outcome in report.outcomes if outcome.sent_at_s < deleted_at_s]
    cut = [outcome for outcome in admitted if outcome.fate is Fate.LOST]
    assert admitted
    assert not cut, f"{len(cut)} of {len(admitted)} requests sent before the deletion were lost: {cut[:3]}"
    kube.wait_for("its pods are gone", lambda: not model.pods(), within_s=90)
    neighbour.wait_ready(1)
    assert operator_restarts() == restarts
