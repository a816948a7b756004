"""Pins the descriptions and schemas of tools: a server that changes them is closed until a person pins them anew."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chatscale_assistant.gate.canonical import canonical_json


@dataclass(frozen=True, slots=True)
class ToolDescription:
    """One tool, as its server describes it."""

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = None
    title: str = ""
    annotations: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    """`_meta` of the tool, with the access rules (`ACCESS_META`)."""


def digest_tools(tools: Iterable[ToolDescription], allow: Iterable[str]) -> str:
    """`sha256:` of the complete descriptions of the allowed tools.

    Other tools do not count: a server may add tools. Raises ValueError for a tool that the server names twice.
    """
    names = set(allow)
    pinned = sorted((tool for tool in tools if tool.name in names), key=lambda tool: tool.name)
    if len({tool.name for tool in pinned}) != len(pinned):
        raise ValueError("the server names a tool twice")
    text = canonical_json([_described(tool) for tool in pinned])
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _described(tool: ToolDescription) -> dict[str, Any]:
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": dict(tool.input_schema),
        "outputSchema": None if tool.output_schema is None else dict(tool.output_schema),
        "annotations": dict(tool.annotations),
        "meta": dict(tool.meta),
    }
