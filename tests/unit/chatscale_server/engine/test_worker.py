"""The engine's thread answers every request once, frees slots of those that left, and reports its own death."""

import queue
import threading
from collections.abc import Mapping

import pytest
from typing_extensions import override

from chatscale_server.engine.kv_memory import SlotMemory
from chatscale_server.engine.prefixes import SlotContents
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import Constraint, FinishReason, Output, Request, StepReport
from chatscale_server.engine.scheduler import Scheduler
from chatscale_server.engine.sequence import StepPlan
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.engine.worker import Worker
from tests.unit.chatscale_server.builders import FAST, a_request, gated_engine


class Reports:
    """A listener that keeps what it hears; `next` waits for it."""

    def __init__(self) -> None:
        self._heard: queue.Queue[object] = queue.Queue()

    def phase(self, name: str, seconds: float) -> None:
        pass

    def loaded(self, info: ModelInfo) -> None:
        self._heard.put(info)

    def stepped(self, report: StepReport) -> None:
        self._heard.put(report)

    def failed(self, error: BaseException) -> None:
        self._heard.put(error)

    def next(self) -> object:
        return self._heard.get(timeout=10)

    def report(self) -> StepReport:
        heard = self.next()
        assert isinstance(heard, StepReport), heard
        return heard


def a_worker(engine: SimulatedEngine, *, slots: int = 2, timeout_s: float = 60.0, now_s: float = 0.0):
    reports = Reports()
    worker = Worker(engine, reports, slots, timeout_s, clock=lambda: now_s)
    worker.start()
    assert isinstance(reports.next(), ModelInfo)
    return worker, reports


def test_one_report_a_step_carries_the_whole_batch():
    engine, gate = gated_engine()
    worker, reports = a_worker(engine)
    worker.submit(a_request("a", max_tokens=3))
    assert reports.report() == StepReport(started=("a",), kv_usage_ratio=3 / 100_000)
    gate.step()
    first = reports.report()
    assert (first.started, [o.tokens for o in first.outputs], first.prompt_tokens, first.batch_size) == ((), [1], 3, 1)
    worker.submit(a_request("b", max_tokens=1))
    gate.open()
    ends = []
    while len(ends) < 2:
        ends += [(o.request_id, o.finish) for o in reports.report().outputs if o.finish]
    assert sorted(ends) == [("a", FinishReason.LENGTH), ("b", FinishReason.LENGTH)]
    worker.stop(5)


def test_a_cancelled_request_frees_its_slot_before_the_next_step():
    engine, gate = gated_engine()
    worker, reports = a_worker(engine, slots=1)
    worker.submit(a_request("gone", max_tokens=100))
    assert reports.report().started == ("gone",)
    gate.step()
    worker.cancel("gone")
    worker.submit(a_request("next", max_tokens=100))
    gate.step()
    gate.step()
    ends, started = [], ()
    while not started:
        report = reports.report()
        ends += [(output.request_id, output.finish) for output in report.outputs if output.finish]
        started = report.started
    assert (ends, started) == ([("gone", FinishReason.CANCELLED)], ("next",))
    gate.open()
    worker.stop(5)


class StoppedWhileClearing(threading.Event):
    """The moment at which a stop is easiest to miss."""

    worker: Worker

    @override
    def clear(self) -> None:
        self.worker._stopping = True
        self.set()
        super().clear()


def test_a_stop_is_never_missed():
    wake = StoppedWhileClearing()
    wake.worker = Worker(SimulatedEngine(FAST), Reports(), 1, 60.0, _wake=wake)
    wake.worker.start()
    assert wake.worker.stop(10)


def test_a_request_that_waited_too_long_expires():
    worker, reports = a_worker(SimulatedEngine(FAST), timeout_s=10.0, now_s=100.0)
    worker.submit(a_request("late", queued_s=89.0))
    assert reports.report().outputs == (Output("late", "", 0, FinishReason.DEADLINE),)
    worker.stop(5)


class Spelling(SimulatedEngine):
    """Says the given words, one a step, then the end token."""

    def __init__(self, *words: str) -> None:
        super().__init__(FAST)
        self._words = words

    @override
    def load(self, phase: object) -> ModelInfo:
        return ModelInfo(max_model_len=100, kv_capacity_tokens=100, tokens_per_step=100,
                         max_tokens_per_second=1e3, vocab_size=100, end_tokens=frozenset({99}))  # fmt: skip

    @override
    def decoder(self):
        return self

    def push(self, token: int) -> str:
        return self._words[token]

    def flush(self) -> str:
        return ""

    @override
    def step(self, plan: StepPlan) -> Mapping[int, int]:
        sequences = [*plan.decodes, *(chunk.sequence for chunk in plan.chunks)]
        return {s.slot: s.generated if s.generated < len(self._words) else 99 for s in sequences}


def answer(engine: SimulatedEngine, **fields: object) -> tuple[str, int, FinishReason | None]:
    worker, reports = a_worker(engine)
    worker.submit(Request(id="r", prompt=(1,), **{"max_tokens": 20, **fields}))  # type: ignore[arg-type]
    text, tokens, finish = "", 0, None
    while finish is None:
        for output in reports.report().outputs:
            text, tokens, finish = text + output.text, tokens + output.tokens, output.finish
    worker.stop(5)
    return text, tokens, finish


def test_the_end_token_ends_the_answer_and_has_no_text():
    assert answer(Spelling("Hello", " there")) == ("Hello there", 3, FinishReason.STOP)


def test_a_stop_string_across_tokens_never_goes_out():
    assert answer(Spelling("One", " tw", "o", " three"), stop=("two",)) == ("One ", 3, FinishReason.STOP)


def test_text_held_back_for_a_stop_string_goes_out_at_the_end():
    assert answer(Spelling("One", " tw"), stop=("two",)) == ("One tw", 3, FinishReason.STOP)
    assert answer(Spelling("One", " tw"), stop=("two",), max_tokens=2) == ("One tw", 2, FinishReason.LENGTH)


class Failing(Constraint):
    """Has no way on after its first token."""

    problem: str | None = None

    def allowed(self) -> bytes:
        return b""

    def accept(self, token: int) -> None:
        self.problem = f"nothing may follow {token}"


class Constraining(Spelling):
    """Tells constraints what was chosen, as a sampler does."""

    @override
    def step(self, plan: StepPlan) -> Mapping[int, int]:
        tokens = super().step(plan)
        for sequence in (*plan.decodes, *(chunk.sequence for chunk in plan.chunks)):
            if sequence.request.constraint is not None:
                sequence.request.constraint.accept(tokens[sequence.slot])
        return tokens


def test_an_answer_whose_constraint_breaks_ends_in_an_error_and_no_other_does():
    worker, reports = a_worker(Constraining("One", " two"))
    worker.submit(Request(id="held", prompt=(1,), max_tokens=20, constraint=Failing()))
    worker.submit(Request(id="free", prompt=(1,), max_tokens=20))
    ends = {}
    while len(ends) < 2:
        ends |= {output.request_id: output.finish for output in reports.report().outputs if output.finish}
    assert ends == {"held": FinishReason.ERROR, "free": FinishReason.STOP}
    worker.stop(5)


class Broken(SimulatedEngine):
    """Fails in its first step."""

    @override
    def step(self, plan: StepPlan) -> Mapping[int, int]:
        raise MemoryError("no more")


def test_an_engine_that_cannot_compute_one_token_fails_its_batch_and_ends_the_thread():
    worker, reports = a_worker(Broken(FAST))
    worker.submit(a_request())
    assert reports.report().started == ("r",)
    assert reports.report().outputs == (Output("r", "", 0, FinishReason.FAILED),)
    assert isinstance(reports.next(), MemoryError)
    assert worker.stop(5)


class Sick(Spelling):
    """Cannot compute the request `bad` in the place that its stop string names."""

    def _fail_at(self, place: str, plan: StepPlan) -> None:
        requests = [sequence.request for sequence in (*plan.started, *plan.decodes)]
        requests += [chunk.sequence.request for chunk in plan.chunks]
        if any(request.id == "bad" and request.stop == (place,) for request in requests):
            raise RuntimeError(f"{place} fails")

    @override
    def prepare(self, plan: StepPlan) -> None:
        self._fail_at("prepare", plan)

    @override
    def step(self, plan: StepPlan) -> Mapping[int, int]:
        self._fail_at("prefill" if plan.chunks else "decode", plan)
        tokens = dict(super().step(plan))
        for sequence in plan.decodes:
            if sequence.request.id == "bad" and sequence.request.stop == ("text",):
                tokens[sequence.slot] = 50  # no word has this index
            if sequence.request.id == "bad" and sequence.request.stop == ("missing",):
                del tokens[sequence.slot]
        return tokens


@pytest.mark.parametrize("place", ["prepare", "prefill", "decode", "text", "missing"])
def test_a_request_that_fails_in_the_engine_ends_alone_and_the_next_ones_are_served(place):
    worker, reports = a_worker(Sick("One", " two", " three"), slots=4)
    for name in ("a", "b", "bad", "c"):
        worker.submit(Request(id=name, prompt=(1,), max_tokens=20, stop=(place,) if name == "bad" else ()))
    assert endings(reports, 4)["bad"] == ("" if place in {"prepare", "prefill"} else "One", FinishReason.FAILED)
    worker.submit(Request(id="next", prompt=(1,), max_tokens=20))
    assert endings(reports, 1) == {"next": ("One two three", FinishReason.STOP)}
    assert worker.stop(5)


@pytest.mark.parametrize("place", ["prefill", "decode", "text", "missing"])
def test_the_neighbours_of_a_failing_request_get_their_whole_answer(place):
    worker, reports = a_worker(Sick("One", " two", " three"), slots=4)
    for name in ("a", "b", "bad", "c"):
        worker.submit(Request(id=name, prompt=(1,), max_tokens=20, stop=(place,) if name == "bad" else ()))
    ends = endings(reports, 4)
    assert {name: ends[name] for name in "abc"} == dict.fromkeys("abc", ("One two three", FinishReason.STOP))
    assert worker.stop(5)


def endings(reports: Reports, count: int) -> dict[str, tuple[str, FinishReason]]:
    """Text and finish reason of the next `count` requests that end."""
    texts: dict[str, str] = {}
    ends: dict[str, tuple[str, FinishReason]] = {}
    while len(ends) < count:
        for output in reports.report().outputs:
            texts[output.request_id] = texts.get(output.request_id, "") + output.text
            if output.finish:
                ends[output.request_id] = (texts[output.request_id], output.finish)
    return ends


def test_a_request_that_can_never_fit_fails_alone():
    worker, reports = a_worker(Spelling("One"))
    worker.submit(a_request("huge", prompt=1000))
    worker.submit(Request(id="a", prompt=(1,), max_tokens=20))
    assert endings(reports, 2) == {"huge": ("", FinishReason.FAILED), "a": ("One", FinishReason.STOP)}
    assert worker.stop(5)


class ForgetfulScheduler(Scheduler):
    """Fails to plan once, after it has given a slot."""

    failures = 1

    @override
    def plan(self) -> StepPlan:
        plan = super().plan()
        if plan.started and self.failures:
            self.failures -= 1
            raise LookupError("no plan")
        return plan


def test_a_failed_plan_ends_its_requests_and_the_next_ones_are_served():
    reports = Reports()
    worker = Worker(Spelling("One"), reports, 2, 60.0, clock=lambda: 0.0)
    info = worker.engine.load(reports.phase)
    memory = SlotMemory(100)
    scheduler = ForgetfulScheduler(SlotContents(2), memory, 100, 60.0)
    for name in "abc":
        worker.submit(Request(id=name, prompt=(1,), max_tokens=20))
    worker._run_step(scheduler, info)
    assert endings(reports, 3) == dict.fromkeys("abc", ("", FinishReason.FAILED))
    assert (scheduler.running, scheduler.waiting, memory.reserved_tokens) == ((), (), 0)
    worker.submit(Request(id="next", prompt=(1,), max_tokens=20))
    while worker._run_step(scheduler, info):
        pass
    assert endings(reports, 1) == {"next": ("One", FinishReason.STOP)}
