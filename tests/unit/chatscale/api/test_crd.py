from collections.abc import Iterator
from typing import Any

import yaml

from chatscale.api.crd import chatmodel_crd
from chatscale.api.v1alpha1 import AutoscalingSpec, ChatModel, ChatModelSpec, PodMetadataSpec
from chatscale.desired.workload import ServerImages, build_deployment
from tests.support.chatmodels import a_chatmodel

VERSION = chatmodel_crd()["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]
SPEC = ROOT["properties"]["spec"]
STATUS = ROOT["properties"]["status"]


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from walk(schema[keyword], f"{path}[]")


def rules(schema: dict[str, Any]) -> list[str]:
    return [entry["rule"] for entry in schema.get("x-kubernetes-validations", [])]


def test_names_the_resource() -> None:
    crd = chatmodel_crd()

    assert crd["metadata"]["name"] == "chatmodels.chatscale.dev"
    assert crd["spec"]["scope"] == "Namespaced"
    assert crd["spec"]["names"] == {
        "kind": "ChatModel",
        "listKind": "ChatModelList",
        "plural": "chatmodels",
        "singular": "chatmodel",
        "shortNames": ["chatm"],
        "categories": ["all"],
    }


def test_has_status_and_scale() -> None:
    assert VERSION["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }


def test_has_these_printer_columns() -> None:
    shown = [
        (column["name"], column["jsonPath"]) for column in VERSION["additionalPrinterColumns"] if not column["priority"]
    ]
    wide = [column["name"] for column in VERSION["additionalPrinterColumns"] if column["priority"]]

    assert shown == [
        ("Model", ".spec.model.uri"),
        ("Mode", ".status.autoscaling.mode"),
        ("Min", ".spec.autoscaling.minReplicas"),
        ("Max", ".spec.autoscaling.maxReplicas"),
        ("Desired", ".status.desiredReplicas"),
        ("Ready", ".status.readyReplicas"),
        ("Queue", ".status.queueDepth"),
        ("Reason", ".status.phase"),
        ("Age", ".metadata.creationTimestamp"),
    ]
    assert wide == ["Endpoint", "LastScale"]


def test_every_column_reads_a_field_that_exists() -> None:
    for column in VERSION["additionalPrinterColumns"]:
        schema = {"properties": {**ROOT["properties"], "metadata": {"properties": {"creationTimestamp": {}}}}}
        for name in column["jsonPath"].strip(".").split("."):
            schema = schema["properties"][name]


def test_every_rule_of_the_models_is_attached() -> None:
    assert len(rules(ROOT)) == len(ChatModel.cel_rules)
    assert rules(SPEC) == [rule.rule for rule in ChatModelSpec.cel_rules]
    assert rules(SPEC["properties"]["autoscaling"]) == [rule.rule for rule in AutoscalingSpec.cel_rules]


def test_replicas_has_a_default_so_that_scale_can_be_read() -> None:
    assert SPEC["properties"]["replicas"]["default"] == 1


def test_objects_that_rules_rely_on_have_defaults() -> None:
    filled = {name: schema["default"] for name, schema in SPEC["properties"].items() if "default" in schema}

    assert set(filled) == {"server", "resources", "device", "replicas", "drain"}


def test_no_mode_is_stored_before_a_block_is_added() -> None:
    autoscaling = SPEC["properties"]["autoscaling"]

    assert "default" not in autoscaling
    assert autoscaling["properties"]["mode"]["default"] == "Operator"


def test_an_open_object_is_open_and_short() -> None:
    affinity = SPEC["properties"]["scheduling"]["properties"]["affinity"]

    assert {name: value for name, value in affinity.items() if name != "description"} == {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    }


def test_the_api_server_refuses_every_label_and_annotation_that_the_operator_sets() -> None:
    template = build_deployment(a_chatmodel(), ServerImages("server:1", "simulated:1"))["spec"]["template"]["metadata"]
    by_field = {"labels": PodMetadataSpec.cel_rules[0], "annotations": PodMetadataSpec.cel_rules[1]}

    for field, rule in by_field.items():
        for key in template[field]:
            assert f"'{key}'" in rule.rule or (key.startswith("chatscale.dev/") and "startsWith" in rule.rule)
            assert key in rule.message or "chatscale.dev/*" in rule.message


def test_status_has_no_defaults() -> None:
    assert [path for path, schema in walk(STATUS) if "default" in schema] == []


def test_everything_a_user_writes_is_bounded() -> None:
    def is_bounded(schema: dict[str, Any]) -> bool:
        match schema.get("type"):
            case "string":
                return "maxLength" in schema or "enum" in schema
            case "array":
                return "maxItems" in schema
            case "object":
                return "additionalProperties" not in schema or "maxProperties" in schema
            case "integer":
                return "maximum" in schema and "minimum" in schema
            case _:
                return True

    assert [path for path, schema in walk(SPEC) if not is_bounded(schema)] == []


def test_every_field_is_explained() -> None:
    assert [path for path, schema in walk(ROOT) if path and "description" not in schema and "[]" not in path] == [
        ".metadata",
        ".metadata.name",
    ]


def test_gives_the_same_yaml_every_time_without_anchors() -> None:
    text = yaml.safe_dump(chatmodel_crd(), sort_keys=False)

    assert text == yaml.safe_dump(chatmodel_crd(), sort_keys=False)
    assert "&id" not in text
