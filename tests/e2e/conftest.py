"""The whole product on the kind cluster: chart installed by Helm, images from the local registry."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hack import kube
from hack.install import install
from hack.paths import cache_dir
from tests.e2e.support import (
    DEMO_NAMESPACES,
    OPERATOR_NAMESPACE,
    Model,
    autoscaling,
    chatmodel,
    gateway_key,
    revoke_gateway_key,
)
from tests.support.cluster_lock import operator_alone, operator_shared, printed_port


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Image references that `make images` pushed to the cluster's registry."""
    path = cache_dir() / "images.json"
    assert path.exists(), f"{path} is missing: run `make images` first"
    found: dict[str, str] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="session", autouse=True)
def installed_chart(images: dict[str, str], testrun_uid: str) -> None:
    """Install or upgrade the chart, once a run; every test works under the chart's own RBAC.

    What the demos left is deleted: its pods hold CPU that the tests' pods request.
    """
    stamp = cache_dir() / "chart-installed-by-test-run"
    with operator_alone():
        if not stamp.exists() or stamp.read_text() != testrun_uid:
            for demo in DEMO_NAMESPACES:
                kube.delete_namespace(demo)
            install()
            stamp.write_text(testrun_uid)


@pytest.fixture(scope="session", autouse=True)
def key_of_the_gateway(installed_chart: None) -> Iterator[None]:
    """The gateway refuses requests without a key: one for this process, before a test can disturb the gateway."""
    with operator_shared():
        gateway_key()
    yield
    revoke_gateway_key()


@pytest.fixture(autouse=True)
def operator_access(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests share the operator, unless one is marked to have it alone."""
    alone = request.node.get_closest_marker("operator_alone") is not None
    with operator_alone() if alone else operator_shared():
        yield


@pytest.fixture
def port_8080(operator_access: None) -> Iterator[None]:
    """Port 8080 of this machine, for commands that are run as they are printed."""
    with printed_port():
        yield


@pytest.fixture
def namespace(operator_access: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own; on failure its state is printed before it goes."""
    slug = re.sub(r"[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_").lower())[:36].strip("-")
    name = f"e2e-{slug}-{secrets.token_hex(2)}"
    kube.kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        kube.delete_namespace(name)


@pytest.fixture
def make_model(namespace: str) -> Callable[..., Model]:
    """Apply a ChatModel of the Simulated engine; it goes with the test's namespace."""

    def make(name: str = "shop", **spec: Any) -> Model:
        model = Model(chatmodel(name, namespace, **({"autoscaling": autoscaling()} | spec)))
        model.apply()
        return model

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add what the cluster says to a failed test's report."""
    report = yield
    if report.when == "call" and report.failed and "namespace" in getattr(item, "funcargs", {}):
        report.sections.append(("cluster", _describe(item.funcargs["namespace"])))  # type: ignore[attr-defined]  # pytest types Item without fixtures
    return report


def _describe(namespace: str) -> str:
    questions = (
        ("get", "chatmodels,shopassistants,deployments,pods,hpa", "-n", namespace, "-o", "wide"),
        ("get", "chatmodels,shopassistants", "-n", namespace, "-o", "jsonpath={range .items[*]}{.status}{'\\n'}{end}"),
        ("get", "events", "-n", namespace, "--sort-by=.lastTimestamp"),
        ("logs", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=chatscale-operator", "--tail=40"),
        ("logs", "-n", namespace, "-l", "app.kubernetes.io/name=chatscale-operator", "--tail=40"),
    )
    answers = []
    for question in questions:
        try:
            answers.append(kube.kubectl(*question))
        except kube.KubectlError as error:
            answers.append(f"{' '.join(question[:2])}: {error}")
    return "\n".join(answers)
