"""Promise: an upgrade brings a changed CRD, an uninstall takes neither models nor their pods."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack import kube
from hack.install import CHART, install, uninstall
from tests.e2e.support import Model, never

CRD = "chatmodels.chatscale.dev"

pytestmark = pytest.mark.operator_alone


@pytest.fixture
def changed_chart(tmp_path: Path) -> Path:
    """The chart of a next release, whose CRD has another description."""
    chart = tmp_path / "chatscale"
    shutil.copytree(CHART, chart)
    crds = [path for path in chart.rglob("*.yaml") if "CustomResourceDefinition" in path.read_text()]
    assert crds, "the chart holds no CRD"
    for path in crds:
        path.write_text(path.read_text().replace("Which model is served.", "Which model is served, and how."))
    return chart


@pytest.fixture
def reinstalled() -> Iterator[None]:
    """Whatever a test does to the installation, the next one finds it whole."""
    yield
    install()


@pytest.mark.usefixtures("reinstalled")
def test_upgrades_a_changed_crd_and_keeps_models_running(make_model: Callable[..., Model], changed_chart: Path) -> None:
    model = make_model()
    model.wait_ready(1)
    pods = [pod["metadata"]["uid"] for pod in model.pods()]

    install(chart=changed_chart)

    kube.wait_for(
        "kubectl explain knows the changed CRD",
        lambda: "Which model is served, and how." in kube.kubectl("explain", "chatmodel.spec.model"),
        within_s=60,
    )
    model.wait_ready(1)
    assert [pod["metadata"]["uid"] for pod in model.pods()] == pods, "an upgrade restarted the model"


@pytest.mark.usefixtures("reinstalled")
def test_uninstall_keeps_models_and_says_so(make_model: Callable[..., Model]) -> None:
    model = make_model()
    model.wait_ready(1)
    pods = [pod["metadata"]["uid"] for pod in model.pods()]

    said = uninstall()

    assert "kept" in said
    assert CRD in said
    assert CRD in kube.kubectl("get", "crd", CRD)
    never("a pod was lost", lambda: [pod["metadata"]["uid"] for pod in model.pods()] != pods, for_s=5)

    # Without the operator a ChatModel can still be deleted: there is no finalizer to wait for.
    doomed = make_model("doomed")
    kube.kubectl("delete", "chatmodel", doomed.name, "-n", doomed.namespace, "--timeout=20s")

    install()
    model.manifest["spec"]["autoscaling"]["minReplicas"] = 2
    model.apply()
    model.wait_ready(2)
