"""OpenAI's `x-ratelimit-*` headers.

OpenAI has one limit for all tokens, a key has one for input and one for output. The pair `...-tokens` shows the one of
which a smaller share is left; both have a pair of their own besides.
"""

from collections.abc import Mapping
from math import ceil
from typing import Final

from chatscale_gateway.limits.account import KeyAccount, Limit
from chatscale_gateway.limits.bucket import Bucket

_ROUNDING: Final = 1e-6
_KINDS: Final = {Limit.REQUESTS: "requests", Limit.INPUT: "input-tokens", Limit.OUTPUT: "output-tokens"}
RATE_LIMIT_HEADERS: Final = tuple(
    f"x-ratelimit-{what}-{kind}"
    for kind in ("requests", "tokens", "input-tokens", "output-tokens")
    for what in ("limit", "remaining", "reset")
)
"""All names, for browsers: their scripts see only headers that CORS exposes."""


def rate_headers(account: KeyAccount, now_s: float) -> Mapping[str, str]:
    """The headers of one key, as its buckets are now. A limit that the key does not have has no header."""
    headers: dict[str, str] = {}
    for limit, bucket in account.buckets.items():
        _add(headers, _KINDS[limit], bucket, now_s)
    tokens = [bucket for limit, bucket in account.buckets.items() if limit is not Limit.REQUESTS]
    if tokens:
        _add(headers, "tokens", min(tokens, key=lambda bucket: _share_left(bucket, now_s)), now_s)
    return headers


def format_reset(seconds: float) -> str:
    """A duration as OpenAI writes it: `120ms`, `1s`, `7.66s`, `6m0s`. Rounded up: to 1 ms, from 1 s on to 10 ms."""
    milliseconds = ceil(seconds * 1000 - _ROUNDING)
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds}ms"
    hundredths = -(-milliseconds // 10)
    minutes, hundredths = divmod(hundredths, 6000)
    text = f"{hundredths / 100:g}s"
    return f"{minutes}m{text}" if minutes else text


def _add(headers: dict[str, str], kind: str, bucket: Bucket, now_s: float) -> None:
    headers[f"x-ratelimit-limit-{kind}"] = str(bucket.per_minute)
    headers[f"x-ratelimit-remaining-{kind}"] = str(max(0, int(bucket.level(now_s))))
    headers[f"x-ratelimit-reset-{kind}"] = format_reset(bucket.full_in_s(now_s))


def _share_left(bucket: Bucket, now_s: float) -> float:
    return bucket.level(now_s) / bucket.per_minute if bucket.per_minute else 0.0
