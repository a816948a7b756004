"""Signals before kopf handles them: the start is cancelled, and no signal is lost."""

import asyncio
import os
import signal

import pytest

from chatscale.handlers.signals import Stopped, StopSignal


@pytest.mark.parametrize("times", [1, 2])
async def test_a_signal_cancels_the_block_that_runs(times: int):
    stop = StopSignal()
    asyncio.get_running_loop().call_soon(lambda: [os.kill(os.getpid(), signal.SIGTERM) for _ in range(times)])
    with pytest.raises(Stopped):
        async with stop.cancels():
            await asyncio.Event().wait()
    assert stop.has_come.is_set()


async def test_a_signal_between_two_blocks_cancels_the_next_one():
    stop = StopSignal()
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.has_come.wait()
    with pytest.raises(Stopped):
        async with stop.cancels():
            await asyncio.Event().wait()


async def test_a_timeout_of_the_block_itself_is_no_signal():
    stop = StopSignal()
    with pytest.raises(TimeoutError):
        async with stop.cancels(), asyncio.timeout(0):
            await asyncio.Event().wait()
    assert not stop.has_come.is_set()
