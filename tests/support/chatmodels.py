"""Builders of ChatModels that show only what matters to a test."""

from typing import Any

from chatscale.api.v1alpha1 import ChatModel


def a_chatmodel(name: str = "tiny", **spec: Any) -> ChatModel:
    """A valid ChatModel in namespace demo, on the CPU; `spec` holds camelCase fields that replace its own."""
    return ChatModel.model_validate(
        {
            "metadata": {"name": name, "namespace": "demo", "uid": "6f1c", "generation": 1},
            "spec": {"model": {"uri": "hf://owner/tiny"}, "device": "CPU", **spec},
        }
    )
