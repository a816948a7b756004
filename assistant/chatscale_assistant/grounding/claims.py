"""Claims that need more than a similar text: done actions, promises, and sentences that claim nothing. Pure."""

import re
from typing import Final

from chatscale_assistant.domain.evidence import Evidence, ToolResult
from chatscale_assistant.language.concepts import terms
from chatscale_assistant.language.scripts import fold

_DONE_EN: Final = (
    r"cancel\w*|refund\w*|return\w*|exchang\w*|chang\w*|updat\w*|modif\w*|process\w*|ship\w*|sent|send|book\w*|creat\w*|appl\w*|"
    r"add\w*|remov\w*|arrang\w*|submitt?\w*|escalat\w*|transferr?\w*|forward\w*|issu\w*|credit\w*|initiat\w*|schedul\w*|plac\w*|"
    r"register\w*|fix\w*|complet\w*|contact\w*|notif\w*|replac\w*|reserv\w*"
)
_DONE_FR: Final = (
    r"annul\w*|rembours\w*|echang\w*|modifi\w*|chang\w*|mis\w*|trait\w*|expedi\w*|envoy\w*|cre\w+|appliqu\w*|ajout\w*|supprim\w*|"
    r"enregistr\w*|effectu\w*|lanc\w*|transmis\w*|transfer\w*|credit\w*|programm\w*|demand\w*|contact\w*|reserv\w*|remplac\w*|"
    r"procede\w*|valid\w*|initi\w*|retourn\w*"
)
_DONE_ZH: Final = r"取消|退款|退货|退回|换货|更换|修改|更新|更改|提交|处理|安排|发送|发货|转接|转交|登记|办理|完成|申请|创建|通知|联系|预留|补发"
_BY_US: Final = re.compile(
    rf"\b(?:i|we)(?:'ve| have| had)(?: (?:now|just|already|successfully))* (?:{_DONE_EN})\b"
    rf"|\b(?:i|we) (?:just |successfully |already )?(?:cancelled|canceled|refunded|processed|updated|changed|sent|submitted|issued|arranged)\b"
    rf"|\bi(?:'ll| will| am going to|'m going to|'m|am)(?: now| just)? (?:{_DONE_EN})\b"
    rf"|\b(?:j'ai|nous avons)(?: bien| deja)? (?:{_DONE_FR})\b|\bje (?:vais|viens de?|viens d')\s?(?:{_DONE_FR})\b"
    rf"|(?:我|我们)(?:已经?|刚刚?|会|将|马上|现在)[^，。]{{0,8}}(?:{_DONE_ZH})|已经?(?:为|帮|替|给)[您你][^，。]{{0,10}}(?:{_DONE_ZH})"
    rf"|[为帮替给][您你][^，。]{{0,6}}(?:{_DONE_ZH})(?:好?了|完毕|成功)"
)
_PASSIVE: Final = re.compile(
    rf"\b(?:has|have) (?:now |just |already |successfully )*been (?:successfully )?(?:{_DONE_EN})\b"
    rf"|\b(?:is|are) (?:now|all) (?:{_DONE_EN})\b|\b(?:a|ont) (?:bien |deja )?ete (?:{_DONE_FR})\b"
    rf"|已经?(?:成功)?(?:被)?(?:{_DONE_ZH})"
)
_PROMISES: Final = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("free", r"\bfree\b(?! to\b)|\bfor free\b|\bgratuit\w*|\boffert\w*|\bsans frais\b|免费|包邮|赠送"),
        ("guarantee", r"\bguarant\w+|\bwarrant\w+|\bgaranti\w*|\bpromis\w+|\bpromett?\w+|保证|保修|质保|承诺|担保"),
        ("always", r"\balways\b|\btoujours\b|\ba tout moment\b|\bat any time\b|\banytime\b|总是|始终|随时|一直|一定"),
        ("never", r"\bnever\b|\bjamais\b|从不|绝不|永不"),
        (
            "all",
            r"\ball\b(?! the best)|\bevery\b|\bany (?:item|product|reason|order)\w*|\btous les\b|\btoutes les\b|\bn'importe quel\w*|所有|全部|任何",
        ),
        ("lifetime", r"\blifetime\b|\bfor life\b|\ba vie\b|终身|永久"),
        ("unlimited", r"\bunlimited\b|\billimit\w+|无限|不限"),
        ("full", r"\bfull(?:y)? refund\w*|\bin full\b|\bintegral\w*|\ben totalite\b|全额"),
        (
            "immediate",
            r"\bimmediate\w*|\binstant\w*|\bright away\b|\bimmediat\w*|\btout de suite\b|立即|立刻|马上|即时",
        ),
        ("best", r"\b(?:best|cheapest|lowest|fastest)\b|\bmeilleur\w*|\bmoins cher\w*|最好|最佳|最便宜|最低价|最快"),
        ("half", r"\bhalf[ -](?:price|off)\b|\ba moitie prix\b|\bmoitie prix\b|半价"),
        (
            "gift",
            r"\bbonus\b|\bcomplimentary\b|\bcompensat\w+|\bvouchers?\b|\bcoupons?\b|\bdedommag\w+|\bcompens\w+|赔偿|补偿|优惠券|代金券",
        ),
    )
)
_COURTESY: Final = re.compile(
    r"^(?:hello|hi|hey|dear|good (?:morning|afternoon|evening)|thanks?(?: you)?|you're welcome|welcome|sure|of course|certainly|great|"
    r"i'm sorry|i am sorry|sorry|i apologi[sz]e|i understand|please (?:let me know|feel free)|let me know|feel free|is there anything|"
    r"happy to help|i'm happy|i hope|have a (?:nice|great|good)|here is|here are|here's|"
    r"bonjour|bonsoir|merci|avec plaisir|bien sur|certainement|desole|je suis desole|je comprends|n'hesitez pas|puis-je|"
    r"bonne journee|voici|je reste|je vous en prie|"
    r"您好|你好|谢谢|感谢|不客气|好的|当然|抱歉|很抱歉|对不起|非常抱歉|请问|如有|如果您(?:还|有)|希望|祝您|很高兴|我理解|请告诉|欢迎)"
)
_MAX_COURTESY: Final = 14
_MAX_UNKNOWN_PAIRS: Final = 3
"""Pairs of Chinese characters that a courtesy may have beside the usual ones."""
_COURTESY_TERMS: Final = terms(
    "am let me know anything else any other have  questions help further assist assistance today happy feel free contact understand sorry frustration "
    "inconvenience glad great welcome thank nice good day morning evening afternoon here information found dear hello hi sure course certainly "
    "suis toutes désolé hésitez autres avez comprends gêne question aide aider informations voici bonjour bonsoir merci plaisir journée reste disposition autre besoin certainement sûr "
    "很抱歉给您带来不便 非常抱歉 给您带来的不便 很高兴为您服务 请随时告诉我 如有其他问题请告诉我 您好抱歉谢谢感谢帮助问题其他问题带来不便给带来告诉理解不便其他需要希望高兴当然信息以下祝愉快"
)


def claims_own_action(text: str) -> bool:
    """Whether the text says that we did, or now do, something for the customer."""
    return _BY_US.search(fold(text)) is not None


def claims_done_action(text: str) -> bool:
    """Whether the text says that something has been done, without saying by whom."""
    return _PASSIVE.search(fold(text)) is not None


def has_receipt_for(text: str, evidence: tuple[Evidence, ...]) -> bool:
    """Whether one of the tools' receipts is of the action that the text names."""
    named = terms(text)
    wanted = (named | ({"=cancel"} if "=status:cancelled" in named else frozenset())) & _ACTIONS
    for item in evidence:
        if isinstance(item, ToolResult) and item.receipt and not item.is_error:
            done = terms(item.call.tool.replace("_", " "))
            if "=change" in done or "=exchange" in done:
                done |= {"=change"}
            if "=return" in done or "=cancel" in done:
                done |= {"=refund"} if "=refund" in terms(item.text) else frozenset()
            if wanted and wanted <= done:
                return True
    return False


_ACTIONS: Final = frozenset({"=cancel", "=return", "=exchange", "=change", "=refund"})


def promises(text: str) -> frozenset[str]:
    """The kinds of promises that the text makes: `free`, `guarantee`, `always` ..."""
    folded = fold(text)
    return frozenset(name for name, word in _PROMISES if word.search(folded))


def without_promises(text: str) -> str:
    """The text without the words that promise something, to find what it is about."""
    folded = fold(text)
    for _, word in _PROMISES:
        folded = word.sub(" ", folded)
    return folded


def is_courtesy(text: str) -> bool:
    """A greeting, thanks, an apology or an offer to help: a short sentence without a claim about the shop."""
    folded = fold(text).lstrip("¡¿ ")
    known = terms(text)
    return (
        bool(_COURTESY.match(folded))
        and len(known) <= _MAX_COURTESY
        and len(known - _COURTESY_TERMS) <= len(known) // 4
    )
