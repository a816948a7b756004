"""Requests that arrive while too many are held get shorter answers, or those of another model."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from chatscale.api.v1alpha1.routing import OverloadSpec, RoutingSpec
from chatscale_gateway.routing.catalog import Model, ModelKey
from chatscale_gateway.routing.overload import Capped, Fallback, decide_overload
from tests.support.gateway_world import a_model

SMALL = a_model(ModelKey("demo", "small"))
CAP = OverloadSpec(held_requests=10, max_tokens=256)
FALLBACK = OverloadSpec(held_requests=10, fallback="small")


def find(key: ModelKey) -> Model | None:
    return SMALL if key == SMALL.key else None


def decide(overload: OverloadSpec | None, held: int = 11, prompt_tokens: int = 10, find=find, **body: object):
    model = a_model(routing=RoutingSpec(overload=overload))
    return decide_overload(model, held, {"model": "tiny", **body}, prompt_tokens, find)


@pytest.mark.parametrize("overload", [CAP, FALLBACK, None])
@pytest.mark.parametrize("held", [0, 10])
def test_nothing_changes_up_to_the_threshold(overload, held):
    assert decide(overload, held, max_tokens=1000) is None


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        pytest.param({}, {"max_tokens": 256}, id="none"),
        pytest.param({"max_tokens": None}, {"max_tokens": 256}, id="null"),
        pytest.param({"max_tokens": 1000, "n": 4}, {"max_tokens": 256}, id="old name"),
        pytest.param({"max_completion_tokens": 1000}, {"max_completion_tokens": 256}, id="new name"),
        pytest.param({"max_tokens": 300, "max_completion_tokens": 20}, {"max_tokens": 256}, id="one is larger"),
        pytest.param({"max_tokens": 400, "max_completion_tokens": 300},
                     {"max_tokens": 256, "max_completion_tokens": 256}, id="both"),
    ],
)  # fmt: skip
def test_caps_every_field_that_limits_an_answer(fields, changes):
    assert decide(CAP, **fields) == Capped(256, changes)


@pytest.mark.parametrize("found", [1000.0, "1000", "1e3", 256.5, -1, "-1", 10**400])
def test_caps_numbers_that_only_lenient_runtimes_accept(found):
    assert decide(CAP, max_tokens=found) == Capped(256, {"max_tokens": 256})


@pytest.mark.parametrize("found", [1, 256, "many", True, [1], "9" * 40, "nan"])
def test_never_raises_a_limit_and_leaves_bad_ones_to_the_replica(found):
    assert decide(CAP, max_tokens=found) is None


def test_a_smaller_model_answers():
    assert decide(FALLBACK) == Fallback(SMALL)


def test_there_is_one_hop_and_no_loop():
    back = replace(SMALL, routing=RoutingSpec(overload=OverloadSpec(held_requests=0, fallback="tiny")))
    assert decide(FALLBACK, find=lambda _: back) == Fallback(back)
    assert decide(OverloadSpec(held_requests=0, fallback="tiny"), find=lambda _: a_model()) is None


def test_requests_wait_if_the_fallback_cannot_answer_them():
    assert decide(FALLBACK, find=lambda _: None) is None
    assert decide(FALLBACK, prompt_tokens=4096, find=lambda _: replace(SMALL, max_model_len=4096)) is None


@pytest.mark.parametrize("fields", [{}, {"max_tokens": 5, "fallback": "small"}])
def test_a_spec_has_exactly_one_mode(fields):
    with pytest.raises(ValidationError, match="exactly one of maxTokens and fallback"):
        OverloadSpec(held_requests=1, **fields)
