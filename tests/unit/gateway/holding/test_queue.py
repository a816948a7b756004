from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.api.v1alpha1.routing import HoldSpec
from chatscale_gateway.holding.queue import HoldBudget, HoldQueue, hold_deadline_s
from chatscale_gateway.holding.refusals import RefusalReason


@dataclass(eq=False)
class Some:
    body_bytes: int = 100
    prompt_tokens: int = 10
    priority: int = 0
    owner: str = ""


def a_queue(*held: Some, budget: int = 10**9) -> HoldQueue[Some]:
    queue: HoldQueue[Some] = HoldQueue(HoldBudget(budget))
    for request in held:
        queue.append(request)
    return queue


@pytest.mark.parametrize(
    ("queue", "request_", "bounds", "reason"),
    [
        pytest.param(a_queue(), Some(), HoldSpec(max_requests=0), RefusalReason.HOLDS_NONE, id="holds none"),
        pytest.param(a_queue(), Some(2000), HoldSpec(max_bytes=1024), RefusalReason.TOO_LARGE, id="alone too large"),
        pytest.param(a_queue(budget=99), Some(), HoldSpec(), RefusalReason.TOO_LARGE, id="larger than the gateway's"),
        pytest.param(a_queue(Some()), Some(), HoldSpec(max_requests=1), RefusalReason.REQUESTS, id="requests"),
        pytest.param(a_queue(Some(1000)), Some(), HoldSpec(max_bytes=1024), RefusalReason.BYTES, id="bytes"),
        pytest.param(
            a_queue(Some()), Some(), HoldSpec(max_prompt_tokens=19), RefusalReason.PROMPT_TOKENS, id="prompt tokens"
        ),
        pytest.param(a_queue(Some(), budget=150), Some(), HoldSpec(), RefusalReason.GATEWAY_BYTES, id="all models"),
        pytest.param(a_queue(), Some(100, 10**9), HoldSpec(max_prompt_tokens=19), None, id="empty takes any prompt"),
        pytest.param(a_queue(Some()), Some(), HoldSpec(max_prompt_tokens=20, max_requests=2), None, id="just fits"),
    ],
)
def test_names_the_bound_that_is_full(queue, request_, bounds, reason):
    assert queue.refusal(request_, bounds) is reason


def test_models_share_the_bytes_of_one_gateway():
    budget = HoldBudget(150)
    first: HoldQueue[Some] = HoldQueue(budget)
    second: HoldQueue[Some] = HoldQueue(budget)
    held = Some()
    first.append(held)
    assert second.refusal(Some(), HoldSpec()) is RefusalReason.GATEWAY_BYTES
    first.remove(held)
    assert second.refusal(Some(), HoldSpec()) is None


def test_a_request_that_is_put_back_is_first():
    first, second, back = Some(), Some(), Some()
    queue = a_queue(first, second)
    queue.put_back(back)
    assert list(queue) == [back, first, second]
    assert queue.oldest() is back


def test_a_request_is_in_the_queue_once():
    request = Some()
    queue = a_queue(request)
    with pytest.raises(ValueError, match="already"):
        queue.append(request)


@pytest.mark.parametrize(("timeout_s", "streamed", "deadline_s"), [(300, True, 310), (300, False, 65), (20, False, 30)])
def test_holds_without_a_stream_for_less_than_a_minute(timeout_s, streamed, deadline_s):
    assert hold_deadline_s(10, HoldSpec(timeout_seconds=timeout_s), streamed=streamed) == deadline_s


@given(st.lists(st.tuples(st.sampled_from(["append", "back", "remove"]), st.integers(0, 50), st.integers(0, 50))))
def test_gauges_equal_the_content_in_any_order_of_steps(steps):
    budget = HoldBudget(10**9)
    queue: HoldQueue[Some] = HoldQueue(budget)
    content: list[Some] = []
    for what, size, tokens in steps:
        if what == "remove":
            if content:
                request = content.pop(size % len(content))
                assert queue.remove(request)
                assert not queue.remove(request)
            continue
        request = Some(size, tokens)
        if what == "append":
            queue.append(request)
            content.append(request)
        else:
            queue.put_back(request)
            content.insert(0, request)
        assert list(queue) == content
    assert queue.prompt_tokens == sum(each.prompt_tokens for each in content)
    assert queue.used_bytes == budget.used_bytes == sum(each.body_bytes for each in content)
