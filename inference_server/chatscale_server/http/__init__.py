"""The asyncio side: OpenAI-compatible routes, probes, metrics, drain. Never touches torch."""
