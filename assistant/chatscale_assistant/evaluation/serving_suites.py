"""Suites `latency`, `overload` and `freshness`: the assistant in its own process, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import aiohttp

from chatscale_assistant.evaluation import load, questions
from chatscale_assistant.evaluation.finding import LANGUAGES
from chatscale_assistant.evaluation.intervals import count, exact, quantile, share
from chatscale_assistant.evaluation.load import Outcome
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.process import RunningAssistant, external, running
from chatscale_assistant.evaluation.stand_ins import desk, slow_model
from chatscale_assistant.evaluation.tau2 import CATALOGUE_SOURCE, POLICY_SOURCE, Tau2Shop

RATE: Final = 30.0
"""Questions per second of the suite `latency`."""
LATENCY_S: Final = 40
OVERLOAD_S: Final = 30
MODEL_SLOTS: Final = 2
MODEL_ANSWER_S: Final = 1.0
FACTOR: Final = 10
"""Times the load that the model can answer."""
LIMIT_S: Final = 2.0
_WARM_UP: Final = 30
_POLL_S: Final = 0.05
_LIMIT_S: Final = 30.0
_KNOWN: Final = "how long does the refund take after cancelling if I paid by card"
_QUOTE: Final = "5 to 7 business days"
_NEVER: Final = {"external": {"baseURL": "http://127.0.0.1:9/v1", "model": "none"}, "writes": "Never"}


async def measure_latency(shop: Tau2Shop, folder: Path, sample: int | None) -> AsyncIterator[Measurement]:
    """Own latency without the model, and the share of errors."""
    async with desk() as desk_url, running(folder, shop, _NEVER, desk_url=desk_url, index=_shared(folder)) as assistant:
        await assistant.all_embedded()
        await load.send(assistant.url, _mixed(_WARM_UP), per_second=RATE / 2, seed=1)
        number = sample or int(RATE * LATENCY_S)
        found = await load.send(assistant.url, _mixed(number), per_second=RATE, seed=2)
    ms = [each.seconds * 1000 for each in found if each.status == HTTPStatus.OK]
    failed = [each.status for each in found if each.status != HTTPStatus.OK]
    note = f"{len(failed)} of {len(found)} requests failed: {sorted(set(failed))}" if failed else ""
    for name, q, must, aim in (("p50 in ms", 0.5, 40.0, 25.0), ("p99 in ms", 0.99, 150.0, 80.0)):
        yield Measurement.of(
            "latency",
            f"{name} at {RATE:.0f} questions/s",
            quantile(ms, q),
            must=must,
            aim=aim,
            lower_is_better=True,
            note=note,
        )


async def measure_overload(shop: Tau2Shop, folder: Path, sample: int | None) -> AsyncIterator[Measurement]:
    """Ten times the load of a slow model: the model step is left out, and nobody waits or gets an error."""
    capacity = MODEL_SLOTS / MODEL_ANSWER_S
    number = sample or int(capacity * FACTOR * OVERLOAD_S)
    async with (
        desk() as desk_url,
        slow_model(MODEL_SLOTS, MODEL_ANSWER_S) as model_url,
        running(folder, shop, external(model_url), desk_url=desk_url, index=_shared(folder)) as assistant,
    ):
        await assistant.all_embedded()
        await load.send(assistant.url, _answerable(_WARM_UP), per_second=capacity, seed=3)
        found = await load.send(assistant.url, _answerable(number), per_second=capacity * FACTOR, seed=4)
    good = [each.is_answer and each.seconds <= LIMIT_S for each in found]
    errors = [each for each in found if each.status == load.FAILED or each.status >= HTTPStatus.INTERNAL_SERVER_ERROR]
    slow = quantile([each.seconds for each in found], 0.99)
    yield Measurement.of(
        "overload",
        f"cited answer or hand-over within {LIMIT_S:.0f} s at {FACTOR} times the model's load",
        share(good),
        must=1.0,
        aim=1.0,
        note=f"p99 {slow.value:.2f} s; {_rungs(found)}",
    )
    yield Measurement.of(
        "overload", f"5xx, of {len(found)}", count(len(errors), len(found)), must=0, aim=0, lower_is_better=True
    )


async def measure_freshness(shop: Tau2Shop, folder: Path) -> AsyncIterator[Measurement]:
    """From the change of a file to the first answer that uses it, and to the last answer with a deleted text."""
    price = shop.products[0].prices[0]
    question = f"how much is the {shop.products[0].name}?"
    async with desk() as desk_url, running(folder, shop, _NEVER, desk_url=desk_url, index=_shared(folder)) as assistant:
        await assistant.all_embedded()
        catalogue = assistant.knowledge / CATALOGUE_SOURCE / "catalogue.csv"
        _replace_prices(catalogue, shop.products[0].prices, "7.77")
        changed = await _seconds_until(assistant, question, "7.77", present=True)
        known = await _seconds_until(assistant, _KNOWN, _QUOTE, present=True)
        policy = assistant.knowledge / POLICY_SOURCE / "policy.md"
        (policy.parent / "other.md").write_text("# Shop\n\nWe sell goods.\n", encoding="utf-8")
        policy.unlink()
        deleted = await _seconds_until(assistant, _KNOWN, _QUOTE, present=False)
    for what, seconds, note in (
        ("changed price", changed, f"from {price} to 7.77 in every variant"),
        ("deleted document", deleted, "" if known < _LIMIT_S else "the document was not used before its deletion"),
    ):
        yield Measurement.of(
            "freshness",
            f"{what}, in s",
            exact(seconds, 1),
            must=5.0,
            aim=1.0,
            lower_is_better=True,
            note=f"{note}. From the change of the file; ConfigMap propagation comes on top." if note else "",
        )


def _shared(folder: Path) -> Path:
    """The suites share one cache of embeddings."""
    return folder.parent / "serving-index"


def _replace_prices(catalogue: Path, prices: Sequence[str], new: str) -> None:
    text = catalogue.read_text(encoding="utf-8")
    for price in prices:
        text = text.replace(f",{price},USD", f",{new},USD")
    catalogue.write_text(text, encoding="utf-8")


async def _seconds_until(
    assistant: RunningAssistant, question: str, text: str, *, present: bool, limit_s: float = _LIMIT_S
) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while (waited := loop.time() - started) < limit_s:
            status, body = await load.answer(session, assistant.url, question, f"fresh-{waited:.3f}")
            if status == HTTPStatus.OK and (text in str(body)) is present:
                return loop.time() - started
            await asyncio.sleep(_POLL_S)
    return limit_s


def _mixed(number: int) -> list[str]:
    """Questions about products and the policy, with and without an answer, in all languages in turn."""
    parts = [part(language) for part in (questions.products, questions.policy) for language in LANGUAGES]
    parts += [questions.unanswerable(language) for language in LANGUAGES]
    return [next(each).text for each in islice(cycle([cycle(part) for part in parts]), number)]


def _answerable(number: int) -> list[str]:
    parts = [part(language) for part in (questions.products, questions.policy) for language in LANGUAGES]
    return [next(each).text for each in islice(cycle([cycle(part) for part in parts]), number)]


def _rungs(found: Sequence[Outcome]) -> str:
    counts: dict[str, int] = {}
    for each in found:
        rung = str(each.extras.get("rung", f"status {each.status}"))
        counts[rung] = counts.get(rung, 0) + 1
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
