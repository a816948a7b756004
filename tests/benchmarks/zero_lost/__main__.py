"""`python -m tests.benchmarks.zero_lost`: counts lost requests while replicas and gateways come and go, on kind.

All requests go through the gateway. Needs the images of `make images`. A whole run takes about 20 minutes.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from hack import kube
from hack.install import install
from hack.load import Fate, LoadReport
from hack.paths import ROOT
from tests.benchmarks.server.machine import describe
from tests.benchmarks.zero_lost.page import Count, page
from tests.e2e.support import (
    OPERATOR_NAMESPACE,
    Model,
    autoscaling,
    chatmodel,
    revoke_gateway_key,
    start_load,
    with_spec,
)
from tests.support.cluster_lock import operator_alone

PAGE: Final = ROOT / "docs" / "benchmarks" / "zero-lost.md"
WAKING_MODELS: Final = 6
SCALING_MODELS: Final = 3
UPDATED_MODELS: Final = 2
IDLE_S: Final = 10
RATE_PER_S: Final = 2.0
LONGEST_S: Final = 3600.0
GATEWAY: Final = ("deployment/chatscale-gateway", "-n", OPERATOR_NAMESPACE)


def wake(rounds: int, model: Model) -> LoadReport:
    """Send a burst to a model at zero replicas, once a round."""
    reports = []
    for _ in range(rounds):
        kube.wait_for(
            f"{model.namespace} without replicas", lambda: model.deployment_replicas() == 0 and not model.pods(), 180
        )
        reports.append(start_load(model, 10.0, 2.0, through_gateway=True).join())
    return joined(reports)


def scale_down(rounds: int, model: Model) -> LoadReport:
    """Remove two of three replicas under load, once a round."""
    model.wait_ready(3)
    load = start_load(model, RATE_PER_S, LONGEST_S, through_gateway=True)
    for _ in range(rounds):
        for count in (1, 3):
            kube.kubectl("scale", f"chatmodel/{model.name}", "-n", model.namespace, f"--replicas={count}")
            model.wait_ready(count, within_s=180)
            kube.wait_for("the end of the removed pods", partial(_has_pods, model, count), within_s=180)
    return load.finish()


def update(rounds: int, model: Model) -> LoadReport:
    """Change the pod template under load, once a round."""
    model.wait_ready(1)
    load = start_load(model, RATE_PER_S, LONGEST_S, through_gateway=True)
    for number in range(rounds):
        model.manifest = with_spec(model.manifest, pod={"annotations": {"release": str(number)}})
        model.apply()
        kube.wait_for("the rollout", partial(_has_only_release, model, str(number)), within_s=180)
    return load.finish()


def update_gateway(rounds: int, model: Model) -> LoadReport:
    """Restart every pod of the gateway under load, once a round."""
    model.wait_ready(1)
    load = start_load(model, RATE_PER_S, LONGEST_S, through_gateway=True)
    for _ in range(rounds):
        kube.kubectl("rollout", "restart", *GATEWAY)
        kube.kubectl("rollout", "status", *GATEWAY, "--timeout=300s", timeout_s=310)
    return load.finish()


@contextmanager
def models(count: int, **spec: Any) -> Iterator[list[Model]]:
    """ChatModels in namespaces of their own, which are deleted afterwards."""
    with ExitStack() as stack:
        made: list[Model] = []
        for _ in range(count):
            namespace = f"zero-lost-{token_hex(3)}"
            kube.kubectl("create", "namespace", namespace)
            stack.callback(kube.delete_namespace, namespace)
            made.append(Model(chatmodel("shop", namespace, **spec)))
            made[-1].apply()
        yield made


def joined(reports: Iterable[LoadReport]) -> LoadReport:
    """All outcomes in one report."""
    return LoadReport([outcome for report in reports for outcome in report.outcomes])


def count(event: str, times: int, of: list[Model], work: Callable[[int, Model], LoadReport]) -> Count:
    """Let `work` cause the event `times` times, spread over the models, all at once."""
    each = -(-times // len(of))
    with ThreadPoolExecutor(len(of)) as pool:
        report = joined(pool.map(partial(work, each), of))
    fates = {fate: report.count(fate) for fate in Fate}
    print(f"{event}, {each * len(of)} times: {report}", flush=True)
    return Count(event, each * len(of), len(report.outcomes), fates[Fate.REFUSED], fates[Fate.LOST])


def measure(share: float) -> list[Count]:
    """share: of the whole count, above 0, at most 1."""

    def times(whole: int) -> int:
        return max(round(whole * share), 1)

    fixed = {"mode": "Fixed"}
    sleeper = {"replicas": 0, "autoscaling": autoscaling(scaleToZero={"idleSeconds": IDLE_S})}
    counts = []
    with models(WAKING_MODELS, **sleeper) as made:
        counts.append(count("wakes from zero", times(30), made, wake))
    with models(SCALING_MODELS, replicas=3, autoscaling=fixed) as made:
        counts.append(count("scale-downs from 3 to 1", times(30), made, scale_down))
    with models(UPDATED_MODELS, replicas=1, autoscaling=fixed) as made:
        counts.append(count("rollouts of a model", times(10), made, update))
        counts.append(count("rollouts of the gateway", times(10), made[:1], update_gateway))
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page. Returns 0 unless a request was lost or refused."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.zero_lost", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the whole count, above 0 and at most 1 (1)")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"page to write ({PAGE.relative_to(ROOT)})")
    options = parser.parse_args(arguments)
    with operator_alone():
        install()
        try:
            counts = measure(options.share)
        finally:
            revoke_gateway_key()
    machine = dict(describe("cpu"))
    options.page.write_text(page(counts, machine), encoding="utf-8")
    print([asdict(each) for each in counts])
    return 1 if any(each.refused or each.lost for each in counts) else 0


def _has_pods(model: Model, count: int) -> bool:
    return len(model.pods()) == count


def _has_only_release(model: Model, release: str) -> bool:
    pods = [pod["metadata"] for pod in model.pods()]
    return bool(pods) and all(
        pod.get("annotations", {}).get("release") == release and "deletionTimestamp" not in pod for pod in pods
    )


if __name__ == "__main__":
    sys.exit(main())
