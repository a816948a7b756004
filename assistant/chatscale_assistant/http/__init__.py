"""The HTTP front: OpenAI-shaped chat, tasks, probes, metrics, lifecycle."""
