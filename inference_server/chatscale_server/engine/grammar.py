"""Structured output: llguidance compiles output forms into token constraints.

Schemas and patterns are untrusted input. llguidance limits every cost, rejects unknown keywords and never fetches
references.
Compilation takes 0.1 to 100 ms.
"""

import json
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final, assert_never

from typing_extensions import override

from chatscale_server.engine.output_form import (
    Chain,
    Fixed,
    Form,
    FreeText,
    Json,
    OneOf,
    Plain,
    Regex,
    Repeat,
    TextUntil,
    Triggered,
)
from chatscale_server.engine.protocol import SchemaError
from chatscale_server.engine.request import Constraint

log = logging.getLogger(__name__)

CACHED_FORMS: Final = 64
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
        added = {str(token.content): number for number, token in tokenizer.get_added_tokens_decoder().items()}
        # llguidance treats every added token like <this> as a control token, whatever the tokenizer does.
        marks = {name: number for name, number in added.items() if self._tokens.is_special_token(number)}
        special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self._writer = _Writer(marks, special, frozenset(end_tokens))
        self._compiled = lru_cache(maxsize=CACHED_FORMS)(self._compile)

    def constraint(self, form: Form) -> Constraint:
        """A new constraint. Raises SchemaError."""
        return MatcherConstraint(self._compiled(form).deep_copy())

    def _compile(self, form: Form) -> Any:
        """Compile a form. lru_cache does not keep exceptions; errors are found quickly."""
        limits = self._library.LLParserLimits(**_LIMITS)
        grammar = self._library.LLMatcher.grammar_from_lark(self._writer.write(form))
        matcher = self._library.LLMatcher(self._tokens, grammar, log_level=0, limits=limits)
        first = matcher.deep_copy()
        first.compute_logit_bias()  # detects some schemas that no output can match
        if first.is_error():
            raise SchemaError(_reason(first))
        return matcher


class _Writer:
    """Writes forms in llguidance's dialect of Lark.

    marks: names and ids of the tokens that only an id can match.  special: those of them that have no text for the
    tokenizer.  A model may write the others letter by letter.
    """

    def __init__(self, marks: Mapping[str, int], special: Collection[int], end_tokens: Collection[int]) -> None:
        self._marks = marks
        self._special = special
        self._end_tokens = end_tokens
        self._any_mark = re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or r"(?!)")

    def write(self, form: Form) -> str:
        """A grammar of the form. Raises SchemaError."""
        rules: list[str] = []
        start = self._rule(form, rules)
        return "\n".join([f"start: {start}", "TEXT: /(.|\\n)*/", *rules]) + "\n"

    def _rule(self, form: Form, rules: list[str]) -> str:  # noqa: C901, PLR0911, PLR0912 - one for each form
        """An expression of the form. Adds the rules that it needs."""
        match form:
            case Fixed(text):
                return self._fixed(text)
            case Plain(text):
                return json.dumps(text)
            case Json(schema):
                return f"%json {_styled(schema)}"
            case Regex(pattern):
                return self._named(_regex(pattern), rules, prefix="R")
            case FreeText():
                return "TEXT"
            case TextUntil(mark):
                return self._until(mark, rules)
            case Chain(forms):
                return " ".join(self._rule(part, rules) for part in forms) or '""'
            case OneOf(forms):
                options = [self._named(self._rule(part, rules), rules) for part in forms]
                return "(" + " | ".join(options) + ")"
            case Repeat(part):
                return f"({self._named(self._rule(part, rules), rules)})*"
            case Triggered(trigger, body, once):
                opening = self._until(trigger, rules)
                call = self._named(f"{opening} {self._rule(body, rules)}", rules)
                other = self._other_marks(trigger)
                if other:
                    other = self._named(f"TEXT {other}", rules)
                if once:
                    return f"({other})* (TEXT | {call})" if other else f"(TEXT | {call})"
                return f"({call} | {other})* TEXT" if other else f"({call})* TEXT"
            case unreachable:
                assert_never(unreachable)

    def _named(self, expression: str, rules: list[str], *, prefix: str = "r") -> str:
        name = f"{prefix}{len(rules)}"
        rules.append(f"{name}: {expression}")
        return name

    def _fixed(self, text: str) -> str:
        parts, at = [], 0
        for found in self._any_mark.finditer(text):
            parts += [json.dumps(text[at : found.start()])] if found.start() > at else []
            parts.append(self._mark(found[0]))
            at = found.end()
        parts += [json.dumps(text[at:])] if at < len(text) else []
        return " ".join(parts) or '""'

    def _mark(self, name: str) -> str:
        number = self._marks[name]
        return f"<[{number}]>" if number in self._special else f"(<[{number}]> | {json.dumps(name)})"

    def _until(self, mark: str, rules: list[str]) -> str:
        # A lazy rule ends with its first match, so the text cannot contain the mark.
        rules.append(f"r{len(rules)}[lazy]: TEXT {json.dumps(mark)}")
        spelt = f"r{len(rules) - 1}"
        return f"({spelt} | TEXT <[{self._marks[mark]}]>)" if mark in self._marks else spelt

    def _other_marks(self, trigger: str) -> str:
        """Control tokens that may stand in free text beside the trigger; empty if there are none."""
        numbers = {number for name, number in self._marks.items() if name != trigger} - set(self._end_tokens)
        return f"<[{','.join(map(str, sorted(numbers)))}]>" if numbers else ""


def _styled(schema: str) -> str:
    parsed = json.loads(schema)
    if not isinstance(parsed, dict):
        raise SchemaError("a schema must be a JSON object")
    return json.dumps({**parsed, "x-guidance": _STYLE})


def _regex(pattern: str) -> str:
    """The pattern as a terminal. The library escapes it, so that a pattern cannot end the terminal."""
    import llguidance

    grammar = json.loads(llguidance.LLMatcher.grammar_from_regex(pattern))
    return str(grammar["grammars"][0]["lark_grammar"]).removeprefix("start: ")


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
