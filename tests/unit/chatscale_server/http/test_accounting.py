"""Nothing is counted twice or forgotten, whatever clients and engine do: what an autoscaler reads must add up."""

from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.metrics import RejectReason, SloObjective
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import FinishReason, StepReport
from chatscale_server.engine.scheduler import KvBudget, Scheduler, StepPlan
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.engine.worker import Worker
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.in_flight import InFlightRequest
from chatscale_server.metrics import Histogram
from tests.unit.chatscale_server.builders import FAST, a_request

QUEUE_TIMEOUT_S = 5.0
TOKENS_PER_STEP = 20
ENDED_WITHOUT_A_TOKEN = (RejectReason.DEADLINE, RejectReason.ABANDONED, RejectReason.CANCELLED)
PROMPT_TOKENS = (3, 60, 4, 90, 70)
OBJECTIVES = LatencyObjectives(ttft_s=1.0, tpot_s=0.5)
"""Turns take half a second: a first token may wait for a turn before its own, and each token after it for none."""


class AtOnce:
    """Takes the worker's reports in the same thread."""

    def __init__(self, take: Callable[[StepReport], None]) -> None:
        self.stepped = take


class Counting(SimulatedEngine):
    """Counts the prompt tokens that it computes."""

    computed = 0
    partial_prefills = 0

    @override
    def step(self, plan: StepPlan) -> Mapping[int, int]:
        self.computed += sum(chunk.end - chunk.start for chunk in plan.chunks)
        self.partial_prefills += sum(not chunk.last for chunk in plan.chunks)
        return super().step(plan)


class ServerHarness:
    """The real bridge, worker and scheduler; the test runs the steps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.bridge = Bridge(2, 3, queue_timeout_s=QUEUE_TIMEOUT_S, objectives=OBJECTIVES, clock=lambda: self.now_s)
        self.engine = Counting(FAST, clock=lambda: 0.0, sleep=lambda _seconds: None)
        info: ModelInfo = self.engine.load(lambda _name, _seconds: None)
        self.bridge._on_loaded(info)
        self.worker = Worker(self.engine, AtOnce(self.bridge._on_step), 2, QUEUE_TIMEOUT_S, clock=lambda: self.now_s)
        self.bridge._port = self.worker
        self.scheduler = Scheduler(
            2, KvBudget(info.kv_capacity_tokens), TOKENS_PER_STEP, QUEUE_TIMEOUT_S, reuse_prefixes=info.reuses_prefixes
        )
        self.info = info
        self.requests: list[InFlightRequest] = []
        self.refused = 0

    def arrive(self, max_tokens: int) -> None:
        """The prompts share a prefix and have different lengths. The longest ones take several steps."""
        prompt = PROMPT_TOKENS[len(self.requests) % len(PROMPT_TOKENS)]
        request = a_request(f"r{len(self.requests)}", prompt=prompt, max_tokens=max_tokens, arrived_s=self.now_s)
        try:
            self.requests += self.bridge.submit([request])
        except ApiError:
            self.refused += 1

    def arrive_together(self, count: int) -> None:
        """One response with several choices, often more than slots."""
        requests = [
            a_request(f"r{len(self.requests) + at}", prompt=PROMPT_TOKENS[0], max_tokens=2, arrived_s=self.now_s)
            for at in range(count)
        ]
        try:
            self.requests += self.bridge.submit(requests)
        except ApiError:
            self.refused += 1

    def leave(self, at: int) -> None:
        if self.requests:
            one = self.requests[at % len(self.requests)]
            self.bridge.abandon([other for other in self.requests if other.updated is one.updated])

    def turn(self, times: int) -> None:
        for _ in range(times):
            self.now_s += 0.5
            self.worker._wake.set()  # without it, a step without work would wait
            self.worker._run_step(self.scheduler, self.info)

    def check(self) -> None:
        counts, state = self.bridge.counts, self.bridge.state(draining=False)
        in_system = state.queue_depth + state.requests_running
        ended = sum(counts.finished.values()) + sum(counts.rejected[reason] for reason in ENDED_WITHOUT_A_TOKEN)
        assert len(self.requests) == in_system + ended
        assert counts.rejected[RejectReason.QUEUE_FULL] == self.refused
        assert counts.generated_tokens == sum(request.generated for request in self.requests)
        assert counts.prompt_tokens - counts.prefix_hits == self.engine.computed
        started = [len(request.engine_request.prompt) for request in self.requests if request.started_s is not None]
        assert counts.prefix_hits <= counts.prefix_queries == sum(started)
        assert counts.generated_tokens == count(counts.time_to_first_token_s) + count(counts.inter_token_s)
        assert count(counts.time_to_first_token_s) == count(counts.prefill_time_s)
        assert count(counts.time_to_first_token_s) == sum(t.first_token_s is not None for t in self.requests)
        assert count(counts.queue_time_s) == sum(t.started_s is not None for t in self.requests)
        answered = counts.finished["stop"] + counts.finished["length"]
        assert answered == count(counts.request_duration_s) == count(counts.decode_time_s)
        assert answered == count(counts.time_per_output_token_s)
        late = [t for t in self.requests if t.first_token_s is not None and waited_s(t, t.first_token_s) > 1.0]
        assert counts.slo_misses == {SloObjective.TTFT: len(late), SloObjective.TPOT: 0}
        gone = [t for t in self.requests if t.finish is FinishReason.CANCELLED and t.first_token_s is None]
        abandoned = [t for t in gone if waited_s(t, t.left_s) > 1.0]
        assert counts.rejected[RejectReason.ABANDONED] == len(abandoned)
        assert counts.rejected[RejectReason.CANCELLED] == len(gone) - len(abandoned)
        assert state.requests_running <= state.slots
        assert state.queue_depth - len(self.bridge._held) <= state.slots + state.queue_capacity
        assert not self.bridge._held or self.bridge.in_flight
        assert count(counts.step_duration_s) == count(counts.batch_size)


def waited_s(request: InFlightRequest, until_s: float | None) -> float:
    """Seconds from arrival until then, or until its client left."""
    ends_s = [at_s for at_s in (until_s, request.left_s) if at_s is not None]
    return min(ends_s) - request.engine_request.arrived_s


def count(histogram: Histogram) -> int:
    return sum(histogram.counts)


events = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 4)),
    st.tuples(st.just("arrive_together"), st.integers(2, 6)),
    st.tuples(st.just("leave"), st.integers(0, 20)),
    st.tuples(st.just("turn"), st.integers(1, 3)),
)


@given(st.lists(events, max_size=40))
def test_counters_and_gauges_add_up_after_every_event(happenings):
    harness = ServerHarness()
    for name, value in happenings:
        getattr(harness, name)(value)
        harness.check()
    harness.turn(100)
    harness.check()
    assert harness.bridge.in_flight == 0
    counts = harness.bridge.counts
    assert counts.generated_tokens + harness.engine.partial_prefills == counts.batch_size.total
