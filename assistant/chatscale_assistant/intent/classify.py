"""What a customer wants, from one message. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.intent.entities import Entities, find_entities
from chatscale_assistant.intent.patterns import (
    GENERAL,
    LANGUAGE_REQUEST,
    OWN,
    PATTERNS,
    PROFILE,
    REFUND_STATUS,
    WRITES,
    Intent,
)
from chatscale_assistant.intent.person import asks_who_answers, wants_person
from chatscale_assistant.intent.scope import injection_markers, is_attack, is_out_of_scope
from chatscale_assistant.intent.tone import tone_of
from chatscale_assistant.language.scripts import fold, shortened
from chatscale_contract.assistant.extras import Sentiment

_ORDER: Final = (
    Intent.CANCEL, Intent.EXCHANGE, Intent.RETURN, Intent.CHANGE_PAYMENT, Intent.CHANGE_ADDRESS, Intent.CHANGE_ITEMS,
    Intent.ORDER_STATUS, Intent.ACCOUNT, Intent.RECOMMEND, Intent.PRODUCT, Intent.POLICY, Intent.THANKS, Intent.GREETING,
    Intent.GOODBYE, Intent.SMALL_TALK,
)  # fmt: skip
_MIN_SCORE: Final = 0.5
_APPROVAL: Final = frozenset("👍👌🙏❤😊🙂😀😃😄🥰😍🎉💯")
"""Emoji that thank. A message of signs only is no question."""
_NUMBER: Final = re.compile(r"#?\s?[a-z]{0,2}\d{4,12}")
"""Of an order or an article, after `fold`. Patterns allow few characters between two words, and a number is long."""


@dataclass(frozen=True, slots=True)
class Understanding:
    """One message, understood."""

    intent: Intent
    matched: tuple[Intent, ...]
    """All intents whose patterns match, most specific first."""
    entities: Entities
    tone: Sentiment
    injection: frozenset[str] = field(default_factory=frozenset)
    """Names of markers, for the checks of the answer."""
    about_own_order: bool = False
    """The customer's own order or account, not the shop's rules."""


def understand(
    text: str,
    language: Language,
    *,
    scores: Mapping[Intent, float] | None = None,
    positive: float | None = None,
) -> Understanding:
    """Understand one message.

    `scores`: 0 to 1 per intent from retrieval (`PRODUCT`: the best product, `POLICY`: the best passage); they decide
    where no pattern matches.  `positive`: probability of a positive tone by a model.
    """
    text = shortened(text)
    folded = fold(text)
    entities = find_entities(text, language)
    without_numbers = _NUMBER.sub("#", folded)
    matched = tuple(
        intent for intent in _ORDER if PATTERNS[intent].search(folded) or PATTERNS[intent].search(without_numbers)
    )
    own = bool(OWN.search(folded)) or bool(entities.orders)
    return Understanding(
        intent=_choose(text, folded, matched, entities, own=own, scores=scores or {}),
        matched=matched,
        entities=entities,
        tone=tone_of(text, positive=positive),
        injection=injection_markers(text),
        about_own_order=own,
    )


def _choose(  # noqa: C901, PLR0911 - a list of rules, first match decides
    text: str,
    folded: str,
    matched: tuple[Intent, ...],
    entities: Entities,
    *,
    own: bool,
    scores: Mapping[Intent, float],
) -> Intent:
    if wants_person(text):
        return Intent.PERSON
    if not any(map(str.isalnum, text)):
        return Intent.THANKS if set(text) & _APPROVAL else Intent.SMALL_TALK
    if is_out_of_scope(text) or is_attack(text):
        return Intent.OUT_OF_SCOPE
    if asks_who_answers(text):
        return Intent.WHO_ANSWERS
    if not matched:
        return _by_scores(entities, scores)
    first = matched[0]
    if first in WRITES:
        # "Can I return shoes?" is about the rules, "can I return #W1234567?" is about an order.
        if GENERAL.search(folded) and not entities.orders and not _wants_now(LANGUAGE_REQUEST.sub(" ", folded)):
            return Intent.POLICY
        if first is Intent.CHANGE_ADDRESS and PROFILE.search(folded) and not entities.orders:
            return Intent.CHANGE_PROFILE_ADDRESS
        if first is Intent.RETURN and REFUND_STATUS.search(folded):
            return Intent.ORDER_STATUS if entities.orders else Intent.POLICY
    if first is Intent.ORDER_STATUS and not own and Intent.POLICY in matched and GENERAL.search(folded):
        return Intent.POLICY
    return first


def _wants_now(folded: str) -> bool:
    return any(
        word in folded
        for word in (
            "i want to",
            "i'd like to",
            "i would like to",
            "i need to",
            "please",
            "je veux",
            "je voudrais",
            "je souhaite",
            "我要",
            "我想",
            "帮我",
            "请帮",
        )
    )


def _by_scores(entities: Entities, scores: Mapping[Intent, float]) -> Intent:
    best = max(scores, key=lambda intent: scores[intent], default=Intent.UNKNOWN)
    if best is not Intent.UNKNOWN and scores[best] >= _MIN_SCORE:
        return best
    if entities.orders:
        return Intent.ORDER_STATUS
    return Intent.PRODUCT if entities.ids else Intent.UNKNOWN
