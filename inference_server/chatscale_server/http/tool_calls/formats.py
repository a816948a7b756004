"""The parser of each format, and the ids of its calls. Pure."""

import hashlib
import string
from collections.abc import Mapping
from typing import Any, Final, assert_never

from chatscale_contract.server.environment import ToolFormat
from chatscale_server.http.tool_calls.events import Parser
from chatscale_server.http.tool_calls.harmony import HarmonyParser
from chatscale_server.http.tool_calls.hermes import HermesParser
from chatscale_server.http.tool_calls.llama3 import Llama3Parser
from chatscale_server.http.tool_calls.mistral import MistralParser
from chatscale_server.http.tool_calls.qwen3_coder import Qwen3CoderParser

_LETTERS: Final = string.digits + string.ascii_letters
_MISTRAL_ID_CHARS: Final = 9


def build_call_parser(  # noqa: PLR0911 - one for each format
    kind: ToolFormat, functions: Mapping[str, Mapping[str, Any]]
) -> Parser | None:
    """A parser for one output; None if the format has no calls.

    functions: JSON schemas of the arguments by function name; empty if no function is offered.
    """
    match kind:
        case ToolFormat.HARMONY:  # its messages have marks without calls too
            return HarmonyParser(calls=bool(functions))
        case _ if not functions:
            return None
        case ToolFormat.HERMES:
            return HermesParser()
        case ToolFormat.LLAMA3:
            return Llama3Parser()
        case ToolFormat.MISTRAL:
            return MistralParser()
        case ToolFormat.QWEN3_CODER:
            return Qwen3CoderParser(functions)
        case ToolFormat.NONE | ToolFormat.AUTO:
            return None
        case unreachable:
            assert_never(unreachable)


def call_id(kind: ToolFormat, response: str, at: int) -> str:
    """Id of call number `at` of a response. Templates of Mistral accept nine letters and digits only."""
    if kind is not ToolFormat.MISTRAL:
        return f"call_{response}{at}"
    digest = hashlib.sha256(f"{response}.{at}".encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:_MISTRAL_ID_CHARS])
