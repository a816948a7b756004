"""Promise: a ShopAssistant answers through the gateway from its documents as they are now, and loses no request."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from chatscale.names import API_VERSION, SHOPASSISTANT, assistant_child
from chatscale_contract.assistant.endpoints import EXTRAS_FIELD
from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH, MODELS_PATH
from hack import keys, kube
from tests.e2e.support import Model, assert_served, gateway_key, gateway_url, start_load

QUESTION = "How many days do I have to return an item?"
READY_WITHIN_S = 240
"""Two pods load two encoders on two busy cores."""
PROPAGATION_S = 120
"""The kubelet copies a changed ConfigMap within its sync period of a minute plus the lifetime of its cache."""
CHILDREN = "deployments,services,configmaps,secrets,poddisruptionbudgets,networkpolicies,hpa,pods"


@cache
def url() -> str:
    """The address of the gateway; read once, as each reading calls kubectl."""
    return gateway_url()


def policies(days: int) -> str:
    return (
        f"# Returns\n\nYou can return an item within {days} days of delivery.\n\n"
        "# Delivery\n\nParcels arrive within 5 working days.\n"
    )


def config_map(namespace: str, days: int) -> kube.Manifest:
    meta = {"name": "policies", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"policies.md": policies(days)}}


def shop_assistant(namespace: str, **spec: Any) -> kube.Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": SHOPASSISTANT.kind,
        "metadata": {"name": "shop", "namespace": namespace},
        "spec": {
            "model": {"chatModel": "none", "writes": "Never"},
            "languages": ["en", "fr", "zh"],
            "knowledge": [{"name": "policies", "configMap": "policies"}],
            "replicas": {"min": 2},
            "resources": {"requests": {"cpu": "200m", "memory": "400Mi"}, "limits": {"memory": "2Gi"}},
            **spec,
        },
    }


@pytest.fixture
def shop(namespace: str, images: dict[str, str]) -> kube.Manifest:
    """An assistant with two Ready pods that use its document."""
    assert "assistant" in images, "run `make images` first"
    kube.apply(config_map(namespace, 30))
    manifest = shop_assistant(namespace)
    kube.apply(manifest)
    kube.wait_for("two pods of shop use the document", lambda: is_whole(namespace), READY_WITHIN_S)
    return manifest


def read(namespace: str) -> kube.Manifest:
    found = kube.get(SHOPASSISTANT.singular, "shop", namespace)
    assert found is not None
    return found


def is_whole(namespace: str) -> bool:
    found = read(namespace)
    status = found.get("status", {})
    conditions = {kind: kube.condition(found, kind).get("status") for kind in ("Ready", "KnowledgeReady")}
    return status.get("readyReplicas") == 2 and bool(status.get("index")) and set(conditions.values()) == {"True"}


def pods(namespace: str) -> list[kube.Manifest]:
    return kube.list_items("pods", namespace, f"{SHOPASSISTANT.label}=shop")


def call(path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and JSON body of one request to the gateway."""
    headers = {"Content-Type": "application/json", **keys.bearer(gateway_key())}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url() + path, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def answer_to(namespace: str, question: str = QUESTION) -> tuple[str, dict[str, Any]]:
    """Text and extras of an answer."""
    messages = [{"role": "user", "content": question}]
    status, body = call(CHAT_COMPLETIONS_PATH, {"model": f"{namespace}/shop", "messages": messages})
    assert status == 200, body
    return body["choices"][0]["message"]["content"], body[EXTRAS_FIELD]


def test_answers_from_its_document_with_a_citation_and_is_listed_as_a_model(namespace: str, shop: kube.Manifest):
    def answer() -> dict[str, Any] | None:
        """The extras of an answer from the document; on a busy machine the first search can be late."""
        text, extras = answer_to(namespace)
        return extras if "30 days" in text else None

    extras = kube.wait_for("an answer has the number of the document", answer, within_s=60)

    assert "30 days" in extras["citations"][0]["quote"]
    assert (extras["citations"][0]["source"], extras["language"]) == ("policies", "en")
    status, body = call(MODELS_PATH)
    assert status == 200
    assert {"shop", f"{namespace}/shop"} & {model["id"] for model in body["data"]}


def test_a_changed_document_is_used_by_every_pod_and_restarts_none(
    namespace: str, shop: kube.Manifest, record_property: Callable[[str, object], None]
):
    before = {pod["metadata"]["uid"] for pod in pods(namespace)}
    index = read(namespace)["status"]["index"]

    changed_at_s = time.monotonic()
    kube.apply(config_map(namespace, 45))
    kube.wait_for(
        "an answer has the new number", lambda: "45 days" in answer_to(namespace)[0], PROPAGATION_S, every_s=0.5
    )
    record_property("first_new_answer_s", round(time.monotonic() - changed_at_s, 1))
    kube.wait_for(
        "all pods use one new index",
        lambda: read(namespace)["status"].get("index") not in {None, index} and is_whole(namespace),
        PROPAGATION_S,
        every_s=0.5,
    )
    record_property("all_pods_s", round(time.monotonic() - changed_at_s, 1))

    answers = [answer_to(namespace)[0] for _ in range(20)]
    assert [answer for answer in answers if "30 days" in answer] == [], "the old text is never used again"
    assert {pod["metadata"]["uid"] for pod in pods(namespace)} == before


def test_a_deleted_document_is_not_used_again_and_the_condition_names_it(namespace: str, shop: kube.Manifest):
    kube.kubectl("delete", "configmap", "policies", "-n", namespace)
    kube.wait_for(
        "the condition names the ConfigMap",
        lambda: "ConfigMap" in kube.condition(read(namespace), "KnowledgeReady").get("message", ""),
        PROPAGATION_S,
    )

    kube.wait_for(
        "no pod answers from it",
        lambda: all("30 days" not in answer_to(namespace)[0] for _ in range(10)),
        PROPAGATION_S,
    )


def test_a_deleted_pod_loses_no_request(namespace: str, shop: kube.Manifest):
    load = start_load(Model(shop), rate_per_s=3, duration_s=40, through_gateway=True)
    kube.wait_for("customers are answered", lambda: load.report is not None and time.monotonic() - load.began_s > 8, 30)
    kube.kubectl("delete", "pod", pods(namespace)[0]["metadata"]["name"], "-n", namespace, "--wait=false")
    report = load.join()

    assert_served(report, at_least=60)
    kube.wait_for("two pods answer again", lambda: is_whole(namespace), READY_WITHIN_S)


def test_a_changed_spec_rolls_out_without_loss(namespace: str, shop: kube.Manifest):
    load = start_load(Model(shop), rate_per_s=2, duration_s=READY_WITHIN_S, through_gateway=True)
    before = {pod["metadata"]["uid"] for pod in pods(namespace)}
    shop["spec"]["persona"] = {"name": "Ada"}
    kube.apply(shop)
    kube.wait_for(
        "both pods are new",
        lambda: is_whole(namespace) and not before & {pod["metadata"]["uid"] for pod in pods(namespace)},
        READY_WITHIN_S,
    )

    assert_served(load.finish(), at_least=10)


def test_a_deletion_leaves_nothing(namespace: str, shop: kube.Manifest):
    kube.kubectl("delete", SHOPASSISTANT.singular, "shop", "-n", namespace, "--timeout=20s")

    kube.wait_for(
        "its children are gone",
        lambda: not kube.list_items(CHILDREN, namespace, f"{SHOPASSISTANT.label}=shop"),
        within_s=120,
    )
    kube.wait_for(
        "the gateway does not list it",
        lambda: call(f"{MODELS_PATH}/{namespace}/shop")[0] == 404,
        within_s=30,
    )


def test_a_missing_secret_is_named(namespace: str, images: dict[str, str]):
    kube.apply(config_map(namespace, 30))
    desk = {"handOver": {"urlSecretRef": {"name": "desk", "key": "url"}}}
    kube.apply(shop_assistant(namespace, guardrails=desk, replicas={"min": 1}))

    found = kube.wait_for(
        "Ready names the Secret",
        lambda: kube.condition(read(namespace), "Ready") if _is_explained(namespace) else None,
        within_s=90,
    )

    assert "spec.guardrails.handOver.urlSecretRef: Secret desk, key url" in found["message"]
    assert kube.get("deployment", assistant_child("shop"), namespace) is not None


def _is_explained(namespace: str) -> bool:
    return kube.condition(read(namespace), "Ready").get("reason") == "VolumesNotReady"
