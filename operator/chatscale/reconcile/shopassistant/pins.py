"""Which descriptions of MCP tools are pinned. Pure.

The first digest that all Ready pods of the present spec report is stored in the status. From then on another digest is
refused, until `spec.tools[].pinnedDigest` names it. A pin belongs to one address and allow list: a user who changes
those expects other descriptions.
"""

import hashlib
import json

from chatscale.api.v1alpha1 import ShopAssistant
from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale.desired.manifest import HASH_LENGTH
from chatscale.reconcile.shopassistant.pass_result import PassResult


def stored_pins(assistant: ShopAssistant) -> dict[str, str]:
    """The pinned digest of each tool server that has one, from spec and status."""
    return {tool.name: pin for tool in assistant.spec.tools if (pin := _stored(assistant, tool))}


def pin_of(result: PassResult, tool: ToolServer) -> str:
    """The pin of one server after this pass; empty if there is none yet."""
    if pin := _stored(result.assistant, tool):
        return pin
    reported = reported_digests(result, tool.name)
    if not result.is_read_whole or not all(name in result.current for name in result.ready_states):
        return ""
    return next(iter(reported)) if len(reported) == 1 and "" not in reported else ""


def reported_digests(result: PassResult, tool: str) -> set[str]:
    """The digests that pods of the present spec report; an empty one where a pod has not reached the server."""
    states = (state for name, state in result.known_states.items() if name in result.current)
    return {next((found.digest for found in state.tools if found.name == tool), "") for state in states}


def pinned_for(tool: ToolServer) -> str:
    """Identifies what a pin belongs to."""
    text = json.dumps([tool.mcp, sorted(tool.allow)])
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def _stored(assistant: ShopAssistant, tool: ToolServer) -> str:
    if tool.pinned_digest:
        return tool.pinned_digest
    before = next((found for found in assistant.status.tools if found.name == tool.name), None)
    return before.digest if before is not None and before.pinned_for == pinned_for(tool) else ""
