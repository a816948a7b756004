"""The tools of one MCP server as the gate sees them: what the spec allows of what the server offers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.gate.canonical import canonical_json
from chatscale_assistant.gate.pins import ToolDescription, digest_tools
from chatscale_assistant.gate.retail import RETAIL_PARAMETERS, RETAIL_RULES
from chatscale_assistant.gate.rules import ToolRule, declared_rule, derive_rule
from chatscale_assistant.gate.schemas import ArgumentSchema, compile_schema

IDEMPOTENCY_PARAMETER: Final = "idempotency_key"
"""A tool with this parameter gets the key in it; the caller may not set it."""


@dataclass(frozen=True, slots=True)
class GuardedTool:
    """One allowed tool."""

    name: str
    schema: ArgumentSchema
    rule: ToolRule
    writes: bool
    idempotent: bool
    """Whether the server does a key once: a repetition returns the first result."""


@dataclass(frozen=True, slots=True)
class GuardedServer:
    """The allowed tools of one server."""

    name: str
    tools: Mapping[str, GuardedTool] = field(default_factory=dict)
    digest: str = ""
    closed: str = "not connected yet"
    """Why no tool of the server may be called; empty if they may."""


def guard_server(config: ToolServer, offered: Sequence[ToolDescription], pinned: str) -> GuardedServer:
    """The server with its rules; closed if it offers something else than what is pinned (empty: nothing is pinned)."""
    try:
        digest = digest_tools(offered, config.allow)
    except (ValueError, RecursionError) as error:
        return GuardedServer(config.name, closed=f"tool list refused: {error}")
    missing = sorted(set(config.allow) - {tool.name for tool in offered})
    if pinned and digest != pinned:
        closed = f"descriptions or schemas of the allowed tools changed: pinned {pinned}, found {digest}"
        return GuardedServer(config.name, digest=digest, closed=closed)
    if missing:
        return GuardedServer(
            config.name, closed=f"the server does not offer {', '.join(missing)} of spec.tools[].allow"
        )
    allowed = [tool for tool in offered if tool.name in config.allow]
    try:
        tools = {tool.name: _guard_tool(tool, allowed, frozenset(config.writes)) for tool in allowed}
    except ValueError as error:
        return GuardedServer(config.name, closed=f"tool list refused: {error}")
    return GuardedServer(config.name, tools, digest, closed="")


def _guard_tool(tool: ToolDescription, allowed: Sequence[ToolDescription], writes: frozenset[str]) -> GuardedTool:
    """Raises ValueError for a schema or access rules that cannot be read."""
    try:
        schema = compile_schema(canonical_json(dict(tool.input_schema)))
    except ValueError as error:
        raise ValueError(f"tool {tool.name}: {error}") from error
    rule = _rule_of(tool, allowed, writes)
    idempotent = tool.annotations.get("idempotentHint") is True or IDEMPOTENCY_PARAMETER in schema.parameters
    if tool.name in writes and not idempotent and tool.name not in RETAIL_RULES:
        expected = f"annotation idempotentHint: true, or a parameter {IDEMPOTENCY_PARAMETER}"
        raise ValueError(f"tool {tool.name} is in spec.tools[].writes and could run twice: expected {expected}")
    return GuardedTool(tool.name, schema, rule, tool.name in writes, idempotent)


def _rule_of(tool: ToolDescription, allowed: Sequence[ToolDescription], writes: frozenset[str]) -> ToolRule:
    """Raises ValueError for access rules that cannot be read, and for a schema that is too deep."""
    derived = derive_rule(tool, allowed, writes)
    rule = declared_rule(tool)
    if rule is None and tool.name in RETAIL_RULES:
        rule = replace(RETAIL_RULES[tool.name], vouched=RETAIL_PARAMETERS)
    if rule is None:
        return derived
    return rule if rule.public else replace(rule, owned={**derived.owned, **rule.owned})
