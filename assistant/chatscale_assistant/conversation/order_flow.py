"""Orders of the customer: status, proposals of changes, and changes that the customer has confirmed.

Every call passes the gate. Customers read templates over the results of tools; the chat model has no part in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import Language, ToolServer
from chatscale_assistant.answers.phrases import Phrase, say, starts_of
from chatscale_assistant.answers.proposals import Details, proposal_text, receipt_text, shown_code
from chatscale_assistant.answers.results import Focus, citation_of, label, method_lines, result_draft
from chatscale_assistant.answers.wording import state, value_text
from chatscale_assistant.conversation.order_arguments import (
    StoppedError,
    given_back,
    items_of,
    list_of,
    mapping_of,
    method_of,
    named_by_id,
    new_address,
    new_variant,
    stopped_with,
    wanted_items,
)
from chatscale_assistant.conversation.order_consent import ACTIONS, consent_of, is_yes
from chatscale_assistant.conversation.order_step import OrderOutcome, OrderStep
from chatscale_assistant.conversation.order_wanted import Wanted, about_address, about_payment, is_general, read_wanted
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.conversation import Conversation, Customer, Speaker, Turn
from chatscale_assistant.domain.evidence import ToolCall, ToolResult
from chatscale_assistant.domain.interfaces import Tools
from chatscale_assistant.errors import ToolFailedError
from chatscale_assistant.gate.decisions import Decision, Proposal, Refusal, Refused
from chatscale_assistant.gate.proposals import RECEIPT, receipt_code
from chatscale_assistant.intent import Consent, Intent, Understanding, understand
from chatscale_assistant.tools.guarded_tools import RefusedCallError
from chatscale_contract.assistant.extras import CheckExtra, Rung

READ_ORDER: Final = "get_order_details"
READ_CUSTOMER: Final = "get_user_details"
READ_PRODUCT: Final = "get_product_details"
WRITE_TOOLS: Final[Mapping[Intent, str]] = {
    Intent.CANCEL: "cancel_pending_order",
    Intent.RETURN: "return_delivered_order_items",
    Intent.EXCHANGE: "exchange_delivered_order_items",
    Intent.CHANGE_ITEMS: "modify_pending_order_items",
    Intent.CHANGE_PAYMENT: "modify_pending_order_payment",
    Intent.CHANGE_ADDRESS: "modify_pending_order_address",
}
"""Tools by intent. What has no tool here goes to a person."""
_MAX_ORDERS: Final = 10


class OrderTools(Tools, Protocol):
    """What `tools.guarded_tools.GuardedTools` has beside `Tools`."""

    def offers(self, server: str, tool: str) -> bool:
        """Whether the tool may be called now."""
        ...

    def forbidden_by(self, server: str, tool: str, facts: Mapping[str, Any]) -> str:
        """The rule by which the state of an object forbids the write, whatever its other arguments; empty: none."""
        ...

    def open_pending(self, token: str) -> Proposal | None:
        """The proposal in a token; None if this assistant has not signed it."""
        ...

    async def decide_write(self, call: ToolCall, conversation: Conversation) -> Decision:
        """Whether a write may run; a refusal for a missing yes has the proposal."""
        ...


@dataclass(frozen=True, slots=True)
class ShopOrders(OrderStep):
    """Used by all turns."""

    tools: OrderTools
    servers: Sequence[ToolServer]
    currency: str = ""

    @override
    async def confirmed(self, conversation: Conversation, language: Language) -> OrderOutcome | None:
        turns = conversation.turns
        if len(turns) < 2 or turns[-2].speaker is not Speaker.ASSISTANT:  # noqa: PLR2004 - a proposal and its answer
            return None
        if not shown_code(turns[-2].text):
            return await self._answered_late(conversation, language)
        if consent_of(conversation.question) is Consent.NO:
            changed = await self._changed(conversation, language)  # "no, only the lamp"
            return changed or stopped_with(Phrase.DECLINED, language)
        if is_yes(conversation.question):
            return await self._caught(self._confirmed(conversation, language), language)
        if understand(conversation.question, language).matched:
            return None
        changed = await self._changed(conversation, language)
        return changed or stopped_with(Phrase.UNCLEAR_CONSENT, language)

    @override
    async def answer(
        self, conversation: Conversation, understood: Understanding, language: Language
    ) -> OrderOutcome | None:
        wanted = read_wanted(conversation.turns, language)
        if wanted is None or not self.servers:
            return None
        is_own = understood.about_own_order or bool(wanted.entities.orders)
        if conversation.customer is not None and not is_general(wanted.question):
            is_own = True  # "when will it arrive?"
        if wanted.intent is Intent.ORDER_STATUS and not is_own:
            return None  # "how long does delivery take" is about the rules
        if conversation.customer is None and not wanted.is_new and not understood.entities.orders:
            return None  # the customer goes on without signing in: another topic
        return await self._caught(self._answer(conversation, wanted, language), language)

    async def _changed(self, conversation: Conversation, language: Language) -> OrderOutcome | None:
        """The proposal of what the customer wants instead ("yes, but only the lamp"); None if it is the same."""
        wanted, before = read_wanted(conversation.turns, language), read_wanted(conversation.turns[:-2], language)
        if wanted is None or before is None:
            return None
        try:
            old = await self._call(before, conversation.customer, language)
            new = await self._call(wanted, conversation.customer, language)
        except (StoppedError, RefusedCallError, ToolFailedError):
            return None
        if new == old:
            return None
        return await self._caught(self._propose(new, conversation, language), language)

    async def _answered_late(self, conversation: Conversation, language: Language) -> OrderOutcome | None:
        """A bare yes or no after other turns: the last open proposal again, which needs its own yes."""
        consent = consent_of(conversation.question)
        turns = conversation.turns
        proposed = next((index for index in range(len(turns) - 2, -1, -1) if _shows_proposal(turns[index])), None)
        if consent is Consent.UNCLEAR or proposed is None or any(map(_ends_proposal, turns[proposed + 1 :])):
            return None
        if consent is Consent.NO:
            return stopped_with(Phrase.DECLINED, language)
        wanted = read_wanted(turns[:proposed], language)
        if wanted is None:
            return None
        return await self._caught(self._proposed_again(wanted, conversation, language), language)

    async def _proposed_again(self, wanted: Wanted, conversation: Conversation, language: Language) -> OrderOutcome:
        call = await self._call(wanted, conversation.customer, language)
        return await self._propose(call, conversation, language)

    async def _propose(self, call: ToolCall, conversation: Conversation, language: Language) -> OrderOutcome:
        decision = await self.tools.decide_write(call, conversation)
        if not isinstance(decision, Refused):
            return OrderOutcome(reason="not_supported")  # never: the turn is no yes to this call
        return self._refused(decision, language, await self._details(call, conversation.customer))

    async def _caught(self, step: Any, language: Language) -> OrderOutcome:
        """The step's outcome; a refusal of the gate and a failure of a tool as an outcome."""
        try:
            outcome: OrderOutcome = await step
        except StoppedError as stopped:
            return stopped.outcome
        except RefusedCallError as error:
            return self._refused(error.refused, language)
        except ToolFailedError:
            return OrderOutcome(reason="tools_failed")
        return outcome

    async def _confirmed(self, conversation: Conversation, language: Language) -> OrderOutcome:
        call = await self._proposed(conversation, language)
        if consent_of(conversation.question, ACTIONS.get(call.tool, "")) is not Consent.YES:
            return stopped_with(Phrase.UNCLEAR_CONSENT, language)  # a yes to another action than the proposed one
        details = await self._details(call, conversation.customer)
        try:
            result = await self.tools.write(call, conversation)
        except RefusedCallError as error:
            return self._refused(error.refused, language, details)
        if result.is_error:
            return OrderOutcome(reason="tools_failed", checks=(_gate(),))
        text = receipt_text(call, result, language, details=details)
        text += f"\n{receipt_code(result.receipt)}"
        draft = Draft(text, Rung.TEMPLATE, language, (result,), (citation_of(result),))
        return OrderOutcome(draft, checks=(_gate(),))

    async def _proposed(self, conversation: Conversation, language: Language) -> ToolCall:
        """The call that the last message of the assistant proposed: from the token, or from the turns before it."""
        if conversation.pending and (proposal := self.tools.open_pending(conversation.pending)):
            return proposal.call
        wanted = read_wanted(conversation.turns[:-2], language)
        if wanted is None:
            raise StoppedError(stopped_with(Phrase.EXPIRED, language))
        return await self._call(wanted, conversation.customer, language)

    async def _answer(self, conversation: Conversation, wanted: Wanted, language: Language) -> OrderOutcome:
        customer = conversation.customer
        if customer is None:
            return stopped_with(Phrase.NEED_IDENTITY, language)
        if wanted.intent is Intent.ACCOUNT:
            return _drafted(result_draft(await self._customer(customer), language, currency=self.currency))
        if wanted.intent is Intent.ORDER_STATUS:
            text = wanted.texts[0] if wanted.texts else wanted.question
            focus = Focus(wanted.question, address=about_address(text), payment=about_payment(text))
            order = await self._order(wanted, customer, language)
            return _drafted(result_draft(order, language, focus=focus, currency=self.currency))
        return await self._propose(await self._call(wanted, customer, language), conversation, language)

    async def _call(self, wanted: Wanted, customer: Customer | None, language: Language) -> ToolCall:
        """The call of a write. Raises StoppedError with a question if something is missing."""
        tool = WRITE_TOOLS.get(wanted.intent)
        server = next((each.name for each in self.servers if tool in each.allow and tool in each.writes), None)
        if tool is None or server is None or customer is None:
            raise StoppedError(OrderOutcome(reason="not_supported"))
        order = mapping_of((await self._order(wanted, customer, language)).data)
        try:
            arguments = await self._arguments(wanted, order, customer, language)
        except StoppedError as stopped:  # no question about an order whose state forbids the change
            if stopped.outcome.draft and self.tools.forbidden_by(server, tool, {"order_id": order}):
                raise StoppedError(_not_possible(order, language)) from stopped
            raise
        return ToolCall(server, tool, {"order_id": order.get("order_id", ""), **arguments})

    async def _arguments(
        self, wanted: Wanted, order: Mapping[str, Any], customer: Customer, language: Language
    ) -> dict[str, Any]:
        """What a write needs beside the order. Raises StoppedError with a question if something is missing."""
        match wanted.intent:
            case Intent.CANCEL:
                if wanted.entities.reason is None:
                    raise StoppedError(stopped_with(Phrase.NEED_REASON, language))
                return {"reason": str(wanted.entities.reason)}
            case Intent.RETURN:
                return {
                    "item_ids": wanted_items(wanted, order, language, self.currency),
                    "payment_method_id": method_of(wanted, order),
                }
            case Intent.CHANGE_ADDRESS:
                return new_address(wanted, language)
            case Intent.CHANGE_PAYMENT:
                if not wanted.entities.payment_methods:
                    methods = mapping_of(mapping_of((await self._customer(customer)).data).get("payment_methods"))
                    lines = method_lines(methods, language, self.currency)
                    raise StoppedError(stopped_with(Phrase.NEED_PAYMENT, language, methods=lines))
                return {"payment_method_id": wanted.entities.payment_methods[0]}
            case _:
                old, new = await self._pairs(wanted, order, customer, language)
                return {"item_ids": old, "new_item_ids": new, "payment_method_id": method_of(wanted, order)}

    async def _pairs(
        self, wanted: Wanted, order: Mapping[str, Any], customer: Customer, language: Language
    ) -> tuple[list[str], list[str]]:
        """Old and new items: any number by their ids, or one by the options of the new variant."""
        old, new = given_back(wanted, order, language, self.currency), named_by_id(wanted, order)
        if new or len(old) != 1:
            if len(new) != len(old):
                raise StoppedError(OrderOutcome(reason="not_supported"))
            return old, new
        item = next(each for each in items_of(order) if str(each.get("item_id")) == old[0])
        product = mapping_of((await self._read(READ_PRODUCT, {"product_id": item.get("product_id")}, customer)).data)
        return old, [new_variant(wanted, item, product, language, self.currency)]

    async def _order(self, wanted: Wanted, customer: Customer, language: Language) -> ToolResult:
        """The order that is meant. Raises StoppedError with a question if it is not clear which one."""
        orders = wanted.entities.orders
        if not orders:
            data = mapping_of((await self._customer(customer)).data)
            orders = tuple(str(each) for each in list_of(data.get("orders")))
        if len(orders) != 1:
            listed = ", ".join(map(value_text, orders[:_MAX_ORDERS]))
            text = say(Phrase.NEED_ORDER, language)
            text += f"\n{label('orders', language)}{listed}" if listed else ""
            raise StoppedError(OrderOutcome(Draft(text, Rung.TEMPLATE, language)))
        return await self._read(READ_ORDER, {"order_id": orders[0]}, customer, orders[0], language)

    async def _customer(self, customer: Customer) -> ToolResult:
        return await self._read(READ_CUSTOMER, {"user_id": customer.id}, customer)

    async def _read(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        customer: Customer,
        order: str = "",
        language: Language = Language.ENGLISH,
    ) -> ToolResult:
        server = self._server(tool)
        if server is None:
            raise StoppedError(OrderOutcome(reason="not_supported"))
        try:
            result = await self.tools.read(ToolCall(server, tool, arguments), customer)
        except RefusedCallError as error:
            if order and error.refused.reason is Refusal.NOT_OWNED:
                outcome = stopped_with(Phrase.ORDER_NOT_FOUND, language, order=value_text(order))
                raise StoppedError(outcome) from error
            raise
        if result.is_error:
            if order:
                raise StoppedError(stopped_with(Phrase.ORDER_NOT_FOUND, language, order=value_text(order)))
            raise ToolFailedError(f"server {server}: {tool} returned an error")
        return result

    async def _details(self, call: ToolCall, customer: Customer | None) -> Details:
        """Words for the ids in a proposal. Without them the ids stand alone."""
        order: Mapping[str, Any] = {}
        methods: Mapping[str, Any] = {}
        if customer is not None and "order_id" in call.arguments:
            read = await self._read(READ_ORDER, {"order_id": call.arguments["order_id"]}, customer)
            order = mapping_of(read.data)
            if "payment_method_id" in call.arguments and self._server(READ_CUSTOMER):
                methods = mapping_of(mapping_of((await self._customer(customer)).data).get("payment_methods"))
        products = await self._products(call, order, customer)
        return Details(order, products, methods, self.currency)

    async def _products(
        self, call: ToolCall, order: Mapping[str, Any], customer: Customer | None
    ) -> tuple[Mapping[str, Any], ...]:
        """The products of the new items, if the shop lets them be read."""
        if customer is None or "new_item_ids" not in call.arguments or self._server(READ_PRODUCT) is None:
            return ()
        old = call.arguments.get("item_ids", ())
        ids = dict.fromkeys(each.get("product_id") for each in items_of(order) if each.get("item_id") in old)
        read = [await self._read(READ_PRODUCT, {"product_id": each}, customer) for each in ids]
        return tuple(mapping_of(each.data) for each in read)

    def _refused(self, refused: Refused, language: Language, details: Details | None = None) -> OrderOutcome:
        """What the customer reads about a refusal of the gate."""
        checks = (_gate(refused.reason),)
        match refused.reason:
            case Refusal.NOT_CONFIRMED | Refusal.EXPIRED if refused.proposal is not None:
                proposal = refused.proposal
                text = proposal_text(proposal.call, language, code=proposal.code, details=details)
                if refused.reason is Refusal.EXPIRED:
                    text = f"{say(Phrase.EXPIRED, language)}\n{text}"
                return OrderOutcome(Draft(text, Rung.TEMPLATE, language), pending=proposal.token, checks=checks)
            case Refusal.UNKNOWN_CUSTOMER:
                return OrderOutcome(stopped_with(Phrase.NEED_IDENTITY, language).draft, checks=checks)
            case Refusal.ALREADY_DONE if details is not None:
                return OrderOutcome(_not_possible(details.order, language).draft, checks=checks)
            case Refusal.POLICY if refused.rule in {"status", "once"} and details is not None:
                return OrderOutcome(_not_possible(details.order, language).draft, checks=checks)
            case Refusal.SERVER_CLOSED:
                return OrderOutcome(reason="tools_failed", checks=checks)
            case _:
                return OrderOutcome(reason="not_supported", checks=checks)

    def _server(self, tool: str | None) -> str | None:
        """The first server that has the tool in its allow list."""
        return next((server.name for server in self.servers if tool in server.allow), None)


def _shows_proposal(turn: Turn) -> bool:
    return turn.speaker is Speaker.ASSISTANT and shown_code(turn.text) is not None


def _ends_proposal(turn: Turn) -> bool:
    """Whether the proposal before is done or declined."""
    if turn.speaker is not Speaker.ASSISTANT:
        return False
    return RECEIPT.search(turn.text) is not None or any(each in turn.text for each in starts_of(Phrase.DECLINED))


def _not_possible(order: Mapping[str, Any], language: Language) -> OrderOutcome:
    number, status = value_text(order.get("order_id", "")), state(order.get("status", ""), language)
    return stopped_with(Phrase.NOT_POSSIBLE, language, order=number, status=status)


def _drafted(draft: Draft | None) -> OrderOutcome:
    return OrderOutcome(draft, reason="" if draft else "tools_failed")


def _gate(refusal: Refusal | None = None) -> CheckExtra:
    return CheckExtra(name="gate", passed=refusal is None, detail=str(refusal or ""))
