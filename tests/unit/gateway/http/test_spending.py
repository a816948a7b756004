"""What a request reserves, and what counts for an end without usage."""

from dataclasses import replace

import pytest

from chatscale_contract.server.endpoints import COMPLETIONS_PATH, EMBEDDINGS_PATH
from chatscale_gateway.http.extraction import read_facts
from chatscale_gateway.http.spending import DEFAULT_OUTPUT_TOKENS, Spending, reserve
from chatscale_gateway.limits.limiter import Limiter
from chatscale_gateway.routing.outcomes import Outcome, Usage
from tests.support.gateway_world import a_model, an_arrival
from tests.unit.gateway.http.fakes import CHAT
from tests.unit.gateway.limits.callers import a_caller

SHOP = "demo/shop"
PROMPT = 10


def spend(
    limiter: Limiter | None = None, path: str = CHAT, max_model_len: int | None = None, per_minute: int = 10**12,
    **body: object,
) -> Spending:  # fmt: skip
    facts = read_facts({"model": "tiny", **body})
    model = replace(a_model(), max_model_len=max_model_len)
    arrival = an_arrival(caller=a_caller(output_tokens_per_minute=per_minute))
    return reserve(limiter or Limiter(), model, path, replace(facts, prompt_tokens=PROMPT), arrival, 0.0)


@pytest.mark.parametrize(
    ("fields", "reserved"),
    [
        pytest.param({"max_tokens": 7}, 7, id="max_tokens"),
        pytest.param({"max_completion_tokens": 8}, 8, id="max_completion_tokens"),
        pytest.param({"max_completion_tokens": 1, "max_tokens": 7}, 7, id="the larger one"),
        pytest.param({"max_tokens": 7, "n": 3}, 21, id="choices"),
        pytest.param({"max_tokens": 7, "n": 2, "best_of": 4, "path": COMPLETIONS_PATH}, 28, id="best_of"),
        pytest.param({"max_tokens": 7, "prompt": ["a", "b"], "path": COMPLETIONS_PATH}, 14, id="several prompts"),
        pytest.param({"max_tokens": 7, "prompt": [1, 2, 3], "path": COMPLETIONS_PATH}, 7, id="token ids"),
        pytest.param({"max_tokens": 10**6, "max_model_len": 100}, 100, id="more than the context"),
        pytest.param({}, DEFAULT_OUTPUT_TOKENS, id="not limited"),
        pytest.param({"n": 2}, 2 * DEFAULT_OUTPUT_TOKENS, id="choices that are not limited"),
        pytest.param({"max_model_len": 100}, 90, id="rest of the context"),
        pytest.param({"max_model_len": 5}, 1, id="no rest of the context"),
        pytest.param({"per_minute": 500}, 125, id="not limited, small bucket"),
        pytest.param({"path": EMBEDDINGS_PATH}, 0, id="generates nothing"),
        pytest.param({"path": "/v1/responses", "max_output_tokens": 7}, 7, id="another API"),
        pytest.param({"max_tokens": "many", "n": -1}, DEFAULT_OUTPUT_TOKENS, id="not valid"),
        pytest.param({"max_tokens": 7.0, "n": "3"}, 21, id="numbers that only lenient runtimes accept"),
        pytest.param({"max_tokens": -1}, DEFAULT_OUTPUT_TOKENS, id="negative"),
        pytest.param({"max_tokens": 0}, 1, id="zero"),
        pytest.param({"max_tokens": True}, DEFAULT_OUTPUT_TOKENS, id="a boolean"),
        pytest.param({"n": 10**30}, 10**9, id="absurd"),
    ],
)
def test_reserves_the_most_that_a_request_may_generate(fields, reserved):
    assert spend(**fields).reservation.output_tokens == reserved


@pytest.mark.parametrize(
    ("outcome", "fields", "spent"),
    [
        pytest.param(Outcome.COMPLETED, {"stream": True}, (PROMPT, 5), id="stream without usage"),
        pytest.param(Outcome.COMPLETED, {"stream": 1}, (PROMPT, 5), id="stream of a lenient runtime"),
        pytest.param(Outcome.COMPLETED, {"events": 0}, (PROMPT, 20), id="answer without usage, 0.1 s per token"),
        pytest.param(Outcome.COMPLETED, {"max_tokens": 3, "events": 0}, (PROMPT, 3), id="at most the reservation"),
        pytest.param(Outcome.COMPLETED, {"path": EMBEDDINGS_PATH}, (PROMPT, 5), id="embeddings"),
        pytest.param(Outcome.CLIENT_LEFT, {"stream": True}, (PROMPT, 5), id="client left a stream"),
        pytest.param(Outcome.CLIENT_LEFT, {"events": 0}, (PROMPT, 20), id="client left an answer"),
        pytest.param(Outcome.CUT_OFF, {"stream": True}, (PROMPT, 5), id="shutdown"),
        pytest.param(Outcome.BROKEN, {}, (PROMPT, 5), id="broken"),
        pytest.param(Outcome.NO_ANSWER, {}, (PROMPT, 5), id="no answer"),
        pytest.param(Outcome.SERVER_ERROR, {"stream": True}, (PROMPT, 5), id="error in a stream"),
        pytest.param(Outcome.CLIENT_ERROR, {}, (0, 0), id="client error"),
    ],
)
def test_counts_what_it_has_seen_without_usage(outcome, fields, spent):
    limiter = Limiter()
    spending = spend(limiter, **fields)
    spending.streamed_events = fields.get("events", 5)
    spending.attempt_ended(outcome, None, 1.0, 3.0)
    spending.left(4.0)
    found = limiter.report(4.0)[SHOP]
    assert (found.spent_input, found.spent_output, found.concurrency, found.requests) == (*spent, 0, 1)


def test_an_attempt_that_may_be_repeated_settles_nothing():
    limiter = Limiter()
    spending = spend(limiter, max_tokens=7)
    for outcome in (Outcome.BACKPRESSURE, Outcome.NOT_CONNECTED):
        spending.attempt_ended(outcome, None, 0.0, 1.0)
        assert limiter.report(1.0)[SHOP].reserved_output == 7
    spending.attempt_ended(Outcome.COMPLETED, Usage(100, 90, 2), 0.0, 1.0)
    found = limiter.report(1.0)[SHOP]
    assert (found.spent_input, found.spent_output, found.reserved_output) == (100, 2, 0)
