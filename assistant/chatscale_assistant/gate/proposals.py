"""Signed proposals of writes: the token, the confirmation code, the idempotency key.

All three bind server, tool, canonical arguments, customer and conversation; token and code bind the expiry too. All
pods of an assistant have the same key, so each pod verifies what another one has signed.
"""

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chatscale_assistant.domain.evidence import ToolCall
from chatscale_assistant.gate.canonical import InvalidArgumentsError, canonical_arguments, canonical_json
from chatscale_assistant.gate.decisions import Proposal

LIFETIME: Final = timedelta(minutes=15)
MIN_KEY_BYTES: Final = 32
MAX_TOKEN_CHARACTERS: Final = 8192 * 2
CODE: Final = re.compile(r"(?<![A-Z0-9-])[A-Z2-7]{4}-[A-Z2-7]{4}-[A-Z2-7]{4}(?![A-Z0-9-])")
"""A confirmation code: 25 bits of expiry, 35 bits of HMAC. A guess needs a request with the customer's own token."""
RECEIPT: Final = re.compile(r"(?<![A-Z0-9-])R-[A-Z2-7]{8}(?![A-Z0-9-])")
_EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
_EXPIRY_BITS: Final = 25
"""Minutes since 2024: until 2087."""
_MAC_BITS: Final = 35
_VERSION: Final = "p1"


class InvalidProposalError(Exception):
    """The token is not a proposal that this assistant has signed."""


class Signer:
    """Signs and verifies proposals with the assistant's key."""

    def __init__(self, key: bytes) -> None:
        """Raises ValueError for a key of fewer than `MIN_KEY_BYTES` bytes."""
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the signing key has {len(key)} bytes, expected at least {MIN_KEY_BYTES}")
        self._key: Final = key

    def propose(self, call: ToolCall, customer: str, conversation: str, now: datetime) -> Proposal:
        """A proposal that ends `LIFETIME` after `now`, rounded up to a minute."""
        minutes = -(-(now + LIFETIME - _EPOCH) // timedelta(minutes=1))
        return self._signed(call, customer, conversation, _EPOCH + timedelta(minutes=minutes))

    def proposal_of_code(self, code: str, call: ToolCall, customer: str, conversation: str) -> Proposal | None:
        """The proposal with this code for exactly this call, customer and conversation; None if the code is another."""
        bits = int.from_bytes(base64.b32decode(code.replace("-", "") + "A===")) >> 4
        expires = _EPOCH + timedelta(minutes=bits >> _MAC_BITS)
        proposal = self._signed(call, customer, conversation, expires)
        return proposal if hmac.compare_digest(proposal.code.encode(), code.encode()) else None

    def open(self, token: str) -> Proposal:
        """The proposal in a token, expired or not. Raises InvalidProposalError."""
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise InvalidProposalError
        version, _, rest = token.partition(".")
        body, _, signature = rest.partition(".")
        expected = _encode(self._mac("token", version, body))
        if version != _VERSION or not hmac.compare_digest(expected.encode(), signature.encode()):
            raise InvalidProposalError
        try:
            fields = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            arguments, _ = canonical_arguments(fields["arguments"])
            call = ToolCall(fields["server"], fields["tool"], arguments)
            return self._signed(call, fields["customer"], fields["conversation"], _time(fields["expires"]))
        except (ValueError, KeyError, TypeError, InvalidArgumentsError) as error:
            raise InvalidProposalError from error

    def idempotency_key(self, call: ToolCall, customer: str, conversation: str) -> str:
        """The same for each repetition of a write in one conversation; 26 characters."""
        return base64.b32encode(self._mac("write", *_bound(call, customer, conversation)))[:26].decode()

    def _signed(self, call: ToolCall, customer: str, conversation: str, expires: datetime) -> Proposal:
        minutes = int((expires - _EPOCH) / timedelta(minutes=1))
        if not 0 <= minutes < 1 << _EXPIRY_BITS:
            raise InvalidProposalError
        bound = (*_bound(call, customer, conversation), str(minutes))
        mac = int.from_bytes(self._mac("code", *bound)[:5]) >> (40 - _MAC_BITS)
        letters = base64.b32encode((((minutes << _MAC_BITS) | mac) << 4).to_bytes(8)).decode()
        code = f"{letters[:4]}-{letters[4:8]}-{letters[8:12]}"
        fields = {
            "server": call.server, "tool": call.tool, "arguments": dict(call.arguments), "customer": customer,
            "conversation": conversation, "expires": minutes,
        }  # fmt: skip
        body = _encode(canonical_json(fields).encode())
        token = f"{_VERSION}.{body}.{_encode(self._mac('token', _VERSION, body))}"
        return Proposal(call, customer, conversation, expires, code, token)

    def _mac(self, purpose: str, *parts: str) -> bytes:
        """HMAC-SHA256 of the parts; JSON keeps their borders apart, the purpose keeps the three uses apart."""
        return hmac.digest(self._key, json.dumps([purpose, *parts]).encode(), hashlib.sha256)


def receipt_code(idempotency_key: str) -> str:
    """What the assistant's message shows after a write, such as `R-ABCDEFGH`: a second write of the same is refused."""
    return f"R-{idempotency_key[:8]}"


def _bound(call: ToolCall, customer: str, conversation: str) -> tuple[str, ...]:
    return call.server, call.tool, canonical_json(dict(call.arguments)), customer, conversation


def _time(minutes: Any) -> datetime:
    if type(minutes) is not int:
        raise TypeError("the expiry is not a number")
    return _EPOCH + timedelta(minutes=minutes)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
