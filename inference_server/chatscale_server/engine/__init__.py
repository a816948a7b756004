"""Batched text generation: scheduler, two engines and the thread that drives them; no HTTP, no event loop."""
