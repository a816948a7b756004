"""Ports, paths and headers of the gateway, and the marks by which programs find each other."""

from typing import Final

API_PORT: Final = 8080
"""TCP port of the OpenAI-compatible API."""
ADMIN_PORT: Final = 9100
"""TCP port of `/metrics`, `/readyz` and `/demand`. The Service for clients does not expose it."""
LIVENESS_PORT: Final = 9101
"""TCP port of `/livez`. It has its own thread, so that a busy event loop is not taken for a dead one."""

DEMAND_PATH: Final = "/demand"
"""GET: a `GatewayDemand`. With `?wake_seq=N&wait_s=S` the response waits up to S seconds (at most 5) until the
gateway's `wake_seq` differs from N. With `keys=false` it is without `keys`."""

PAGE_MODELS_PATH: Final = "/pages/models"
"""GET, on the API port: the models of the key with their states, for the model picker of the chat page."""

HELD_SECONDS_HEADER: Final = "X-Chatscale-Held-Seconds"
"""Response header: seconds that the request waited in the gateway. Absent once a keep-alive was sent."""
OVERLOAD_HEADER: Final = "X-Chatscale-Overload"
"""Response header: what `spec.routing.overload` changed, as `capped; max_tokens=256` or `fallback; model=small`."""
REQUEST_ID_HEADER: Final = "X-Request-Id"
REQUEST_ID_PATTERN: Final = r"[A-Za-z0-9._-]{1,128}"
"""A client's request id is used only if all of it matches; otherwise the gateway creates one."""

GATEWAY_NAME: Final = "chatscale-gateway"
"""Value of the label `app.kubernetes.io/name` on gateway pods."""
DRAIN_ANNOTATION: Final = "chatscale.dev/drain-since"
"""On a pod that the operator removes next: gateways send it no new request. The value is an RFC 3339 time."""
