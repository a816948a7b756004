"""What should exist: pure builders from a ChatModel to Kubernetes manifests, and the plan that gets there."""
