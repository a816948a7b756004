"""spec.scheduling and spec.pod: what a Pod accepts is accepted, and what would break the ChatModel is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from chatscale.api.v1alpha1 import (
    RESERVED_ANNOTATIONS,
    RESERVED_LABELS,
    Affinity,
    InvalidSpecError,
    PodMetadataSpec,
    parse_chatmodel,
)
from tests.support.builders import a_chatmodel

AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a10g", "l4"]}]}]
        },
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}}
        ],
    },
    "podAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "cache"}}, "namespaces": ["shop"]}
        ]
    },
    "podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 100,
                "podAffinityTerm": {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
                    "matchLabelKeys": ["pod-template-hash"],
                },
            }
        ]
    },
}


def test_an_affinity_is_passed_on_as_it_was_written():
    assert Affinity.model_validate(AFFINITY).model_dump(mode="json", by_alias=True, exclude_none=True) == AFFINITY


@pytest.mark.parametrize(
    ("affinity", "field"),
    [
        pytest.param({"nodeAfinity": {}}, "scheduling.affinity.nodeAfinity", id="misspelt"),
        pytest.param(
            {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
            "scheduling.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
            id="list instead of object",
        ),
        pytest.param(
            {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}},
            "scheduling.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution.0.topologyKey",
            id="missing topology key",
        ),
    ],
)
def test_an_affinity_that_is_none_is_an_invalid_spec_with_its_field(affinity: dict[str, Any], field: str):
    with pytest.raises(InvalidSpecError, match=f"ChatModel demo/tiny: spec.{field}|ChatModel demo/tiny: {field}"):
        parse_chatmodel(a_chatmodel().with_spec(scheduling={"affinity": affinity}).manifest())


@pytest.mark.parametrize("key", [*RESERVED_LABELS, "chatscale.dev/chatmodel", "chatscale.dev/anything"])
def test_a_label_that_the_operator_sets_is_refused_by_name(key: str):
    with pytest.raises(ValidationError, match=f"spec.pod.labels must not set {key}: the operator and Kubernetes set"):
        PodMetadataSpec(labels={"team": "support", key: "mine"})


@pytest.mark.parametrize("key", [*RESERVED_ANNOTATIONS, "chatscale.dev/template-hash"])
def test_an_annotation_that_the_operator_sets_is_refused_by_name(key: str):
    with pytest.raises(ValidationError, match=f"spec.pod.annotations must not set {key}"):
        PodMetadataSpec(annotations={key: "mine"})


def test_other_labels_and_annotations_are_accepted():
    labels = {"team": "support", "app.kubernetes.io/part-of": "shop", "example.com/chatscale.dev": "x"}
    assert PodMetadataSpec(labels=labels, annotations=labels).labels == labels
