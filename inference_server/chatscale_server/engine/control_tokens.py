"""Keeps text of clients out of the control tokens of a chat template.

A tokenizer turns the text `<|im_end|>` into the control token that ends a turn, whoever wrote it. So a client could
write turns of any role. Here the strings of a conversation are marked before the template is rendered, and only the
control tokens that the template itself writes become control tokens.

The text is encoded in one piece, so that tokens at the borders of a string are the same as without this module.
"""

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

_NONCE_BITS: Final = 128


class ForgedTokenError(Exception):
    """The tokenizer makes control tokens from plain text. The text cannot be encoded safely."""


def control_tokens_of(tokenizer: Any, templates: Sequence[str]) -> dict[str, int]:
    """Control tokens of a tokenizer with their ids: special tokens, and added tokens that a template writes.

    tokenizer: a `tokenizers.Tokenizer`.  Other added tokens, such as runs of spaces, are ordinary text.
    """
    found: dict[int, Any] = tokenizer.get_added_tokens_decoder()
    return {
        str(token.content): number
        for number, token in found.items()
        if len(token.content) > 1
        and not token.content.isspace()
        and (token.special or any(token.content in template for template in templates))
    }


class ControlTokens:
    """Encodes rendered templates. Thread-safe.

    tokenizer: a `tokenizers.Tokenizer`; it is not changed.
    """

    def __init__(self, tokenizer: Any, tokens: Mapping[str, int]) -> None:
        self._tokenizer = tokenizer
        self._tokens = dict(tokens)
        self._mark = _secret()
        longest_first = sorted(self._tokens, key=len, reverse=True)
        self._longest = max(map(len, longest_first), default=0)
        self._starts = {token[:size] for token in self._tokens for size in range(1, len(token))}
        self._ends = {token[-size:] for token in self._tokens for size in range(1, len(token))}
        self._any = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def is_harmless(self, value: object, but: Collection[str] = ()) -> bool:
        """True if no string of the value can become a part of a control token. `but`: tokens to leave out."""
        match value:
            case str():
                return not self._breaks(value, but)
            case Mapping():
                return all(self.is_harmless(key, but) and self.is_harmless(item, but) for key, item in value.items())
            case list() | tuple():
                return all(self.is_harmless(item, but) for item in value)
            case _:
                return True

    def marked(self, value: Any, but: Collection[str] = ()) -> Any:
        """The value with a mark inside of each control token that its strings contain, begin or end."""
        match value:
            case str():
                for at in sorted(self._breaks(value, but), reverse=True):
                    value = value[:at] + self._mark + value[at:]
                return value
            case Mapping():
                return {self.marked(key, but): self.marked(item, but) for key, item in value.items()}
            case list() | tuple():
                return [self.marked(item, but) for item in value]
            case _:
                return value

    def _breaks(self, text: str, but: Collection[str]) -> set[int]:
        """Positions that must not be inside of a control token."""
        places: set[int] = set()
        for token in self._tokens:
            if token in but:
                continue
            at = text.find(token)
            while at >= 0:
                places.add(at + 1)
                at = text.find(token, at + 1)
        # The template's text beside the string may complete a token.
        if any(text[-size:] in self._starts for size in range(1, self._longest)):
            places.add(len(text))
        if any(text[:size] in self._ends for size in range(1, self._longest)):
            places.add(0)
        return places

    def encode(self, rendered: str) -> list[int]:
        """Token ids of a template that was rendered from marked strings. Raises ForgedTokenError."""
        inner, names, numbers = self._copy
        text = self._any.sub(lambda found: names[found[0]], rendered).replace(self._mark, "")
        ids: list[int] = inner.encode(text, add_special_tokens=False).ids
        forged = set(self._tokens.values()) - set(numbers)
        if not forged.isdisjoint(ids):
            raise ForgedTokenError("the messages contain a control token that the tokenizer cannot encode as text")
        return [numbers.get(number, number) for number in ids]

    @cached_property
    def _copy(self) -> tuple[Any, dict[str, str], dict[int, int]]:
        """A tokenizer whose control tokens have secret names; the names; and the original ids of its added tokens.

        It shares the vocabulary with the original, so it costs little.  Two threads may make it twice.
        """
        from tokenizers import AddedToken, Tokenizer

        inner = Tokenizer(self._tokenizer.model)
        inner.normalizer = self._tokenizer.normalizer
        inner.pre_tokenizer = self._tokenizer.pre_tokenizer
        names: dict[str, str] = {}
        numbers: dict[int, int] = {}
        for number, token in self._tokenizer.get_added_tokens_decoder().items():
            content = own = str(token.content)
            if own in self._tokens:
                content = names[own] = _secret()
            renamed = AddedToken(
                content, single_word=token.single_word, lstrip=token.lstrip, rstrip=token.rstrip,
                normalized=token.normalized, special=token.special,
            )  # fmt: skip
            (inner.add_special_tokens if token.special else inner.add_tokens)([renamed])
            # A renamed token gets another id if its own name is in the model's vocabulary too.
            added: int | None = inner.token_to_id(content)
            if added is not None:
                numbers[added] = number
        return inner, names, numbers


def _secret() -> str:
    """Digits that no client can guess. Every filter of a template passes them unchanged: tojson, upper, trim."""
    return str(secrets.randbits(_NONCE_BITS) + 2**_NONCE_BITS)
