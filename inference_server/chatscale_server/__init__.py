"""One model replica: an OpenAI-compatible HTTP front over a batching engine."""
