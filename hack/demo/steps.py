"""Progress of a demo: every step says what it does, that it still does it, and how long it took."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hack import kube
from hack.demo.story import Moment

SAY_EVERY_S = 10.0
LOOK_EVERY_S = 2.0
LOOKS_A_LINE = 5
"""A look in which nothing changed is printed this rarely."""


class StepFailedError(Exception):
    """A step of the demo did not happen; the message says which and what was seen."""


@contextmanager
def step(title: str, doing: Callable[[], str] | None = None) -> Iterator[Callable[[str], None]]:
    """Print the title; whatever is given to the yielded function is printed as the step's result.

    With `doing` given, its answer is printed every SAY_EVERY_S with the seconds passed; it must not raise.
    """
    began_s = time.monotonic()
    over = threading.Event()

    def tell() -> None:
        while doing is not None and not over.wait(SAY_EVERY_S):
            say(doing())

    def say(text: str) -> None:
        print(f"   {text} ({time.monotonic() - began_s:.0f} s)", flush=True)

    print(f"\n== {title}", flush=True)
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield say
    finally:
        over.set()
        teller.join()


@dataclass(slots=True)
class Recorder:
    """Looks at the ChatModel in the background, prints changes, and keeps every look for the summary."""

    look: Callable[[], kube.Manifest | None]
    max_replicas: int
    moments: list[Moment] = field(default_factory=list)
    _began_s: float = field(default_factory=time.monotonic)
    _over: threading.Event = field(default_factory=threading.Event)

    def take(self) -> None:
        """Take one look; one that fails is left out."""
        try:
            moment = Moment.of(self.look(), time.monotonic() - self._began_s)
        except kube.FAILURES:
            return
        before = self.moments[-1] if self.moments else None
        self.moments.append(moment)
        moved = before is None or (moment.desired, moment.ready) != (before.desired, before.ready)
        if moved or len(self.moments) % LOOKS_A_LINE == 0:
            print(f"   {moment.line(self.max_replicas)}", flush=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look at once, every LOOK_EVERY_S while inside, and a last time."""
        self.take()
        looker = threading.Thread(target=self._run, daemon=True)
        looker.start()
        try:
            yield
        finally:
            self._over.set()
            looker.join()
            self.take()

    def _run(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self.take()
