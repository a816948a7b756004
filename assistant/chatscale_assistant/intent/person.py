"""Whether a customer requests a person, in three languages: polite, angry, misspelt, and not where it is negated. Pure."""

import re
from typing import Final

from chatscale_assistant.language.scripts import fold, is_han

_CLAUSE: Final = re.compile(r"[.!?;,:\n。！？；，：…]+|\b(?:but|mais|so please|alors)\b|但是?|而是")
_IDIOMS: Final = re.compile(
    r"人工(?:智能|费|合成|草坪?|皮革|钻石?|水晶|泪液|湖)|送给?[^，。！？]{0,6}|真人秀|password manager|(?:customer )?(?:support|service) (?:job|work|role)|(?:travail|metier|poste) de \w+(?: \w+)?|(?:跟|和|同|问|找|联系)[^，。！？]{0,6}(?:说|讲|谈|聊|联系|沟通|问)?过了?|\b(?:i|we|my \w+)(?:'ve| have)? (?:already |just )?(?:spoke|spoken|talked|chatted) (?:to|with) (?:an? |your |the |some )?\w+|\b(?:j'ai|on a|nous avons|mon \w+ a) (?:deja )?(?:parle|discute|echange) (?:a|avec) (?:une? |votre |l')?\w+|human (?:hair|size|rights)|humain(?:e)? artificiel|agent nettoyant|cleaning agent|per person|par personne"
    r"|for (?:a|one|two|\d+) (?:person|people)|pour (?:une?|deux|\d+) personnes?|personne n[e']|personnel soignant|en personne|in person"
    r"|\b(?:gifts?|presents?|something|anything|bought|ordered|cadeaux?|quelque chose|achete\w*|commande\w*) (?:\w+ )?(?:for|pour) (?:an? |my |une? |mon |ma )?\w+|能不能|可不可以|可以不可以|是不是|要不要|有没有|行不行"
)
_NOUN_EN: Final = (
    r"(?:(?:real|live|actual|human|physical|living|proper|customer service|customer|service|support|sales|store|shop)[ -])*"
    r"(?:humans?|human being|persons?|people|agents?|operators?|representatives?|reps?|csr|advis[oe]rs?|managers?|supervisors?|someone|somebody|"
    r"employees?|staff(?: member)?|team member|members? of (?:your |the )?(?:\w+ )?(?:team|staff)|associates?|colleagues?|co-?workers?|teammates?|guy|human support|customer (?:service|care|support)|"
    r"(?:the |your )?support(?: team)?|boss|anyone|anybody|assistant who is human)"
)
_VERB_EN: Final = (
    r"(?:talk|tak|takl|explain|ask|speak|chat|connect|transfer|reach|contact|get|put|pass|hand|want|need|give|call|find|bring|forward|escalate|refer|request|"
    r"switch|direct|see|have|let|prefer|demand|require|wanna|gimme|send|redirect|patch|deal|discuss)(?:s|ed|ing|ting)?"
)
_REQUEST_EN: Final = re.compile(
    rf"\b{_VERB_EN}\b(?: (?!not\b|bot\b|robot\b)[a-z']+){{0,6}}? (?:(?:to|with|by|from|me|through|over|on) )*(?:an? |the |your |my |some |any |this )*"
    rf"(?:[a-z]+ )?{_NOUN_EN}\b"
    rf"|\b(?:is|are) there (?:an? |any |some )?(?:real |actual |live )*(?:humans?|persons?|people|agents?|operators?|someone|somebody|anyone|anybody)\b(?!.* (?:size|in stock))"
    rf"|\b(?:can|could|may|will|would|please have) (?:an? |your |some )?{_NOUN_EN} (?:please |from [a-z ]{{3,20}} )?(?:help|call|contact|take|answer|assist|reply|handle|look|step|talk|speak)"
    r"|\b(?:transfer|connect|redirect|escalate|forward) (?:me|us)\b|\bwho (?:can|could|do|should) i (?:talk|speak) (?:to|with)\b|\b(?:person|human) i mean\b|\b(?:any|no) (?:humans?|persons?|agents?|people|one) (?:available|here|there|online)\b"
    rf"|\bis there (?:an? |any |some )?{_NOUN_EN} (?:i|we|who|that|to)\b|\b{_NOUN_EN} (?:from [a-z ]{{3,20}} )?(?:should|must|needs? to|has to|have to) (?:write|call|contact|answer|help|reply|look|take|handle)"
    r"|\b(?:phone|ring) me\b|\b(?:is|are) (?:an? |any )?(?:real |actual |live )?(?:human|person|anybody|anyone|somebody|someone) (?:there|here|around|available|online)\b|\b(?:please |can you |could you |someone )call me\b|\bcall me back\b|\bescalate (?:this|it|my|the)\b|\bhuman(?: being)? (?:help|assistance|support|please|now)\b"
    r"|\b(?:speak|talk) to (?:a |an |your )?(?:manager|supervisor|human)\b"
)
_NOUN_FR: Final = (
    r"(?:(?:vrai|vraie|veritable|etre)\s)*(?:humaine?s?|quelqun|kelkun|umain|persone|chef|patron(?:ne)?s?|la personne (?:en charge|responsable|competente)|(?<!cette )(?<!la )personnes?(?: (?:reelle|humaine|physique|du service))?|conseill(?:er|ere)s?|agents?|operateurs?|operatrices?|"
    r"responsables?|superieurs?|quelqu'un|service (?:client|clients|clientele|apres-vente|apres vente)|sav|employee?s?|vendeurs?|vendeuses?|technicien(?:ne)?s?|"
    r"managers?|gerante?s?|directeurs?|directrices?|interlocuteurs?|assistance humaine|support|collegues?|equipe|hotline|teleconseill(?:er|ere)s?)"
)
_VERB_FR: Final = (
    r"(?:parl\w*|discut\w*|echang\w* avec|contact\w*|join\w*|pass\w*|transf\w*|voudrai\w*|veu[xt]\w*|veut|voulons|souhait\w*|aimerai\w*|besoin|mett\w*|"
    r"demand\w*|exig\w*|appel\w*|donn\w*|redirig\w*|trouv\w*|prefer\w*|peu[xt]|pourrai\w*|faut|avoir|connect\w*|remont\w*|interven\w*|venir|veu|oriente\w*|reclame\w*|converser|dialoguer)"
)
_REQUEST_FR: Final = re.compile(
    rf"\b{_VERB_FR}\b(?:[ -](?!pas\b|plus\b|robot\b|bot\b)[a-z']+){{0,6}}? ?(?:a |avec |en relation avec |en contact avec |vers |au |aux |d'|de |une? |le |la |l'|un\(e\) |votre |vos |mon |ma )*{_NOUN_FR}\b"
    rf"|\by a-?t-?il (?:une? )?{_NOUN_FR}\b|\b(?:il y a|ya|y a) (?:une? )?(?:humain|conseiller|quelqu'un|operateur)|\brappelez[- ]moi\b|\btransferez?[- ]moi\b|\bcontactez[- ]moi\b|\bmett\w+[- ]moi en (?:relation|contact)\b|\bque quelqu'un me (?:contact|appel|rappel|ecri|repond)\w*|\bquelqu'un de (?:reel|vrai|competent|humain)\b|\bparler a un vrai\b|\bauriez[- ]vous (?:un|une|quelqu)|\bqu'on me (?:contacte?|rappelle|appelle|reponde)\b|\bpeut[- ]on m'appeler\b|\betre (?:rappele|contacte|mise? en relation)e?\b|\betre humain\b|\bfaire rappeler\b|\bpersonne je veux dire\b|\ba qui (?:je peux|puis-je) parler\b|\bqu'on me rappelle\b|\bme rappeler\b|\bappelez[- ]moi\b"
    rf"|\b{_NOUN_FR} (?:du \w+ )?(?:m'ecri\w+|m'appel\w+|me (?:rappel|contact|repond|ecri)\w+)"
    rf"|\b{_NOUN_FR} (?:peut|pourrait|peut[- ]il|pourrait[- ]il|doit) (?:m'|me |nous |se |s')?(?:occuper|regarder|voir|prendre|traiter|expliquer|aider|rappeler|repondre|contacter|assister)"
)
_WORDS_ZH: Final = r"(?:人工(?:客服|服务|坐席)?|真人(?:客服)?|活人|客服(?:人员|专员)?|接线员|上级|能做主的人|同事|人类|店长|店员|经理|主管|负责人|领导|工作人员|专员|坐席|老板|销售员?|真的人|有人|个人)"
_REQUEST_ZH: Final = re.compile(
    r"(?:转|找|要|接|叫|换|联系|请|给我|需要|想|让|帮我|呼叫|安排|派|想跟|跟|和|同|与|有没有|能否|能|可以|进入)[^，。！？]{0,8}?"
    + _WORDS_ZH
    + r"(?!电话|号码|态度|时间|智能|邮箱)"
    r"|有客服(?:吗|么)|^请?转接(?:一下)?$|(?:找|喊|叫|派|请|来|换)(?:个|一个|一位|位)?(?:懂的|真|能处理的|负责的|店里的)?人(?:来|帮|跟|处理|说|谈|$)|^换人(?!民)|zhuan ?人工|人工(?:介入|协助|帮助|支持)|有专人|专人(?:跟进|处理|对接|服务)|有没有人(?:在|吗|$)|有人(?:上班|值班)|(?:跟|和|与)(?:负责|店里|你们)的?人(?:谈|说|聊|沟通)|我(?:要|想)(?:打|通)(?:个)?电话(?:$|给(?:你们|客服))"
    r"|机器人?(?:解决|处理|搞|帮)不了|(?:跟|和)机器人?说不通|(?:找|想找)人(?:问|聊|反映|处理)|有个?人来?管|有人(?:管|理)|^我?要人$|(?:请)?(?:打|拨打?)(?:我的)?电话给我|请拨打我的电话|(?:交给|转给)(?:人工|同事|真人)"
    r"|让(?:个)?(?:人|同事|领导|经理|真人)来|(?:店长|经理|主管|负责人|领导|老板)(?:在吗|在不在|在哪)|(?:人工|真人)(?:客服|服务)?(?:怎么|如何)[^，。]{0,4}(?:联系|找|转)|(?:人工|真人)(?:客服|服务)?(?:在|有|呢|吗|啊|吧|!|！|帮|处理|来)|客服(?:在吗|在不在|呢|出来|帮)|有人(?:吗|在吗|在不在|能|可以)|来个(?:人|活人|真人)|(?:给我|请|麻烦)?回个?电话(?:给我)?|(?:给我|请)打(?:个)?电话"
    r"|(?:跟|和|同|与)(?:一个)?(?:真)?人(?:工)?(?:说|谈|聊|沟通|对话|讲)"
)
_NO_EN: Final = re.compile(
    rf"\b(?:do not|don't|dont|didn't|did not|no longer|never|without|rather than|instead of|not|avoid|hate|no need (?:for|to)|needn't|no)\b(?: (?!only\b|just\b|even\b|why\b)[a-z']+){{0,5}} {_NOUN_EN}\b"
    rf"|^(?:no|not) (?:an? )?{_NOUN_EN}\b|\b{_NOUN_EN} (?:is|are)(?: not|n't) (?:needed|necessary|required)\b|\bno (?:human|person|agent)s? (?:needed|necessary|required|please)\b"
)
_NOT_NEGATED_EN: Final = re.compile(
    r"\b(?:why (?:can't|cannot|don't|won't|do you not|is there no)|can(?:'t| not|not) i|can't you|don't you have|is there no|isn't there|won't you|couldn't i|no one|nobody|no (?:more )?(?:bots?|robots?|machines?))\b"
)
_NO_FR: Final = re.compile(
    rf"\b(?:pas|(?<=ne )\S+ plus|sans|jamais|inutile|aucun(?:e)?|ni|eviter|plutot qu[e'])\b(?: (?!seulement\b|un robot\b)[a-z']+){{0,6}} ?(?:a |avec |d'|de |une? |l'|le |la |au |vers )*{_NOUN_FR}\b|^pas (?:d'|de |une? )?{_NOUN_FR}\b"
)
_NOT_NEGATED_FR: Final = re.compile(
    r"\b(?:pourquoi (?:je ne|n'y|ne|on ne)|ne (?:puis|pourrais|peut|pouvez)[- ](?:je|on|vous) pas|(?:est-ce que )?je ne peux pas|n'y a-t-il pas|vous n'avez pas|y a pas|il n'y a pas|plus (?:de|un) robot|pas (?:a |avec |de |d')?(?:un |une )?(?:robot|bot|machine))\b"
)
_NO_ZH: Final = re.compile(
    r"(?:不要|不需要|不用|不想|别|无需|不必|没必要|用不着|不愿意?|拒绝|先不)[^，。！？!?,]{0,8}?" + _WORDS_ZH
)
_NOT_NEGATED_ZH: Final = re.compile(
    r"(?:为什么|怎么|凭什么)[^，。]{0,6}(?:不|没)|(?:不要|不想|别)[^，。！？]{0,6}(?:机器人?|智能|自动)"
)
_NO_BOT: Final = re.compile(
    r"\b(?:don't|do not|dont|not|no|stop|enough|tired of|sick of|fed up with|hate|no more|other than|instead of)\b(?: [a-z']+){0,6} (?:bots?|robots?|chatbots?|machines?|ai|computer|automated \w+)\b"
    r"|\b(?:pas|plus|marre|ras le bol|assez|stop|arretez|deteste|refuse\w*|autre (?:chose )?qu[e'])\b(?: [a-z']+){0,6} ?(?:d'|de |des |une? |a |avec |ce |les |l')*(?:robots?|bots?|chatbots?|machines?|ia|automates?|repondeur)\b"
    r"|(?:不要|不想|别|受够|讨厌|烦|不跟|不和)[^，。！？]{0,8}(?:机器人?|智能客服|自动回复|ai)"
)
_ASKS_IDENTITY: Final = re.compile(
    r"\b(?:are|r) (?:you|u) (?:an? |really |actually |even |real )*(?:human|person|bot|robot|ai|machine|agent|real)\b|\bis this (?:an? )?(?:bot|human|real person|robot|ai)\b|\bam i (?:talking|speaking|chatting) (?:to|with) (?:an? )?"
    r"|\b(?:etes|es)[- ](?:vous|tu) (?:une? )?(?:vrai |vraie )?(?:humain|personne|robot|bot|ia|machine)|\b(?:vous etes|tu es|t'es|c'est) (?:une? )?(?:vrai |vraie )?(?:humain|robot|bot|ia|machine)\b|\best-ce que je parle a\b|\bje parle (?:bien )?a (?:une? )"
    r"|你是(?:不是)?(?:真人|人工|机器人?|人类|人|ai|客服)|您是(?:不是)?(?:真人|人工|机器人?|人)|是(?:真人|机器人|人工)(?:吗|还是)"
)
_FUZZY: Final = {
    "human": "human", "person": "person", "agent": "agent", "operator": "operator", "representative": "representative",
    "supervisor": "supervisor", "manager": "manager", "someone": "someone", "somebody": "somebody", "customer": "customer", "support": "support",
    "humain": "humain", "personne": "personne", "conseiller": "conseiller", "operateur": "operateur", "responsable": "responsable",
}  # fmt: skip
_SPEAK: Final = {"speak", "talk", "transfer", "connect", "contact", "parler"}
_KNOWN: Final = frozenset({"humane", "persons", "personal", "agents", "urgent", "managers", "managed", "humains", "personnes", "damage", "supports", "contract", "argent", "customers", "custom"})  # fmt: skip
_FILLER: Final = re.compile(
    r"\b(?:please|pls|plz|now|thanks?|you|hello|hi|hey|bonjour|svp|stp|s'il (?:vous|te) plait|merci|an?|the|une?|le|la|l'|real|live|vrai|ok|yes|oui|immediately|tout de suite|maintenant|asap|just|right|want|i|je|veux|speak|to|talk|help)\b|[请麻烦谢了啊吧呀好的您你一下我要快]+|[^\w]+"
)
_SHORT: Final = re.compile(
    rf"(?:{_NOUN_EN}(?!n)|humaine?|conseill(?:er|ere)|operateur|operatrice|responsable|agent humain|vraie personne|patron|quelqu'un|quelqun|service client|sav|(?:zhuan )?{_WORDS_ZH}|转?人工|人工服务)+"
)
_SIMPLIFIED: Final = str.maketrans(
    "請轉聯繫經說話換給讓個幫來無嗎員機電負責領導處務", "请转联系经说话换给让个帮来无吗员机电负责领导处务"
)
_NOT_SHORT: Final = frozenset(
    {"people", "guy", "boss", "anyone", "associate", "colleague", "support", "staff", "个人", "老板", "有人"}
)


def wants_person(text: str) -> bool:
    """Whether the customer requests to be answered by a person."""
    return any(map(_clause_wants, _clauses(text)))


def mentions_without_request(text: str) -> bool:
    """Whether the message declines a person, or asks only whether one answers."""
    return any(
        _ASKS_IDENTITY.search(clause) or any(no.search(clause) for no in (_NO_EN, _NO_FR, _NO_ZH))
        for clause in _clauses(text)
    )


def _clauses(text: str) -> list[str]:
    folded = _correct(_IDIOMS.sub(" ", re.sub(r"[\"“”«»]", " ", fold(text).translate(_SIMPLIFIED))))
    return [part.strip() for part in _CLAUSE.split(folded) if part.strip()]


def asks_who_answers(text: str) -> bool:
    """Whether the customer wants to find out whether a person or a program answers."""
    return _ASKS_IDENTITY.search(fold(text)) is not None


def _clause_wants(clause: str) -> bool:  # noqa: PLR0911 - a list of rules, first match decides
    if _ASKS_IDENTITY.search(clause) and not _REQUEST_EN.search(_ASKS_IDENTITY.sub(" ", clause)):
        return False
    if _NO_BOT.search(clause):
        return True
    if _NO_EN.search(clause) and not _NOT_NEGATED_EN.search(clause):
        return False
    if _NO_FR.search(clause) and not _NOT_NEGATED_FR.search(clause):
        return False
    if _NO_ZH.search(clause) and not _NOT_NEGATED_ZH.search(clause):
        return False
    bare = " ".join(_FILLER.sub(" ", clause).split())
    if bare and bare not in _NOT_SHORT and _SHORT.fullmatch(bare):
        return True
    return any(pattern.search(clause) for pattern in (_REQUEST_EN, _REQUEST_FR, _REQUEST_ZH))


def _correct(text: str) -> str:
    """Spell the words that matter: `humen` becomes `human`, `reprezentative` becomes `representative`."""
    return re.sub(r"[a-z]{4,}", lambda match: _nearest(match.group()), text)


def _nearest(word: str) -> str:
    if word in _KNOWN or word in _FUZZY or word in _SPEAK or any(map(is_han, word)):
        return word
    for right in (*_FUZZY, *_SPEAK):
        limit = 2 if len(right) > 9 else 1  # noqa: PLR2004 - one slip in a short word, two in a long one
        if (
            word[0] == right[0]
            and abs(len(word) - len(right)) <= limit
            and len(right) > 3  # noqa: PLR2004
            and _distance(word, right) <= limit
        ):
            return right
    return word


def _distance(one: str, other: str) -> int:
    """Edits with swaps of neighbours (optimal string alignment)."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
