"""What the policy remembers of one ChatModel between two decisions. Small, immutable, lost on a restart."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self


@dataclass(frozen=True, slots=True)
class ScalerState:
    """Carried from one `Decision` into the next call of `decide`."""

    @classmethod
    def rebuilt(cls, current: int, now: datetime) -> Self:
        """The state of an operator that has just started, or first sees a model with `current` replicas.

        It may raise at once, and lowers nothing until it has watched for a whole window.
        """
        _ = (current, now)
        return cls()
