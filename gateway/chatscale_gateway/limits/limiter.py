"""Admits the requests of limited keys, and settles them. One per gateway; it has no clock and does no I/O.

A request reserves what it may use. Its reservation is settled once, at its end, by what it has used.
"""

from collections.abc import Mapping
from math import ceil, isinf
from typing import Final

from chatscale_contract.gateway.demand import GatewayDemand, KeyUse
from chatscale_contract.gateway.keys import KeyId
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.limits.account import Amounts, KeyAccount, Limit, is_limited, rate_of
from chatscale_gateway.limits.peers import PeerReadings
from chatscale_gateway.limits.rate_headers import rate_headers

RATE_LIMIT_CODE: Final = "rate_limit_exceeded"
CONCURRENCY_RETRY_AFTER_S: Final = 1
"""Nobody can say when one of the key's requests ends."""


class Reservation:
    """What one admitted request may use. Settle it exactly once; later calls change nothing."""

    __slots__ = ("_account", "input_tokens", "output_tokens")

    def __init__(self, account: KeyAccount | None, input_tokens: int, output_tokens: int) -> None:
        """account: None for a caller without limits."""
        self._account = account
        self.input_tokens: Final = input_tokens
        self.output_tokens: Final = output_tokens

    @property
    def settled(self) -> bool:
        """Whether nothing is reserved any more."""
        return self._account is None

    def settle(self, input_tokens: int, output_tokens: int, now_s: float) -> None:
        """The request has ended and used this many tokens. They may be more than were reserved."""
        self._end((input_tokens, output_tokens), now_s, counted=True)

    def give_back(self, now_s: float) -> None:
        """The gateway refused the request: it has used nothing, and does not count."""
        self._end((0, 0), now_s, counted=False)

    def _end(self, used: tuple[int, int], now_s: float, *, counted: bool) -> None:
        account, self._account = self._account, None
        if account is not None:
            account.settle((self.input_tokens, self.output_tokens), used, now_s, counted=counted)


NO_LIMITS: Final = Reservation(None, 0, 0)
"""For callers without limits. It has no state, so all of them share it."""


class Limiter:
    """The limits of all keys in this gateway. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._accounts: dict[KeyId, KeyAccount] = {}
        self._by_name: dict[str, KeyAccount] = {}
        self._peers = PeerReadings()

    def admit(
        self, caller: Caller, input_tokens: int, output_tokens: int, now_s: float, *, guessed: bool = False
    ) -> Reservation:
        """Reserve what a request may use.

        input_tokens: estimated.  output_tokens: the most that it may generate.  guessed: the request does not limit
        its answer, so no more than a quarter of a full bucket is reserved.
        Raises ApiError 429: with the seconds until the buckets have enough, or without a retry if a full bucket has
        not enough.
        """
        account = self._account(caller, now_s)
        if account is None:
            return NO_LIMITS
        if guessed and (rate := account.policy.output_tokens_per_minute) is not None:
            output_tokens = min(output_tokens, max(1, rate // _GUESSES_PER_BUCKET))
        need = Amounts(1, input_tokens, output_tokens)
        if lacking := account.longest_wait(need, now_s):
            raise _refuse_rate(account, lacking[0], need, lacking[1], now_s)
        most = account.policy.max_concurrency
        if most is not None and (found := account.open + self._peers.concurrency(account.name)) >= most:
            raise _refuse_concurrency(account.name, most, found)
        account.reserve(input_tokens, output_tokens, now_s)
        return Reservation(account, input_tokens, output_tokens)

    def headers(self, caller: Caller, now_s: float) -> Mapping[str, str]:
        """The `x-ratelimit-*` headers of a response; empty for a caller without rate limits."""
        account = self._account(caller, now_s)
        return {} if account is None else rate_headers(account, now_s)

    def report(self, now_s: float) -> dict[str, KeyUse]:
        """What the other gateways need, by name of the key. Drops idle keys."""
        for key, account in list(self._accounts.items()):
            if account.is_idle(now_s):
                del self._accounts[key], self._by_name[account.name]
        return {name: account.use(now_s) for name, account in self._by_name.items()}

    def peers_read(self, peers: Mapping[str, GatewayDemand], now_s: float) -> None:
        """Apply the last reports of the other gateways that exist, by pod name."""
        for correction in self._peers.read(peers, now_s):
            account = self._by_name.get(correction.key)
            if account is None:
                continue  # it will start with what the peers report as missing
            account.take(correction.take, now_s)
            missing = correction.missing
            if correction.is_first:
                own = account.charged()
                missing = Amounts(
                    missing.requests + own.requests,
                    missing.input_tokens + own.input_tokens,
                    missing.output_tokens + own.output_tokens,
                )
            account.miss_at_least(missing, now_s)

    def _account(self, caller: Caller, now_s: float) -> KeyAccount | None:
        key, policy = caller.key, caller.policy
        if key is None or not is_limited(policy):
            return None
        account = self._accounts.get(key)
        if account is None:
            name = str(key)
            account = KeyAccount(name, policy, now_s, self._peers.missing(name))
            self._accounts[key] = self._by_name[name] = account
        elif account.policy is not policy and account.policy != policy:
            account.set_policy(policy, now_s)
        return account


_GUESSES_PER_BUCKET: Final = 4
"""With a whole bucket for each guess, a key with a small limit would wait for a full bucket before each request."""
_ROUNDING_S: Final = 1e-6
_UNITS: Final = {Limit.REQUESTS: "requests", Limit.INPUT: "prompt tokens", Limit.OUTPUT: "generated tokens"}


def _refuse_rate(account: KeyAccount, limit: Limit, need: Amounts, wait_s: float, now_s: float) -> ApiError:
    most, unit = rate_of(account.policy, limit), _UNITS[limit]
    wanted = f"key `{account.name}`: {limit} is {most}, and the request needs {need.of(limit):.0f} {unit}"
    if isinf(wait_s):
        # The key's next minutes have no more either.
        text = f"{wanted}, more than the limit ever allows at once"
        return ApiError(429, text, code=RATE_LIMIT_CODE, retryable=False)
    retry_after_s = max(1, ceil(wait_s - _ROUNDING_S))
    left = max(0, int(account.buckets[limit].level(now_s)))
    text = f"{wanted}, but {left} are left; try again in {retry_after_s} s"
    return ApiError(429, text, code=RATE_LIMIT_CODE, retry_after_s=retry_after_s)


def _refuse_concurrency(name: str, most: int, found: int) -> ApiError:
    text = f"key `{name}`: maxConcurrency is {most}, and {found} requests are open"
    if most == 0:
        return ApiError(429, text, code=RATE_LIMIT_CODE, retryable=False)
    text += "; try again when one has ended"
    return ApiError(429, text, code=RATE_LIMIT_CODE, retry_after_s=CONCURRENCY_RETRY_AFTER_S)
