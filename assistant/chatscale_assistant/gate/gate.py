"""The gate: which tool calls may run. Code decides, from rules, signatures and facts; no prompt reaches it.

The gate reads nothing itself. `facts_needed` names the reading calls whose results the decision needs; the caller runs
them and passes the results. A missing fact about an owner refuses the call.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from chatscale_assistant.domain.conversation import Conversation, Customer
from chatscale_assistant.domain.evidence import ToolCall, ToolResult
from chatscale_assistant.gate.canonical import InvalidArgumentsError, canonical_arguments, canonical_json
from chatscale_assistant.gate.confirmation import IsYes, find_confirmation, has_receipt
from chatscale_assistant.gate.decisions import Allowed, Decision, Refusal, Refused
from chatscale_assistant.gate.ownership import (
    customer_arguments,
    is_customer,
    is_only_of,
    names_customer,
    owned_arguments,
    owner_of,
    unowned_objects,
)
from chatscale_assistant.gate.policy import CUSTOMER_FACT, Situation, first_broken, first_broken_state
from chatscale_assistant.gate.proposals import Signer
from chatscale_assistant.gate.servers import IDEMPOTENCY_PARAMETER, GuardedServer, GuardedTool
from chatscale_contract.assistant.extras import HandOverState

Facts = Mapping[str, ToolResult]
"""Results of reading calls, by `fact_key`."""


def fact_key(call: ToolCall) -> str:
    """Equal for equal calls."""
    return canonical_json([call.server, call.tool, dict(call.arguments)])


class _Kind(StrEnum):
    READ = "read"
    WRITE = "write"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class _Checked:
    """A call that passed the checks without facts."""

    call: ToolCall
    tool: GuardedTool
    server: GuardedServer


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides about calls of the tools of all servers."""

    signer: Signer
    is_yes: IsYes
    servers: Mapping[str, GuardedServer] = field(default_factory=dict)

    def with_server(self, server: GuardedServer) -> "Gate":
        """The gate with a new state of one server."""
        return replace(self, servers={**self.servers, server.name: server})

    def facts_needed(self, call: ToolCall, customer: Customer | None, facts: Facts) -> tuple[ToolCall, ...]:
        """Reading calls that a decision needs beside `facts`; repeat with their results until there are none."""
        checked = self._check(call, customer, _Kind.ANY)
        if isinstance(checked, Refused) or customer is None:
            return ()
        wanted = [each for _, each in _owner_calls(checked)]
        rule = checked.tool.rule
        if checked.tool.writes and rule.profile is not None:
            wanted.append(ToolCall(call.server, rule.profile.tool, {rule.profile.parameter: customer.id}))
        if checked.tool.writes:
            wanted.extend(each for _, each in _product_calls(checked, facts))
        unique = {fact_key(each): each for each in wanted if _readable(checked.server, each.tool)}
        return tuple(each for key, each in unique.items() if key not in facts)

    def forbidden_by(self, server: str, tool: str, facts: Mapping[str, Any]) -> str:
        """The rule by which the state of an object forbids the write, whatever its other arguments; empty: none.

        facts: by parameter, the data of the object that it names.  For what to ask the customer; `check_write` decides.
        """
        found = self.servers.get(server)
        guarded = found.tools.get(tool) if found is not None else None
        broken = None if guarded is None else first_broken_state(guarded.rule.conditions, facts)
        return "" if broken is None else broken.name

    def check_read(self, call: ToolCall, customer: Customer | None, facts: Facts) -> Decision:
        """Whether a call that changes nothing may run. Its result still has to pass `check_result`."""
        checked = self._check(call, customer, _Kind.READ)
        if isinstance(checked, Refused):
            return checked
        if customer is not None and (refused := _check_owners(checked, customer, facts)):
            return refused
        return Allowed(checked.call)

    def check_result(self, call: ToolCall, result: ToolResult, customer: Customer | None) -> Refused | None:
        """Why the result of an allowed reading call must not be used; None if it may be."""
        checked = self._check(call, customer, _Kind.READ)
        if isinstance(checked, Refused):
            return checked
        if checked.tool.rule.public:
            return _check_public_result(checked, result, customer)
        if customer is None:
            return _refused(Refusal.UNKNOWN_CUSTOMER, checked, "the tool needs a customer")
        return _check_private_result(checked, result, customer)

    def check_write(
        self, call: ToolCall, conversation: Conversation, facts: Facts, now: datetime, done: Container[str] = ()
    ) -> Decision:
        """Whether a call that changes something may run; without a confirmation the refusal has a proposal.

        done: idempotency keys of writes that have run.  A repetition of one breaks the policy by what it has changed
        itself; if the server does a key once, the repetition may run and returns the first receipt.
        """
        customer = conversation.customer
        checked = self._check(call, customer, _Kind.WRITE)
        if isinstance(checked, Refused):
            return checked
        if customer is None:
            return _refused(Refusal.UNKNOWN_CUSTOMER, checked, "a write needs a customer")
        if conversation.hand_over is HandOverState.PERSON:
            return _refused(Refusal.PERSON_ANSWERS, checked, "staff answers")
        return _check_owners(checked, customer, facts) or self._check_consent(
            checked, conversation, customer, facts, now, done
        )

    def _check_consent(
        self,
        checked: _Checked,
        conversation: Conversation,
        customer: Customer,
        facts: Facts,
        now: datetime,
        done: Container[str],
    ) -> Decision:
        key = self.signer.idempotency_key(checked.call, customer.id, conversation.id)
        if has_receipt(conversation, key):
            return _refused(Refusal.ALREADY_DONE, checked, "the conversation has its receipt")
        missing = find_confirmation(self.signer, checked.call, conversation, now, self.is_yes)
        if missing is None and checked.tool.idempotent and key in done:
            return self._allowed(checked, key)
        if broken := first_broken(checked.tool.rule.conditions, _situation(checked, customer, facts)):
            refused = _refused(Refusal.POLICY, checked, f"the policy's rule {broken.name} does not hold")
            return replace(refused, rule=broken.name)
        if missing is not None:
            proposal = self.signer.propose(checked.call, customer.id, conversation.id, now)
            return replace(_refused(missing, checked, "the customer's yes is missing"), proposal=proposal)
        return self._allowed(checked, key)

    def _allowed(self, checked: _Checked, key: str) -> Allowed:
        call = checked.call
        if IDEMPOTENCY_PARAMETER in checked.tool.schema.parameters:
            call = replace(call, arguments={**call.arguments, IDEMPOTENCY_PARAMETER: key})
        return Allowed(call, key)

    def _check(self, call: ToolCall, customer: Customer | None, kind: _Kind) -> _Checked | Refused:
        """What needs no facts: allow list, pin, schema, identity."""
        server = self.servers.get(call.server)
        if server is None:
            return Refused(Refusal.NOT_ALLOWED, "the server is not in spec.tools")
        if server.closed:
            return Refused(Refusal.SERVER_CLOSED, f"server {server.name}: {server.closed}")
        tool = server.tools.get(call.tool) if type(call.tool) is str else None
        if tool is None or (kind is not _Kind.ANY and tool.writes is not (kind is _Kind.WRITE)):
            return Refused(Refusal.NOT_ALLOWED, f"server {server.name}: the tool is not allowed for this kind of call")
        try:
            arguments = _check_arguments(call, tool)
        except InvalidArgumentsError as error:
            return Refused(Refusal.INVALID_ARGUMENTS, f"{server.name}/{tool.name}: {error}")
        return _check_identity(_Checked(ToolCall(server.name, tool.name, arguments), tool, server), customer)


def _check_arguments(call: ToolCall, tool: GuardedTool) -> dict[str, Any]:
    """Canonical arguments. Raises InvalidArgumentsError."""
    arguments, _ = canonical_arguments(call.arguments)
    if IDEMPOTENCY_PARAMETER in arguments:
        raise InvalidArgumentsError("the caller sets the idempotency key")
    tool.schema.check(_with_key(arguments, tool))
    return arguments


def _check_identity(checked: _Checked, customer: Customer | None) -> _Checked | Refused:
    """Refused without a customer whom the tool needs, and with an argument that names another one."""
    named = customer_arguments(checked.call.arguments)
    if customer is None and (named or not checked.tool.rule.public):
        return _refused(Refusal.UNKNOWN_CUSTOMER, checked, "the tool needs a customer")
    if customer is not None and not all(is_customer(each, customer.id) for each in named):
        return _refused(Refusal.OTHER_CUSTOMER, checked, "an argument names another customer")
    return checked


def _with_key(arguments: Mapping[str, Any], tool: GuardedTool) -> Mapping[str, Any]:
    """For the check of the schema: the key is set after it."""
    return (
        {**arguments, IDEMPOTENCY_PARAMETER: "k" * 26} if IDEMPOTENCY_PARAMETER in tool.schema.parameters else arguments
    )


def _refused(reason: Refusal, checked: _Checked, detail: str) -> Refused:
    return Refused(reason, f"{checked.server.name}/{checked.tool.name}: {detail}")


def _readable(server: GuardedServer, tool: str) -> bool:
    found = server.tools.get(tool)
    return found is not None and not found.writes


def _is_bound(checked: _Checked) -> bool:
    """Whether an argument names the customer, or an object whose owner was checked, and none names another object."""
    arguments, rule = checked.call.arguments, checked.tool.rule
    bound = customer_arguments(arguments) or owned_arguments(arguments, rule)
    return bool(bound) and not unowned_objects(arguments, rule)


def _owner_calls(checked: _Checked) -> Iterable[tuple[str, ToolCall]]:
    """Parameter and reading call for each object that the arguments name."""
    for parameter, value, lookup in owned_arguments(checked.call.arguments, checked.tool.rule):
        yield parameter, ToolCall(checked.call.server, lookup.tool, {lookup.parameter: value})


def _check_owners(checked: _Checked, customer: Customer, facts: Facts) -> Refused | None:
    """Refused unless all objects in the arguments are the customer's. A write must name one, or the customer."""
    if checked.tool.writes and not _is_bound(checked):
        return _refused(Refusal.UNBOUND, checked, "a rule for the owner of an argument is missing")
    owned = owned_arguments(checked.call.arguments, checked.tool.rule)
    for (_, _, lookup), (_, call) in zip(owned, _owner_calls(checked), strict=True):
        result = facts.get(fact_key(call))
        if result is None:
            return _refused(
                Refusal.UNBOUND, checked, f"the owner cannot be read: {lookup.tool} is not allowed or failed"
            )
        if result.is_error or not is_customer(owner_of(result.data, lookup.owner), customer.id):
            return _refused(Refusal.NOT_OWNED, checked, "the object has another owner, or does not exist")
    return None


def _check_public_result(checked: _Checked, result: ToolResult, customer: Customer | None) -> Refused | None:
    owner = owner_of(result.data, None)
    if owner is None or (customer is not None and is_customer(owner, customer.id)):
        return None
    return _refused(Refusal.NOT_OWNED, checked, "the result is a customer's")


def _check_private_result(checked: _Checked, result: ToolResult, customer: Customer) -> Refused | None:
    """An error that is not bound to the customer by the arguments may hold another's data, so it is withheld too."""
    owner, bound = checked.tool.rule.result_owner, _is_bound(checked)
    if result.is_error:
        return None if bound else _refused(Refusal.NOT_OWNED, checked, "the tool returned an error")
    if owner is None and not bound and not names_customer(result.data):
        return _refused(Refusal.UNBOUND, checked, "neither the arguments nor the result name the customer")
    is_own = owner is None or is_customer(owner_of(result.data, owner), customer.id)
    if is_own and is_only_of(result.data, customer.id):
        return None
    return _refused(Refusal.NOT_OWNED, checked, "the result has another owner")


def _product_calls(checked: _Checked, facts: Facts) -> Iterable[tuple[str, ToolCall]]:
    """Product id and reading call for each old item, once the order is read."""
    variants = checked.tool.rule.variants
    if variants is None:
        return
    order = _facts_by_name(checked, facts).get(variants.order)
    items = order.get("items") if isinstance(order, Mapping) else None
    old = checked.call.arguments.get(variants.old)
    if not isinstance(items, list) or not isinstance(old, list):
        return
    for item in items:
        if isinstance(item, Mapping) and item.get("item_id") in old and isinstance(item.get("product_id"), str):
            product = item["product_id"]
            yield product, ToolCall(checked.call.server, variants.tool, {variants.parameter: product})


def _facts_by_name(checked: _Checked, facts: Facts) -> dict[str, Any]:
    found = ((parameter, facts.get(fact_key(call))) for parameter, call in _owner_calls(checked))
    return {parameter: result.data for parameter, result in found if result is not None and not result.is_error}


def _situation(checked: _Checked, customer: Customer, facts: Facts) -> Situation:
    named, profile = _facts_by_name(checked, facts), checked.tool.rule.profile
    if profile is not None:
        result = facts.get(fact_key(ToolCall(checked.call.server, profile.tool, {profile.parameter: customer.id})))
        if (
            result is not None
            and not result.is_error
            and is_customer(owner_of(result.data, profile.owner), customer.id)
        ):
            named[CUSTOMER_FACT] = result.data
    read = ((product, facts.get(fact_key(call))) for product, call in _product_calls(checked, facts))
    products = {product: result.data for product, result in read if result is not None and not result.is_error}
    return Situation(checked.call.arguments, named, products)
