"""Generates the CustomResourceDefinition of ChatModel from the pydantic models.

The chart and `manifests/crds` contain the result of `chatmodel_crd`; a test compares them.
"""

from typing import Any

from chatscale import names
from chatscale.api.structural import Schema, structural_schema, validation
from chatscale.api.v1alpha1 import ChatModel, ChatModelSpec, ChatModelStatus


def chatmodel_crd() -> dict[str, Any]:
    """A complete apiextensions.k8s.io/v1 manifest, the same on every call."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.CHATMODEL.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.CHATMODEL.kind,
                "listKind": f"{names.CHATMODEL.kind}List",
                "plural": names.CHATMODEL.plural,
                "singular": names.CHATMODEL.singular,
                "shortNames": [names.CHATMODEL.short_name],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root_schema()},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": _printer_columns(),
                }
            ],
        },
    }


def _root_schema() -> Schema:
    return {
        "type": "object",
        "description": ChatModel.__doc__,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Always {names.API_VERSION}."},
            "kind": {"type": "string", "description": f"Always {names.CHATMODEL.kind}."},
            # A bound that every name keeps anyway: without it rules on the name are refused for their cost.
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": structural_schema(ChatModelSpec, defaults=True),
            "status": structural_schema(ChatModelStatus, defaults=False),
        },
        "x-kubernetes-validations": [validation(rule) for rule in ChatModel.cel_rules],
    }


def _printer_columns() -> list[dict[str, Any]]:
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


def _column(name: str, type_: str, path: str, priority: int = 0) -> dict[str, Any]:
    return {"name": name, "type": type_, "jsonPath": path, "priority": priority}
