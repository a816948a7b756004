"""Posts Kubernetes Events."""

import logging

from chatscale import metrics
from chatscale.cluster.interface import Cluster, Manifest
from chatscale.errors import ClusterUnavailableError, ConflictError, NotFoundError, RejectedRequestError

log = logging.getLogger(__name__)


async def post_event(cluster: Cluster, event: Manifest) -> None:
    """Post an Event. A failure is counted and does not fail the pass."""
    try:
        await cluster.create(event)
    except ConflictError:
        log.debug("event already posted", extra={"reason": event["reason"]})
    except (ClusterUnavailableError, RejectedRequestError, NotFoundError) as error:
        metrics.EVENTS_LOST_TOTAL.inc()
        log.warning("event lost", extra={"reason": event["reason"], "why": str(error)})
