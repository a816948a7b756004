"""The machine and the revision that numbers belong to."""

import os
import platform
import subprocess
from pathlib import Path

from chatscale import __version__


def cpu_name() -> str:
    """The processor, as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def load_average() -> float:
    """Load average of the last minute."""
    return os.getloadavg()[0]


def revision() -> str:
    """The commit of the checkout with this code, with `-dirty` if changed; else the version of the package."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - no input
    except (OSError, subprocess.SubprocessError):
        return __version__
    return described.stdout.strip()
