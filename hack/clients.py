"""Install the clients that the tests drive against a real server, in an environment of their own in the cache.

Their dependencies conflict with the project's. The folder's name contains a hash of the locks, so a second run with the
same locks does nothing. Standard library only: this runs before anything is installed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.paths import ROOT, cache_dir
from hack.venv import find_uv

LOCKS: Final = ROOT / "requirements" / "clients"
NPM_LOCKS: Final = ("package.json", "package-lock.json")
MIN_NODE: Final = 18
"""Oldest major version that the Vercel AI SDK supports."""


@dataclass(frozen=True)
class ClientEnvironment:
    """Where the clients are. It may not exist yet."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter with the clients of PyPI."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def node_modules(self) -> Path:
        """The clients of npm. Missing where there is no node."""
        return self.folder / "node" / "node_modules"

    @property
    def is_complete(self) -> bool:
        """True if the installation ended without an error."""
        return (self.folder / "complete").exists()


def client_environment() -> ClientEnvironment:
    """The environment of the current locks."""
    digest = hashlib.sha256()
    for name in ("python.txt", *NPM_LOCKS):
        digest.update((LOCKS / name).read_bytes())
    return ClientEnvironment(cache_dir() / "clients" / digest.hexdigest()[:16])


def find_node() -> Path | None:
    """Node from PATH, if npm is there too and it is not too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return Path(node) if int(version.removeprefix("v").split(".")[0]) >= MIN_NODE else None


def install(target: ClientEnvironment) -> None:
    """Install into a folder beside the target, and move it there: two runs at once do not disturb each other."""
    partial = ClientEnvironment(target.folder.with_name(f"{target.folder.name}.{os.getpid()}"))
    uv = str(find_uv())
    subprocess.run(
        [uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(partial.folder / "venv")], check=True
    )
    sync = [uv, "pip", "sync", "--python", str(partial.python), "--require-hashes", str(LOCKS / "python.txt")]
    subprocess.run(sync, check=True)
    if find_node():
        node = partial.node_modules.parent
        node.mkdir()
        for name in NPM_LOCKS:
            shutil.copy(LOCKS / name, node)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=node, check=True)
    else:
        print(f"no node {MIN_NODE} or newer with npm: the Vercel AI SDK is not tested", flush=True)
    (partial.folder / "complete").touch()
    try:
        partial.folder.rename(target.folder)
    except OSError:  # another run was faster
        shutil.rmtree(partial.folder)


def main() -> None:
    """Install the clients if they are missing."""
    target = client_environment()
    if not target.is_complete:
        print("installing the test clients into", target.folder, flush=True)
        install(target)


if __name__ == "__main__":
    main()
