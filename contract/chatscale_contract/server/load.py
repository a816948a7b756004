"""The body of GET `LOAD_PATH`: how loaded one replica is, for routing. A few numbers instead of a whole exposition."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Self

LOAD_PATH: Final = "/load"
"""GET: a `ReplicaLoad` as JSON, or 404 from a server that has none."""
_LARGEST: Final = 10**9


@dataclass(frozen=True, slots=True)
class ReplicaLoad:
    """The load of one replica."""

    running: int
    """Requests in a slot."""
    waiting: int
    """Admitted requests that wait for a slot."""
    slots: int
    """Batch slots; 0 while loading."""
    prefill_tokens_per_second: float = 0.0
    """Prompt tokens per second of a full step, as measured in the warm-up; 0 while unknown."""
    draining: bool = False
    """The replica has received SIGTERM and accepts no new request."""

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the response."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Validate a response; unknown fields are ignored. Raises ValueError with the field and the found value."""
        if not isinstance(value, dict):
            raise ValueError(f"the load must be an object, found {type(value).__name__}")  # noqa: TRY004 - one class
        counts = {}
        for name in ("running", "waiting", "slots"):
            found = value.get(name)
            if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _LARGEST:
                raise ValueError(f"{name} must be an integer from 0 to {_LARGEST}, found {found!r}")
            counts[name] = found
        rate = value.get("prefill_tokens_per_second", 0.0)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= _LARGEST:
            raise ValueError(f"prefill_tokens_per_second must be a number from 0 to {_LARGEST}, found {rate!r}")
        return cls(**counts, prefill_tokens_per_second=rate, draining=value.get("draining") is True)
