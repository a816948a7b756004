"""What the other gateways report about keys, and what follows for the buckets of this one.

Every gateway has a bucket of its own for each limit, and takes from it what the others use. Readings are about one
second apart, so all gateways together can admit up to one second's traffic too much. The excess becomes a debt of the
buckets, so it is repaid.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from chatscale_contract.gateway.demand import GatewayDemand, KeyUse
from chatscale_gateway.limits.account import Amounts, charged, missing_of

FORGET_S: Final = 600.0
"""A gateway that is gone for this long does not come back with the same process."""
_NOTHING: Final = KeyUse()


@dataclass(frozen=True, slots=True)
class Correction:
    """A change of one key's buckets in this gateway."""

    key: str
    take: Amounts
    """New use elsewhere; negative where a reservation was larger than the use."""
    missing: Amounts
    """At least this is missing from full buckets."""
    is_first: bool
    """It is the first reading of this process: `missing` does not contain what this gateway has admitted so far."""


@dataclass(slots=True)
class _Known:
    """The last report of one peer."""

    instance: str
    keys: Mapping[str, KeyUse]
    read_at_s: float
    present: bool


class PeerReadings:
    """The last report of every other gateway."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._has_read = False
        self._concurrency: dict[str, int] = {}

    def concurrency(self, key: str) -> int:
        """Open requests of a key in the other gateways that exist."""
        return self._concurrency.get(key, 0)

    def missing(self, key: str) -> Amounts:
        """How far from full the other gateways see the buckets of a key: the most of each."""
        found = [known.keys[key] for known in self._known.values() if known.present and key in known.keys]
        return Amounts(
            max((use.missing_requests for use in found), default=0.0),
            max((use.missing_input for use in found), default=0.0),
            max((use.missing_output for use in found), default=0.0),
        )

    def read(self, peers: Mapping[str, GatewayDemand], now_s: float) -> Iterator[Correction]:
        """Apply a reading, by pod name. Yields the corrections for keys that have an account here.

        A gateway that is gone has no open requests. What it had taken stays taken: nobody has its last counts.
        """
        concurrency: dict[str, int] = {}
        for name, report in peers.items():
            before = self._known.get(name)
            for key, use in report.keys.items():
                concurrency[key] = concurrency.get(key, 0) + use.concurrency
                if not _is_unchanged(use, before, key, report.instance):
                    yield self._compare(key, use, before, report.instance)
            self._known[name] = _Known(report.instance, report.keys, now_s, present=True)
        self._concurrency = concurrency
        self._has_read = True
        for name, known in list(self._known.items()):
            known.present = name in peers
            if now_s - known.read_at_s > FORGET_S:
                del self._known[name]

    def _compare(self, key: str, use: KeyUse, before: _Known | None, instance: str) -> Correction:
        nothing, total, missing = Amounts(), charged(use), missing_of(use)
        if not self._has_read:
            return Correction(key, nothing, missing, is_first=True)
        if before is None or before.instance != instance:
            # A new process. If it is not new, and was only never read, the older part of its use is refilled already.
            return Correction(key, _lower(total, missing), nothing, is_first=False)
        if not before.present:
            # It was unreadable for a while. The difference would contain use that has been refilled since then.
            return Correction(key, nothing, missing, is_first=False)
        last = before.keys.get(key, _NOTHING)
        if use.spent_input < last.spent_input or use.spent_output < last.spent_output:
            last = _NOTHING  # it dropped the idle key in between
        then = charged(last)
        grown = Amounts(
            total.requests - then.requests,
            total.input_tokens - then.input_tokens,
            total.output_tokens - then.output_tokens,
        )
        return Correction(key, grown, nothing, is_first=False)


def _lower(one: Amounts, other: Amounts) -> Amounts:
    return Amounts(
        min(one.requests, other.requests),
        min(one.input_tokens, other.input_tokens),
        min(one.output_tokens, other.output_tokens),
    )


def _is_unchanged(use: KeyUse, before: _Known | None, key: str, instance: str) -> bool:
    """Whether the same process has admitted and settled nothing since. True for most keys of most readings."""
    if before is None or not before.present or before.instance != instance or (last := before.keys.get(key)) is None:
        return False
    return (
        use.requests == last.requests
        and use.spent_input == last.spent_input
        and use.spent_output == last.spent_output
        and use.reserved_input == last.reserved_input
        and use.reserved_output == last.reserved_output
    )
