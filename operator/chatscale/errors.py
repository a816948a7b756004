"""One class per reaction, not per cause: the type decides who retries."""


class InvalidSpecError(Exception):
    """The spec cannot be applied: `Ready=False`, and no retry until the spec changes."""


class RejectedRequestError(Exception):
    """The API server never accepts this request, and no spec is the cause: logged as a bug and retried.

    For example a status patch that the CRD of another version does not allow.
    """


class ClusterUnavailableError(Exception):
    """The API server did not answer, or asked for a later retry: retry with backoff, change nothing meanwhile."""


class ForbiddenError(ClusterUnavailableError):
    """Denied by quota, admission policy or RBAC: reported in the status and retried."""


class ConflictError(Exception):
    """Someone else changed the object since it was read: wait for the newer state, then decide again."""


class NotFoundError(Exception):
    """The object does not exist. For a ChatModel this ends its reconciliation."""


class MetricsUnavailableError(Exception):
    """A pod or Prometheus gave no usable answer: the load is unknown, which does not mean zero."""
