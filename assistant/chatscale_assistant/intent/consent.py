"""Yes and no to a proposal. Only an unconditional yes counts: "yes, but ..." does not. Pure."""

import re
from enum import StrEnum
from typing import Final

from chatscale_assistant.language.scripts import fold


class Consent(StrEnum):
    """The customer's answer to a proposal."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"
    """Neither: a question, a condition, another topic."""


_POLITE: Final = re.compile(
    r"\b(?:please|pls|plz|thanks?|thank you|very much|so much|svp|stp|s'il (?:vous|te) plait|merci(?: beaucoup| bien)?|hi|hello|bonjour|monsieur|madame|sir|"
    r"the code is|code|le code est|mon code)\b|[请谢多啊哦呀吧了呢哈的您你]|验证码|确认码",
)
_MAX_CONSENT: Final = 200
"""Characters. A longer message says more than yes or no."""
_CODE: Final = re.compile(r"^[A-Z2-7]{4}(?:-[A-Z2-7]{2,4}){1,3}$|^(?=.*\d)[A-Z2-7]{4,12}$")
_YES: Final = re.compile(
    r"(?:yes|yep|yeah|yup|ya|yess+|y|sure|ok|okay|okey|k|correct|right|confirm|confirmed|i confirm|i (?:do )?confirm (?:it|this|that)|confirm (?:it|this)|go ahead|go for it|do it|do that|do so|do|"
    r"proceed|please proceed|yes i do|i do|i agree|agreed|absolutely|definitely|of course|sounds good|that's (?:right|correct|fine|ok|good)|that is (?:right|correct|fine)|"
    r"all good|perfect|fine|exactly|indeed|it is correct|looks good|make it so|"
    r"oui|ouais|ouep|oui oui|d'accord|dac|je confirme|confirme|confirmez|je valide|valide|validez|c'est bon(?: pour moi)?|c'est (?:ca|correct|exact|parfait)|allez[- ]y|allez y|vas[- ]y|faites(?:[- ]le)?|fais[- ]le|"
    r"exact|exactement|tout a fait|parfait|volontiers|bien sur|absolument|entendu|ca marche|ca me va|je suis d'accord|procedez|continuez|"
    r"是|对|好|可以|确认|确定|没错|行|没问题|嗯+|同意|我同意|我确认|我确定|继续|办理|就这样|没有问题|正确|要|需要|当然|当然可以|麻烦)"
)
_NO: Final = re.compile(
    r"^(?:no|nope|nah|non|nan|not|don't|do not|never|stop|wait|hold on|cancel that|forget it|pas|surtout pas|attendez|attends|laissez tomber|ne\b|annulez ca|"
    r"不|别|没(?!问题|有问题|错)|先不|先别|等|等等|算)(?![a-z])"
)
_ACTION_WORDS: Final = {
    "cancel": r"(?:please )?(?:cancel|annul\w+)(?: ?[- ]?(?:it|them|the order|my order|this order|la|le|les|ma commande|la commande|cette commande|commande))?|取消(?:它|订单|这个订单|我订单)?",
    "return": r"(?:return|retourn\w+|renvoy\w+)(?: ?[- ]?(?:it|them|the items?|la|le|les|l'article|les articles))?|退货?(?:它|商品)?",
    "exchange": r"(?:exchange|echang\w+)(?: ?[- ]?(?:it|them|the items?|la|le|les|l'article|les articles))?|换货?(?:它)?",
    "change": r"(?:change|update|modify|modifi\w+|chang\w+)(?: ?[- ]?(?:it|them|the address|my address|the payment|the order|la|le|les|l'adresse|mon adresse|le paiement))?|(?:修改|更改|改)(?:地址|付款|订单)?",
}


def read_consent(text: str, *, action: str = "") -> Consent:
    """The answer to a proposal of `action` (`cancel`, `return`, `exchange`, `change`).

    Naming the same action is part of a yes ("yes, cancel it"); naming anything else is not.
    """
    if len(text) > _MAX_CONSENT:
        return Consent.UNCLEAR
    folded = fold(text)
    if re.search(r"[?？]|吗", folded):
        return Consent.UNCLEAR
    if _NO.match(folded.lstrip("-*. ")):
        return Consent.NO
    rest = _without_codes(text)
    parts = [
        " ".join(part.split())
        for part in re.split(r"[.!,;:\n。、…*\"'()（）]+(?<!')|\band\b|\bet\b", _POLITE.sub(" ", rest))
    ]
    parts = [part for part in (part.strip(" -'") for part in parts) if part]
    allowed = re.compile(
        rf"(?:{_YES.pattern})(?: (?:{_YES.pattern}))*(?: ?(?:{_ACTION_WORDS.get(action, '(?!)')}))?|{_ACTION_WORDS.get(action, '(?!)')}"
    )
    if not parts or not all(allowed.fullmatch(part) for part in parts):
        return Consent.UNCLEAR
    return Consent.YES if any(_YES.match(part) for part in parts) else Consent.UNCLEAR


def _without_codes(text: str) -> str:
    """The folded text without confirmation codes: capitals with digits, as the proposal shows them."""
    words = re.split(r"(\s+|[,.!;:，。！；：、]+)", text)
    return fold("".join(" " if _CODE.match(word) else word for word in words))
