"""Runs the controller while this process holds the Lease. Watches run always, so a successor has a complete cache."""

import asyncio
from collections.abc import Callable, Iterable

from chatscale.cluster.lease import Lease
from chatscale.desired.manifest import ObjectKey
from chatscale.reconcile.controller import Controller


async def lead_forever(
    lease: Lease, controller: Controller, existing: Callable[[], Iterable[ObjectKey]], forget: Callable[[], None]
) -> None:
    """Run passes in each term, until cancelled.

    A term ends when another process takes the Lease. The passes have ended before the next term can begin. `forget`
    then drops what passes remember: meanwhile another process has changed the cluster, as before a restart. A failed
    renewal alone does not end a term. Passes go on and read metrics, and their writes fail until the next renewal.
    """
    while True:
        await lease.wait_until_held()
        async with asyncio.TaskGroup() as group:
            passes = group.create_task(controller.run(existing()))
            await lease.wait_until_taken()
            passes.cancel()
        forget()
