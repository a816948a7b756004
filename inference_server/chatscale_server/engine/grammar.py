"""Structured output: llguidance compiles JSON schemas into token constraints.

Schemas are untrusted input. llguidance limits every cost, rejects unknown keywords and never fetches references.
Compilation takes 0.1 to 100 ms.
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
"""Limit of an error message, because it may quote the client's schema."""
_LIMITS: Final = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 50_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 100_000,
    "verbose_errors": False,
}
"""llguidance's defaults (20, 14 and 2.5 ms according to its documentation), with less memory: at most 50 to 100 MB."""
_STYLE: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": False}
"""The format of `json.dumps`. If white space were free, a small model could generate white space until its limit."""


def grammars_for(tokenizer: Any, vocab_size: int, end_tokens: Collection[int]) -> "Grammars | None":
    """None if structured output is not available: without llguidance, an end token, or the bytes of tokens."""
    if find_spec("llguidance") is None or not end_tokens:
        return None
    try:
        return Grammars(tokenizer, vocab_size, end_tokens)
    except ValueError as error:
        log.warning("structured output is off", extra={"reason": str(error)})
        return None


class Grammars:
    """Compiles constraints for one tokenizer. Thread-safe."""

    def __init__(self, tokenizer: Any, vocab_size: int, end_tokens: Collection[int]) -> None:
        """Takes 0.3 s for 50 000 tokens and blocks all threads meanwhile. Raises ValueError.

        tokenizer: a `tokenizers.Tokenizer`; it is not changed.
        """
        import llguidance

        self._library = llguidance
        size = max(vocab_size, tokenizer.get_vocab_size(with_added_tokens=True))
        self._tokens = llguidance.LLTokenizer(tokenizer.to_str(), n_vocab=size, eos_token=sorted(end_tokens))
        self._compiled = lru_cache(maxsize=CACHED_SCHEMAS)(self._compile)

    def constraint(self, schema: str, prefix: str = "", suffix: str = "") -> Constraint:
        """A new constraint. Raises SchemaError."""
        return MatcherConstraint(self._compiled(schema, prefix, suffix).deep_copy())

    def _compile(self, schema: str, prefix: str, suffix: str) -> Any:
        """Compile a schema. lru_cache does not keep exceptions; errors are found quickly."""
        parsed = json.loads(schema)
        if not isinstance(parsed, dict):
            raise SchemaError("a schema must be a JSON object")
        body = json.dumps({**parsed, "x-guidance": _STYLE})
        grammar = f"start: {json.dumps(prefix)} body {json.dumps(suffix)}\nbody: %json {body}\n"
        limits = self._library.LLParserLimits(**_LIMITS)
        grammar = self._library.LLMatcher.grammar_from_lark(grammar)
        matcher = self._library.LLMatcher(self._tokens, grammar, log_level=0, limits=limits)
        first = matcher.deep_copy()
        first.compute_logit_bias()  # detects some schemas that no output can match
        if first.is_error():
            raise SchemaError(_reason(first))
        return matcher


@dataclass(slots=True)
class MatcherConstraint(Constraint):
    """The state of one output within its grammar."""

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
    """The readable part of the first line. The rest describes internals of the library."""
    first = str(matcher.get_error()).partition("\n")[0].rpartition("failed to compile JSON schema: ")[2]
    return first[:MAX_REASON_CHARS] if " " in first else "no output can match the schema"
