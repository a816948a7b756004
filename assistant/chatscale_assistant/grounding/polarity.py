"""Whether a clause says yes or no, and words that turn a statement round. Pure."""

import re
from typing import Final

from chatscale_assistant.language.scripts import fold

_IDIOMS: Final = re.compile(
    r"\bno (?:problem|worries|doubt|later than|longer than|more than|less than|matter)\b|\bnot only\b|\bif not\b|\bwhether or not\b"
    r"|\bnon seulement\b|\b(?:pas de|sans) (?:probleme|souci)\b|\bpas plus (?:de|tard)\b|\bn'hesitez pas\b|\bau plus tard\b"
    r"|(?<=[,(、（])\s?(?:none|aucune?|no|non|无)\s?(?=[,)、）])|\bno\.\s?\d|\bdon't hesitate\b"
    r"|不锈钢|不粘|不易|无线|无袖|无糖|无人机|不干胶|不仅|不过|不但|不错|不妨|不管|不论|无论|没问题|没关系|不客气|不超过|不少于|不低于|不多于|不晚于|对不起|不好意思|非常|无线|除了",
)
_NEGATIONS: Final = re.compile(
    r"\b(?:not|cannot|cant|never|neither|nor|none|no|without|nothing|unable|impossible|unavailable|ineligible|refuse[sd]?|denied"
    r"|except|excluding|excluded|excludes?|exempt)\b|n't\b|\bnon-?\s?(?:refundable|returnable|exchangeable|transferable)\b"
    r"|\bout of stock\b|\bsold out\b|\bun(?:available|supported|refundable)\b"
    r"|\b(?:pas|jamais|aucune?|rien|sans|ni|non|impossible|indisponibles?|epuisee?s?|sauf|exclue?s?|excepte)\b|\brupture\b"
    r"|(?<=\bne )(?=\S+ plus\b)|(?<=\bn')(?=\S+ plus\b)"
    r"|不|没|无(?!线)|未|非(?=卖|质)|勿|禁止|拒绝|缺货|售罄|除外|除非",
)
_PAIRS: Final = tuple(
    (re.compile(one), re.compile(other))
    for one, other in (
        (r"\bafter\b|\bapres\b|之?后(?!台)", r"\bbefore\b|\bavant\b|之?前(?!台)"),
        (
            r"\bmore than\b|\bover\b|\babove\b|\bplus de\b|超过|大于|以上",
            r"\bless than\b|\bunder\b|\bbelow\b|\bmoins de\b|少于|小于|以下",
        ),
        (
            r"\bat least\b|\bminimum\b|\bau moins\b|至少|最少|不少于",
            r"\bat most\b|\bmaximum\b|\bup to\b|\bau plus\b|\bjusqu'a\b|至多|最多|不超过",
        ),
        (r"\bopen\w*\b|\bouvert\w*\b|营业(?!时间)|开门", r"\bclosed?\b|\bferme\w*\b|关门|休息|打烊"),
        (r"\binclud\w+\b|\binclus\w*\b|\bcomprend\w*\b|包括|包含", r"\bexclud\w+\b|\bexclu\w*\b|不含|除外"),
        (
            r"\bfree\b|\bgratuit\w*\b|\boffert\w*\b|免费|包邮",
            r"\bcharged?\b|\bfees?\b|\bpayant\w*\b|\bfacture\w*\b|收费|付费",
        ),
        (
            r"\brequired\b|\bmust\b|\bmandatory\b|\bobligatoire\w*\b|\bdoi(?:t|vent)\b|必须|需要",
            r"\boptional\b|\bfacultati\w+\b|可选|无需|不需要",
        ),
        (r"\bincreas\w+|\braise\w*|\baugment\w+|增加|提高", r"\bdecreas\w+|\breduc\w+|\bdiminu\w+|减少|降低"),
    )
)


_PAIR: Final = re.compile(r"([^,;:：，、；()（）]+?) ?[:：] ?(yes|no|oui|non|true|false|是|否)(?![\w])", re.IGNORECASE)
_YES: Final = frozenset({"yes", "oui", "true", "是"})


def yes_no_pairs(text: str) -> tuple[tuple[tuple[str, bool], ...], str]:
    """Properties such as "waterproof: yes" with their value, and the text without them."""
    pairs = tuple((match.group(1).strip(), match.group(2).casefold() in _YES) for match in _PAIR.finditer(text))
    return pairs, _PAIR.sub(" ", text)


def is_negative(text: str) -> bool:
    """Whether the number of negations is odd."""
    return len(_NEGATIONS.findall(_IDIOMS.sub(" ", fold(text)))) % 2 == 1


def contradicts(draft: str, source: str) -> bool:
    """Whether the draft has one word of a pair such as before/after where the source has only the other."""
    ours, theirs = _IDIOMS.sub(" ", fold(draft)), _IDIOMS.sub(" ", fold(source))
    return any(
        (a.search(ours) and not b.search(ours) and b.search(theirs) and not a.search(theirs)) for a, b in _both_ways()
    )


def _both_ways() -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    return (*_PAIRS, *((b, a) for a, b in _PAIRS))
