"""Steps that tell what they do.

A bring-up of fifteen minutes that prints nothing looks like one that hangs.
Every subprocess runs inside a named step, which owns a log file and is named
every few seconds until it ends.  The first step that fails stops the others.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster.commands import Commands
from hack.cluster.errors import BringUpError, StepFailedError

HEARTBEAT_S = 15.0
"""How long a running step may stay silent."""
WORTH_A_LINE_S = 2.0
"""Steps shorter than this end without a word and are left out of the closing table."""


@dataclass(slots=True)
class Progress:
    """The steps of one run: which are running, and how long each took."""

    logs: Path
    stopping: threading.Event = field(default_factory=threading.Event)
    _running: dict[str, float] = field(default_factory=dict)
    _took_s: list[tuple[str, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Print one line with the time since the start."""
        with self._lock:
            sys.stdout.write(f"[{_clock(time.monotonic() - self._began)}] {text}\n")
            sys.stdout.flush()

    @contextmanager
    def step(self, name: str) -> Iterator[Commands]:
        """Run commands under a name, in the log file of that name.

        What the user can act on leaves as a StepFailedError, said here with
        the log file's name; a bug leaves as it is.  Both stop all other steps.
        """
        log = self.logs / f"{name.replace(' ', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")
        began = time.monotonic()
        with self._lock:
            self._running[name] = began
        self.say(f"{name} ...")
        try:
            yield Commands(log=log, stopping=self.stopping, say=lambda text: self.say(f"{name}: {text}"))
        except BringUpError as error:
            # Only the first failure is one; the others were stopped by it.
            if not self.stopping.is_set():
                self.say(f"{name} FAILED: {error}\n  log: {log}")
            self.stopping.set()
            raise StepFailedError(name, log) from error
        except BaseException:
            self.stopping.set()
            raise
        finally:
            took_s = time.monotonic() - began
            with self._lock:
                del self._running[name]
                self._took_s.append((name, took_s))
        if took_s >= WORTH_A_LINE_S:
            self.say(f"{name}: done in {_clock(took_s)}")

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Name the running steps every HEARTBEAT_S while the body runs."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT_S):
                now = time.monotonic()
                with self._lock:
                    running = [f"{name} {_clock(now - began)}" for name, began in self._running.items()]
                if running:
                    self.say("still running: " + ", ".join(running))

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def summary(self) -> str:
        """List what took time, in the order of ending."""
        rows = [f"  {_clock(took_s)}  {name}" for name, took_s in self._took_s if took_s >= WORTH_A_LINE_S]
        total = f"  {_clock(time.monotonic() - self._began)}  total (steps overlap)"
        return "\n".join([*rows, total])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"
