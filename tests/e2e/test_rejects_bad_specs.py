"""Promise: bad input is told apart at once, by name, and breaks nothing."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hack import kube
from tests.e2e.support import Model, autoscaling, chatmodel, never, operator_restarts


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            {"autoscaling": autoscaling(minReplicas=3, maxReplicas=2)},
            "spec.autoscaling.minReplicas 3 is above maxReplicas 2",
            id="min-above-max",
        ),
        pytest.param(
            {"autoscaling": {"mode": "Operator"}},
            "spec.autoscaling.maxReplicas is required unless mode is Fixed",
            id="no-max",
        ),
        pytest.param(
            {"model": {"uri": "ftp://somewhere/model"}},
            'spec.model.uri must be hf://OWNER/NAME, pvc://CLAIM/PATH or file:///PATH, found "ftp://somewhere/model"',
            id="uri-scheme",
        ),
        pytest.param(
            {"device": "CPU", "resources": {"limits": {"nvidia.com/gpu": 1}}},
            "spec.resources.limits must not name GPUs with spec.device CPU",
            id="gpu-on-cpu",
        ),
        pytest.param(
            {"autoscaling": autoscaling(windowSeconds=5, panicWindowSeconds=6)},
            "spec.autoscaling.panicWindowSeconds 6 is above windowSeconds 5",
            id="panic-window",
        ),
        pytest.param(
            {"autoscaling": autoscaling(source={"type": "Prometheus"})},
            "spec.autoscaling.source.prometheusURL is required with type Prometheus",
            id="prometheus-without-address",
        ),
        pytest.param({"autoscaling": autoscaling(mode="Auto")}, 'Unsupported value: "Auto"', id="unknown-mode"),
        # kubectl itself may refuse this one, in words of its own.
        pytest.param({"model": {}}, "spec.model", id="no-uri"),
        pytest.param({"replicas": -1}, "spec.replicas: Invalid value", id="negative-replicas"),
    ],
)
def test_rejects_bad_specs_at_apply(namespace: str, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(kube.KubectlError) as refused:
        kube.apply(chatmodel("bad", namespace, **spec))

    assert message in str(refused.value)
    assert "ChatModel" in str(refused.value)
    assert kube.get("chatmodel", "bad", namespace) is None


def test_rejects_a_name_that_is_too_long(namespace: str) -> None:
    with pytest.raises(kube.KubectlError, match=r"metadata\.name must have at most 40 characters, found 41"):
        kube.apply(chatmodel("x" * 41, namespace))


def test_rejects_a_name_that_no_service_may_have(namespace: str) -> None:
    with pytest.raises(kube.KubectlError, match=r'start with a letter, found "7b"'):
        kube.apply(chatmodel("7b", namespace))


def test_a_bad_change_leaves_the_running_model_alone(make_model: Callable[..., Model]) -> None:
    model = make_model()
    model.wait_ready(1)
    pods = [pod["metadata"]["uid"] for pod in model.pods()]
    good = copy.deepcopy(model.manifest)
    model.manifest["spec"]["autoscaling"]["minReplicas"] = 99

    with pytest.raises(kube.KubectlError, match="minReplicas 99 is above maxReplicas 4"):
        model.apply()

    assert model.read()["spec"]["autoscaling"]["minReplicas"] == good["spec"]["autoscaling"]["minReplicas"]
    assert [pod["metadata"]["uid"] for pod in model.pods()] == pods


def test_a_model_that_does_not_exist_is_reported(make_model: Callable[..., Model], images: dict[str, str]) -> None:
    restarts = operator_restarts()
    model = make_model(
        model={"uri": "file:///models/no-such-model"},
        server={"engine": "Transformers", "image": images["server-smollm2"], "maxModelLen": 512},
        autoscaling={"mode": "Fixed"},
        resources={"requests": {"cpu": "100m", "memory": "512Mi"}},
    )

    message = model.wait_condition("ModelLoaded", "False", "ModelNotFound", within_s=120)

    assert "file:///models/no-such-model" in message
    assert kube.condition(model.read(), "Ready")["status"] == "False"
    kube.wait_for("an Event says so", lambda: any(r == "ModelNotFound" for r, _ in model.events()), within_s=20)
    assert operator_restarts() == restarts


def test_a_model_that_does_not_fit_is_reported(make_model: Callable[..., Model], images: dict[str, str]) -> None:
    model = make_model(
        model={"uri": "file:///models/SmolLM2-135M-Instruct"},
        server={"engine": "Transformers", "image": images["server-smollm2"], "dtype": "float32"},
        autoscaling={"mode": "Fixed"},
        resources={"requests": {"cpu": "100m"}, "limits": {"memory": "600Mi"}},
    )

    message = model.wait_condition("ModelLoaded", "False", "ModelDoesNotFit", within_s=120)

    assert "memory" in message.lower()


def test_a_deleted_model_leaves_nothing_behind(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling=autoscaling(mode="HPA", maxReplicas=2))
    model.wait_ready(1)

    kube.kubectl("delete", "chatmodel", model.name, "-n", model.namespace, "--timeout=20s")

    def leftovers() -> list[str]:
        kinds = ("deployments", "services", "hpa", "pods")
        return [item["metadata"]["name"] for kind in kinds for item in kube.list_items(kind, model.namespace)]

    kube.wait_for("children are gone", lambda: not leftovers(), within_s=90)
    never("children came back", lambda: bool(leftovers()), for_s=5)
