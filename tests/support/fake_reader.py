"""A `LoadReader` whose pods say what the test wants."""

from dataclasses import dataclass, field
from datetime import datetime

from chatscale.api.v1alpha1 import ChatModel
from chatscale.observe.pods import Pod
from chatscale.observe.reading import Reading
from chatscale.scaling.signals import ReplicaPhase, ReplicaSample


def a_sample(taken_at: datetime, queue: int = 0, running: int = 0, slots: int = 8) -> ReplicaSample:
    return ReplicaSample(
        taken_at=taken_at, queue_depth=queue, running=running, slots=slots, kv_cache_usage_ratio=0.0, rejected_total=0.0
    )


@dataclass
class FakeReader:
    """Every ready pod is idle until `queue` says otherwise; `broken` makes all of them fail."""

    queue: int = 0
    running: int = 0
    broken: str = ""
    readings: int = field(default=0, init=False)

    async def read(self, _chatmodel: ChatModel, pods: tuple[Pod, ...], now: datetime) -> Reading:
        self.readings += 1
        ready = [pod.name for pod in pods if pod.phase is ReplicaPhase.READY]
        if self.broken:
            return Reading(now, failures=dict.fromkeys(ready, self.broken))
        return Reading(now, samples={name: a_sample(now, self.queue, self.running) for name in ready})
