"""The tone of a message by words and signals; a model's probability refines it. Pure."""

import re
from typing import Final

from chatscale_assistant.language.scripts import fold
from chatscale_contract.assistant.extras import Sentiment

_ANGRY: Final = re.compile(
    r"\b(?:furious|unbelievable|nobody cares|no one cares|shame on|ruined|outrage\w*|ridiculous|unacceptable|disgust\w*|disgrace\w*|scam\w*|fraud\w*|thie(?:f|ves)|rip ?off|liars?|lying|lawyers?|sue you|legal action|"
    r"worst|pathetic|incompetent|useless|idiots?|stupid|bullshit|wtf|fuck\w*|shit\w*|crap|damn|hell|fed up|sick of|sick and tired|how dare|had enough|never again|report you|appalling|joke of|piss\w*|"
    r"scandaleux|scandaleuse|inadmissible|inacceptable|honteux|honteuse|(?:une|quelle) honte|arnaqu\w*|escro\w*|voleurs?|menteurs?|furieux|furieuse|incroyable|s'en (?:fiche|fout)|gache\w*|honte a|ras[- ]le[- ]bol|marre|"
    r"avocat|porter plainte|porte plainte|incompetents?|nuls?|bande de|merde|putain|foutre|foutez|degueulasse|se moque\w* de|vous vous fichez|vous foutez|excede\w*|enerv\w*|en colere|plus jamais|lamentable)\b"
    r"|骗子|骗人|欺骗|诈骗|垃圾|投诉|举报|气死|太过分|过分|忍无可忍|滚|坑人|坑爹|12315|律师|起诉|曝光|无耻|不要脸|恶心|什么破|破店|烂店|太差劲|受够了|妈的|他妈|操|傻|混蛋|黑店|愤怒|可恶|毁了|不可理喻|火大|岂有此理|再也不|有病"
)
_ANGRY_EMOJI: Final = re.compile("[😡🤬👿💢🖕]")
_NEGATIVE: Final = re.compile(
    r"\b(?:bad|poor|terrible|awful|horrible|broken|broke|damaged|defective|faulty|wrong|late|delay\w*|missing|lost|disappoint\w*|unhappy|upset|annoy\w*|frustrat\w*|angry|problem\w*|"
    r"issue\w*|complain\w*|fail\w*|never arriv\w*|doesn't work|does not work|not work\w*|still (?:not|no|waiting|haven't)|hate|waste|slow|unfortunately|hasn't arrived|not arrived|still waiting|useless|cheaply|rude|"
    r"mauvais\w*|horribl\w*|casse\w*|abime\w*|endommage\w*|defectueu\w*|retard\w*|perdue?s?|manqu\w*|decu\w*|decevant\w*|decep\w*|mecontent\w*|insatisfait\w*|agac\w*|frustr\w*|probleme\w*|"
    r"souci\w*|plain\w*|ne (?:marche|fonctionne) (?:pas|plus)|toujours (?:pas|rien)|toujours en attente|lent\w*|nulle?|pire|impoli\w*|desagreable\w*|triste\w*|malheureusement)\b"
    r"|差|坏|破损|破了|损坏|瑕疵|质量问题|错了|发错|少发|漏发|丢|没收到|还没到|还没有到|还没发|太慢|很慢|迟|延误|失望|不满|不好|不行|难用|难看|难过|生气|问题|烦|郁闷|不值|后悔|掉色|褪色|不喜欢|着急|怎么还"
)
_POSITIVE: Final = re.compile(
    r"\b(?:thank\w*|thx|great|good|excellent|perfect\w*|love\w*|amazing|awesome|happy|glad|wonderful|fantastic|nice\w*|helpful|best|pleased|satisf\w*|appreciat\w*|brilliant|fast delivery|works (?:well|great)|"
    r"merci\w*|super|genial\w*|excellent\w*|parfait\w*|adore\w*|content\w*|heureu\w*|ravie?s?|bravo|formidable\w*|magnifique\w*|top|sympa\w*|satisfait\w*|efficace\w*|impeccable\w*|tres bien|bonne? (?:qualite|produit))\b"
    r"|谢谢|感谢|多谢|很好|太好|非常好|真好|喜欢|满意|不错|完美|棒|赞|开心|高兴|优秀|给力|好用|漂亮|物美价廉|值得|推荐给"
)
_NOT: Final = re.compile(
    r"(?:\b(?:not|never|no|isn't|wasn't|aren't|don't|doesn't|didn't|pas|jamais|aucun\w*|plus)\b(?: \w+){0,2} |不(?:太|是很|怎么|够)?|没有?)$"
)
_NO_PROBLEM: Final = re.compile(
    r"\b(?:no|any|a|pas de|aucun|sans) (?:problem\w*|issue\w*|souci\w*|probleme\w*)\b|没问题|没有问题|有个问题|问题是|请问|有问题想|一个问题|hell(?=o)|bon marche|不好意思|怎么还(?=款)|question\w*"
)
_SHOUT: Final = re.compile(r"[!！]{2,}|\?[!?]{1,}|[?？！!]{3,}")
_MIN_CAPITALS: Final = 8


def tone_of(text: str, *, positive: float | None = None) -> Sentiment:  # noqa: PLR0911 - a list of rules, first match decides
    """The tone of a customer's message.

    `positive`: probability of a positive text by a model, 0 to 1.  It decides only where the words do not.
    """
    folded = _NO_PROBLEM.sub(" ", fold(text))
    anger = len(_ANGRY.findall(folded)) + len(_ANGRY_EMOJI.findall(text))
    good, bad = 0, len(_NEGATIVE.findall(folded))
    for match in _POSITIVE.finditer(folded):
        if _NOT.search(folded[: match.start()]):
            bad += 1
        else:
            good += 1
    loud = bool(_SHOUT.search(text)) or _is_shouted(text)
    if anger and not (good > anger and not loud):
        return Sentiment.ANGRY
    if bad >= 1 and loud:
        return Sentiment.ANGRY
    if bad > good:
        return Sentiment.NEGATIVE
    if good > bad:
        return Sentiment.POSITIVE
    if positive is None or not (good or bad or len(folded) > 60):  # noqa: PLR2004 - too short for the model alone
        return Sentiment.NEUTRAL
    if positive < 0.1:  # noqa: PLR2004 - both thresholds: a plain question must stay neutral
        return Sentiment.NEGATIVE
    return Sentiment.POSITIVE if positive > 0.9 else Sentiment.NEUTRAL  # noqa: PLR2004


def _is_shouted(text: str) -> bool:
    letters = [c for c in re.sub(r"#?\w*\d\w*", "", text) if c.isascii() and c.isalpha()]
    return len(letters) >= _MIN_CAPITALS and sum(map(str.isupper, letters)) > 0.7 * len(letters)
