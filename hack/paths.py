"""Where things lie on this machine."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


def cache_dir() -> Path:
    """What was built stays here between runs and clones; safe to delete."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "chatscale"
    path.mkdir(parents=True, exist_ok=True)
    return path
