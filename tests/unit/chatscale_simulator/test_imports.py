"""The simulator imports the API, the policy, the HPA builder, the gateway's pure rules and the contract, no more.

An import contract in pyproject.toml can only list what is forbidden; this is the list of what is allowed.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import chatscale_simulator

SOURCES = Path(chatscale_simulator.__file__).parent
PROGRAMS = (
    "chatscale", "chatscale_server", "chatscale_gateway", "chatscale_cli", "chatscale_contract", "hack", "tests",
)  # fmt: skip
ALLOWED = (
    "chatscale.api",
    "chatscale.scaling",
    "chatscale.desired.autoscaler",
    "chatscale_gateway.routing",
    "chatscale_contract",
)
VERSION = Path("revision.py")
"""Reads `chatscale.__version__`."""


def imports(path: Path) -> Iterator[str]:
    # Not with `ast`: its parser fails at random under a deep stack (cpython issue 106905).
    for module, modules in re.findall(r"(?m)^ *(?:from (\S+) import|import (.+)$)", path.read_text(encoding="utf-8")):
        yield from [module] if module else modules.split(", ")


def test_only_the_allowed_packages_are_imported() -> None:
    found = {
        (path.relative_to(SOURCES).as_posix(), module)
        for path in SOURCES.rglob("*.py")
        if path.relative_to(SOURCES) != VERSION
        for module in imports(path)
        if module.split(".")[0] in PROGRAMS and not any(f"{module}.".startswith(f"{allowed}.") for allowed in ALLOWED)
    }

    assert found == set()
