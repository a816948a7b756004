"""One replay on the cluster, in the words of a simulated run: so that one scorer judges both."""

import asyncio
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chatscale.names import MODEL_LABEL
from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.profiles import ServerProfile, unloaded_ttft_seconds
from chatscale_simulator.simulation.result import REQUEST_OUTCOMES, RunResult
from chatscale_simulator.simulation.result import RequestOutcome as SimulatedFate
from chatscale_simulator.simulation.workload import Workload
from hack import kube
from hack.load import Fate
from tests.benchmarks.replay.customers import Answer, replay
from tests.benchmarks.replay.watch import decided, lives, reasons, sightings, start_ups_s, watching
from tests.e2e.support import Model, operator_pod
from tests.support.cluster_lock import operator_shared

_FATES = {
    Fate.ANSWERED: REQUEST_OUTCOMES.index(SimulatedFate.SERVED),
    Fate.REFUSED: REQUEST_OUTCOMES.index(SimulatedFate.REFUSED),
    Fate.LOST: REQUEST_OUTCOMES.index(SimulatedFate.UNFINISHED),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One replay and the circumstances that its page must tell."""

    result: RunResult
    start_ups_s: tuple[float, ...]
    fates: Counter[Fate]
    losses: Counter[str]
    """What happened to the lost ones."""
    late_p99_s: float
    """By how much the customers sent later than the workload says."""
    busy: float
    """Share of this machine's processors, 0 to 1; whatever used them."""
    reasons: Sequence[str]
    """The operator's sentences."""
    learned: str
    """What the operator knew in the end."""
    operator_stayed: bool
    """Whether one operator pod decided throughout."""


def measure(
    manifest: kube.Manifest, name: str, workload: Workload, server: ServerProfile, tell: Callable[[str], None]
) -> Measured:
    """Replay a workload against a ChatModel of its own, in a namespace of its own."""
    namespace = f"replay-{name}-{secrets.token_hex(2)}"
    model = Model({**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}})
    kube.kubectl("create", "namespace", namespace)
    try:
        with operator_shared():
            return _replay(model, workload, server, tell)
    finally:
        kube.delete_namespace(namespace)


def _replay(model: Model, workload: Workload, server: ServerProfile, tell: Callable[[str], None]) -> Measured:
    first_operator, at = operator_pod()["metadata"]["uid"], ("-n", model.namespace)
    with (
        watching("pods", *at, "-l", f"{MODEL_LABEL}={model.name}") as pods,
        watching("chatmodels", *at) as models,
    ):
        model.apply()
        model.wait_ready(int(model.manifest["spec"]["autoscaling"]["minReplicas"]), within_s=180)
        base_url = model.expose()
        tell(f"{model.namespace}: ready at {base_url}")
        began, before = time.monotonic(), _processor_seconds()
        answers = asyncio.run(replay(base_url, model.name, workload, began, tell))
        end_s, after = time.monotonic() - began, _processor_seconds()
        autoscaling = model.status().get("autoscaling", {})
        learned = {"coldStartSeconds": autoscaling.get("coldStartSeconds"), **autoscaling.get("learned", {})}
        stayed = operator_pod()["metadata"]["uid"] == first_operator
    seen = sightings(pods.events)
    result = RunResult(
        workload=workload,
        outcomes=np.array([_FATES[answer.fate] for answer in answers], dtype=np.int64),
        first_token_s=_of_arrival(workload, answers, [answer.first_text_s for answer in answers]),
        finish_s=_of_arrival(workload, answers, [answer.finish_s for answer in answers]),
        unloaded_ttft_s=unloaded_ttft_seconds(server, workload.prompt_tokens),
        pods=lives(seen, began, end_s),
        counts=decided(models.events, began, end_s),
        saturated_s=0.0,
        end_s=end_s,
    )
    late_s = [answer.sent_s - at_s for answer, at_s in zip(answers, workload.arrival_s, strict=True)]
    return Measured(
        result=result,
        start_ups_s=start_ups_s(seen),
        fates=Counter(answer.fate for answer in answers),
        losses=Counter(answer.detail for answer in answers if answer.fate is Fate.LOST),
        late_p99_s=float(np.percentile(late_s, 99)),
        busy=1 - (after[1] - before[1]) / max(after[0] - before[0], 1e-9),
        reasons=reasons(models.events),
        learned=", ".join(f"{key} {value}" for key, value in learned.items()),
        operator_stayed=stayed,
    )


def _of_arrival(workload: Workload, answers: Sequence[Answer], times_s: Sequence[float | None]) -> FloatArray:
    """As if each request had been sent at its very time: a late customer is no slow answer."""
    waits_s = [
        float("nan") if time_s is None else time_s - answer.sent_s
        for answer, time_s in zip(answers, times_s, strict=True)
    ]
    moved: FloatArray = workload.arrival_s + np.array(waits_s)
    return moved


def _processor_seconds() -> tuple[float, float]:
    """(all, idle) of this machine since it started."""
    ticks = [int(cell) for cell in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    per_s = os.sysconf("SC_CLK_TCK")
    return sum(ticks) / per_s, (ticks[3] + ticks[4]) / per_s
