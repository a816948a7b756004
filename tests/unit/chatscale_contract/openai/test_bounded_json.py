"""The bounds of a body hold for every body, also for those that are accepted without a closer look."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_contract.openai.bounded_json import JsonBounds, parse_object
from chatscale_contract.openai.errors import ApiError

BOUNDS = JsonBounds(depth=3, containers=6, commas=8, members=4)
TEXTS = st.text(st.sampled_from('a[]{},:"\\\u00e9'), max_size=6)
VALUES = st.recursive(
    TEXTS | st.integers(0, 9) | st.none(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=6),
    max_leaves=12,
)


def containers_of(value: Any) -> list[Any]:
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(found for each in inner for found in containers_of(each))]


def depth_of(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max((depth_of(each) for each in inner), default=0)


def is_within(value: Any, bounds: JsonBounds) -> bool:
    found = containers_of(value)
    return (
        depth_of(value) <= bounds.depth
        and len(found) <= bounds.containers
        and sum(max(0, len(each) - 1) for each in found) <= bounds.commas
        and max(len(each) for each in found if isinstance(each, dict)) <= bounds.members
    )


@given(st.dictionaries(TEXTS, VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_accepts_a_body_just_if_it_is_within_the_bounds(value, indent, ascii_only):
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    if is_within(value, BOUNDS):
        assert parse_object(body, BOUNDS) == value
    else:
        with pytest.raises(ApiError):
            parse_object(body, BOUNDS)


@pytest.mark.parametrize("bounds", [BOUNDS, JsonBounds()], ids=["narrow", "wide"])
@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": Infinity}', b"{", b"[]", b"1", b"\xff", b"", b'{"a": 1}x'])
def test_refuses_what_is_no_json_object(body, bounds):
    with pytest.raises(ApiError):
        parse_object(body, bounds)
