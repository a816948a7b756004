"""The body that a replica gets: with its own name of the model, and with usage at the end of a stream. Pure."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from chatscale_contract.openai.errors import bad_request

_NO_CHANGES: Final[Mapping[str, Any]] = MappingProxyType({})


def rewrite(
    raw: bytes,
    body: Mapping[str, Any],
    *,
    served_name: str,
    ask_for_usage: bool,
    changes: Mapping[str, Any] = _NO_CHANGES,
) -> bytes:
    """The same bytes if nothing changes. `body` is the parsed `raw`.  changes: further fields to set."""
    options = body.get("stream_options")
    ask_for_usage = ask_for_usage and (options is None or isinstance(options, dict))
    if body["model"] == served_name and not changes:
        if not ask_for_usage:
            return raw
        if "stream_options" not in body:
            # Insert before the last brace: much cheaper than to write a long prompt again.
            return raw.rstrip()[:-1] + b',"stream_options":{"include_usage":true}}'
    changed = {**body, **changes, "model": served_name}
    if ask_for_usage:
        changed["stream_options"] = {**(options or {}), "include_usage": True}
    try:
        text = json.dumps(changed, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise bad_request("the body contains a number that is too large") from error
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only escape
        return json.dumps(changed, separators=(",", ":")).encode()
