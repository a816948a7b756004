"""HTTP requests to replicas."""
