"""A beam search says what `generate` says, one at a time, and everybody else goes on meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from typing_extensions import override

from chatscale_server.engine.beam_search import search_beams
from chatscale_server.engine.beams import BeamQueue
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import FinishReason, Output, Request
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.engine.worker import Worker
from tests.unit.chatscale_server.builders import FAST, a_request
from tests.unit.chatscale_server.engine.test_worker import Reports
from tests.unit.chatscale_server.tiny_models import END, FAMILIES, save_model


def a_search(*names: str, queued_s: float = 0.0, **fields: Any) -> tuple[Request, ...]:
    return tuple(replace(a_request(name, **fields), beams=3, queued_s=queued_s) for name in names)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("beams", "count"), [(2, 1), (4, 3)])
def test_the_best_answers_are_those_of_generate(tmp_path_factory, family, beams, count):
    network = AutoModelForCausalLM.from_pretrained(
        save_model(family, tmp_path_factory.mktemp("m")), dtype=torch.float32
    )
    request = Request(id="r", prompt=(5, 6, 7), max_tokens=12, beams=beams)
    steps = []
    found = search_beams(network, request, count, {END}, lambda: bool(steps.append(1)))
    ids = torch.tensor([request.prompt])
    expected = network.generate(
        ids, attention_mask=torch.ones_like(ids), num_beams=beams, num_return_sequences=count, max_new_tokens=12,
        do_sample=False, eos_token_id=END, pad_token_id=END,
    )[:, 3:].tolist()  # fmt: skip
    width = max(map(len, found))
    assert [row + [END] * (width - len(row)) for row in found] == expected
    assert len(steps) >= width - 1


def test_sampling_rules_of_the_model_s_configuration_are_ignored(tmp_path):
    """Many models bring a repetition penalty and a length for their own demonstrations."""
    network = AutoModelForCausalLM.from_pretrained(save_model("llama", tmp_path), dtype=torch.float32)
    request = Request(id="r", prompt=(5, 6, 7), max_tokens=12, beams=3)
    plain = search_beams(network, request, 1, {END}, lambda: False)
    network.generation_config.repetition_penalty, network.generation_config.length_penalty = 5.0, -3.0
    network.generation_config.do_sample, network.generation_config.max_length = True, 5
    assert search_beams(network, request, 1, {END}, lambda: False) == plain


def test_a_cancelled_search_ends(tmp_path):
    network = AutoModelForCausalLM.from_pretrained(save_model("llama", tmp_path), dtype=torch.float32)
    steps = []

    def between() -> bool:
        steps.append(1)
        return len(steps) == 2

    search_beams(network, Request(id="r", prompt=(5, 6), max_tokens=100, beams=2), 1, set(), between)
    assert len(steps) == 2


def test_searches_run_one_at_a_time_in_their_order():
    queue = BeamQueue(60.0)
    first, second, third = a_search("a", "b"), a_search("c"), a_search("d", "e")
    for search in (first, second, third):
        queue.submit(search)
    assert queue.start() == queue.running == first
    assert queue.cancel("d") == third
    assert queue.cancel("nobody") == ()
    assert (queue.cancel("b"), queue.cancelled) == ((), True)
    assert (queue.start(), queue.cancelled) == (second, False)
    assert queue.start() == queue.running == ()


def test_a_search_that_waited_too_long_expires():
    queue = BeamQueue(10.0)
    queue.submit(a_search("a", "b", queued_s=0.0))
    queue.submit(a_search("c", queued_s=5.0))
    assert [request.id for request in queue.expire(11.0)] == ["a", "b"]
    assert [request.id for request in queue.start()] == ["c"]


class Searching(SimulatedEngine):
    """Three steps of search; the answers are the words of the tokens."""

    steps = 3
    between_steps: Callable[[], None] = staticmethod(lambda: None)

    @override
    def load(self, phase: Any) -> ModelInfo:
        return replace(super().load(phase), max_beams=4, end_tokens=frozenset({99}))

    @override
    def search_beams(self, request: Request, count: int, between: Callable[[], bool]) -> list[list[int]]:
        for _ in range(self.steps):
            self.between_steps()
            if between():
                return []
        return [[0, 1, 99], [2] * request.max_tokens][:count]


def ends(reports: Reports, count: int) -> list[Output]:
    found: list[Output] = []
    while len(found) < count:
        found += [output for output in reports.report().outputs if output.finish]
    return found


def a_worker(engine: SimulatedEngine) -> tuple[Worker, Reports]:
    reports = Reports()
    worker = Worker(engine, reports, 2, 60.0, clock=lambda: 0.0)
    worker.start()
    assert isinstance(reports.next(), ModelInfo)
    return worker, reports


def test_each_answer_of_a_search_goes_to_its_request():
    worker, reports = a_worker(Searching(FAST))
    worker.submit_search(a_search("a", "b", max_tokens=4))
    assert reports.report().started == ("a", "b")
    first = reports.report()
    assert (first.batch_size, first.prompt_tokens, reports.report().prompt_tokens) == (3, 3, 0)
    assert (first.prefix_queries, first.prefix_hits) == (0, 0)
    assert ends(reports, 2) == [
        Output("a", "Thank you ", 3, FinishReason.STOP),
        Output("b", "for for for for ", 4, FinishReason.LENGTH),
    ]
    assert worker.stop(5)


def test_streams_have_a_step_after_each_step_of_a_search():
    engine = Searching(FAST)
    worker, reports = a_worker(engine)
    worker.submit(a_request("stream", max_tokens=90_000))
    assert reports.report().started == ("stream",)
    worker.submit_search(a_search("a"))
    heard = [reports.report()]
    while "a" not in [output.request_id for output in heard[-1].outputs]:
        heard.append(reports.report())
    at = next(at for at, report in enumerate(heard) if report.started == ("a",))
    searched = heard[at + 1 : -1]
    assert [report.batch_size for report in searched] == [3, 1] * engine.steps
    assert [output.request_id for report in searched for output in report.outputs] == ["stream"] * engine.steps
    worker.cancel("stream")
    assert [(one.request_id, one.finish) for one in ends(reports, 1)] == [("stream", FinishReason.CANCELLED)]
    assert worker.stop(5)


def test_a_failing_search_ends_alone_and_streams_go_on():
    engine = Searching(FAST)
    worker, reports = a_worker(engine)
    worker.submit(a_request("stream", max_tokens=90_000))
    assert reports.report().started == ("stream",)
    engine.between_steps = lambda: {}["no such key"]
    worker.submit_search(a_search("a", "b"))
    assert [(one.request_id, one.finish) for one in ends(reports, 2)] == [
        ("a", FinishReason.FAILED), ("b", FinishReason.FAILED),
    ]  # fmt: skip
    engine.between_steps = lambda: None
    worker.submit_search(a_search("c"))
    assert [(one.request_id, one.finish) for one in ends(reports, 1)] == [("c", FinishReason.STOP)]
    assert [output.request_id for output in reports.report().outputs] == ["stream"]
    worker.cancel("stream")
    assert worker.stop(5)


def test_cancelling_one_answer_ends_its_search_and_the_next_one_starts():
    engine = Searching(FAST)
    worker, reports = a_worker(engine)
    engine.steps = 10**9
    engine.between_steps = lambda: worker.cancel("b")
    worker.submit_search(a_search("a", "b"))
    assert [(one.request_id, one.finish) for one in ends(reports, 2)] == [
        ("a", FinishReason.CANCELLED), ("b", FinishReason.CANCELLED),
    ]  # fmt: skip
    engine.steps = 1
    worker.submit_search(a_search("c"))
    assert [(one.request_id, one.finish) for one in ends(reports, 1)] == [("c", FinishReason.STOP)]
    assert worker.stop(5)
