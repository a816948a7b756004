"""Suite `language`: 300 turns with switches, and whether each answer has the customer's language."""

import re
from collections.abc import AsyncIterator
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.answer import Answer
from chatscale_assistant.domain.conversation import Speaker, Turn
from chatscale_assistant.domain.interfaces import Responder
from chatscale_assistant.evaluation.intervals import share
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.questions.composed import CONVERSATIONS, TURNS, switching_conversations
from chatscale_assistant.evaluation.talk import conversation, reply
from chatscale_assistant.evaluation.tau2 import CATALOGUE_SOURCE

_QUOTED: Final = re.compile(r"«[^»]*»|“[^”]*”|\"[^\"]*\"|「[^」]*」|^>.*$", re.MULTILINE)
_HAN: Final = re.compile(r"[\u4e00-\u9fff]")
_LETTERS: Final = re.compile(r"[^\W\d_]")
_WORDS: Final = re.compile(r"[^\W\d_]+")
_ENGLISH_WORDS: Final = """\
the is are you your we our can not this that with for and of to it in do does have be will from by on an"""
_FRENCH_WORDS: Final = """\
le la les un une des de du est sont vous votre vos nous notre ne pas ce cette avec pour et au aux en que qui sur"""
_ENGLISH: Final = frozenset(_ENGLISH_WORDS.split())
_FRENCH: Final = frozenset(_FRENCH_WORDS.split())
_SHOWN: Final = 10


async def measure_language(responder: Responder, sample: int | None) -> AsyncIterator[Measurement]:
    """The share of turns whose answer is marked with the expected language and is not visibly in another."""
    kept: list[bool] = []
    missed: list[str] = []
    for number, lines in enumerate(switching_conversations(max(1, sample // TURNS) if sample else CONVERSATIONS)):
        before: list[Turn] = []
        for place, line in enumerate(lines):
            answer = await responder.answer(conversation(line.text, identity=f"language-{number}", before=before))
            right = answer.language is line.expected and looks_like(answer.text, _data(answer)) in {line.expected, None}
            kept.append(right)
            if not right:
                missed.append(f"conversation {number}, turn {place + 1}: {answer.language} for {line.expected}")
            before += [Turn(Speaker.CUSTOMER, line.text), reply(answer)]
    yield Measurement.of(
        "language",
        "replies in the customer's language",
        share(kept),
        must=0.98,
        aim=0.995,
        note=f"missed: {'; '.join(missed[:_SHOWN])}" if missed else "",
    )


def _data(answer: Answer) -> str:
    """The rows of the catalogue that an answer shows: they are in the language of the catalogue."""
    return " ".join(each.quote for each in answer.citations if each.source == CATALOGUE_SOURCE)


def looks_like(text: str, data: str = "") -> Language | None:
    """The language of a text without its quotes, by its script and its function words; None if neither decides.

    Words of `data` do not count.  It shares no code with the assistant's own detection.
    """
    shown = frozenset(_WORDS.findall(data))
    own = _WORDS.sub(lambda word: "" if word.group() in shown else word.group(), _QUOTED.sub(" ", text))
    letters = len(_LETTERS.findall(own))
    han = len(_HAN.findall(own))
    if letters and han > letters / 2:
        return Language.CHINESE
    words = [word.casefold() for word in _WORDS.findall(own)]
    english, french = (sum(word in known for word in words) for known in (_ENGLISH, _FRENCH))
    if english == french:
        return None
    return Language.ENGLISH if english > french else Language.FRENCH
