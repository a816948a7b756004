"""One class per reaction, not per cause: the type says who retries."""


class InvalidSpecError(Exception):
    """The ChatModel asks for something impossible: `Ready=False`, no retry until the spec changes."""


class ClusterUnavailableError(Exception):
    """The API server did not answer, or asked to come back: retry with backoff, keep everything."""


class ForbiddenError(ClusterUnavailableError):
    """A quota, a policy or a missing right stands in the way: told in the status, retried, as it may be lifted."""


class ConflictError(Exception):
    """Somebody else wrote the object first: read again, decide again."""


class NotFoundError(Exception):
    """The object is gone; for a ChatModel that ends its reconciliation."""


class MetricsUnavailableError(Exception):
    """A pod or Prometheus gave no usable answer: its load is unknown, which is not zero."""
