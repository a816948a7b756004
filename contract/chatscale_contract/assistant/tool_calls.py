"""Keys of `_meta` in the tools of a shop's MCP server and in calls of them."""

from typing import Final

IDEMPOTENCY_META: Final = "chatscale/idempotency-key"
"""In the `_meta` of a call that changes something. A server does a key once and returns the first result again."""
CUSTOMER_META: Final = "chatscale/customer"
"""In the `_meta` of a call: the id of the verified customer, for tools that have no parameter for it."""
ACCESS_META: Final = "chatscale/access"
"""In the `_meta` of a tool: its access rules (docs/design/0027-tool-gate.md). Part of the pinned digest."""
