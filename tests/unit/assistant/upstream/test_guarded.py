"""When the model step runs, and for how long. Time is virtual."""

import asyncio
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from chatscale_assistant.upstream.client import Completion, Failure, ModelFailedError
from chatscale_assistant.upstream.guarded import (
    FAILURES_BEFORE_OPEN,
    OPEN_S,
    PRESSURE_S,
    TIME_UNDER_PRESSURE_S,
    Completes,
    GuardedModel,
)
from tests.support.clock import virtual_time_loop


@dataclass
class FakeModel(Completes):
    """Answers after `seconds` of virtual time."""

    seconds: float = 0.1
    error: ModelFailedError | None = None
    under_load: bool = False
    calls: list[float] = field(default_factory=list)

    @override
    async def complete(self, system: str, user: str, *, max_tokens: int) -> Completion:
        self.calls.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return Completion("text", self.under_load)


def run(main):
    loop = virtual_time_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def guarded(model: FakeModel, max_calls: int = 2) -> GuardedModel:
    return GuardedModel(model, max_calls, clock=lambda: asyncio.get_running_loop().time() + 1000)


async def write(model: GuardedModel, timeout_s: float = 8.0) -> tuple[str | None, float]:
    loop = asyncio.get_running_loop()
    started = loop.time()
    text = await model.write("s", "u", max_tokens=10, timeout_s=timeout_s)
    return text, loop.time() - started


def test_a_calm_model_has_all_of_its_time():
    async def main():
        assert await write(guarded(FakeModel(seconds=6.0))) == ("text", pytest.approx(6.0))

    run(main())


def test_at_ten_times_the_load_nobody_waits_for_the_model_longer_than_its_share_of_two_seconds():
    async def main():
        model = FakeModel(seconds=6.0)
        step = guarded(model)
        results = await asyncio.gather(*(write(step) for _ in range(20)))
        assert max(waited for _, waited in results) <= TIME_UNDER_PRESSURE_S + 0.01
        assert len(model.calls) == 2

    run(main())


def test_under_pressure_a_model_that_is_too_slow_is_tried_by_one_customer_at_a_time():
    async def main():
        model = FakeModel(seconds=6.0)
        step = guarded(model)
        await asyncio.gather(*(write(step) for _ in range(5)))
        model.calls.clear()
        results = await asyncio.gather(*(write(step) for _ in range(2)))
        assert len(model.calls) == 1
        assert min(waited for _, waited in results) == 0.0

    run(main())


def test_a_model_that_fails_again_and_again_is_left_alone_and_then_tried_once():
    async def main():
        model = FakeModel(error=ModelFailedError(Failure.ERROR, "HTTP 500"))
        step = guarded(model)
        for _ in range(FAILURES_BEFORE_OPEN + 3):
            assert (await write(step))[0] is None
        assert len(model.calls) == FAILURES_BEFORE_OPEN
        await asyncio.sleep(OPEN_S + 0.1)
        model.error = None
        tried = await asyncio.gather(write(step), write(step))
        assert [text for text, _ in tried] == ["text", None]
        assert (await write(step))[0] == "text"

    run(main())


def test_many_calls_that_do_not_come_back_are_a_sign_of_pressure():
    """Five questions a second for a model that needs two seconds: also the first ones get their answer in time."""

    async def main():
        step = guarded(FakeModel(seconds=2.0), max_calls=8)

        async def one(number):
            await asyncio.sleep(number / 5)
            return await write(step)

        results = await asyncio.gather(*(one(number) for number in range(30)))
        assert max(waited for _, waited in results) <= TIME_UNDER_PRESSURE_S + 0.01

    run(main())


def test_the_models_retry_after_is_kept():
    async def main():
        model = FakeModel(error=ModelFailedError(Failure.OVERLOADED, "HTTP 429", retry_after_s=3.0))
        step = guarded(model)
        await write(step)
        await write(step)
        assert len(model.calls) == 1
        await asyncio.sleep(3.0)
        await write(step)
        assert len(model.calls) == 2
        assert step.under_pressure

    run(main())


def test_a_held_request_is_a_sign_of_pressure():
    async def main():
        step = guarded(FakeModel(under_load=True))
        assert not step.under_pressure
        await write(step)
        assert step.under_pressure

    run(main())


class QueueingModel(FakeModel):
    """Answers two calls at a time, each in a second; the others wait."""

    def __init__(self) -> None:
        super().__init__(seconds=1.0)
        self.slots = asyncio.Semaphore(2)

    @override
    async def complete(self, system: str, user: str, *, max_tokens: int) -> Completion:
        async with self.slots:
            return await super().complete(system, user, max_tokens=max_tokens)


def test_pressure_lasts_as_long_as_the_load_and_ends_with_it():
    """Twenty questions a second for a model that answers two: also while calls are refused."""

    async def main():
        step = guarded(QueueingModel(), max_calls=8)
        pressed = []

        async def one(number):
            await asyncio.sleep(number / 20)
            await write(step)
            pressed.append(step.under_pressure)

        await asyncio.gather(*(one(number) for number in range(20 * 120)))
        assert all(pressed)
        await asyncio.sleep(2 * PRESSURE_S + OPEN_S)
        assert not step.under_pressure

    run(main())


def test_without_calls_the_model_is_never_used():
    async def main():
        model = FakeModel()
        assert await write(guarded(model, max_calls=0)) == (None, 0.0)
        assert model.calls == []

    run(main())
