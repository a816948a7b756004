"""Accounting of KV cache tokens: what is promised never exceeds what exists."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class KvBudget:
    """Tokens reserved per request out of `capacity_tokens`."""

    capacity_tokens: int
    _reserved: dict[str, int] = field(default_factory=dict)
    reserved_tokens: int = 0

    def reserve(self, request_id: str, tokens: int) -> bool:
        """Set `tokens` aside; False, and nothing changes, if they are not there."""
        if self.reserved_tokens + tokens > self.capacity_tokens:
            return False
        if request_id in self._reserved:
            raise ValueError(f"request {request_id} has a reservation already")
        self._reserved[request_id] = tokens
        self.reserved_tokens += tokens
        return True

    def release(self, request_id: str) -> None:
        """Give back what the request held; unknown requests hold nothing."""
        self.reserved_tokens -= self._reserved.pop(request_id, 0)
