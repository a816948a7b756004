"""Suite `hand-over`: messages that need a person, among ordinary ones."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from chatscale_assistant.domain.interfaces import Responder
from chatscale_assistant.evaluation import questions
from chatscale_assistant.evaluation.finding import LANGUAGES
from chatscale_assistant.evaluation.intervals import share
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.questions import Question, Split, Wants
from chatscale_assistant.evaluation.talk import conversation
from chatscale_contract.assistant.extras import HandOverState

_KEYWORDS: Final = re.compile(
    r"\b(?:human|person|agent|representative|manager|supervisor|operator)\b"
    r"|人工|客服|真人|经理|主管"
    r"|\b(?:humain|personne|conseiller|agent|responsable|opérateur|employé)\b",
    re.IGNORECASE,
)
"""The baseline: words that a shop would list first."""
_SHOWN: Final = 8


async def measure_hand_over(responder: Responder, sample: int | None) -> AsyncIterator[Measurement]:
    """Recall and precision per language. Each message is the first of its conversation."""
    for language in LANGUAGES:
        asked = questions.hand_over(language)
        if sample:
            asked = asked[:: max(1, len(asked) // sample)]
        found = []
        for each in asked:
            answer = await responder.answer(conversation(each.text, identity=each.id))
            found.append(answer.hand_over is not HandOverState.NONE)
        keywords = [bool(_KEYWORDS.search(each.text)) for each in asked]
        # Examples come from the half that is for tuning: the report is read by those who tune.
        dev = [(each, hit) for each, hit in zip(asked, found, strict=True) if each.split is Split.DEV]
        missed = [each.text for each, hit in dev if each.wants is not Wants.NONE and not hit]
        wrong = [each.text for each, hit in dev if each.wants is Wants.NONE and hit]
        for name, outcomes, limits, examples in (
            ("recall", _needed, (0.95, 0.98), missed),
            ("precision", _rightly, (0.9, 0.95), wrong),
        ):
            if not (of_all := outcomes(asked, found)):
                continue
            baseline = outcomes(asked, keywords)
            yield Measurement.of(
                "hand-over",
                name,
                share(of_all),
                language=language,
                baseline=share(baseline).value if baseline else None,
                baseline_name="keywords",
                must=limits[0],
                aim=limits[1],
                note=_note(examples, outcomes(*_held_out(asked, found))),
            )


def _held_out(asked: Sequence[Question], found: Sequence[bool]) -> tuple[list[Question], list[bool]]:
    rows = [(each, hit) for each, hit in zip(asked, found, strict=True) if each.split is Split.TEST]
    return [each for each, _ in rows], [hit for _, hit in rows]


def _needed(asked: Sequence[Question], found: Sequence[bool]) -> list[bool]:
    """Per message that needs a person: whether it was handed over."""
    return [hit for each, hit in zip(asked, found, strict=True) if each.wants is not Wants.NONE]


def _rightly(asked: Sequence[Question], found: Sequence[bool]) -> list[bool]:
    """Per message that was handed over: whether it needs a person."""
    return [each.wants is not Wants.NONE for each, hit in zip(asked, found, strict=True) if hit]


def _note(examples: Sequence[str], held_out: Sequence[bool]) -> str:
    parts = [f"held-out half: {share(held_out).value:.3f}"] if held_out else []
    if examples:
        parts.append(f"wrong: {' / '.join(examples[:_SHOWN])}")
    return "; ".join(parts)
