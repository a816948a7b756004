"""What one key uses in this gateway: its buckets, its open requests, and the counters for the other gateways."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chatscale_contract.gateway.demand import KeyUse
from chatscale_contract.gateway.keys import KeyPolicy
from chatscale_gateway.limits.bucket import Bucket

IDLE_S: Final = 120.0
"""An account is dropped after it has not changed for this long: by then its buckets are full in every gateway."""


class Limit(StrEnum):
    """The limits of a key, by the name that its Secret uses."""

    REQUESTS = "requestsPerMinute"
    INPUT = "inputTokensPerMinute"
    OUTPUT = "outputTokensPerMinute"
    CONCURRENCY = "maxConcurrency"


RATES: Final = (Limit.REQUESTS, Limit.INPUT, Limit.OUTPUT)
"""The limits that have a bucket."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """Requests and tokens that a request takes from the buckets."""

    requests: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    def of(self, limit: Limit) -> float:
        """The amount for one bucket."""
        match limit:
            case Limit.REQUESTS:
                return self.requests
            case Limit.INPUT:
                return self.input_tokens
            case Limit.OUTPUT:
                return self.output_tokens
            case Limit.CONCURRENCY:
                raise ValueError("concurrency has no bucket")


def rate_of(policy: KeyPolicy, limit: Limit) -> int | None:
    """The value of a limit in a policy; None: no limit."""
    match limit:
        case Limit.REQUESTS:
            return policy.requests_per_minute
        case Limit.INPUT:
            return policy.input_tokens_per_minute
        case Limit.OUTPUT:
            return policy.output_tokens_per_minute
        case Limit.CONCURRENCY:
            return policy.max_concurrency


def is_limited(policy: KeyPolicy) -> bool:
    """Whether a policy has any limit. It runs for every request."""
    return not (
        policy.requests_per_minute is None
        and policy.input_tokens_per_minute is None
        and policy.output_tokens_per_minute is None
        and policy.max_concurrency is None
    )


class KeyAccount:
    """One limited key. `missing`: how far from full its buckets start."""

    __slots__ = ("_reserved_input", "_reserved_output", "_spent_input", "_spent_output", "_spent_requests", "buckets",
                 "changed_s", "name", "open", "policy")  # fmt: skip

    def __init__(self, name: str, policy: KeyPolicy, now_s: float, missing: Amounts) -> None:
        self.name: Final = name
        self.policy = policy
        self.buckets = {
            limit: Bucket(rate, now_s, missing.of(limit))
            for limit in RATES
            if (rate := rate_of(policy, limit)) is not None
        }
        self.open = 0
        """Requests that have been admitted and not settled."""
        self.changed_s = now_s
        self._spent_requests = 0
        self._spent_input = 0
        self._spent_output = 0
        self._reserved_input = 0
        self._reserved_output = 0

    def set_policy(self, policy: KeyPolicy, now_s: float) -> None:
        """Apply a changed Secret. A changed limit keeps the share that is left; a new one starts with a full bucket."""
        self.policy = policy
        for limit in RATES:
            rate, bucket = rate_of(policy, limit), self.buckets.get(limit)
            if rate is None:
                self.buckets.pop(limit, None)
            elif bucket is None:
                self.buckets[limit] = Bucket(rate, now_s)
            elif bucket.per_minute != rate:
                bucket.change(rate, now_s)

    def longest_wait(self, need: Amounts, now_s: float) -> tuple[Limit, float] | None:
        """The bucket that has enough last, and the seconds until then; None if all have enough now.

        The debt of a bucket from which nothing is needed does not count.
        """
        waits = (
            (limit, bucket.wait_s(amount, now_s))
            for limit, bucket in self.buckets.items()
            if (amount := need.of(limit)) > 0
        )
        limit, wait_s = max(waits, key=lambda item: item[1], default=(Limit.REQUESTS, 0.0))
        return (limit, wait_s) if wait_s > 0 else None

    def reserve(self, input_tokens: int, output_tokens: int, now_s: float) -> None:
        """Take what one request may use."""
        self.open += 1
        self._spent_requests += 1
        self._reserved_input += input_tokens
        self._reserved_output += output_tokens
        self.take(Amounts(1, input_tokens, output_tokens), now_s)
        self.changed_s = now_s

    def settle(self, reserved: tuple[int, int], used: tuple[int, int], now_s: float, *, counted: bool) -> None:
        """Replace a reservation by what was used. reserved, used: input and output tokens.

        counted: False gives back the request itself, too.
        """
        self.open -= 1
        self._reserved_input -= reserved[0]
        self._reserved_output -= reserved[1]
        self._spent_input += used[0]
        self._spent_output += used[1]
        if not counted:
            self._spent_requests -= 1
        self.take(Amounts(0 if counted else -1, used[0] - reserved[0], used[1] - reserved[1]), now_s)
        self.changed_s = now_s

    def take(self, amounts: Amounts, now_s: float) -> None:
        """Take from all buckets; negative amounts are given back. Also for what another gateway has used."""
        for limit, bucket in self.buckets.items():
            bucket.take(amounts.of(limit), now_s)

    def miss_at_least(self, missing: Amounts, now_s: float) -> None:
        """Lower each bucket until at least `missing` is missing from full."""
        for limit, bucket in self.buckets.items():
            bucket.take(max(0.0, missing.of(limit) - bucket.missing(now_s)), now_s)

    def charged(self) -> Amounts:
        """What this gateway has taken, reservations included."""
        return Amounts(
            self._spent_requests,
            self._spent_input + self._reserved_input,
            self._spent_output + self._reserved_output,
        )

    def is_idle(self, now_s: float) -> bool:
        """Whether nothing is lost when the account is dropped."""
        return (
            self.open == 0
            and now_s - self.changed_s >= IDLE_S
            and all(bucket.missing(now_s) <= 0 for bucket in self.buckets.values())
        )

    def use(self, now_s: float) -> KeyUse:
        """The report for the other gateways."""
        missing = {limit: bucket.missing(now_s) for limit, bucket in self.buckets.items()}
        return KeyUse(
            concurrency=self.open,
            requests=self._spent_requests,
            spent_input=self._spent_input,
            spent_output=self._spent_output,
            reserved_input=self._reserved_input,
            reserved_output=self._reserved_output,
            missing_requests=missing.get(Limit.REQUESTS, 0.0),
            missing_input=missing.get(Limit.INPUT, 0.0),
            missing_output=missing.get(Limit.OUTPUT, 0.0),
        )


def charged(use: KeyUse) -> Amounts:
    """What a gateway has taken from the buckets of a key since it began to count."""
    return Amounts(use.requests, use.spent_input + use.reserved_input, use.spent_output + use.reserved_output)


def missing_of(use: KeyUse) -> Amounts:
    """How far from full a gateway sees the buckets of a key."""
    return Amounts(use.missing_requests, use.missing_input, use.missing_output)
