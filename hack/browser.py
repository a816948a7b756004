"""What the browser tests need: Chromium as Debian's package, and axe-core from npm in the cache.

`python -m hack.browser` prints their paths. playwright drives this Chromium and downloads none of its own.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from hack.paths import ROOT, cache_dir

LOCKS: Final = ROOT / "requirements" / "browser"
NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find_chromium() -> Path | None:
    """The program from PATH."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return Path(found) if found else None


def ensure_chromium() -> Path | None:
    """The program; installed first if apt-get and the right to use it are here. None: it cannot be installed."""
    if (found := find_chromium()) or not shutil.which("apt-get") or os.geteuid() != 0:
        return found
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    for command in (["apt-get", "update", "-q"], install):
        if subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode:
            return None
    return find_chromium()


def ensure_axe() -> Path | None:
    """The script of axe-core, as locked. The folder's name contains a hash of the lock. None: npm is missing."""
    locks = ("package.json", "package-lock.json")
    digest = hashlib.sha256(b"".join((LOCKS / name).read_bytes() for name in locks)).hexdigest()[:16]
    folder = cache_dir() / "browser" / digest
    script = Path("node_modules/axe-core/axe.min.js")
    if (folder / script).exists():
        return folder / script
    if not shutil.which("npm"):
        return None
    partial = folder.with_name(f"{digest}.{os.getpid()}")
    partial.mkdir(parents=True)
    for name in locks:
        shutil.copy(LOCKS / name, partial)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=partial, check=True, stdout=sys.stderr)
    try:
        partial.rename(folder)
    except OSError:  # another run was faster
        shutil.rmtree(partial)
    return folder / script


def main() -> int:
    """Print the paths."""
    chromium, axe = ensure_chromium(), ensure_axe()
    print(chromium or "no Chromium: install Debian's package chromium")
    print(axe or "no axe-core: install npm")
    return 0 if chromium and axe else 1


if __name__ == "__main__":
    sys.exit(main())
