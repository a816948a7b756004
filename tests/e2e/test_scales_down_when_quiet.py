"""Promise: when customers leave, replicas go, and no answer is cut on the way down."""

from collections.abc import Callable

from hack.load import Fate
from tests.e2e.support import Model, assert_served, autoscaling, start_load, watching


def test_scales_down_when_quiet_without_cutting_an_answer(make_model: Callable[..., Model]) -> None:
    server = {"engine": "Simulated", "simulated": {"profile": "8b-a10g", "startupSeconds": 2}, "maxConcurrency": 8}
    model = make_model(server=server, autoscaling=autoscaling(minReplicas=3))
    model.wait_ready(3)

    with watching(model) as timeline:
        # One replica of 8 slots serves this load. Some of the answers stream from the replicas that are removed.
        load = start_load(model, rate_per_s=1, duration_s=50, max_tokens=64)
        model.manifest["spec"]["autoscaling"]["minReplicas"] = 1
        model.apply()
        model.wait_ready(1, within_s=90)
        report = load.join()

    assert timeline.changes[-1] == 1
    assert timeline.changes == sorted(timeline.changes, reverse=True), "the way down has no way up in it"
    assert_served(report, at_least=20)
    assert report.count(Fate.REFUSED) == 0, str(report)
    model.wait_event("ScaledDown", "-> 1: ")
