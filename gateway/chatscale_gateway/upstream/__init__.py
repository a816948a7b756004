"""The HTTP client to replicas."""
