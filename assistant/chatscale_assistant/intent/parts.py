"""The questions of one message. Pure.

A message is split only if each part is a question of its own that changes nothing. Requests for a change, for a person,
and parts that refer to another part stay one message, so that no write and no hand-over is lost or doubled.
"""

import re
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.intent.classify import understand
from chatscale_assistant.intent.patterns import Intent
from chatscale_assistant.language.scripts import fold

MAX_PARTS: Final = 3
_MAX_CHARACTERS: Final = 400
"""Of a message that is split. A longer one tells a story, and its sentences need each other."""
_READS: Final = frozenset({Intent.ORDER_STATUS, Intent.ACCOUNT, Intent.PRODUCT, Intent.POLICY, Intent.UNKNOWN})
_FEWEST_WORDS: Final = 3
"""Of a later part. "How much?" goes on with the part before it."""
_OPENS: Final = (
    r"(?:how|what|when|where|which|who|why|do|does|did|can|could|may|is|are|will|would|should"
    r"|comment|quand|o[uù]|quel(?:le)?s?|combien|est-ce|puis-je|peut-on|pourquoi|y a-t-il|qu['’]|[a-zéè]+ez[- ]vous)"
)
_BREAK: Final = re.compile(
    rf"(?<=[?？!！。;；])\s*|[,;]?\s+(?:and|et|also|plus|puis|aussi)\s+(?:also\s+|aussi\s+)?(?={_OPENS}(?![a-zé]))"
    r"|[，,]\s*(?:还有|另外|以及|顺便问一下)(?!吗|没)[，,]?\s*",
    re.IGNORECASE,
)
_LEAD: Final = re.compile(
    r"^(?:(?:and|also|et|aussi|hi|hello|hey|bonjour|salut|please|你好|您好|请问|还有|另外)[\s,.!，。！]*)+",
    re.IGNORECASE,
)
_QUESTION: Final = re.compile(
    rf"^{_OPENS}(?![a-z])|[吗呢]|多少|多久|什么|怎么|如何|哪|几|能不能|可不可以|是否|有没有", re.IGNORECASE
)
_REFERS: Final = re.compile(
    r"\b(?:it|its|they|them|their|that|those|these|this|one|ones)\b|[- ](?:il|elle|ils|elles|les|la|le|l')(?=[?\s]*$)"
    r"|\b(?:celui|celle|ceux|celles|ca|cela|en)\b|它|这个|那个|这件|那件|这款|那款",
)


def split_questions(text: str, language: Language) -> tuple[str, ...]:
    """The questions of the message, at most `MAX_PARTS`; the message alone if it is not certain that it has several."""
    whole = (text,)
    if len(text) > _MAX_CHARACTERS:
        return whole
    pieces = [_LEAD.sub("", piece.strip()) for piece in _BREAK.split(text)]
    parts = [piece for piece in pieces if any(map(str.isalnum, piece))]
    if not 1 < len(parts) <= MAX_PARTS:
        return whole
    for index, part in enumerate(parts):
        folded = fold(part)
        intent = understand(part, language).intent
        if intent not in _READS or not _QUESTION.search(folded) or (index and _goes_on(folded, intent)):
            return whole
    return tuple(parts)


def _goes_on(folded: str, intent: Intent) -> bool:
    """Whether a part needs the one before it. A Chinese question about a product often leaves the product out."""
    if any("\u3400" <= letter <= "\u9fff" for letter in folded):
        return intent is Intent.PRODUCT or _REFERS.search(folded) is not None
    return len(folded.split()) < _FEWEST_WORDS or _REFERS.search(folded) is not None
