"""The results of the gate."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chatscale_assistant.domain.evidence import ToolCall


class Refusal(StrEnum):
    """Why the gate refuses a call."""

    NOT_ALLOWED = "not_allowed"
    """The server or the tool is not in `spec.tools`, or a writing tool is called as a reading one."""
    SERVER_CLOSED = "server_closed"
    """The server is not connected, or its descriptions and schemas have another digest than the pinned one."""
    INVALID_ARGUMENTS = "invalid_arguments"
    """The arguments do not fit the tool's schema, the limits of size and depth, or have hidden characters."""
    UNKNOWN_CUSTOMER = "unknown_customer"
    """The tool needs a customer for whom the shop vouches."""
    OTHER_CUSTOMER = "other_customer"
    """An argument names another customer."""
    NOT_OWNED = "not_owned"
    """The object does not exist or belongs to another customer. The refusal is the same for both."""
    UNBOUND = "unbound"
    """Nothing binds the call to the customer: no rule says whose data the tool reads or changes."""
    POLICY = "policy"
    """The shop's policy does not allow it, such as cancelling a delivered order."""
    PERSON_ANSWERS = "person_answers"
    """Staff of the shop has taken over."""
    NOT_CONFIRMED = "not_confirmed"
    """The customer has not confirmed exactly these arguments; the refusal has a proposal."""
    EXPIRED = "expired"
    """The confirmation came too late; the refusal has a new proposal."""
    ALREADY_DONE = "already_done"
    """The conversation has the receipt of the same write."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A write that waits for the customer's yes."""

    call: ToolCall
    """With canonical arguments."""
    customer: str
    conversation: str
    expires: datetime
    code: str
    """Confirmation code, such as `ABCD-EFGH-IJKL`: the assistant's message must contain it."""
    token: str
    """The signed proposal, for `chatscale.pending`."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The call may run."""

    call: ToolCall
    """With canonical arguments: exactly these are checked, confirmed and sent."""
    idempotency_key: str = ""
    """Of a write."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The call may not run."""

    reason: Refusal
    detail: str
    """For the log and for templates: names of tools, parameters and rules; no text of the conversation."""
    proposal: Proposal | None = None
    rule: str = ""
    """Name of the rule of the policy, such as `status` or `reason`, for a template."""


Decision = Allowed | Refused
