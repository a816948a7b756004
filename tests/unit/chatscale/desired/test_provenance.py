"""Who caused a change of the template: the ChatModel's spec, or the operator."""

import json

import pytest

from chatscale import names
from chatscale.desired.manifest import Manifest, template_hash_of
from chatscale.desired.provenance import has_spec_of, is_from_build, is_updating, operator_build, with_provenance
from chatscale.desired.workload import ServerImages, build_deployment
from tests.support.chatmodels import a_chatmodel

IMAGES = ServerImages(transformers="registry/server:1", simulated="registry/simulated:1")
MODEL = a_chatmodel("shop", server={"maxConcurrency": 16}, autoscaling={"maxReplicas": 4})


def recorded(*, is_update: bool = False) -> Manifest:
    return with_provenance(build_deployment(MODEL, IMAGES), MODEL, "build-1", is_update=is_update)


def with_recorded_spec(text: str | None) -> Manifest:
    deployment = recorded()
    annotations = deployment["metadata"]["annotations"]
    if text is None:
        del annotations[names.APPLIED_SPEC_ANNOTATION]
    else:
        annotations[names.APPLIED_SPEC_ANNOTATION] = text
    return deployment


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"replicas": 7}, True, id="count"),
        pytest.param({"autoscaling": {"maxReplicas": 9, "slo": {"ttftMilliseconds": 5}}}, True, id="autoscaling"),
        pytest.param({"server": {"maxConcurrency": 32}}, False, id="server"),
        pytest.param({"server": {"maxConcurrency": 16, "image": "own:1"}}, False, id="image"),
        pytest.param({"drain": {"timeoutSeconds": 5}}, False, id="drain"),
        pytest.param({"pod": {"annotations": {"restarted": "1"}}}, False, id="annotation"),
    ],
)
def test_a_change_of_the_spec_counts_where_it_changes_the_template(spec, *, same: bool):
    changed = a_chatmodel("shop", **{"server": {"maxConcurrency": 16}, "autoscaling": {"maxReplicas": 4}, **spec})
    assert has_spec_of(recorded(), changed) is same


def test_a_field_that_an_earlier_operator_did_not_know_is_no_change():
    spec = json.loads(recorded()["metadata"]["annotations"][names.APPLIED_SPEC_ANNOTATION])
    del spec["server"]["queueTimeoutSeconds"]
    assert has_spec_of(with_recorded_spec(json.dumps(spec)), MODEL)


@pytest.mark.parametrize("text", [None, "", "{", '{"model": 3}'], ids=["none", "empty", "cut", "other-types"])
def test_without_a_readable_record_the_operator_counts_as_the_cause(text: str | None):
    assert has_spec_of(with_recorded_spec(text), MODEL)


def test_the_record_changes_neither_the_template_nor_its_hash():
    built = build_deployment(MODEL, IMAGES)
    assert recorded(is_update=True)["spec"] == built["spec"]
    assert template_hash_of(recorded()) == template_hash_of(built)


def test_the_record_names_the_build_and_whether_an_update_runs():
    assert is_from_build(recorded(), "build-1")
    assert not is_from_build(recorded(), "build-2")
    assert is_updating(recorded(is_update=True))
    assert not is_updating(recorded())


def test_another_default_image_is_another_build():
    assert operator_build(IMAGES) == operator_build(IMAGES)
    assert operator_build(IMAGES) != operator_build(ServerImages("registry/server:2", "registry/simulated:1"))
    assert operator_build(IMAGES) != operator_build(ServerImages("registry/server:1", "registry/simulated:2"))
