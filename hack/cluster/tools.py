"""kind, kubectl and helm: from PATH where they fit, otherwise built."""

import json
import re
import shutil
from pathlib import Path

from hack.cluster.commands import Commands
from hack.cluster.errors import CommandFailedError
from hack.cluster.toolchain import HELM, KIND, KUBECTL, KUBERNETES, GoBuild, Toolchain

OLDEST_KIND = (0, 30)
"""Of the kind found on PATH; the node image is made for kind 0.30 and later."""


def link_tools(commands: Commands, toolchain: Toolchain) -> list[GoBuild]:
    """Link what the cache or PATH has; return what must still be built."""
    missing: list[GoBuild] = []
    for build, fits in ((KIND, _kind_fits), (KUBECTL, _kubectl_fits), (HELM, _helm_fits)):
        found = None if toolchain.is_built(build) else _on_path(build.name, toolchain)
        if toolchain.is_built(build):
            toolchain.link(build.name, toolchain.built(build) / build.name)
        elif found is not None and fits(commands, found, toolchain):
            commands.say(f"using {found}")
            toolchain.link(build.name, found)
        else:
            missing.append(build)
    return missing


def _on_path(program: str, toolchain: Toolchain) -> Path | None:
    """Find a program on PATH that is not our own link."""
    found = shutil.which(program)
    if found is None or Path(found).parent == toolchain.places.tools:
        return None
    return Path(found)


def _kind_fits(commands: Commands, kind: Path, _toolchain: Toolchain) -> bool:
    return _version(commands, kind, "version") >= OLDEST_KIND


def _helm_fits(commands: Commands, helm: Path, _toolchain: Toolchain) -> bool:
    return _version(commands, helm, "version", "--short") >= (3, 14)


def _kubectl_fits(commands: Commands, kubectl: Path, toolchain: Toolchain) -> bool:
    """Kubernetes supports a client one minor version away from the server."""
    try:
        listed = json.loads(commands.read(kubectl, "version", "--client", "-o", "json"))
    except (CommandFailedError, ValueError):
        return False
    found = minor_version(listed["clientVersion"]["gitVersion"])
    wanted = minor_version(toolchain.version(KUBERNETES))
    return found[0] == wanted[0] and abs(found[1] - wanted[1]) <= 1


def _version(commands: Commands, program: Path, *arguments: str) -> tuple[int, int]:
    try:
        return minor_version(commands.read(program, *arguments))
    except CommandFailedError:
        return (0, 0)


def minor_version(text: str) -> tuple[int, int]:
    """Find major and minor of the first `vX.Y` in a text; (0, 0) where there is none."""
    found = re.search(r"v(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)
