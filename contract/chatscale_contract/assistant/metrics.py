"""Metrics of an assistant's pod that other programs read."""

from typing import Final

REQUESTS_IN_FLIGHT: Final = "chatscale_assistant_requests_in_flight"
"""Gauge: requests that are answered now and that wait for it. The HPA of `spec.replicas.max` scales by its sum."""
ASSISTANT_LABEL: Final = "shopassistant"
"""Label of `REQUESTS_IN_FLIGHT` with the ShopAssistant's name; the scrape adds the namespace."""
