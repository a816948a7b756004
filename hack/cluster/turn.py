"""One bring-up at a time on one machine."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from hack.cluster.commands import Commands
from hack.cluster.places import Places

TURN_DEADLINE_S = 3600.0
"""Longer than any run takes: a cold one with all images needs half an hour."""


@contextmanager
def own_turn(places: Places, commands: Commands) -> Iterator[None]:
    """Wait until no other run changes the cluster; the kernel frees the turn of a run that was killed."""
    with (places.cache / "turn").open("w", encoding="ascii") as file:

        def is_ours() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not is_ours():
            commands.say("waiting for another `hack.cluster` to end")
            commands.wait_until(is_ours, "the other run", TURN_DEADLINE_S)
        yield
