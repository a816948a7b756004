"""The operator's parts against the real API server of the kind cluster. No pod has to run for these tests."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from chatscale.api.crd import chatmodel_crd, shopassistant_crd
from hack import helm, kube
from tests.integration.chart_rights import kubeconfig_of_chart
from tests.integration.operator_process import OperatorProcess
from tests.support.clock import eventually
from tests.support.cluster_lock import operator_alone

CHART_OPERATOR = ("-n", helm.NAMESPACE, "-l", "app.kubernetes.io/name=chatscale-operator")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/integration/" in str(item.path):
            item.add_marker(pytest.mark.needs_cluster)


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """A cluster answers, or every test of this tier fails: a tier that skips itself proves nothing."""
    try:
        kube.kubectl("get", "--raw", "/readyz", timeout_s=15)
    except (kube.KubectlError, subprocess.TimeoutExpired, FileNotFoundError) as error:
        pytest.fail(f"no cluster answers at context {kube.CONTEXT}: run `make cluster` first ({error})", pytrace=False)


@pytest.fixture(scope="module")
def alone(cluster: None) -> Iterator[None]:
    """These tests change the CRD and stop the chart's operator: no end-to-end test runs meanwhile."""
    with operator_alone():
        yield


@pytest.fixture(scope="module", autouse=True)
def crd(alone: None) -> None:
    """The CRDs as the code generates them now, in a form that `helm install` takes over."""
    for manifest in (chatmodel_crd(), shopassistant_crd()):
        _install(manifest)
    # The API server serves a new CRD after a moment, and publishes its schema a few seconds later.
    for kind in ("chatmodel", "shopassistant"):
        kube.wait_for(f"{kind}s are served", partial(kube.kubectl, "get", f"{kind}s", "-A", "-o", "json"), within_s=60)
        kube.wait_for(f"the schema of {kind} is published", partial(kube.kubectl, "explain", kind), within_s=60)


def _install(manifest: dict[str, Any]) -> None:
    metadata = manifest["metadata"]
    # Every time: a server-side apply that leaves a field out takes it away.
    metadata["labels"] = {**metadata.get("labels", {}), "app.kubernetes.io/managed-by": "Helm"}
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        "meta.helm.sh/release-name": helm.RELEASE,
        "meta.helm.sh/release-namespace": helm.NAMESPACE,
    }
    kube.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))


@pytest.fixture(scope="module")
def chart_operator_paused(alone: None) -> Iterator[None]:
    """No other operator works beside ours: two would both be right, and undo each other's images."""
    found = json.loads(kube.kubectl("get", "deployments", *CHART_OPERATOR, "-o", "json"))["items"]
    running = {d["metadata"]["name"]: d["spec"]["replicas"] for d in found if d["spec"]["replicas"]}
    for name in running:
        _scale(name, 0)
    eventually(_no_pods, within=60)
    yield
    for name, replicas in running.items():
        _scale(name, replicas)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"it-{secrets.token_hex(3)}"
    kube.kubectl("create", "namespace", name)
    yield name
    kube.delete_namespace(name)


@pytest.fixture(scope="module")
def operator(
    namespace: str, chart_operator_paused: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """One process for all tests of a module, with the chart's rights; none may leave a traceback in its log."""
    folder = tmp_path_factory.mktemp("operator")
    process = OperatorProcess(namespace, folder / "operator.log", kubeconfig_of_chart(namespace, folder))
    process.start()
    yield process
    assert process.stop() == 0
    assert "traceback" not in process.log.read_text().lower()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add the operator's last lines to a failed test's report."""
    report = yield
    process = getattr(item, "funcargs", {}).get("operator")
    if report.when == "call" and report.failed and process is not None:
        report.sections.append(("operator log", "\n".join(process.log.read_text().splitlines()[-40:])))
    return report


def _scale(name: str, replicas: int) -> None:
    kube.kubectl("scale", "deployment", name, "-n", helm.NAMESPACE, f"--replicas={replicas}")


def _no_pods() -> None:
    assert kube.kubectl("get", "pods", *CHART_OPERATOR, "-o", "name").strip() == ""
