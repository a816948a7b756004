"""What the live page shows of a ChatModel beside its requests. Routing does not use it."""

from dataclasses import dataclass, field

from chatscale_contract.gateway.live import LiveDecision, LiveEvent, LiveWarning
from chatscale_contract.money import Price


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """From the spec and the status that the operator writes."""

    phase: str = ""
    """`status.phase`."""
    mode: str = ""
    """`spec.autoscaling.mode`."""
    price: Price = field(default_factory=Price)
    paid_units_per_replica: int = 1
    """What `price.gpu_hour` is paid for: GPUs of a replica; on CPU, the replica itself."""
    decisions: tuple[LiveDecision, ...] = ()
    events: tuple[LiveEvent, ...] = ()
    """All in the spec, ended ones included."""
    warnings: tuple[LiveWarning, ...] = ()
