"""Runs the assistant as a pod runs it: its own process, configuration and knowledge in folders, HTTP in front."""

import asyncio
import json
import os
import re
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp

from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation.tau2 import CATALOGUE_SOURCE, POLICY_SOURCE, Tau2Shop
from chatscale_contract.assistant.endpoints import READYZ_PATH, SPEC_FILE

CONTACT: Final = "help@maple-store.example"
"""`spec.persona.contact` of the shop."""
NAME: Final = "shop"
READY_S: Final = 240.0
"""Limit until the first index is complete: it embeds the whole shop."""
_COMPLETE: Final = re.compile(r'"index_used".*"complete": ?true')
_STOP_S: Final = 30.0
_PROBE_EVERY_S: Final = 0.2
_PREFIX: Final = "CHATSCALE_ASSISTANT_"
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class RunningAssistant:
    """A process that is ready."""

    url: str
    knowledge: Path
    """Its mounted sources; a suite may change the files."""
    log: Path

    async def all_embedded(self) -> None:
        """Wait until an index with all vectors is in use. Raises SourceError after `READY_S`.

        A pod is ready before: it then finds texts by their words only, and embedding takes its CPU.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_S
        while loop.time() < deadline:
            if _COMPLETE.search(await asyncio.to_thread(self.log.read_text, encoding="utf-8", errors="replace")):
                return
            await asyncio.sleep(_PROBE_EVERY_S)
        raise SourceError(f"the assistant did not embed its sources within {READY_S:.0f} s")


def spec(model: Mapping[str, Any], *, desk: bool = True) -> dict[str, Any]:
    """A ShopAssistant over tau2's shop. model: `spec.model`."""
    guardrails = {"handOver": {"urlSecretRef": {"name": "desk", "key": "url"}}} if desk else {}
    return {
        "metadata": {"name": NAME, "namespace": "default", "uid": "00000000-0000-0000-0000-000000000000"},
        "spec": {
            "model": dict(model),
            "languages": ["en", "zh", "fr"],
            "persona": {"name": "Mia", "shop": "Maple Store", "contact": CONTACT},
            "knowledge": [
                {"name": POLICY_SOURCE, "configMap": POLICY_SOURCE},
                {"name": CATALOGUE_SOURCE, "configMap": CATALOGUE_SOURCE, "kind": "Catalogue"},
            ],
            "guardrails": guardrails,
        },
    }


def external(url: str) -> dict[str, Any]:
    """`spec.model` for a model by URL that may always write."""
    return {"external": {"baseURL": url, "model": "stand-in"}, "writes": "Always"}


@asynccontextmanager
async def running(
    folder: Path, shop: Tau2Shop, model: Mapping[str, Any], *, desk_url: str = "", index: Path
) -> AsyncIterator[RunningAssistant]:
    """Start the assistant, wait until it is ready, and stop it at the end. Raises SourceError if it does not start.

    index: folder of the index and of the cache of embeddings.
    """
    knowledge, config = folder / "knowledge", folder / "config"
    for each in (knowledge, config, index, folder / "secrets" / "signing", folder / "secrets" / "desk"):
        each.mkdir(parents=True, exist_ok=True)
    shop.write_knowledge(knowledge)
    (config / Path(SPEC_FILE).name).write_text(json.dumps(spec(model, desk=bool(desk_url))), encoding="utf-8")
    (folder / "secrets" / "signing" / "key").write_bytes(secrets.token_bytes(_KEY_BYTES))
    (folder / "secrets" / "desk" / "url").write_text(desk_url, encoding="utf-8")
    (folder / "secrets" / "desk" / "signature").write_text("0" * 64, encoding="utf-8")
    port = _free_port()
    settings = {
        "PORT": str(port),
        "CONFIG_FOLDER": str(config),
        "KNOWLEDGE_FOLDER": str(knowledge),
        "SECRETS_FOLDER": str(folder / "secrets"),
        "INDEX_FOLDER": str(index),
        "EVALUATION_FILE": str(folder / "report.json"),
        "LOG_LEVEL": "INFO",
        "DRAIN_DELAY_SECONDS": "0",
        "GRACE_SECONDS": "5",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "chatscale_assistant",
            env={**environment, **{_PREFIX + name: value for name, value in settings.items()}},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await _until_ready(process, url, folder / "log")
        yield RunningAssistant(url, knowledge, folder / "log")
    finally:
        await _stop(process)


async def _until_ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while loop.time() < deadline:
            if process.returncode is not None:
                raise SourceError(f"the assistant exited with {process.returncode}: {_last_line(log)}")
            try:
                async with session.get(url + READYZ_PATH) as response:
                    if response.status == HTTPStatus.OK:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_PROBE_EVERY_S)
    raise SourceError(f"the assistant was not ready within {READY_S:.0f} s")


def _last_line(log: Path) -> str:
    return "".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:])[:400]


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])
