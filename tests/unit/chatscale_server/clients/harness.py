"""Runs real client libraries, each in a process of its own, against a real server with a real small model.

To add a client:

1. Add its package to `requirements/clients/python.in` (npm: `package.json`) and run `hack/lock.sh`.
2. Write `programs/NAME.py`: a function for each case, and `report({...})` of `case_runner` with all of them.
3. Add a line to `CLIENTS`. The tests and the table of `docs/clients.md` follow from it.

To add a case, add a function to the programs and its name to `Case`. To add a family, add a `Family` to `FAMILIES`.
A case that cannot work yet is in `NOT_YET`, with the reason; it fails as soon as it works.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.settings import Dtype
from hack.clients import client_environment, find_node
from hack.paths import cache_dir
from inference_server.convert_gguf import ensure_converted
from tests.unit.chatscale_server.builders import SETTINGS, a_server
from tests.unit.chatscale_server.tiny_models import save_model

PROGRAMS = Path(__file__).parent / "programs"
MODEL = "m"
TIMEOUT_S = 400
CHATML_WITH_TOOLS = (
    "{% if tools %}<|im_start|>system\nCall a function: <tool_call>{% for tool in tools %}{{ tool | tojson }}"
    "{% endfor %}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or () %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""SmolLM2's own template has no tools."""


class Case(StrEnum):
    """What a client does with its default settings."""

    CHAT = "chat"
    """A conversation: the reply is sent back with a second question."""
    STREAM = "stream"
    TOOLS = "tools"
    """A call of a function, its result, and an answer."""
    STRUCTURED = "structured"
    """Output that follows a class."""
    COMPLETIONS = "completions"
    """POST /v1/completions, where the client has it, with ten prompts."""


@dataclass(frozen=True)
class Client:
    """A client library and its program."""

    name: str
    program: str
    cases: tuple[Case, ...] = tuple(Case)


CHAT_ONLY = (Case.CHAT, Case.STREAM, Case.TOOLS, Case.STRUCTURED)
CLIENTS = (
    Client("openai", "openai_client.py"),
    Client("openai-agents", "openai_agents.py", CHAT_ONLY),
    Client("langchain-openai", "langchain_openai_client.py"),
    Client("litellm", "litellm_client.py"),
    Client("pydantic-ai", "pydantic_ai_client.py", CHAT_ONLY),
    Client("instructor", "instructor_client.py", (Case.STREAM, Case.TOOLS, Case.STRUCTURED)),
    Client("llama-index", "llama_index_client.py"),
    Client("Vercel AI SDK", "vercel_ai.cjs"),
)


@dataclass(frozen=True)
class Family:
    """A model that a server serves. Without a tiny architecture it is SmolLM2, the real one."""

    name: str
    tiny: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def model(self, folder: Path) -> Path:
        """The model's files, saved into `folder` if it is a tiny one."""
        if self.tiny:
            return save_model(self.tiny, folder / self.tiny)
        return ensure_converted(cache_dir() / "models" / "SmolLM2-135M-Instruct")


SMOLLM2 = Family("SmolLM2 (Llama)", settings={"chat_template": CHATML_WITH_TOOLS, "max_model_len": 1024})
FAMILIES = (SMOLLM2,)
NOT_YET: dict[tuple[str, Case], str] = {}


async def run_client(client: Client, family: Family, folder: Path) -> dict[str, str]:
    """Error by case, empty if the case works."""
    changes: dict[str, Any] = {
        "model_uri": f"file://{family.model(folder)}", "dtype": Dtype.FLOAT32, "max_concurrency": 4, "max_queue": 64,
        "cpu_limit": 1.0,  # two threads on shared cores wait for each other at every barrier
        **family.settings,
    }  # fmt: skip
    async with a_server(TransformersEngine(SETTINGS.model_copy(update=changes)), **changes) as (server, _client):
        return await run_program(client, f"http://127.0.0.1:{server.port}/v1")


async def run_program(client: Client, base_url: str) -> dict[str, str]:
    """Run one client's program. Raises RuntimeError if it ends without a report."""
    clients = client_environment()
    interpreter = find_node() if client.program.endswith(".cjs") else clients.python
    environment = {
        "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp"), "NODE_PATH": str(clients.node_modules),
        "PYTHONDONTWRITEBYTECODE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "NODE_OPTIONS": "--no-warnings",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        str(interpreter), str(PROGRAMS / client.program), base_url, MODEL, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    reports = [line for line in out.decode().splitlines() if line.startswith("{")]
    if not reports:
        raise RuntimeError(f"{client.name} reported nothing: {err.decode()[-2000:]}")
    found: dict[str, str] = json.loads(reports[-1])
    return found
