"""One engine request per choice, each within the model's limits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_contract.openai.errors import ApiError
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.http.generation import RequestContext, plan_requests, seed_of_choice
from chatscale_server.http.schema import CompletionBody

INFO = ModelInfo(max_model_len=1000, kv_capacity_tokens=4000, tokens_per_step=64, max_tokens_per_second=256.0,
                 vocab_size=500, end_tokens=frozenset(), max_beams=4)  # fmt: skip
CONTEXT = RequestContext(response_id="id", arrived_s=7.0, prompt_param="prompt", default_max_tokens=16)


def planned(*prompts: int, **fields: Any) -> list[tuple[str, int, int, int | None]]:
    """Id, prompt length, answer limit and seed of each request, for prompts of these lengths."""
    body = CompletionBody(model="m", prompt="x", **fields)
    requests = plan_requests(body, [[1] * length for length in prompts], CONTEXT, INFO)
    return [(one.id, len(one.prompt), one.max_tokens, one.sampling.seed) for one in requests]


def test_each_prompt_has_its_choices_side_by_side():
    second = seed_of_choice(5, 1)
    assert planned(3, 4, n=2, seed=5) == [
        ("id", 3, 16, 5), ("id.1", 3, 16, second), ("id.2", 4, 16, 5), ("id.3", 4, 16, second),
    ]  # fmt: skip


def test_limits_are_of_each_prompt():
    assert [limit for _, _, limit, _ in planned(10, 20, max_length=30)] == [20, 10]
    assert [limit for _, _, limit, _ in planned(10, 995)] == [16, 5]


@pytest.mark.parametrize(
    ("prompts", "fields", "param", "message"),
    [
        pytest.param([10, 30], {"max_length": 30}, "max_length", "leaves no room", id="one-prompt-too-long"),
        pytest.param([1000], {}, "prompt", "context is 1000", id="no-room"),
        pytest.param([0], {}, "prompt", "no tokens", id="empty"),
        pytest.param([1] * 3, {"n": 43}, "n", "129 choices; the limit is 128", id="choices"),
        pytest.param([1], {"min_tokens": 17}, "min_tokens", "limit of 16 tokens", id="more-than-the-default"),
        pytest.param([1], {"stop_token_ids": [500]}, "stop_token_ids", "below 500", id="stop-tokens"),
        pytest.param([1], {"num_beams": 5}, "num_beams", "limit of this server is 4", id="beams"),
        pytest.param([65], {"num_beams": 4}, "num_beams", "260 tokens, more than this server prefills in a second",
                     id="long-prompt-of-a-search"),
        pytest.param([12], {"num_beams": 4, "max_tokens": 501}, "num_beams", "2052 tokens; the limit is 2048",
                     id="long-search"),
        pytest.param([1, 1], {"num_beams": 2}, "prompt", "must be one prompt", id="prompts-of-a-search"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_by_name(prompts, fields, param, message):
    with pytest.raises(ApiError, match=message) as caught:
        planned(*prompts, **fields)
    assert (caught.value.status, caught.value.param) == (400, param)


@given(seed=st.integers(-(2**63), 2**63 - 1), choices=st.integers(1, 128))
def test_seeds_of_choices_are_all_different_and_the_first_is_the_one_given(seed, choices):
    seeds = [seed_of_choice(seed, choice) for choice in range(choices)]
    assert seeds[0] == seed
    assert len(set(seeds)) == choices
    assert all(-(2**63) <= one < 2**63 for one in seeds)
    assert seed_of_choice(None, 3) is None
