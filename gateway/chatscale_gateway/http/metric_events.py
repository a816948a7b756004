"""Counts and logs what the dispatcher reports while it works."""

import logging

from typing_extensions import override

from chatscale_gateway import metrics
from chatscale_gateway.dispatch.events import NoEvents
from chatscale_gateway.routing.catalog import ModelKey, Replica
from chatscale_gateway.routing.ejection import EjectionCause
from chatscale_gateway.routing.outcomes import Outcome
from chatscale_gateway.routing.prefix_hash import PrefixChoice

log = logging.getLogger(__name__)


class MetricEvents(NoEvents):
    """The `DispatchEvents` of the process. Refusals are counted where they are answered."""

    @override
    def retried(self, model: ModelKey, outcome: Outcome) -> None:
        """Count a further attempt."""
        metrics.RETRIES.labels(model.name, model.namespace, str(outcome)).inc()

    @override
    def chosen_by_hash(self, model: ModelKey, choice: PrefixChoice) -> None:
        """Count a choice by prefix or session."""
        metrics.PREFIX_CHOICES.labels(model.name, model.namespace, str(choice)).inc()

    @override
    def ejected(self, model: ModelKey, replica: Replica, cause: EjectionCause) -> None:
        """Count and log an ejection."""
        metrics.EJECTIONS.labels(model.name, model.namespace, str(cause)).inc()
        log.warning("replica ejected", extra={"model": str(model), "pod": replica.name, "cause": str(cause)})

    @override
    def readmitted(self, model: ModelKey, replica: Replica) -> None:
        """Log the end of an ejection."""
        log.info("replica readmitted", extra={"model": str(model), "pod": replica.name})

    @override
    def wake_requested(self, model: ModelKey) -> None:
        """Log that requests wait for a first replica."""
        log.info("requests wait for a replica", extra={"model": str(model)})
