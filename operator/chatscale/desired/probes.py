"""HTTP probes of the server container, and how long a replica may take to start."""

from typing import Final

from chatscale.desired.manifest import Manifest
from chatscale_contract.server import endpoints

STARTUP_TIMEOUT_S: Final = 1800
"""A large model loads from a cold cache in minutes (measured: 5). After half an hour the server hangs."""
PROBE_TIMEOUT_S: Final = 5


def http_probe(path: str, *, period_s: int, failures: int) -> Manifest:
    """A GET on the server's port; `failures` in a row make the probe fail."""
    return {
        "httpGet": {"path": path, "port": endpoints.HTTP_PORT_NAME},
        "periodSeconds": period_s,
        "timeoutSeconds": PROBE_TIMEOUT_S,
        "failureThreshold": failures,
    }
