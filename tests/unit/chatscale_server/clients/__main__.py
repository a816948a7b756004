"""Run every client against every family and write `docs/clients.md`.

python -m hack.clients && python -m tests.unit.chatscale_server.clients
"""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hack.paths import ROOT
from tests.unit.chatscale_server.clients.harness import CLIENTS, FAMILIES, Case, run_client

PAGE: Final = ROOT / "docs" / "clients.md"
ENDPOINTS: Final = dict.fromkeys(Case, "/v1/chat/completions") | {Case.COMPLETIONS: "/v1/completions"}
WORKS: Final = "works"
FAILS: Final = "fails"
MISSING: Final = "-"
"""The client has no such call, or the program does not make it."""

Results = Mapping[tuple[str, str], Mapping[str, str]]
"""Error by case, empty if it works, of each (client, family)."""


def header() -> list[str]:
    """The first lines of the table."""
    columns = ["client", "family", *(f"{case} `{ENDPOINTS[case]}`" for case in Case)]
    return [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]


def page(results: Results) -> str:
    """The page, as Markdown."""
    lines = []
    for client in CLIENTS:
        for family in FAMILIES:
            found = results[client.name, family.name]
            cells = [(FAILS if found[case] else WORKS) if case in found else MISSING for case in Case]
            lines.append(f"| {client.name} | {family.name} | {' | '.join(cells)} |")
    table = "\n".join([*header(), *lines])
    return f"""<!-- Written by python -m tests.unit.chatscale_server.clients. Do not edit. -->

# Clients

Each cell is the result of a test: the client library, with its default settings, against a server with the model. The
versions are in [requirements/clients](../requirements/clients). To run the tests again and write this page:

```sh
python -m hack.clients && python -m tests.unit.chatscale_server.clients
```

- chat: a conversation of two turns; the client sends the first reply back.
- stream: the same API, streamed.
- tools: a function call, its result, and an answer.
- structured: output that follows a class or a schema.
- completions: the older API, with ten prompts in one request where the client supports it.

{table}
"""


async def run_all(folder: Path) -> Results:
    """Run all clients, one after the other."""
    results: dict[tuple[str, str], dict[str, str]] = {}
    for family in FAMILIES:
        for client in CLIENTS:
            results[client.name, family.name] = found = await run_client(client, family, folder)
            for case, error in found.items():
                sys.stdout.write(f"{family.name} {client.name} {case}: {error or WORKS}\n")
                sys.stdout.flush()
    return results


def main() -> None:
    """Run all and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(run_all(Path(folder)))
    PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
