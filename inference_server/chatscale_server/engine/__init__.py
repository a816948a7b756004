"""Batched text generation: scheduler, two engines and the thread that runs them. No HTTP, no event loop."""
