"""Promise: only the gateway, the operator and Prometheus reach a ChatModel's replicas, unless a policy admits others.

A policy engine's pod may be Ready while it enforces nothing, so only traffic that is refused proves anything.
"""

import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from chatscale_contract.gateway.endpoints import ADMIN_PORT
from hack import kube
from hack.cluster.addons import PROMETHEUS_URL
from hack.helm import RELEASE
from tests.e2e.support import OPERATOR_NAMESPACE, Model, assert_served, start_load

ALLOWED, OTHER = "allowed-client", "other-client"
WITHIN_S = 60
REQUEST = """\
import http.client, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
connection = http.client.HTTPConnection(url.netloc, timeout=2)
connection.request("GET", url.path)
print(connection.getresponse().status)
"""
"""A refused connection gets no answer: two seconds are long for one inside the cluster."""
SLEEP_FOREVER = "import signal; signal.pause()"
GATEWAY_LABELS = {"app.kubernetes.io/name": "chatscale-gateway", "app.kubernetes.io/instance": RELEASE}


def client_pod(name: str, namespace: str, image: str, labels: dict[str, str]) -> kube.Manifest:
    """A pod that does nothing; requests are sent from it with `kubectl exec`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
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


def also_from(client: str, model: Model) -> kube.Manifest:
    """A policy of the user: this client, too, may connect to the model's pods."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "one-client", "namespace": model.namespace},
        "spec": {
            "podSelector": {"matchLabels": {"chatscale.dev/chatmodel": model.name}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"client": client}}}]}],
        },
    }


def reaches(client: str, url: str, namespace: str) -> bool:
    """Whether a new connection from the client is answered, with any status; any failure but a timeout is an error."""
    try:
        return kube.kubectl("exec", client, "-n", namespace, "--", "python", "-c", REQUEST, url).strip().isdigit()
    except kube.KubectlError as error:
        if "timed out" not in str(error):
            raise
        return False


@pytest.fixture
def strangers_namespace() -> Iterator[str]:
    """A namespace in which anybody may create pods with any labels."""
    name = f"e2e-stranger-{secrets.token_hex(2)}"
    kube.kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        kube.delete_namespace(name)


@pytest.fixture
def clients(namespace: str, strangers_namespace: str, images: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Names and namespaces of pods: two beside the model, one elsewhere without labels, one with the gateway's."""
    image = images["server-simulated"]
    labels = {
        (ALLOWED, namespace): {"client": ALLOWED},
        (OTHER, namespace): {"client": OTHER},
        ("unlabelled", strangers_namespace): {},
        ("impostor", strangers_namespace): GATEWAY_LABELS,
    }
    kube.apply(*(client_pod(name, where, image, found) for (name, where), found in labels.items()))
    for name, where in labels:
        ready = ("wait", f"pod/{name}", "-n", where, "--for=condition=Ready", f"--timeout={WITHIN_S}s")
        kube.kubectl(*ready, timeout_s=WITHIN_S + 10)
    return tuple(labels)


def scraped_pods(model: Model) -> set[str]:
    """Pods of the model that Prometheus scrapes successfully."""
    query = f'up{{namespace="{model.namespace}",pod=~"{model.name}-.*"}}==1'
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{PROMETHEUS_URL}/api/v1/query?query={urllib.request.quote(query)}", timeout=5) as response:
        return {found["metric"]["pod"] for found in json.load(response)["data"]["result"]}


def test_replicas_refuse_everybody_but_gateway_operator_and_prometheus(
    make_model: Callable[..., Model], clients: tuple[tuple[str, str], ...]
) -> None:
    model = make_model(autoscaling={"mode": "Fixed"})
    model.wait_ready(1)
    pod = model.pods()[0]
    port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
    service = f"http://{model.name}.{model.namespace}/v1/models"
    addresses = [f"http://{pod['status']['podIP']}:{port}/v1/models", service]
    nobody = {name: [False, False] for name, _ in clients}

    def reached_by() -> dict[str, list[bool]]:
        return {name: [reaches(name, url, where) for url in addresses] for name, where in clients}

    def wait_until_reached_by(expected: dict[str, list[bool]]) -> None:
        kube.wait_for(f"{addresses} reached by {expected}", lambda: reached_by() == expected, within_s=WITHIN_S)

    wait_until_reached_by(nobody)
    assert_served(start_load(model, rate_per_s=4, duration_s=2, through_gateway=True).join(), at_least=4)
    kube.wait_for("Prometheus scrapes the replica", lambda: scraped_pods(model), within_s=WITHIN_S)
    # The operator reads the replicas' metrics: otherwise it could not scale.
    assert model.wait_condition("Ready", "True")

    kube.apply(also_from(ALLOWED, model))
    wait_until_reached_by(nobody | {ALLOWED: [True, True]})
    kube.apply(also_from(OTHER, model))
    wait_until_reached_by(nobody | {OTHER: [True, True]})
    kube.kubectl("delete", "networkpolicy", "one-client", "-n", model.namespace)
    wait_until_reached_by(nobody)


def test_the_gateways_admin_port_and_the_operators_metrics_refuse_other_pods(
    namespace: str, clients: tuple[tuple[str, str], ...]
) -> None:
    pods = kube.list_items(
        "pods", OPERATOR_NAMESPACE, "app.kubernetes.io/name in (chatscale-gateway,chatscale-operator)"
    )
    addresses = [pod["status"]["podIP"] for pod in pods if "podIP" in pod["status"]]

    assert not [
        (name, address)
        for name, where in clients
        for address in addresses
        if reaches(name, f"http://{address}:{ADMIN_PORT}/metrics", where)
    ]
    gateway = f"http://chatscale-gateway.{OPERATOR_NAMESPACE}/v1/models"
    assert reaches(OTHER, gateway, namespace)
