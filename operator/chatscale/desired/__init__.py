"""Desired state: pure builders from a ChatModel to Kubernetes manifests, and the plan of changes."""
