"""Replicas that count their work: the builder for the SLO policy. Times are seconds after NOON."""

from dataclasses import dataclass, field

from chatscale.scaling.signals import Observation, Replica, ReplicaPhase, ReplicaSample, WorkCounters
from tests.support.replicas import SLOTS, at

TOKENS_PER_SECOND = 8000.0
PROMPT, ANSWER = 900.0, 100.0


@dataclass
class Worker:
    """One replica under steady traffic of requests with 900 + 100 tokens."""

    name: str
    since: float = -3600.0
    started_in: float = 80.0
    """Seconds from scheduled to Ready."""
    scheduled_in: float = 0.0
    """Seconds from creation to scheduled."""
    finished: float = 0.0
    misses: float = 0.0

    def serves(self, requests: float, misses: float = 0.0) -> None:
        self.finished += requests
        self.misses += misses

    def replica(self, seconds: float, *, running: int = 0, waiting: int = 0, kv: float = 0.0) -> Replica:
        started = self.finished + running
        work = WorkCounters(TOKENS_PER_SECOND, started * PROMPT, self.finished * ANSWER, self.finished, self.misses)
        sample = ReplicaSample(at(seconds), waiting, running, SLOTS * 8, kv, 0.0, work)
        scheduled = self.since - self.started_in
        created = scheduled - self.scheduled_in
        return Replica(
            self.name, ReplicaPhase.READY, at(self.since), sample, created=at(created), scheduled=at(scheduled)
        )


@dataclass
class Fleet:
    """Workers that share all requests evenly."""

    count: int = 1
    workers: list[Worker] = field(default_factory=list)
    now: float = 0.0

    def after(self, span: float, requests_per_s: float, missed: float = 0.0) -> Observation:
        """What is seen once so many seconds more have gone by. missed: share of requests, 0 to 1."""
        self.now += span
        while len(self.workers) < self.count:
            self.workers.append(Worker(f"w{len(self.workers)}"))
        for worker in self.workers:
            share = span * requests_per_s / len(self.workers)
            worker.serves(share, share * missed)
        return Observation(at(self.now), tuple(worker.replica(self.now) for worker in self.workers))
