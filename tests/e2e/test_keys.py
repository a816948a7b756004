"""Promise: the gateway serves only who has a key, and each key opens only its models."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH, MODELS_PATH
from hack import keys, kube
from hack.load import Fate
from tests.e2e.support import OPERATOR_NAMESPACE, Model, gateway_key, gateway_url, start_load

WITHIN_S = 5.0
"""A revoked or changed key counts within this time at all gateways."""
PROBES = 8
"""Each opens a connection, and the Service chooses one of two gateways for each."""
AFTER_REQUESTS = 5
STOPPED = {"autoscaling": {"mode": "Fixed"}, "replicas": 0}
"""No pod has to start: a key that opens the model gets 503, all others 404."""


@cache
def url() -> str:
    """The address of the gateway; read once, as each reading calls kubectl."""
    return gateway_url()


def call(key: str | None, path: str = MODELS_PATH, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and JSON body of one request to the gateway."""
    headers = {"Content-Type": "application/json", **keys.bearer(key)}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url() + path, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def chat(key: str | None, model: str) -> tuple[int, Any]:
    body = {"model": model, "max_tokens": 2, "messages": [{"role": "user", "content": "Hello"}]}
    return call(key, CHAT_COMPLETIONS_PATH, body)


def models_of(key: str) -> set[str]:
    status, body = call(key)
    assert status == 200, body
    return {model["id"] for model in body["data"]}


def code_of(answer: tuple[int, Any]) -> tuple[int, str]:
    status, body = answer
    return status, body["error"]["code"]


def wait_until_refused(key: str, within_s: float = WITHIN_S) -> None:
    """At all gateways, and for good."""

    def is_refused() -> bool:
        return all(keys.status_of(url(), key) == 401 for _ in range(PROBES))

    kube.wait_for("the gateways refuse the key", is_refused, within_s, every_s=0.1)
    assert is_refused()


def wait_until_opened(key: str, model: str) -> None:
    """Until all gateways have read the ChatModel, which has no replica."""
    kube.wait_for(
        f"the gateways have {model}",
        lambda: all(chat(key, model)[0] == 503 for _ in range(PROBES)),
        within_s=30,
        every_s=0.2,
    )


def accepted(key: str) -> str:
    keys.wait_until_accepted(url(), key, within_s=WITHIN_S)
    return key


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another namespace, without ChatModels."""
    name = f"e2e-keys-elsewhere-{secrets.token_hex(2)}"
    kube.kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        kube.delete_namespace(name)


@pytest.fixture
def name_of_key() -> Iterator[str]:
    """For a Secret in the gateway's namespace, which outlives the test."""
    name = f"e2e-{secrets.token_hex(4)}"
    yield name
    kube.kubectl("delete", "secret", name, "-n", OPERATOR_NAMESPACE, "--ignore-not-found")


def test_serves_nobody_without_a_key(make_model: Callable[..., Model]) -> None:
    model = make_model(**STOPPED)
    name = f"{model.namespace}/{model.name}"
    wait_until_opened(gateway_key(), name)

    for key in (None, "csk-" + secrets.token_urlsafe(32)):
        assert code_of(call(key)) == (401, "invalid_api_key")
        assert code_of(chat(key, name)) == (401, "invalid_api_key")
    assert call(gateway_key())[0] == 200


def test_refuses_a_revoked_key_within_5_s(name_of_key: str) -> None:
    key = accepted(keys.create_key(name_of_key, OPERATOR_NAMESPACE))

    keys.revoke_key(name_of_key, OPERATOR_NAMESPACE)

    wait_until_refused(key)


def test_loses_no_request_in_a_rotation(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling={"mode": "Fixed"}, replicas=1)
    model.wait_ready(1)
    current = [accepted(keys.create_key("website", model.namespace))]
    sent: list[str] = []

    def key() -> str:
        sent.append(current[-1])
        return sent[-1]

    load = start_load(model, rate_per_s=5, duration_s=120, max_tokens=4, through_gateway=True, key=key)
    kube.wait_for("requests with the old key", lambda: sent.count(current[0]) >= AFTER_REQUESTS, within_s=30)
    current.append(accepted(keys.rotate_key("website", model.namespace, "--overlap", "1h")))
    with pytest.raises(keys.KeyCommandError, match="rotated before"):
        keys.rotate_key("website", model.namespace)
    assert call(current[0])[0] == 200, "the old key is valid in the overlap"
    kube.wait_for("requests with the new key", lambda: sent.count(current[1]) >= AFTER_REQUESTS, within_s=30)
    report = load.finish()

    assert report.count(Fate.ANSWERED) == len(report.outcomes) > 0, str(report)
    current.append(accepted(keys.rotate_key("website", model.namespace, "--overlap", "0s", "--force")))
    wait_until_refused(current[1])
    wait_until_refused(current[0])


def test_a_key_opens_only_its_namespace(make_model: Callable[..., Model], namespace: str, elsewhere: str) -> None:
    model = make_model(**STOPPED)
    full_name = f"{namespace}/{model.name}"
    own = accepted(keys.create_key("own", namespace))
    foreign = accepted(keys.create_key("foreign", elsewhere))
    # Naming a model of another namespace in the policy does not open it.
    greedy = accepted(keys.create_key("greedy", elsewhere, "--models", full_name))
    wait_until_opened(own, full_name)

    assert code_of(chat(own, full_name)) == (503, "model_stopped")
    assert models_of(own)
    for key in (foreign, greedy):
        assert code_of(chat(key, full_name)) == (404, "model_not_found")
        assert code_of(chat(key, model.name)) == (404, "model_not_found")
        assert models_of(key) == set()
    hidden = chat(foreign, full_name)[1]["error"]["message"].replace(full_name, "?")
    unknown = chat(foreign, "nobody/nothing")[1]["error"]["message"].replace("nobody/nothing", "?")
    assert hidden == unknown, "an answer must not say that the model exists"


def test_two_keys_see_only_their_models(make_model: Callable[..., Model], namespace: str) -> None:
    shop, support = make_model("shop", **STOPPED), make_model("support", **STOPPED)
    of = {name: accepted(keys.create_key(name, namespace, "--models", name)) for name in (shop.name, support.name)}

    for own, other in ((shop, support), (support, shop)):
        key = of[own.name]
        wait_until_opened(key, f"{namespace}/{own.name}")
        [seen] = models_of(key)
        assert seen in {own.name, f"{namespace}/{own.name}"}
        assert code_of(chat(key, f"{namespace}/{own.name}")) == (503, "model_stopped")
        assert code_of(chat(key, f"{namespace}/{other.name}")) == (404, "model_not_found")


def test_a_malformed_secret_is_no_key_and_gets_an_event(namespace: str) -> None:
    key = accepted(keys.create_key("website", namespace))

    change = '{"stringData": {"requestsPerMinute": "many"}}'
    kube.kubectl("patch", "secret", "website", "-n", namespace, "--patch", change)

    wait_until_refused(key)

    def message() -> str | None:
        events = kube.list_items("events", namespace)
        about = [each for each in events if each["involvedObject"]["kind"] == "Secret"]
        return next((each["message"] for each in about if each["involvedObject"]["name"] == "website"), None)

    assert "requestsPerMinute" in kube.wait_for("an Event about the Secret", message, within_s=15)
