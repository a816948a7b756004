"""Finds the API key: a file, the environment or a hidden prompt. It is never an argument and never printed."""

import getpass
import os
import re
import sys
from pathlib import Path
from typing import Final

from chatscale_cli.errors import CommandError
from chatscale_cli.gateway.options import KEY_VARIABLE

_KEY: Final = re.compile(r"[\x21-\x7e]{1,4096}")
"""What an HTTP header can carry. OIDC tokens are longer than API keys."""
_STANDARD_INPUT: Final = Path("-")
_MAX_CHARS: Final = 10_000


def given_key(file: Path | None) -> str | None:
    """The key of the file or of the environment; None without both. Raises CommandError."""
    if file is None:
        found = os.environ.get(KEY_VARIABLE, "").strip()
        return _checked(found, KEY_VARIABLE) if found else None
    if file == _STANDARD_INPUT and sys.stdin.isatty():
        return prompted_key()
    try:
        if file == _STANDARD_INPUT:
            text = sys.stdin.readline(_MAX_CHARS)
        else:
            with file.open(encoding="ascii", errors="replace") as opened:
                text = opened.read(_MAX_CHARS)
    except OSError as error:
        raise CommandError(f"--key-file {file}: cannot be read, {error.strerror}") from error
    return _checked(text.strip(), f"--key-file {file}")


def prompted_key() -> str:
    """Read the key from the terminal without an echo. Raises CommandError where there is no terminal."""
    if not sys.stdin.isatty():
        raise CommandError(f"the gateway requires an API key: set {KEY_VARIABLE}, or use --key-file")
    try:
        return _checked(getpass.getpass("API key of the gateway (hidden): ").strip(), "the API key")
    except EOFError as error:
        raise CommandError("no API key was entered") from error


def _checked(text: str, source: str) -> str:
    """The message does not repeat the text, which may be a key with a typing error."""
    if not _KEY.fullmatch(text):
        raise CommandError(f"{source}: must be an API key in one line without spaces, found {len(text)} characters")
    return text
