"""A `MetricsReader` whose pods report what the test sets."""

from dataclasses import dataclass, field
from datetime import datetime

from chatscale.api.v1alpha1 import ChatModel
from chatscale.observe.pods import Pod
from chatscale.observe.reader import ScrapeResult
from chatscale.scaling.signals import ReplicaPhase, ReplicaSample, WorkCounters

NOTHING_DONE = WorkCounters(
    max_tokens_per_second=2000.0, prompt_tokens=0.0, generated_tokens=0.0, finished=0.0, slo_misses=0.0
)


def a_sample(
    taken_at: datetime, queue: int = 0, running: int = 0, slots: int = 8, work: WorkCounters | None = NOTHING_DONE
) -> ReplicaSample:
    return ReplicaSample(
        taken_at=taken_at,
        queue_depth=queue,
        running=running,
        slots=slots,
        kv_cache_usage_ratio=0.0,
        rejected_total=0.0,
        work=work,
    )


@dataclass
class FakeReader:
    """Every ready pod is idle until `queue` says otherwise; `broken` makes all of them fail.

    `unreachable` is why the source as a whole cannot be read.

    Pods in `old` have a server that does not report its work.
    """

    queue: int = 0
    running: int = 0
    broken: str = ""
    unreachable: str = ""
    old: tuple[str, ...] = ()
    running_by_pod: dict[str, int] = field(default_factory=dict)
    """Instead of `running`, for these pods."""
    readings: int = field(default=0, init=False)

    async def read(self, _chatmodel: ChatModel, pods: tuple[Pod, ...], now: datetime) -> ScrapeResult:
        self.readings += 1
        ready = [pod.name for pod in pods if pod.phase is ReplicaPhase.READY]
        if why := self.unreachable or self.broken:
            return ScrapeResult(now, failures=dict.fromkeys(ready, why), source_failure=self.unreachable)
        return ScrapeResult(now, samples={name: self._sample(name, now) for name in ready})

    def _sample(self, name: str, now: datetime) -> ReplicaSample:
        running = self.running_by_pod.get(name, self.running)
        return a_sample(now, self.queue, running, work=None if name in self.old else NOTHING_DONE)
