"""An answer with everything that explains it."""

from dataclasses import dataclass

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.evidence import Evidence
from chatscale_contract.assistant.extras import CheckExtra, CitationExtra, HandOverState, Rung, Sentiment


@dataclass(frozen=True, slots=True)
class Draft:
    """Text of one rung of the ladder, before the checks."""

    text: str
    rung: Rung
    language: Language
    evidence: tuple[Evidence, ...] = ()
    """What each sentence may be based on."""
    citations: tuple[CitationExtra, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the customer gets."""

    text: str
    """Empty while a person answers."""
    rung: Rung
    language: Language
    sentiment: Sentiment
    hand_over: HandOverState = HandOverState.NONE
    citations: tuple[CitationExtra, ...] = ()
    checks: tuple[CheckExtra, ...] = ()
    pending: str | None = None
    index: str = ""
