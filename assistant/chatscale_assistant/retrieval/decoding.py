"""Bytes of a source's file to text, with errors that name the place."""

import codecs
import re
from typing import Final

from chatscale_assistant.errors import SourceError

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
MAX_FILE_BYTES: Final = 100 * 2**20
"""Of one file of a source."""


def is_valid(text: str) -> bool:
    """Whether text can be stored: an escape in JSON or YAML may be half a character (a lone surrogate)."""
    return text.isascii() or not _SURROGATE.search(text)


def decode(source: str, file: str, raw: bytes) -> str:
    """UTF-8 with or without a byte order mark; line ends become line feeds. Raises SourceError."""
    if len(raw) > MAX_FILE_BYTES:
        raise SourceError(f"source {source}: {file}: expected at most {MAX_FILE_BYTES} bytes, found {len(raw)}")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"source {source}: {file}: expected UTF-8, found UTF-16: save the file as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise SourceError(
            f"source {source}: {file}: line {line}: expected UTF-8, found byte 0x{raw[e.start]:02X}: "
            "save the file as UTF-8"
        ) from e
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise SourceError(f"source {source}: {file}: line {line}: expected text, found a NUL byte")
    return text.replace("\r\n", "\n").replace("\r", "\n")
