"""The exact bytes of a token, which `decode` cannot give: many a token is part of a character."""

import re
from collections.abc import Callable
from typing import Any, Final

_PRINTABLE: Final = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""Bytes that byte-level vocabularies spell as the character of that number; the others come after 0x100, in order."""
_SPELLED_BYTE: Final = re.compile(r"<0x([0-9A-F]{2})>")


def token_bytes_of(tokenizer: Any) -> Callable[[int], bytes]:
    """The function for one `tokenizers.Tokenizer`; a special token's bytes are its name, unknown ones have none."""
    added = {token: str(spelling.content) for token, spelling in tokenizer.get_added_tokens_decoder().items()}
    decoder = tokenizer.decoder.__getstate__().decode() if tokenizer.decoder is not None else ""
    alphabet = _byte_alphabet()

    def token_bytes(token: int) -> bytes:
        if token in added:
            return added[token].encode()
        spelling = tokenizer.id_to_token(token)
        if spelling is None:
            return b""
        if '"ByteLevel"' in decoder and all(letter in alphabet for letter in spelling):
            return bytes(alphabet[letter] for letter in spelling)
        if '"ByteFallback"' in decoder:
            if found := _SPELLED_BYTE.fullmatch(spelling):
                return bytes.fromhex(found[1])
            return str(spelling).replace("\u2581", " ").encode()
        return str(tokenizer.decode([token])).encode()

    return token_bytes


def _byte_alphabet() -> dict[str, int]:
    others = (byte for byte in range(0x100) if byte not in _PRINTABLE)
    return {chr(byte): byte for byte in _PRINTABLE} | {chr(0x100 + at): byte for at, byte in enumerate(others)}
