"""Which revision of the code a result came from."""

import subprocess
from pathlib import Path

from chatscale import __version__


def git_revision() -> str:
    """The commit of the checkout that this code lies in, `-dirty` if changed; the version of an installed copy."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - no input
    except (OSError, subprocess.SubprocessError):
        return __version__
    return told.stdout.strip()
