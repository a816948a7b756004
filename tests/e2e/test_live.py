"""Promise: the live state shows what the cluster does, to who may see it, and changes nothing."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from chatscale_contract.gateway.live import LIVE_DATA_PATH, LIVE_NOT_ALLOWED, LIVE_STREAM_PATH, LiveModel, LiveSnapshot
from hack import keys, kube
from tests.e2e.support import OPERATOR_NAMESPACE, Model, autoscaling, gateway_key, gateway_url, never, start_load

WITHIN_S = 30.0


@pytest.fixture
def live_key() -> Iterator[str]:
    """It opens all ChatModels, because its Secret is in the gateway's namespace."""
    name = f"e2e-live-{secrets.token_hex(4)}"
    key = keys.create_key(name, OPERATOR_NAMESPACE, "--live", "--expires", "1d")
    keys.wait_until_accepted(gateway_url(), key)
    yield key
    keys.revoke_key(name, OPERATOR_NAMESPACE)


def read(model: Model, url: str, key: str) -> LiveModel | None:
    """The model in the snapshot of some gateway."""
    request = urllib.request.Request(url + LIVE_DATA_PATH, headers=keys.bearer(key))
    with urllib.request.urlopen(request, timeout=10) as response:
        snapshot = LiveSnapshot.from_json(json.load(response))
    return next((each for each in snapshot.models if each.key == f"{model.namespace}/{model.name}"), None)


def test_shows_replicas_requests_and_latencies_of_a_model(make_model: Callable[..., Model], live_key: str) -> None:
    model = make_model(autoscaling={"mode": "Fixed"}, replicas=1, price={"gpuHour": "2.50"})
    model.wait_ready(1)
    url = gateway_url()

    load = start_load(model, rate_per_s=2, duration_s=120, max_tokens=16, through_gateway=True)

    def is_shown() -> bool:
        found = read(model, url, live_key)
        return (
            found is not None
            and (found.replicas.wanted, found.replicas.ready) == (1, 1)
            and found.generated_tokens_per_s > 0
            and found.ttft.p95_s is not None
            and found.cost is not None
            and str(found.cost.per_hour) == "2.50"
        )

    kube.wait_for("the live state shows the load", is_shown, WITHIN_S)
    load.finish()


def test_looking_at_a_model_at_zero_starts_nothing(make_model: Callable[..., Model], live_key: str) -> None:
    model = make_model(autoscaling=autoscaling(scaleToZero={"idleSeconds": 10}), replicas=0)
    url = gateway_url()
    kube.wait_for("the live state has the model", lambda: read(model, url, live_key) is not None, WITHIN_S)

    def is_woken() -> bool:
        found = read(model, url, live_key)
        return found is None or found.replicas.wanted != 0 or bool(model.pods())

    request = urllib.request.Request(url + LIVE_STREAM_PATH, headers=keys.bearer(live_key))
    with urllib.request.urlopen(request, timeout=10) as stream:
        assert stream.readline().startswith(b"data: ")
        never("a viewer wakes the model", is_woken, for_s=8)


def test_refuses_a_key_that_may_not_see_it() -> None:
    request = urllib.request.Request(gateway_url() + LIVE_DATA_PATH, headers=keys.bearer(gateway_key()))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as error:
        assert (error.code, json.load(error)["error"]["code"]) == (403, LIVE_NOT_ALLOWED)
