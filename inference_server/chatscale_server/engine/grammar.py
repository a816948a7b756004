"""Structured output: JSON schemas become constraints on tokens, by llguidance.

Schemas are strangers' input: every cost has a limit of llguidance's own, keywords that it does not know are
refused, references are never fetched. Compiling one takes from a tenth of a millisecond to a tenth of a second.
"""

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final

from typing_extensions import override

from chatscale_server.engine.protocol import SchemaError
from chatscale_server.engine.request import Constraint

log = logging.getLogger(__name__)

CACHED_SCHEMAS: Final = 64
MAX_REASON_CHARS: Final = 300
"""Of an error: it may quote the schema, which is the client's own text."""
_LIMITS: Final = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 50_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 100_000,
    "verbose_errors": False,
}
"""llguidance's defaults (20 ms, 14 ms and 2.5 ms by its documentation), and less memory: 50 to 100 MB at most."""
_STYLE: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": False}
"""As `json.dumps` writes: free white space lets a small model write nothing but that until its tokens are used up."""


def grammars_for(tokenizer: Any, vocab_size: int, end_tokens: Collection[int]) -> "Grammars | None":
    """None where answers cannot be held to a schema: without the library, an end token, or bytes of the tokens."""
    if find_spec("llguidance") is None or not end_tokens:
        return None
    try:
        return Grammars(tokenizer, vocab_size, end_tokens)
    except ValueError as error:
        log.warning("structured output is off", extra={"reason": str(error)})
        return None


class Grammars:
    """Makes constraints for one tokenizer; from any thread."""

    def __init__(self, tokenizer: Any, vocab_size: int, end_tokens: Collection[int]) -> None:
        """Takes a third of a second for 50 000 tokens, without letting other threads run. Raises ValueError.

        tokenizer: a `tokenizers.Tokenizer`, left as it is.
        """
        import llguidance

        self._library = llguidance
        size = max(vocab_size, tokenizer.get_vocab_size(with_added_tokens=True))
        self._tokens = llguidance.LLTokenizer(tokenizer.to_str(), n_vocab=size, eos_token=sorted(end_tokens))
        self._compiled = lru_cache(maxsize=CACHED_SCHEMAS)(self._compile)

    def constraint(self, schema: str, before: str = "", after: str = "") -> Constraint:
        """A fresh constraint. Raises SchemaError."""
        return MatcherConstraint(self._compiled(schema, before, after).deep_copy())

    def _compile(self, schema: str, before: str, after: str) -> Any:
        """Errors are not cached, since lru_cache keeps no exceptions: they are quick to find."""
        parsed = json.loads(schema)
        if not isinstance(parsed, dict):
            raise SchemaError("a schema is a JSON object")
        body = json.dumps({**parsed, "x-guidance": _STYLE})
        grammar = f"start: {json.dumps(before)} body {json.dumps(after)}\nbody: %json {body}\n"
        limits = self._library.LLParserLimits(**_LIMITS)
        grammar = self._library.LLMatcher.grammar_from_lark(grammar)
        matcher = self._library.LLMatcher(self._tokens, grammar, log_level=0, limits=limits)
        first = matcher.deep_copy()
        first.compute_logit_bias()  # some schemas that nothing fits are only found out here
        if first.is_error():
            raise SchemaError(_reason(first))
        return matcher


@dataclass(slots=True)
class MatcherConstraint(Constraint):
    """One answer's place in a grammar."""

    _matcher: Any
    _problem: str | None = field(default=None)

    @property
    @override
    def problem(self) -> str | None:
        return self._problem

    @override
    def allowed(self) -> bytes:
        mask: bytes = b"" if self._problem else self._matcher.compute_logit_bias()
        return b"" if self._found_problem() else mask

    @override
    def accept(self, token: int) -> None:
        if self._problem is None:
            self._matcher.consume_token(token)
            self._found_problem()

    def _found_problem(self) -> bool:
        if self._problem is None and self._matcher.is_error():
            self._problem = _reason(self._matcher)
        return self._problem is not None


def _reason(matcher: Any) -> str:
    """The first line in words; names of the library's states and what follows are about its insides."""
    first = str(matcher.get_error()).partition("\n")[0].rpartition("failed to compile JSON schema: ")[2]
    return first[:MAX_REASON_CHARS] if " " in first else "nothing fits the schema"
