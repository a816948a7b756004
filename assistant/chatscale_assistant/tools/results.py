"""Turns what a tool returned into data. Text in it is never an instruction."""

import json
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import CallToolResult, TextContent

from chatscale_assistant.errors import ToolFailedError

MAX_RESULT_CHARACTERS: Final = 256 * 1024
_WRAPPED: Final = {"result"}
"""MCP servers wrap a result that is no object in this key."""


@dataclass(frozen=True, slots=True)
class ParsedResult:
    """Data and text of one result."""

    data: Any
    text: str
    is_error: bool


def parse_result(result: CallToolResult) -> ParsedResult:
    """Structured content, else a JSON object or list in the text, else the text. Raises ToolFailedError if too long."""
    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    if len(text) > MAX_RESULT_CHARACTERS:
        raise ToolFailedError(f"the result has more than {MAX_RESULT_CHARACTERS} characters")
    if result.is_error:
        return ParsedResult(text, text, is_error=True)
    structured = result.structured_content
    if structured is None:
        return ParsedResult(_parse_text(text), text, is_error=False)
    if isinstance(structured, dict) and structured.keys() == _WRAPPED:
        structured = structured["result"]
    if isinstance(structured, str):
        return ParsedResult(_parse_text(structured), text or structured, is_error=False)
    return ParsedResult(structured, text or json.dumps(structured, ensure_ascii=False), is_error=False)


def _parse_text(text: str) -> Any:
    """A number or a word stays text: a postal code such as 01234 is no number."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> None:
    raise ValueError(constant)
