"""The data of a Secret with a key: read strictly, written back as it was, and never repeated in an error."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatscale_contract.gateway.key_secret import (
    MAX_LIMIT,
    MalformedKeyError,
    StoredKey,
    decode_data,
    key_data,
    parse_key_data,
)
from chatscale_contract.gateway.keys import KeyPolicy, hash_key, new_key

T = TypeVar("T")
HASH = hash_key("csk-current")
OTHER = hash_key("csk-previous")
FIELDS = (
    "sha256", "previousSha256", "previousExpires", "models", "requestsPerMinute", "inputTokensPerMinute",
    "outputTokensPerMinute", "maxConcurrency", "priority", "expires", "wake", "live",
)  # fmt: skip

hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
times = st.datetimes(timezones=st.just(UTC))
limits = st.none() | st.integers(1, MAX_LIMIT)
policies = st.builds(
    KeyPolicy,
    models=st.frozensets(st.from_regex(r"\A([a-z]{1,8}/)?[a-z][a-z0-9-]{0,20}[a-z0-9]\Z"), max_size=5),
    requests_per_minute=limits,
    input_tokens_per_minute=limits,
    output_tokens_per_minute=limits,
    max_concurrency=limits,
    priority=st.integers(-100, 100),
    expires=st.none() | times,
    wake=st.booleans(),
    live=st.booleans(),
)
rotations = st.just((None, None)) | st.tuples(hashes, times)
stored_keys = st.builds(
    lambda sha256, policy, rotation: StoredKey(sha256, policy, *rotation), hashes, policies, rotations
).filter(lambda key: key.sha256 != key.previous_sha256)


def test_reads_every_field():
    data = {
        "sha256": f"{HASH.upper()}\n",
        "previousSha256": OTHER,
        "previousExpires": "2026-11-27T09:00:00+01:00",
        "models": "tiny, shop/large\nsmall",
        "requestsPerMinute": "60",
        "inputTokensPerMinute": "100000",
        "outputTokensPerMinute": "20000",
        "maxConcurrency": "4",
        "priority": "-5",
        "expires": "2027-01-01T00:00:00Z",
        "wake": "false",
        "live": "true",
    }

    assert parse_key_data(data) == StoredKey(
        sha256=HASH,
        policy=KeyPolicy(
            models=frozenset({"tiny", "shop/large", "small"}),
            requests_per_minute=60,
            input_tokens_per_minute=100_000,
            output_tokens_per_minute=20_000,
            max_concurrency=4,
            priority=-5,
            expires=datetime(2027, 1, 1, tzinfo=UTC),
            wake=False,
            live=True,
        ),
        previous_sha256=OTHER,
        previous_expires=datetime(2026, 11, 27, 8, tzinfo=UTC),
    )


def test_a_hash_alone_is_a_key_without_limits():
    assert parse_key_data({"sha256": HASH}) == StoredKey(HASH)


@given(stored_keys)
def test_what_is_written_is_read_back(key: StoredKey):
    assert parse_key_data(key_data(key)) == key


A_HASH = "a SHA-256 of 64 hexadecimal digits"
A_LIMIT = "a whole number from 1 to 1000000000000"
A_TIME = "an RFC 3339 time such as 2026-12-31T23:59:59Z"
MODELS = "names of ChatModels, as name or namespace/name, separated by commas or spaces"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        pytest.param("sha256", "abc", f"sha256 must be {A_HASH}, found 3 characters", id="short hash"),
        pytest.param("requestsPerMinute", "0", f"requestsPerMinute must be {A_LIMIT}, found '0'", id="zero"),
        pytest.param(
            "maxConcurrency", "\u0661", f"maxConcurrency must be {A_LIMIT}, found '\u0661'", id="other digits"
        ),
        pytest.param("maxConcurrency", "1_0", f"maxConcurrency must be {A_LIMIT}, found '1_0'", id="underscore"),
        pytest.param("priority", "101", "priority must be a whole number from -100 to 100, found '101'", id="priority"),
        pytest.param("expires", "2026-11-27", f"expires must be {A_TIME}, found '2026-11-27'", id="a date"),
        pytest.param(
            "expires",
            "2026-11-27T08:00:00",
            f"expires must be {A_TIME}, found '2026-11-27T08:00:00'",
            id="no time zone",
        ),
        pytest.param("wake", "no", "wake must be true or false, found 'no'", id="flag"),
        pytest.param("models", " , ", f"models must be {MODELS}, found ','", id="no model"),
        pytest.param("models", "Tiny", f"models must be {MODELS}, found 'Tiny'", id="a name that no ChatModel has"),
        pytest.param("models", "m" * 20_000, f"models must be {MODELS}, found 20000 characters", id="huge"),
        pytest.param("rpm", "60", f"rpm is not a field of a key; fields are {', '.join(FIELDS)}", id="unknown field"),
        pytest.param(
            "previousSha256",
            OTHER,
            "previousSha256 and previousExpires must be set together, found only one of them",
            id="overlap without an end",
        ),
    ],
)
def test_names_field_expectation_and_found_value(field: str, value: str, message: str):
    with pytest.raises(MalformedKeyError) as refusal:
        parse_key_data({"sha256": HASH, field: value})

    assert str(refusal.value) == message


def test_a_secret_without_a_hash_is_no_key():
    with pytest.raises(MalformedKeyError, match=f"^sha256 must be {A_HASH}, found nothing$"):
        parse_key_data({})


def test_the_hash_before_a_rotation_is_another_one():
    with pytest.raises(MalformedKeyError, match=r"^previousSha256 must differ from sha256, found the same hash$"):
        parse_key_data({"sha256": HASH, "previousSha256": HASH, "previousExpires": "2026-11-27T08:00:00Z"})


@pytest.mark.parametrize("name", [*FIELDS, "unknown"])
@pytest.mark.parametrize(
    "secret", [HASH, new_key(), "csk-short", f"{HASH}x"], ids=["hash", "key", "short key", "long hash"]
)
def test_an_error_never_repeats_a_hash_or_a_key(name: str, secret: str):
    for data in ({"sha256": HASH, name: secret, "wake": "x"}, {"sha256": HASH, secret.replace("/", "."): "1"}):
        with pytest.raises(MalformedKeyError) as refusal:
            parse_key_data(data)
        assert secret not in str(refusal.value)
        assert refusal.value.__cause__ is None
    assert secret not in repr(StoredKey(secret, previous_sha256=secret))


def outcome(read: Callable[[], T]) -> T | str:
    """What it returns, or the message of its error."""
    try:
        return read()
    except MalformedKeyError as error:
        return str(error)


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=20), st.text(max_size=80) | hashes, max_size=6))
@example({"sha256": HASH, "priority": "9" * 5000})
@example({"sha256": HASH, "\n": ""})
@example({"sha256": HASH, "expires": "0001-01-01T00:00:00+14:00"})
def test_any_text_is_a_key_or_an_error(data: dict[str, str]):
    found = outcome(lambda: parse_key_data(data))
    if isinstance(found, StoredKey):
        assert parse_key_data(key_data(found)) == found
    else:
        assert len(found) < 500
        assert "\n" not in found


manifest_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(manifest_values)
@example({"sha256": "%%%"})
@example({"sha256": base64.b64encode(b"\xff").decode()})
@example({"sha256": "QQ==" * 20_000})
@example({"sha256": "\u00e4"})
def test_any_manifest_data_is_decoded_or_an_error(data: object):
    found = outcome(lambda: decode_data(data))
    if isinstance(found, dict):
        assert all(isinstance(value, str) for value in found.values())
    else:
        assert len(found) < 500


def test_decodes_base64():
    assert decode_data({"sha256": base64.b64encode(b"abc\n").decode()}) == {"sha256": "abc\n"}
    assert decode_data(None) == {}
