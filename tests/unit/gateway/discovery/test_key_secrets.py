"""What of a Secret is kept, and what its Event says."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chatscale_contract.gateway.key_secret import StoredKey
from chatscale_contract.gateway.keys import KeyId, hash_key
from chatscale_gateway.discovery.key_secrets import build_event, find_faults, read_key_secret
from chatscale_gateway.keys.key_ring import FoundKey
from tests.support.gateway_pods import a_key_secret

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HASH = hash_key("csk-one")


def test_keeps_the_key_of_a_valid_secret():
    found = read_key_secret(a_key_secret(sha256=HASH))

    assert found is not None
    assert found.key == FoundKey(KeyId("demo", "live"), StoredKey(HASH))
    assert list(find_faults([found], frozenset())) == []


def test_a_secret_that_is_being_deleted_is_revoked():
    manifest = a_key_secret(sha256=HASH)
    manifest["metadata"]["deletionTimestamp"] = "2026-11-27T12:00:00Z"

    assert read_key_secret(manifest) is None


def test_the_event_names_secret_field_expectation_and_found_value():
    found = read_key_secret(a_key_secret(sha256=HASH, priority="high", version=7))
    assert found is not None
    assert found.key is None
    [fault] = find_faults([found], frozenset())
    event = build_event(fault, NOW)

    name = event["metadata"].pop("name")
    assert name.startswith("live.")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "demo"},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Secret",
            "name": "live",
            "namespace": "demo",
            "uid": "uid-demo-live",
            "resourceVersion": "7",
        },
        "type": "Warning",
        "reason": "MalformedApiKey",
        "message": "priority must be a whole number from -100 to 100, found 'high'; the key is off",
        "source": {"component": "chatscale-gateway"},
        "reportingComponent": "chatscale-gateway",
        "reportingInstance": "chatscale-gateway",
        "firstTimestamp": "2026-11-27T12:00:00Z",
        "lastTimestamp": "2026-11-27T12:00:00Z",
        "count": 1,
    }
    assert build_event(fault, datetime(2027, 1, 1, tzinfo=UTC))["metadata"]["name"] == name, "also later, elsewhere"


data_values = st.none() | st.integers() | st.text(max_size=60) | st.lists(st.text(max_size=3), max_size=2)


@given(
    st.none() | st.text(max_size=5) | st.dictionaries(st.sampled_from(("sha256", "models", "wake", "x")), data_values)
)
def test_any_data_gives_a_key_or_a_fault_with_an_event(data: object):
    manifest = a_key_secret()
    manifest["data"] = data

    found = read_key_secret(manifest)

    assert found is not None
    assert (found.key is None) == bool(found.fault)
    for fault in find_faults([found], frozenset()):
        assert len(build_event(fault, NOW)["message"].encode()) <= 1024
