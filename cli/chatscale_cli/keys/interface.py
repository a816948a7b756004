"""The Secrets of a cluster, as the key commands use them."""

from typing import Any, Protocol

from chatscale_cli.errors import ClusterError, CommandError
from chatscale_contract.gateway.keys import KeyId

Manifest = dict[str, Any]


class NotFoundError(CommandError):
    """There is no such Secret."""


class ExistsError(CommandError):
    """There is a Secret of this name already."""


class ConflictError(CommandError):
    """The Secret changed after it was read. Nothing was written."""


class NoAnswerError(ClusterError):
    """The API server did not answer in time or closed the connection. A write may have been carried out."""


class Secrets(Protocol):
    """Secrets as JSON. All methods raise ClusterError if the API server cannot be used or denies the request."""

    @property
    def default_namespace(self) -> str:
        """The namespace of the context."""
        ...

    def get(self, key: KeyId) -> Manifest:
        """Raises NotFoundError."""
        ...

    def list_all(self, namespace: str | None, selector: str) -> list[Manifest]:
        """The Secrets that a label selector matches. namespace: None means all namespaces."""
        ...

    def create(self, manifest: Manifest) -> None:
        """Raises ExistsError, and NotFoundError if there is no such namespace."""
        ...

    def replace(self, manifest: Manifest) -> None:
        """Write the Secret if its resourceVersion is unchanged. Raises ConflictError and NotFoundError."""
        ...

    def delete(self, manifest: Manifest) -> None:
        """Delete the Secret if its uid and resourceVersion are unchanged. Raises ConflictError and NotFoundError."""
        ...
