"""One burst on the cluster: a ChatModel in a namespace of its own, its idle time, the requests, what was observed."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from chatscale.names import MODEL_LABEL
from chatscale_simulator.simulation.profiles import SloTarget
from hack import kube
from hack.load import Fate
from tests.benchmarks.reaction.kind.results import Burst
from tests.benchmarks.reaction.kind.scene import ANSWER_TOKENS, BURST_S, NAME, burst
from tests.benchmarks.replay.customers import Answer, replay
from tests.benchmarks.replay.watch import Event, Watch, decided, reasons, watching
from tests.benchmarks.server.machine import processor_seconds
from tests.e2e.support import Model

READY_WITHIN_S: Final = 180.0
SLO: Final = SloTarget()
"""The defaults of spec.autoscaling.slo, which all variants have."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A ChatModel whose replicas are ready and reachable."""

    model: Model
    base_url: str
    ready_at_s: float
    """On the clock of `time.monotonic`."""


def prepare(make: Callable[[str], kube.Manifest], replicas: int) -> Prepared:
    """Apply `make(namespace)` in a new namespace, and wait until it has this many ready replicas."""
    namespace = f"reaction-{secrets.token_hex(3)}"
    kube.kubectl("create", "namespace", namespace)
    model = Model(make(namespace))
    model.apply()
    model.wait_ready(replicas, within_s=READY_WITHIN_S)
    ready_at_s = time.monotonic()
    return Prepared(model, model.expose(), ready_at_s)


def measure(prepared: Prepared, seed: int, begin_at_s: float) -> Burst:
    """Send the burst at `begin_at_s`, on the clock of `time.monotonic`; then delete the model's namespace."""
    model = prepared.model
    try:
        with _observed(model) as (models, pods):
            time.sleep(max(0.0, begin_at_s - time.monotonic()))
            began, before = time.monotonic(), processor_seconds()
            answers = asyncio.run(replay(prepared.base_url, NAME, burst(seed), began, _ignore))
            after, load_average = processor_seconds(), os.getloadavg()[0]
        return Burst(
            sent=len(answers),
            refused=_count(answers, Fate.REFUSED),
            late=sum(_is_late(answer) for answer in answers),
            lost=_count(answers, Fate.LOST),
            counts=_rounded(decided(models.events, began, BURST_S)),
            ready=_rounded(_ready(pods.events, began)),
            idle_s=round(began - prepared.ready_at_s, 1),
            load_average=round(load_average, 2),
            busy=round(1 - (after[1] - before[1]) / max(after[0] - before[0], 1e-9), 3),
            sent_late_p99_s=round(_sent_late_p99_s(answers, seed), 4),
            reasons=tuple(reasons(models.events)),
        )
    finally:
        kube.delete_namespace(model.namespace)


@contextmanager
def _observed(model: Model) -> Iterator[tuple[Watch, Watch]]:
    at = ("-n", model.namespace)
    with watching("chatmodels", *at) as models, watching("pods", *at, "-l", f"{MODEL_LABEL}={model.name}") as pods:
        yield models, pods


def _count(answers: Iterable[Answer], fate: Fate) -> int:
    return sum(answer.fate is fate for answer in answers)


def _is_late(answer: Answer) -> bool:
    """Whether an answered request missed the SLO: its time to first token or its time per output token."""
    if answer.fate is not Fate.ANSWERED or answer.first_text_s is None or answer.finish_s is None:
        return False
    tpot_s = (answer.finish_s - answer.first_text_s) / (ANSWER_TOKENS - 1)
    return answer.first_text_s - answer.sent_s > SLO.ttft_s or tpot_s > SLO.tpot_s


def _sent_late_p99_s(answers: Sequence[Answer], seed: int) -> float:
    late_s = [answer.sent_s - at_s for answer, at_s in zip(answers, burst(seed).arrival_s, strict=True)]
    return float(np.percentile(late_s, 99))


def _ready(events: Iterable[Event], began_s: float) -> tuple[tuple[float, int], ...]:
    """(second of the burst, number of Ready pods) of each change; the first at 0."""
    ready: set[str] = set()
    steps = [(0.0, 0)]
    for event in events:
        at_s, uid = max(event.at_s - began_s, 0.0), event.manifest["metadata"]["uid"]
        if at_s > BURST_S:
            break
        ready = ready | {uid} if event.kind != "DELETED" and _is_ready(event.manifest) else ready - {uid}
        if at_s == 0:
            steps = [(0.0, len(ready))]
        elif len(ready) != steps[-1][1]:
            steps.append((at_s, len(ready)))
    return tuple(steps)


def _is_ready(pod: kube.Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def _rounded(steps: Iterable[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    return tuple((round(at_s, 2), count) for at_s, count in steps)


def _ignore(progress: str) -> None:
    """A burst is short."""
