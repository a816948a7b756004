"""How many bytes of request bodies fit into the memory limit of the container. Pure."""

from typing import Final

MIB: Final = 1024**2
USUAL_LIMIT_BYTES: Final = 640 * MIB
"""The memory limit of the chart."""
OWN_BYTES: Final = 150 * MIB
"""The process with 1,000 open streams: the limit that docs/benchmarks/gateway.md checks."""
PARSE_FACTOR: Final = 14
"""Memory to receive, parse and rewrite the one body that is being parsed, as a multiple of its size. Measured: up to
12.6 for 16 MiB of token ids, plus one copy while its parts are joined."""


def bytes_for_bodies(memory_limit_bytes: int, max_body_bytes: int) -> int:
    """What is left for bodies that are received, held or sent. At least one body, even if the limit is too small."""
    return max(max_body_bytes, memory_limit_bytes - OWN_BYTES - PARSE_FACTOR * max_body_bytes)
