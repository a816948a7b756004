"""Running other programs: logged, with a deadline, and stoppable.

The only module that starts processes.  Each gets its own process group, so
that stopping `go build` also stops the compilers below it.
"""

import os
import signal
import subprocess
import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hack.cluster.errors import CommandFailedError, StoppedError

POLL_S = 0.1
"""How often a running command is looked at."""
LOG_TAIL_LINES = 12
"""How much of a failed command's output is repeated on the terminal."""
DEFAULT_DEADLINE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs the commands of one step into that step's log file."""

    log: Path
    stopping: threading.Event
    say: Callable[[str], None]

    def run(
        self,
        *argv: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | Path | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> None:
        """Run to the end; raise CommandFailedError with the end of the output otherwise.

        `env` is added to the process's own environment.  `stdin` may be a file.
        """
        with self.log.open("ab") as log:
            start = log.seek(0, os.SEEK_END)
            code = self._execute(argv, log, log, cwd, env, stdin, deadline_s)
        if code != 0:
            with self.log.open("rb") as log:
                log.seek(start)
                raise CommandFailedError(f"`{_shown(argv)}` ended with {code}\n{_tail(log.read())}")

    def read(
        self,
        *argv: str | Path,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        deadline_s: float = 60.0,
    ) -> str:
        """Run and return what it printed; its standard error goes to the log."""
        output = self.log.with_name(f"{self.log.name}.{threading.get_ident()}.out")
        try:
            with self.log.open("ab") as log, output.open("wb") as out:
                code = self._execute(argv, out, log, cwd, None, stdin, deadline_s)
            text = output.read_text(encoding="utf-8", errors="replace")
        finally:
            output.unlink(missing_ok=True)
        if code != 0:
            raise CommandFailedError(f"`{_shown(argv)}` ended with {code}: {text.strip()[-500:]}")
        return text

    def succeeds(self, *argv: str | Path, deadline_s: float = 20.0) -> bool:
        """Tell whether the command ends well in time."""
        try:
            self.run(*argv, deadline_s=deadline_s)
        except CommandFailedError:
            return False
        return True

    def start_daemon(self, *argv: str | Path, log: Path, answers: Callable[[], bool], deadline_s: float) -> None:
        """Start a process that outlives this one and wait until it answers.

        Its output goes to `log`; the former log is kept as `.1`.
        """
        self._note(argv)
        if log.exists():
            log.replace(log.with_name(f"{log.name}.1"))
        with log.open("ab") as out:
            process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

        def answers_or_ended() -> bool:
            return answers() or process.poll() is not None

        name = Path(argv[0]).name
        self.wait_until(answers_or_ended, f"{name}; log: {log}", deadline_s, every_s=0.2)
        if process.poll() is not None:
            raise CommandFailedError(f"{name} has ended at once\n{_tail(log.read_bytes())}\n  log: {log}")

    def wait_until(self, ready: Callable[[], bool], what: str, deadline_s: float, every_s: float = 1.0) -> None:
        """Call `ready` until it is true; raise CommandFailedError at the deadline."""
        end = time.monotonic() + deadline_s
        while not ready():
            if time.monotonic() > end:
                raise CommandFailedError(f"waited {deadline_s:.0f} s for {what}")
            if self.stopping.wait(every_s):
                raise StoppedError("stopped")

    def _execute(
        self,
        argv: Sequence[str | Path],
        out: IO[bytes],
        err: IO[bytes],
        cwd: Path | None,
        env: Mapping[str, str] | None,
        stdin: bytes | Path | None,
        deadline_s: float,
    ) -> int:
        if self.stopping.is_set():
            raise StoppedError("stopped")
        self._note(argv)
        source = stdin.open("rb") if isinstance(stdin, Path) else None
        try:
            process = subprocess.Popen(
                [str(word) for word in argv],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=source or (subprocess.PIPE if isinstance(stdin, bytes) else subprocess.DEVNULL),
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise CommandFailedError(f"`{argv[0]}` is not installed") from error
        finally:
            if source is not None:
                source.close()
        if isinstance(stdin, bytes):
            threading.Thread(target=_feed, args=(process, stdin), daemon=True).start()
        return self._wait(process, argv, deadline_s)

    def _wait(self, process: subprocess.Popen[bytes], argv: Sequence[str | Path], deadline_s: float) -> int:
        end = time.monotonic() + deadline_s
        try:
            while time.monotonic() < end and not self.stopping.is_set():
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(POLL_S)
        finally:
            # Ctrl-C too: the command has a session of its own and did not get the signal.
            if process.returncode is None:
                _end_group(process)
        if self.stopping.is_set():
            raise StoppedError("stopped")
        raise CommandFailedError(f"`{_shown(argv)}` did not end within {deadline_s:.0f} s")

    def _note(self, argv: Sequence[str | Path]) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(str(word) for word in argv)}\n")


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        # The reader ended first; its exit code tells more than this would.
        return


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and all it started; 5 s to do it well."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            return
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            continue
        return


def _tail(output: bytes) -> str:
    lines = output.decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "\n".join(f"  | {line}" for line in lines)


def _shown(argv: Sequence[str | Path]) -> str:
    text = " ".join(str(word) for word in argv)
    return textwrap.shorten(text, 120, placeholder=" ...")
