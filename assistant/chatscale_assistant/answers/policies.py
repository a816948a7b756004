"""Questions about a policy of the shop: which passage answers them, and which of its sentences are quoted. Pure.

"Can I return the jacket?" names a product, so the product's row fits best by its words, and does not answer. A policy
without its conditions and exceptions is a wrong answer, so they are quoted with it.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.domain.evidence import MIN_ANSWERABLE, Chunk, Hit
from chatscale_assistant.language.concepts import terms
from chatscale_assistant.language.scripts import fold

MAX_SENTENCES: Final = 5
"""Of one passage. A passage about the policy that has no more is quoted as a whole."""
MIN_TITLED: Final = 0.1
"""Confidence from which a passage whose title names the policy answers, whatever fits the words of the product."""
_MAX_CACHED: Final = 4096
"""Texts of sources, which many questions meet again. Text of customers is never cached."""


class Policy(Enum):
    """What shops have rules about."""

    RETURN = auto()
    EXCHANGE = auto()
    CANCEL = auto()
    DELIVERY = auto()
    WARRANTY = auto()
    REPAIR = auto()
    PAYMENT = auto()
    INVOICE = auto()
    CUSTOMS = auto()


_QUESTIONS: Final[Mapping[Policy, re.Pattern[str]]] = {
    Policy.RETURN: re.compile(
        r"\b(?:returns?|returned|returning|returnable|refund\w*|reimburs\w*|money back)\b"
        r"|\b(?:send|bring|take)\s(?:\w+\s){0,4}?back\b"
        r"|\b(?:retours?|retourn\w+|renvoy\w+|renvois?|rembours\w+|rapporter|ramener|rendre|recuperer mon argent)\b"
        r"|退货|退回|退换|退款|退钱|退[吗掉]|包退|[能可以想要]退(?![出热烧休])"
    ),
    Policy.EXCHANGE: re.compile(
        r"\b(?:exchange[ds]?|exchanging|swap(?:s|ped|ping)?)\b|\bechang\w+"
        r"|换货|调换|换[吗码]|[能可以想要]换(?:$|[吗货个件双款码色大小一\W])"
    ),
    Policy.CANCEL: re.compile(
        r"\bcancel(?:s|l?ed|lation)?\b|\bcancell?ing (?:my|an|the|your) order\b|\bannul(?:er|ez|e|ation)\w*|取消"
    ),
    Policy.DELIVERY: re.compile(
        r"\b(?:deliver(?:y|ies|s|ed|ing)?|ship(?:s|ped|ping|ment)?|postage|dispatch\w*|arrives?)\b"
        r"|\bhow (?:fast|soon|quickly) (?:do|does|can|will|could)\b.{0,30}\b(?:get|receive|have|come)\b"
        r"|\b(?:livrer|livrez|livrons|livraisons?|expedi\w+|envoi|envoyez|frais de port|delais?)\b"
        r"|送货|送达|送到|配送|派送|发货|寄到|运费|邮费|快递费|包邮|物流|(?:多久|几天)(?:能|可以|会)?(?:送?到|收到|发)"
    ),
    Policy.WARRANTY: re.compile(r"\b(?:warrant(?:y|ies)|guarantee[ds]?)\b|\bgaranti\w*|保修|质保|包修"),
    Policy.REPAIR: re.compile(
        r"\b(?:do|can|could|will|would) you (?:also )?(?:repair|fix|mend)\b|\brepair service\b"
        r"|\breparez[- ]vous\b|\bpouvez[- ]vous (?:aussi )?reparer\b|\bservice de reparation\b"
        r"|(?:能|可以)修(?!改)|修吗|修理吗|维修吗|维修服务"
    ),
    Policy.PAYMENT: re.compile(
        r"\b(?:pay|paying|paid|payments?|paypal|klarna|credit cards?|instal?lments?)\b"
        r"|\b(?:payer|payez|paiements?|carte (?:bancaire|bleue))\b|付款|支付|分期|刷卡"
    ),
    Policy.INVOICE: re.compile(r"\b(?:invoices?|receipts?|factures?)\b|发票"),
    Policy.CUSTOMS: re.compile(r"\bcustoms\b|\bimport (?:dut(?:y|ies)|tax)\b|\bdouan\w*|关税|海关"),
}
"""How customers name a policy, on folded text. Not by stems: a headphone is noise cancelling, and a lamp *réglable*."""
_CONCEPTS: Final[Mapping[Policy, frozenset[str]]] = {
    Policy.RETURN: frozenset({"=return", "=refund"}), Policy.EXCHANGE: frozenset({"=exchange"}),
    Policy.CANCEL: frozenset({"=cancel", "=status:cancelled"}), Policy.DELIVERY: frozenset({"=delivery", "=shipping"}),
    Policy.WARRANTY: frozenset({"=warranty"}), Policy.REPAIR: frozenset({"=repair"}),
    Policy.PAYMENT: frozenset({"=pay"}), Policy.INVOICE: frozenset({"=invoice"}), Policy.CUSTOMS: frozenset({"=customs"}),
}  # fmt: skip
"""What passages about a policy have, beside the words of customers."""
_PROPERTIES: Final = (
    "=price", "=stock", "=size", "=color", "=material", "=weight", "=capacity", "=variant", "=battery", "=screen", "size:",
)  # fmt: skip
"""Concepts of what a catalogue has in its columns."""
_GOES_ON: Final = re.compile(
    r"^\W*(?:they|it|this|that|these|those|both|such|in (?:this|that) case|otherwise|then"
    r"|ils|elles|il|elle|cela|ceci|ce|cet|cette|ces|dans ce cas|sinon"
    r"|它们?|这|该|此|否则|其)(?![a-z])"
)
"""A sentence that begins so is about the one before it."""
_LIMITS: Final = re.compile(
    r"\b(?:only|except|unless|exclu\w*|cannot|not|never|no|must|but|however|without|free)\b|n't\b"
    r"|\b(?:seulement|uniquement|sauf|hormis|ne|n|doi\w+|non|pas|jamais|mais|toutefois|sans|gratuit\w*)\b"
    r"|只|仅|除|不|须|需|但|无法|免"
)
"""Words of conditions and exceptions."""


def asked_policies(question: str, product: str = "") -> frozenset[Policy]:
    """The policies that a question is about; empty if it is about none.

    product: name of the likeliest product; a word of it, such as "receipt printer", names no policy.
    """
    folded, name = fold(question), fold(product)
    found = {policy: pattern.search(folded) for policy, pattern in _QUESTIONS.items()}
    return frozenset(policy for policy, match in found.items() if match and match.group() not in name)


def asks_property(question: str) -> bool:
    """Whether the question is about a property of a product, too: then its row answers a part."""
    return any(term.startswith(_PROPERTIES) for term in terms(question))


def policy_first(asked: frozenset[Policy], hits: Sequence[Hit]) -> list[Hit]:
    """The passages of documents about the policy before everything else; all hits as they were if there is none.

    A passage is about the policy if its title is, or, where the search found it likely, its text. The other documents are
    left out: another policy is no second answer. Where no passage is about an exchange, one about returns answers.
    """
    documents = [hit for hit in hits if hit.chunk.kind is KnowledgeKind.DOCUMENTS]
    for policies in (asked, frozenset({Policy.RETURN}) if Policy.EXCHANGE in asked else frozenset()):
        titled = [hit for hit in documents if hit.confidence >= MIN_TITLED and _names(policies, hit.chunk.title)]
        about = titled or [
            hit for hit in documents if hit.confidence >= MIN_ANSWERABLE and _names(policies, hit.chunk.text)
        ]
        if about:
            return [*about, *(hit for hit in hits if hit.chunk.kind is not KnowledgeKind.DOCUMENTS)]
    return list(hits)


def policy_sentences(asked: frozenset[Policy], chunk: Chunk, sentences: Sequence[str], top: int) -> list[int]:
    """The sentences of a passage that state the policy, in order; empty if the passage is not about it.

    sentences: of the passage.  top: the one that fits the question best.  First comes the best one, then the first one
    that names the policy, then conditions and exceptions, then the rest about the policy, each with what it refers to.
    """
    if Policy.EXCHANGE in asked:
        asked |= {Policy.RETURN}
    titled = _names(asked, chunk.title)
    if titled and len(sentences) <= MAX_SENTENCES:
        return list(range(len(sentences)))
    naming = [at for at, sentence in enumerate(sentences) if _names(asked, sentence)]
    if not naming:
        return []
    limits = [at for at in (range(len(sentences)) if titled else naming) if _LIMITS.search(fold(sentences[at]))]
    first = [top] if titled or top in naming else []
    chosen: list[int] = []
    for at in dict.fromkeys((*first, naming[0], *sorted(limits, key=lambda each: abs(each - top)), *naming)):
        group = [each for each in _with_context(sentences, at) if each not in chosen]
        if len(chosen) + len(group) <= MAX_SENTENCES:
            chosen += group
    return sorted(chosen)


@lru_cache(maxsize=_MAX_CACHED)
def _names(policies: frozenset[Policy], text: str) -> bool:
    """Whether a text of a source names one of the policies."""
    own, folded = terms(text), fold(text)
    return any(_CONCEPTS[policy] & own or _QUESTIONS[policy].search(folded) for policy in policies)


def _with_context(sentences: Sequence[str], at: int) -> list[int]:
    """A sentence, with those before it that it refers to and those after it that refer to it."""
    first, last = at, at
    while first > 0 and _GOES_ON.search(fold(sentences[first])):
        first -= 1
    while last + 1 < len(sentences) and _GOES_ON.search(fold(sentences[last + 1])):
        last += 1
    return list(range(first, min(last, first + MAX_SENTENCES - 1) + 1))
