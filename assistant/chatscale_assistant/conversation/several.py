"""One answer from the answers to the questions of one message. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.proposals import shown_code
from chatscale_assistant.domain.answer import Answer
from chatscale_assistant.domain.conversation import Conversation, Speaker, Turn
from chatscale_assistant.intent import split_questions
from chatscale_contract.assistant.extras import HandOverState, Rung

_WEAKEST_LAST: Final = tuple(Rung)


def questions_of(conversation: Conversation, language: Language) -> tuple[str, ...]:
    """The questions of the last turn. The answer to a proposal stays whole: the gate reads all of it."""
    turns = conversation.turns
    answers_proposal = any(turn.speaker is Speaker.ASSISTANT and shown_code(turn.text) for turn in turns[-2:-1])
    return (conversation.question,) if answers_proposal else split_questions(conversation.question, language)


def about_part(conversation: Conversation, part: str) -> Conversation:
    """The conversation with one question of its last turn."""
    last = conversation.turns[-1]
    return replace(conversation, turns=(*conversation.turns[:-1], Turn(last.speaker, part)))


def joined(answers: Sequence[Answer]) -> Answer:
    """The texts in the order of the questions, each once, with all citations and checks, on the weakest rung.

    answers: at least one.
    """
    texts = dict.fromkeys(answer.text for answer in answers)
    handed_over = next((each.hand_over for each in answers if each.hand_over is not HandOverState.NONE), None)
    return replace(
        answers[0],
        text="\n\n".join(texts),
        rung=max((answer.rung for answer in answers), key=_WEAKEST_LAST.index),
        hand_over=handed_over or HandOverState.NONE,
        citations=tuple({each: None for answer in answers for each in answer.citations}),
        checks=tuple({each: None for answer in answers for each in answer.checks}),
        pending=next((answer.pending for answer in answers if answer.pending), None),
        index=next((answer.index for answer in answers if answer.index), ""),
    )
