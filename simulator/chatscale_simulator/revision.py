"""The revision of the code that produced a result."""

import subprocess
from pathlib import Path

from chatscale import __version__


def git_revision() -> str:
    """The commit of the git checkout with this code, with `-dirty` if changed; else the version of the package."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - no input
    except (OSError, subprocess.SubprocessError):
        return __version__
    return described.stdout.strip()
