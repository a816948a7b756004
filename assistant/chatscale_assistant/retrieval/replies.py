"""Curated replies: answers that staff wrote, for questions that customers write in any language.

    - id: opening-hours
      questions:
        - "When are you open?"
        - "你们几点开门？"
      answers:
        en: "We are open from 9 to 6."
        zh: "营业时间是9点到18点。"

A text with `?` or `:` needs quotes in YAML.
"""

from typing import Final

import yaml
from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.domain.evidence import Chunk
from chatscale_assistant.errors import SourceError
from chatscale_assistant.retrieval.chunks import chunk_id
from chatscale_assistant.retrieval.decoding import decode, is_valid

REPLY_FIELD: Final = "reply"
"""Field of a reply's chunk: the reply's id. Chunks of one reply differ only in the question, which is their title."""
ANSWER_FIELD: Final = "answer."
"""Prefix of the fields with answers: `answer.zh`."""
MAX_FILE_BYTES: Final = 4 * 2**20
MAX_QUESTIONS: Final = 200
MAX_QUESTION_CHARACTERS: Final = 500
MAX_ANSWER_CHARACTERS: Final = 4000
_KEYS: Final = frozenset({"id", "questions", "answers"})
_LANGUAGES: Final = tuple(language.value for language in Language)


class _Loader(yaml.SafeLoader):
    """YAML without aliases, which can make a small file huge."""

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias (*name)", None)
        return super().compose_node(parent, index)


def read_replies(source: str, version: str, file: str, raw: bytes) -> list[Chunk]:
    """A chunk for each question; its text is the answer in the first language. Raises SourceError."""
    where = f"source {source}: {file}"
    if len(raw) > MAX_FILE_BYTES:
        raise SourceError(f"{where}: expected at most {MAX_FILE_BYTES} bytes, found {len(raw)}")
    try:
        entries = yaml.load(decode(source, file, raw), _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as e:
        raise SourceError(f"{where}: expected YAML without aliases, found: {' '.join(str(e).split())[:200]}") from e
    if not isinstance(entries, list) or not entries:
        raise SourceError(f"{where}: expected a list of replies, found {type(entries).__name__}")
    chunks: list[Chunk] = []
    seen: set[str] = set()
    for number, entry in enumerate(entries, 1):
        found = _reply_chunks(source, version, f"{where}: reply {number}", entry)
        reply = found[0].fields[REPLY_FIELD]
        if reply in seen:
            raise SourceError(f"{where}: reply {number}, id: expected an id that no other reply has, found {reply!r}")
        seen.add(reply)
        chunks += found
    return chunks


def _reply_chunks(source: str, version: str, where: str, entry: object) -> list[Chunk]:
    if not isinstance(entry, dict) or set(entry) - _KEYS:
        found = sorted(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        raise SourceError(f"{where}: expected an object with id, questions and answers, found {found}")
    reply = _text(f"{where}, id", entry.get("id"), 100)
    questions = entry.get("questions")
    if not isinstance(questions, list) or not 1 <= len(questions) <= MAX_QUESTIONS:
        raise SourceError(f"{where}, questions: expected a list of 1 to {MAX_QUESTIONS} questions")
    answers = entry.get("answers")
    if not isinstance(answers, dict) or not answers or not set(answers) <= set(_LANGUAGES):
        raise SourceError(f"{where}, answers: expected an answer for one or more of {', '.join(_LANGUAGES)}")
    texts = {name: _text(f"{where}, answers.{name}", text, MAX_ANSWER_CHARACTERS) for name, text in answers.items()}
    fields = {REPLY_FIELD: reply} | {f"{ANSWER_FIELD}{name}": text for name, text in texts.items()}
    text = next(iter(texts.values()))
    titles = dict.fromkeys(_text(f"{where}, questions", each, MAX_QUESTION_CHARACTERS) for each in questions)
    return [
        Chunk(chunk_id(source, title, f"{reply}\n{text}"), source, KnowledgeKind.REPLIES, title, text, version, fields)
        for title in titles
    ]


def _text(where: str, value: object, longest: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SourceError(f"{where}: expected text, found {value!r:.40}: put it in quotes")
    if not is_valid(value):
        raise SourceError(f"{where}: expected text, found half a character")
    if len(value) > longest:
        raise SourceError(f"{where}: expected at most {longest} characters, found {len(value)}")
    return value.strip()
