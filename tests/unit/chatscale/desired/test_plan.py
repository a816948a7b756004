from typing import Any

from chatscale import names
from chatscale.api.v1alpha1 import ChatModel
from chatscale.desired.autoscaler import build_hpa
from chatscale.desired.manifest import ObjectKey
from chatscale.desired.plan import Change, Plan, plan_changes
from chatscale.desired.service import build_service
from chatscale.desired.workload import ServerImages, build_deployment
from tests.support.chatmodels import a_chatmodel

IMAGES = ServerImages(transformers="server:1", simulated="simulated:1")


def children(chatmodel: ChatModel) -> list[dict[str, Any]]:
    built = [build_deployment(chatmodel, IMAGES), build_service(chatmodel), build_hpa(chatmodel, 1)]
    return [manifest for manifest in built if manifest is not None]


WITH_HPA = a_chatmodel(autoscaling={"mode": "HPA", "maxReplicas": 3})
WITHOUT_HPA = a_chatmodel()


def test_creates_what_does_not_exist() -> None:
    deployment, service = children(WITHOUT_HPA)

    assert plan_changes([deployment, service], [service]) == Plan(
        apply=(Change(deployment, "Deployment demo/tiny does not exist"),)
    )


def test_does_nothing_the_second_time() -> None:
    assert plan_changes(children(WITH_HPA), children(WITH_HPA)).is_empty


def test_applies_what_changed() -> None:
    before, after = children(WITHOUT_HPA), children(a_chatmodel(server={"maxQueue": 1}))

    plan = plan_changes(after, before)

    assert [change.key for change in plan.apply] == [ObjectKey("Deployment", "demo", "tiny")]
    assert plan.apply[0].reason.startswith("Deployment demo/tiny changed: template hash ")
    assert plan.delete == ()


def test_applies_again_over_an_object_that_lost_its_hash() -> None:
    deployment = children(WITHOUT_HPA)[0]
    found = {**deployment, "metadata": {**deployment["metadata"], "annotations": None}}

    assert plan_changes([deployment], [found]).apply == (
        Change(deployment, "Deployment demo/tiny has no template hash"),
    )


def test_deletes_the_hpa_when_mode_hpa_ends() -> None:
    existing = children(WITH_HPA)

    assert plan_changes(children(WITHOUT_HPA), existing) == Plan(
        delete=(Change(existing[2], "HorizontalPodAutoscaler demo/tiny is no longer desired"),)
    )


def test_never_deletes_objects_of_others() -> None:
    foreign = children(WITH_HPA)[2]
    foreign["metadata"]["labels"] = {names.MANAGED_BY_LABEL: "Helm"}

    assert plan_changes([], [foreign]).is_empty
    foreign["metadata"]["labels"] = None
    assert plan_changes([], [foreign]).is_empty
