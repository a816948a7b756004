"""Child processes of the benchmark: start, wait until they listen, read CPU time and memory, stop."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from hack.paths import ROOT

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def module(name: str, *arguments: int) -> list[str]:
    """The command of a module of this folder."""
    return [sys.executable, "-m", f"tests.benchmarks.gateway.{name}", *map(str, arguments)]


def allow_many_files() -> None:
    """Raise the limit of open files as far as allowed; children inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(frozen=True, slots=True)
class Process:
    """A running child."""

    popen: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """CPU seconds of the process and its descendants, ended ones included."""
        return sum(_cpu_s(pid) for pid in _tree(self.popen.pid))

    def memory_mib(self) -> float:
        """Resident memory of the process."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()


@asynccontextmanager
async def running(command: Sequence[str], port: int, env: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """The process, from when it listens on `port`. Raises RuntimeError with its errors if it ends before."""
    with tempfile.TemporaryFile() as errors:
        popen = subprocess.Popen(  # noqa: ASYNC220 - a fork of milliseconds
            command, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        try:
            await _until_listening(popen, port, errors)
            yield Process(popen, port)
        finally:
            await _stop(popen)


async def _until_listening(popen: subprocess.Popen[bytes], port: int, errors: IO[bytes]) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            if popen.poll() is not None:
                written = os.pread(errors.fileno(), 2000, max(0, os.fstat(errors.fileno()).st_size - 2000))
                raise RuntimeError(f"{popen.args!r} ended with code {popen.returncode}: {written.decode()}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(_POLL_S)
            else:
                writer.close()
                return


async def _stop(popen: subprocess.Popen[bytes]) -> None:
    if popen.poll() is None:
        popen.send_signal(signal.SIGTERM)
    try:
        await asyncio.to_thread(popen.wait, STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        popen.kill()
        await asyncio.to_thread(popen.wait)
    finally:
        if popen.stdin:
            popen.stdin.close()


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [each for child in (task / "children").read_text().split() for each in _tree(int(child))]
    return found


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5); the first after ")" is number 3.
    return sum(map(int, fields[11:15])) / _TICKS_PER_S
