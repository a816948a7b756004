"""The CRD of ShopAssistants: bounded, explained, and as the models describe it."""

from collections.abc import Iterator
from typing import Any

import pytest

from chatscale.api.crd import shopassistant_crd
from chatscale.api.v1alpha1 import InvalidSpecError, ShopAssistant, parse_shopassistant
from tests.support.assistant_world import assistant_manifest

VERSION = shopassistant_crd()["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]
SPEC, STATUS = ROOT["properties"]["spec"], ROOT["properties"]["status"]


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from walk(schema[keyword], f"{path}[]")


def test_names_the_resource():
    names = shopassistant_crd()["spec"]["names"]

    assert (names["kind"], names["plural"], names["shortNames"]) == ("ShopAssistant", "shopassistants", ["shopa"])
    assert VERSION["subresources"] == {"status": {}}


def test_has_these_columns_and_every_one_reads_a_field_that_exists():
    shown = [column["name"] for column in VERSION["additionalPrinterColumns"] if not column["priority"]]
    assert shown == ["Model", "Languages", "Ready", "Index", "Writes", "Reason", "Age"]

    for column in VERSION["additionalPrinterColumns"]:
        schema = {"properties": {**ROOT["properties"], "metadata": {"properties": {"creationTimestamp": {}}}}}
        for name in column["jsonPath"].strip(".").split("."):
            schema = schema["properties"][name]


def test_everything_a_user_writes_is_bounded():
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


def test_every_field_is_explained_and_the_status_has_no_defaults():
    unexplained = [path for path, schema in walk(ROOT) if path and "description" not in schema and "[]" not in path]

    assert unexplained == [".metadata", ".metadata.name"]
    assert [path for path, schema in walk(STATUS) if "default" in schema] == []


def test_rules_of_the_models_are_attached():
    assert len(ROOT["x-kubernetes-validations"]) == len(ShopAssistant.cel_rules)
    tools = SPEC["properties"]["tools"]["items"]
    assert "spec.tools[].writes must name tools of spec.tools[].allow" in {
        rule["message"] for rule in tools["x-kubernetes-validations"]
    }


def test_a_block_that_is_left_out_is_not_stored():
    assert "default" not in SPEC["properties"]["store"]


def test_an_invalid_spec_names_object_field_and_value():
    with pytest.raises(InvalidSpecError, match=r"ShopAssistant demo/shop: spec\.replicas\.min: .*found 0"):
        parse_shopassistant(assistant_manifest(replicas={"min": 0}))


def test_an_unreadable_status_is_an_empty_one():
    found = parse_shopassistant({**assistant_manifest(), "status": {"replicas": "many"}})

    assert found.status.replicas == 0
