"""Generates the CustomResourceDefinitions from the pydantic models.

The chart and `manifests/crds` contain the results; a test compares them.
"""

from typing import Any

from chatscale import names
from chatscale.api.structural import Schema, structural_schema, validation
from chatscale.api.v1alpha1 import (
    ApiModel,
    ChatModel,
    ChatModelSpec,
    ChatModelStatus,
    ShopAssistant,
    ShopAssistantSpec,
    ShopAssistantStatus,
)


def chatmodel_crd() -> dict[str, Any]:
    """A complete apiextensions.k8s.io/v1 manifest, the same on every call."""
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    schema = _root_schema(names.CHATMODEL, ChatModel, ChatModelSpec, ChatModelStatus)
    return _crd(names.CHATMODEL, schema, {"status": {}, "scale": scale}, _chatmodel_columns())


def shopassistant_crd() -> dict[str, Any]:
    """As `chatmodel_crd`."""
    schema = _root_schema(names.SHOPASSISTANT, ShopAssistant, ShopAssistantSpec, ShopAssistantStatus)
    return _crd(names.SHOPASSISTANT, schema, {"status": {}}, _shopassistant_columns())


def _crd(
    kind: names.CustomKind, schema: Schema, subresources: dict[str, Any], columns: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": subresources,
                    "additionalPrinterColumns": columns,
                }
            ],
        },
    }


def _root_schema(
    kind: names.CustomKind, resource: type[ApiModel], spec: type[ApiModel], status: type[ApiModel]
) -> Schema:
    return {
        "type": "object",
        "description": resource.__doc__,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Always {names.API_VERSION}."},
            "kind": {"type": "string", "description": f"Always {kind.kind}."},
            # A bound that every name keeps anyway: without it rules on the name are refused for their cost.
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": structural_schema(spec, defaults=True),
            "status": structural_schema(status, defaults=False),
        },
        "x-kubernetes-validations": [validation(rule) for rule in resource.cel_rules],
    }


def _chatmodel_columns() -> list[dict[str, Any]]:
    """Columns of `kubectl get chatmodels`; priority 1 shows only with `-o wide`."""
    return [
        _column("Model", "string", ".spec.model.uri"),
        _column("Mode", "string", ".status.autoscaling.mode"),
        _column("Min", "integer", ".spec.autoscaling.minReplicas"),
        _column("Max", "integer", ".spec.autoscaling.maxReplicas"),
        _column("Desired", "integer", ".status.desiredReplicas"),
        _column("Ready", "integer", ".status.readyReplicas"),
        _column("Queue", "integer", ".status.queueDepth"),
        _column("Reason", "string", ".status.phase"),
        _column("Age", "date", ".metadata.creationTimestamp"),
        _column("Endpoint", "string", ".status.endpoint", priority=1),
        _column("LastScale", "date", ".status.autoscaling.lastScaleTime", priority=1),
    ]


def _shopassistant_columns() -> list[dict[str, Any]]:
    """Columns of `kubectl get shopassistants`."""
    return [
        _column("Model", "string", ".status.model"),
        _column("Languages", "string", ".spec.languages"),
        _column("Desired", "integer", ".status.desiredReplicas", priority=1),
        _column("Ready", "integer", ".status.readyReplicas"),
        _column("Index", "string", ".status.index"),
        _column("Writes", "boolean", ".status.modelWrites"),
        _column("Reason", "string", ".status.phase"),
        _column("Age", "date", ".metadata.creationTimestamp"),
    ]


def _column(name: str, type_: str, path: str, priority: int = 0) -> dict[str, Any]:
    return {"name": name, "type": type_, "jsonPath": path, "priority": priority}
