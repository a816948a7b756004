"""Steps of a bring-up, with the progress of the whole run.

Every subprocess runs inside a named step, which owns a log file.  `expect`
takes the list of steps; from then on each line shows the share that is done
and the remaining time.  The first step that fails stops the others.
"""

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from hack.cluster.commands import Commands
from hack.cluster.errors import BringUpError, StepFailedError
from hack.cluster.forecast import Forecast, forecast

QUIET_S = 120.0
"""How long nothing may be printed where the output is a file."""
REDRAW_S = 1.0
"""How often the line at the bottom of a terminal is drawn anew."""
WORTH_A_LINE_S = 2.0
"""Steps shorter than this end without a word and are left out of the closing table."""
CLEAR_LINE = "\r\x1b[2K"


@dataclass(slots=True)
class Progress:
    """The steps of one run: which are running, and how long each took."""

    logs: Path
    stopping: threading.Event = field(default_factory=threading.Event)
    out: TextIO | None = None
    """Standard output, unless a test says otherwise."""
    _running: dict[str, float] = field(default_factory=dict)
    _took_s: list[tuple[str, float]] = field(default_factory=list)
    _expected_s: dict[str, float] = field(default_factory=dict)
    _expected_since: float = 0.0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _began: float = field(default_factory=time.monotonic)
    _last_line: float = field(default_factory=time.monotonic)

    def expect(self, steps_s: Mapping[str, float]) -> None:
        """Add steps of this run, with an estimate of how long each takes."""
        with self._lock:
            if not self._expected_s:
                self._expected_since = time.monotonic()
            self._expected_s |= steps_s

    def say(self, text: str) -> None:
        """Print one line, with the time since the start and how far the run is."""
        with self._lock:
            self._last_line = time.monotonic()
            clear = CLEAR_LINE if self._out.isatty() else ""
            self._out.write(f"{clear}[{self._position()}] {text}\n")
            self._out.flush()

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
        if name in self._expected_s:
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
        """Show the running steps while the body runs: at the bottom of a terminal, or by a line every QUIET_S."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(REDRAW_S):
                with self._lock:
                    self._show_running()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            if self._out.isatty():
                self._out.write(CLEAR_LINE)

    def summary(self) -> str:
        """List what took time, in the order of ending."""
        rows = [f"  {_clock(took_s)}  {name}" for name, took_s in self._took_s if took_s >= WORTH_A_LINE_S]
        total = f"  {_clock(time.monotonic() - self._began)}  total (steps overlap)"
        return "\n".join([*rows, total])

    @property
    def _out(self) -> TextIO:
        return sys.stdout if self.out is None else self.out

    def _show_running(self) -> None:
        now = time.monotonic()
        running = ", ".join(f"{name} {_clock(now - began)}" for name, began in self._running.items())
        if self._out.isatty():
            self._out.write(f"{CLEAR_LINE}[{self._position()}] {running}"[:120])
            self._out.flush()
        elif running and now - self._last_line >= QUIET_S:
            self.say(f"running: {running}")

    def _position(self) -> str:
        now = time.monotonic()
        ahead = self._forecast(now)
        return _clock(now - self._began) + (f", {ahead.describe()}" if ahead is not None else "")

    def _forecast(self, now: float) -> Forecast | None:
        ended = [name for name, _ in self._took_s]
        running_s = {name: now - began for name, began in self._running.items()}
        return forecast(self._expected_s, ended, running_s, now - self._expected_since)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"
