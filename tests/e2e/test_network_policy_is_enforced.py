"""Promise of the test cluster: a NetworkPolicy decides which pods reach a ChatModel, for as long as it exists.

A policy engine's pod may be Ready while it enforces nothing, so only traffic that is refused proves anything.
"""

from collections.abc import Callable

import pytest

from hack import kube
from tests.e2e.support import Model

ALLOWED, OTHER = "allowed-client", "other-client"
WITHIN_S = 60
REQUEST = (
    "import sys, urllib.request as r; print(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=2).status)"
)
"""A refused connection gets no answer: two seconds are long for one inside the cluster."""
SLEEP_FOREVER = "import signal; signal.pause()"


def client_pod(name: str, namespace: str, image: str) -> kube.Manifest:
    """A pod that does nothing; requests are sent from it with `kubectl exec`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"client": name}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "client",
                    "image": image,
                    "command": ["python", "-c", SLEEP_FOREVER],
                    "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}},
                }
            ],
        },
    }


def only_from(client: str, model: Model) -> kube.Manifest:
    """The policy: this client, and nobody else, may connect to the model's pods."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "only-one-client", "namespace": model.namespace},
        "spec": {
            "podSelector": {"matchLabels": model.pods()[0]["metadata"]["labels"]},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"client": client}}}]}],
        },
    }


def reaches(client: str, url: str, namespace: str) -> bool:
    """Whether a new connection from the client is answered; any failure but a timeout is an error."""
    try:
        return kube.kubectl("exec", client, "-n", namespace, "--", "python", "-c", REQUEST, url).strip() == "200"
    except kube.KubectlError as error:
        if "timed out" not in str(error):
            raise
        return False


@pytest.fixture
def clients(namespace: str, images: dict[str, str]) -> None:
    """Two pods that differ in a label."""
    for name in (ALLOWED, OTHER):
        kube.apply(client_pod(name, namespace, images["server-simulated"]))
    ready = ("wait", "pods", ALLOWED, OTHER, "-n", namespace, "--for=condition=Ready", f"--timeout={WITHIN_S}s")
    kube.kubectl(*ready, timeout_s=WITHIN_S + 10)


@pytest.mark.usefixtures("clients")
def test_only_the_allowed_client_reaches_the_model_while_the_policy_exists(make_model: Callable[..., Model]) -> None:
    model = make_model(autoscaling={"mode": "Fixed"})
    model.wait_ready(1)
    pod = model.pods()[0]
    port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
    addresses = [f"http://{pod['status']['podIP']}:{port}/v1/models", f"http://{model.name}/v1/models"]

    def reached_by() -> dict[str, list[bool]]:
        return {name: [reaches(name, url, model.namespace) for url in addresses] for name in (ALLOWED, OTHER)}

    def wait_until_reached_by(expected: dict[str, list[bool]]) -> None:
        kube.wait_for(f"{addresses} reached by {expected}", lambda: reached_by() == expected, within_s=WITHIN_S)

    everybody = {ALLOWED: [True, True], OTHER: [True, True]}
    only_one = {ALLOWED: [True, True], OTHER: [False, False]}

    wait_until_reached_by(everybody)
    kube.apply(only_from(ALLOWED, model))
    wait_until_reached_by(only_one)
    kube.apply(only_from(OTHER, model))
    wait_until_reached_by({ALLOWED: [False, False], OTHER: [True, True]})
    kube.kubectl("delete", "networkpolicy", "only-one-client", "-n", model.namespace)
    wait_until_reached_by(everybody)
