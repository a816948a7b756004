"""tau2's retail tasks with a model by URL: the agent's tool calls pass the gate, a second model plays the customer.

pass^1 here: the share of tasks that, in one trial, end in the database state of the expected actions and whose required
facts the agent has said. It differs from tau2's own number: every write needs the customer's yes to a proposal that
code writes, and no model judges the conversation. Compare it only with numbers of this command and of the same data.
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, Self

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.proposals import proposal_text
from chatscale_assistant.domain.conversation import Conversation, Speaker, Turn
from chatscale_assistant.domain.evidence import ToolCall
from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation.gate_suite import SampleShop, may_run
from chatscale_assistant.evaluation.intervals import share
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.retail_world import SERVER, WRITES, Attempt, Task, ask
from chatscale_assistant.evaluation.tau2 import Tau2Shop
from chatscale_assistant.evaluation.url_model import Message
from chatscale_assistant.gate.gate import Gate

MAX_STEPS: Final = 60
"""Answers of the agent's model in one task."""
MAX_ERRORS: Final = 5
"""Tool calls with broken arguments in one task."""
_SHOWN: Final = 3
_END: Final = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")
_HELLO: Final = "Hi! How can I help you today?"
_CUSTOMER_RULES: Final = """\
You are a customer who writes to a shop. Play the scenario below. Write one short message at a time, as a person types.
Give a detail only when it is needed, and do not invent any. If the shop shows an action with a code and requests a yes,
answer only with "yes" if that is what you want; otherwise say what is wrong. When your goal is reached or cannot be
reached, write ###STOP###. If you are transferred to a person, write ###TRANSFER###.
"""


class Completes(Protocol):
    """A chat model with tools."""

    async def complete(self, messages: Sequence[Message], *, tools: Sequence[Message] = ()) -> Message:
        """The model's message, in OpenAI's form."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """What all tasks share."""

    policy: str
    raw: dict[str, dict[str, Any]]
    """The tasks as tau2 publishes them, by id."""
    gate: Gate
    bare: SampleShop
    start: Any
    """The shop's state before a task."""

    @classmethod
    def of(cls, shop: Tau2Shop, gate: Gate, bare: SampleShop, start: Any) -> Self:
        """A stage for all tasks of the shop."""
        return cls(shop.policy, {str(each["id"]): each for each in shop.tasks}, gate, bare, start)


@dataclass(slots=True)
class _Trial:
    """One task while it runs."""

    customer: Completes
    gate: Gate
    bare: SampleShop
    shop: Any
    conversation: Conversation
    agent_messages: list[Message]
    customer_messages: list[Message]
    said: list[str] = field(default_factory=list)
    """Messages of the agent."""
    ended: bool = False

    async def say(self, text: str) -> str:
        """Send a message of the agent to the customer; returns the reply."""
        self.said.append(text)
        self.customer_messages.append({"role": "user", "content": text})
        reply = str((await self.customer.complete(self.customer_messages)).get("content") or "")
        self.customer_messages.append({"role": "assistant", "content": reply})
        self.ended = any(mark in reply for mark in _END) or not reply.strip()
        turns = (*self.conversation.turns, Turn(Speaker.ASSISTANT, text), Turn(Speaker.CUSTOMER, reply))
        self.conversation = replace(self.conversation, turns=turns)
        return reply

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """The result of a tool call for the agent; a write is proposed to the customer first."""
        call = ToolCall(SERVER, tool, arguments)
        reply = ""
        if tool in WRITES and not may_run(self.gate, self.shop, Attempt(call, self.conversation)):
            customer = self.conversation.customer
            proposal = self.gate.signer.propose(
                call, customer.id if customer else "", self.conversation.id, self.conversation.now
            )
            text = proposal_text(call, Language.ENGLISH, code=proposal.code)
            reply = await self.say(text)
        if not may_run(self.gate, self.shop, Attempt(call, self.conversation)):
            said = f" The customer answered: {reply}" if reply else ""
            return f"Error: the gate refused the call.{said}"
        _, result = self.bare.call(self.shop, tool, arguments)
        return result if isinstance(result, str) else json.dumps(result)


async def measure_tau2(
    agent: Completes, customer: Completes, stage: Stage, tasks: Sequence[Task], names: str
) -> AsyncIterator[Measurement]:
    """Run the tasks; one whose model fails or is late did not pass. names: the two models, for the note."""
    passed: list[bool] = []
    broken: list[str] = []
    for task in tasks:
        try:
            passed.append(await run_task(agent, customer, stage, task))
        except (SourceError, TimeoutError) as e:
            passed.append(False)
            broken.append(f"task {task.id}: {str(e) or 'no answer in time'}")
    yield Measurement.of(
        "model",
        "tau2 retail, pass^1",
        share(passed),
        note=(
            f"{names}; one trial of {len(tasks)} test tasks ({', '.join(task.id for task in tasks)}), each write "
            f"confirmed through the gate. {_broken(broken)}"
        ).rstrip(),
    )


def _broken(broken: Sequence[str]) -> str:
    return f"The model failed in {len(broken)}: {'; '.join(broken[:_SHOWN])}" if broken else ""


async def run_task(agent: Completes, customer: Completes, stage: Stage, task: Task) -> bool:
    """Whether one trial ends in the expected state, with the required facts said."""
    bare, raw = stage.bare, stage.raw[task.id]
    expected, shop = bare.copy_for(stage.start, task), bare.copy_for(stage.start, task)
    for action in task.actions:
        bare.call(expected, action.tool, dict(action.arguments))
    trial = _Trial(
        customer=customer,
        gate=stage.gate,
        bare=bare,
        shop=shop,
        conversation=replace(ask(task.customer, f"tau2-{task.id}"), turns=()),
        agent_messages=[{"role": "system", "content": stage.policy}, {"role": "assistant", "content": _HELLO}],
        customer_messages=[{"role": "system", "content": f"{_CUSTOMER_RULES}\n{_scenario(raw)}"}],
    )
    trial.agent_messages.append({"role": "user", "content": await trial.say(_HELLO)})
    await _talk(agent, trial, [_openai_tool(each) for each in bare.tools.describe_tools()])
    facts = raw["evaluation_criteria"].get("communicate_info") or []
    said = " ".join(trial.said).replace(",", "").casefold()
    return bool(
        shop.orders == expected.orders
        and shop.users == expected.users
        and all(str(fact).replace(",", "").casefold() in said for fact in facts)
    )


async def _talk(agent: Completes, trial: _Trial, tools: list[Message]) -> None:
    errors = 0
    for _ in range(MAX_STEPS):
        if trial.ended or errors >= MAX_ERRORS:
            return
        message = await agent.complete(trial.agent_messages, tools=tools)
        calls = message.get("tool_calls") or []
        if not isinstance(calls, list) or not all(isinstance(each, dict) for each in calls):
            raise SourceError("the answer's tool calls are not in OpenAI's form")
        if not calls:
            text = str(message.get("content") or "")
            trial.agent_messages.append({"role": "assistant", "content": text})
            trial.agent_messages.append({"role": "user", "content": await trial.say(text or "...")})
            continue
        trial.agent_messages.append({"role": "assistant", "content": message.get("content"), "tool_calls": calls})
        for each in calls:
            try:
                tool, arguments = _read_call(each)
            except SourceError as e:
                errors, result = errors + 1, f"Error: {e}"
            else:
                result = await trial.call(tool, arguments)
            trial.agent_messages.append({"role": "tool", "tool_call_id": each.get("id", ""), "content": result})


def _read_call(call: Message) -> tuple[str, dict[str, Any]]:
    """Raises SourceError for a call that is not in OpenAI's form."""
    try:
        function = call["function"]
        arguments = json.loads(function["arguments"] or "{}")
    except (KeyError, TypeError, ValueError, RecursionError) as e:
        raise SourceError("the call has no valid JSON arguments") from e
    if not isinstance(arguments, dict):
        raise SourceError("the call's arguments are not an object")
    return str(function.get("name", "")), arguments


def _openai_tool(described: dict[str, Any]) -> Message:
    function = {key: described[key] for key in ("name", "description")}
    return {"type": "function", "function": {**function, "parameters": described["inputSchema"]}}


def _scenario(raw: dict[str, Any]) -> str:
    given = raw["user_scenario"]["instructions"]
    return (
        "\n".join(f"{key}: {value}" for key, value in given.items() if value) if isinstance(given, dict) else str(given)
    )
