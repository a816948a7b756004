"""Security settings of every pod that the operator creates."""

from typing import Final

from chatscale.desired.manifest import Manifest

RUN_AS: Final = 65532
"""User and group of our processes: `nonroot` in the common base images."""


def pod_security() -> Manifest:
    """The pod's `securityContext`."""
    return {
        "runAsNonRoot": True,
        "runAsUser": RUN_AS,
        "runAsGroup": RUN_AS,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """The container's `securityContext`."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
