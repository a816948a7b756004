"""Keeps an output from ending before it has the requested number of tokens. Pure.

The barred tokens get no probability, instead of being ignored when they are chosen: the output continues with the
tokens that the model finds most likely otherwise.
"""

from collections.abc import Collection
from dataclasses import dataclass

from typing_extensions import override

from chatscale_server.engine.request import Constraint


@dataclass(slots=True)
class MinTokens(Constraint):
    """Bars tokens until `remaining` tokens have been generated. Allows all tokens afterwards."""

    barred: Collection[int]
    """Below `vocab_size`, and not all tokens of it."""
    vocab_size: int
    remaining: int

    @property
    @override
    def problem(self) -> str | None:
        return None

    @override
    def allowed(self) -> bytes:
        """Empty if all tokens are allowed."""
        if self.remaining <= 0 or not self.barred:
            return b""
        mask = bytearray(b"\x01") * self.vocab_size
        for token in self.barred:
            mask[token] = 0
        return bytes(mask)

    @override
    def accept(self, token: int) -> None:
        self.remaining -= 1
