"""Chatscale's control plane: the operator that turns ChatModels into running, scaled replicas."""

__version__ = "0.1.0"
