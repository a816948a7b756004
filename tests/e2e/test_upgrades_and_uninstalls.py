"""Promise: an upgrade brings a changed CRD, an uninstall takes neither models nor their pods."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from hack import kube
from hack.install import CHART, install, uninstall
from tests.e2e.support import Model, never, with_spec

CRD = "chatmodels.chatscale.dev"

pytestmark = pytest.mark.operator_alone


@pytest.fixture
def changed_chart(tmp_path: Path) -> Path:
    """The chart of a next release, whose ChatModels have a field more."""
    chart = tmp_path / "chatscale"
    shutil.copytree(CHART, chart)
    path = chart / "files" / "crds" / "chatmodels.yaml"
    crd = yaml.safe_load(path.read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["motto"] = {"type": "string", "description": "What the next release brings."}
    path.write_text(yaml.safe_dump(crd))
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
        "kubectl explain knows the new field",
        lambda: "What the next release brings." in kube.kubectl("explain", "chatmodel.spec.motto"),
        within_s=60,
    )
    kube.apply(with_spec(model.manifest, motto="one more"))
    assert model.read()["spec"]["motto"] == "one more"
    generation = model.read()["metadata"]["generation"]
    kube.wait_for(
        "the operator has seen the change",
        lambda: model.status().get("observedGeneration") == generation,
        within_s=30,
    )
    model.wait_ready(1)
    assert [pod["metadata"]["uid"] for pod in model.pods()] == pods, "an upgrade restarted the model"


@pytest.mark.usefixtures("reinstalled")
def test_uninstall_keeps_models_and_says_so(make_model: Callable[..., Model]) -> None:
    model = make_model()
    model.wait_ready(1)
    uid = model.read()["metadata"]["uid"]
    pods = [pod["metadata"]["uid"] for pod in model.pods()]

    said = uninstall()

    assert "kept" in said
    assert CRD in said
    assert CRD in kube.kubectl("get", "crd", CRD)
    never("a pod was lost", lambda: [pod["metadata"]["uid"] for pod in model.pods()] != pods, for_s=5)

    assert model.read()["metadata"]["uid"] == uid

    # Without the operator a ChatModel can still be deleted: there is no finalizer to wait for.
    doomed = make_model("doomed")
    kube.kubectl("delete", "chatmodel", doomed.name, "-n", doomed.namespace, "--timeout=20s")

    install()
    model.manifest["spec"]["autoscaling"]["minReplicas"] = 2
    model.apply()
    model.wait_ready(2)
