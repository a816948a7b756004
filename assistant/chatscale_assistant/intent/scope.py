"""Requests that have nothing to do with a shop, and markers of injected instructions. Code decides, not a prompt. Pure."""

import re
from typing import Final

from chatscale_assistant.language.scripts import fold, normalise

_TASKS: Final = re.compile(
    r"\b(?:write|compose|generate|create|make|give|tell|draft|code|program|develop|build|fix|debug|explain|rap|sing)\b(?: (?!order\b|return\b)\w+){0,5} "
    r"(?:poems?|haikus?|songs?|lyrics|essays?|stor(?:y|ies)|jokes?|limericks?|novels?|python|javascript|java|sql|html|css|c\+\+|rust|code|functions?|scripts?|programs?|algorithms?|regex|homework|thesis|cover letter|resume|cv|blog posts?|speech|screenplay|riddles?)\b"
    r"|\b(?:solve|calculate|compute|prove|integrate|differentiate|derive)\b(?: \w+){0,4} (?:equations?|integrals?|derivatives?|theorems?|homework|maths?|problems?|roots?|x)\b"
    r"|\bwhat(?:'s| is) \d+ ?[-+*x/^] ?\d+|\b(?:do|help with|finish) my (?:\w+ )?(?:homework|assignment|essay|exam|thesis)\b|\btranslate\b(?: \w+){0,6} (?:into|to|in) \w+|\bsummari[sz]e (?:this|the following|the) (?:article|text|book|news|chapter|paper)"
    r"|\b(?:play|let's play) (?:a |the )?(?:game|chess|role)|\brole-?play\b|\bpretend (?:to be|you)|\bact as (?:an? |my )|\b(?:be|become) my (?:girlfriend|boyfriend|therapist|lawyer|doctor|tutor|teacher)\b"
    r"|\b(?:ecri[st]?|ecrire|ecrivez|redige[zr]?|compose[zr]?|genere[zr]?|cree[zr]?|raconte[zr]?|fais|faites|donne[zr]?|code[zr]?|programme[zr]?|explique[zr]?|debogue[zr]?)(?:[- ]moi)?\b(?: (?!commande\b|retour\b)[\w']+){0,5} "
    r"(?:d')?(?:poemes?|chansons?|dissertations?|histoires? drole|histoire|contes?|blagues?|romans?|python|javascript|java|sql|html|code|fonctions?|scripts?|programmes?|algorithmes?|devoirs?|lettre de motivation|cv|discours|redactions?|exposes?)\b"
    r"|\b(?:resou\w+|calcule\w*|demontre\w*|integre\w*)\b(?: [\w']+){0,4} (?:equations?|integrales?|derivees?|theoremes?|problemes? de math\w*|l'equation|l'integrale)\b|\btradui\w+\b(?: [\w']+){0,6} (?:en|vers) \w+|\bmes devoirs\b|\bcombien (?:font|fait) \d+"
    r"|\bresume[zr]?\b (?:ce|cet|cette|l'|le|la) ?(?:article|texte|livre|chapitre)|\bfai(?:s|tes) comme si\b|\bjou(?:e|ez|ons) (?:a |le role|un jeu)"
    r"|(?:写|作|创作|编|编写|生成|讲|来)(?:一?[首篇个段则份]|点)?[^，。！？]{0,10}(?:诗|歌词|歌|作文|论文|小说|故事|笑话|段子|代码|程序|脚本|函数|算法|爬虫|文章|演讲稿|简历|周报|报告|检讨|情书|python|java|sql)"
    r"|(?:解|求解|计算|证明)[^，。]{0,6}(?:方程|积分|导数|定理|数学题|题)|\d+ ?[-+*x×/÷] ?\d+ ?(?:=|等于|是多少)|翻译(?:成|一下|这|下面|以下)|(?:帮我)?(?:做|写)[^，。]{0,4}作业|(?:扮演|假装|假设你是|角色扮演)|玩(?:个|一个)?游戏|总结(?:这篇|一下这篇|以下)(?:文章|新闻|论文)"
)
_TOPICS: Final = re.compile(
    r"\b(?:president|prime minister|elections?|politic\w*|democrats?|republicans?|parliament|trump|biden|macron|putin|war in|ukraine|gaza|religion|god exist\w*|abortion|bitcoin|crypto\w*|stock market|invest\w* (?:in|advice)|horoscope|lottery|"
    r"weather|capital of|population of|meaning of life|who (?:won|invented|discovered|wrote|painted)|world cup|football (?:match|score)|recipe (?:for|of)|diagnos\w*|symptoms?|medical advice|legal advice|quantum physics|black holes?|relativity|photosynthesis|"
    r"premier ministre|politique (?!de|du|des|d')\w*|politiques? (?:de droite|de gauche|actuelle)|guerre (?:en|de|a)|religion|dieu existe|bourse|meteo|quel temps|capitale (?:de|du|des)|population (?:de|du)|sens de la vie|qui a (?:gagne|invente|decouvert|ecrit|peint)|coupe du monde|recette (?:de|du|des|pour)|symptomes?|conseil (?:medical|juridique)|physique quantique|trous? noirs?)\b"
    r"|总统|主席|首相|选举|政治|政党|战争|宗教|股票|炒股|比特币|基金推荐|彩票|星座|天气|首都|人口有|人生的意义|谁(?:发明|发现|赢得|写了)|世界杯|菜谱|怎么做菜|症状|看病|吃什么药|法律咨询|量子|黑洞|相对论|历史上"
)
_SHOP: Final = re.compile(
    r"#w?\d|\b(?:order\w*|buy\w*|sell\w*|sold|price\w*|stock|deliver\w*|ship\w*|parcel\w*|return\w*|refund\w*|exchang\w*|product\w*|shop\w*|store\w*|size\w*|warrant\w*|discount\w*|coupon\w*|gift|payment|pay|cart|account|item\w*|"
    r"command\w*|achet\w*|vend\w*|prix|livr\w*|colis|retour\w*|rembours\w*|echang\w*|produit\w*|boutique|magasin|taille\w*|garanti\w*|remise\w*|cadeau|paiement|panier|compte|article\w*)\b"
    r"|订单|购买|买|卖|价格|多少钱|库存|有货|发货|送货|快递|包裹|退货|退款|换货|商品|产品|店|尺码|保修|优惠|折扣|礼物|付款|支付|购物车"
)
_INJECTION: Final = {
    "ignore_instructions": r"\b(?:ignore|disregard|forget|override|bypass|skip)\b(?: \w+){0,4} (?:instructions?|rules?|prompts?|polic(?:y|ies)|guidelines|guardrails|restrictions|context|above)\b"
    r"|\b(?:ignore[zr]?|oublie[zr]?|contourne[zr]?|ne tiens pas compte|ne tenez pas compte)\b(?: [\w']+){0,5} (?:instructions?|regles?|consignes?|directives?|politiques?)\b"
    r"|(?:忽略|无视|忘记|忘掉|绕过|不要遵守|跳过)[^，。]{0,10}(?:指令|指示|规则|提示|要求|设定|限制|内容)",
    "reveal_prompt": r"\b(?:reveal|show|print|repeat|output|tell|display|leak)\b(?: \w+){0,4} (?:system prompt|prompt|instructions|hidden rules|initial message|api key|password|secrets?)\b"
    r"|\b(?:montre[zr]?|affiche[zr]?|revele[zr]?|repete[zr]?|donne[zr]?)\b(?:[- ][\w']+){0,5} (?:prompt|instructions|consignes|invite systeme)\b|(?:显示|输出|告诉我|重复|打印|泄露)[^，。]{0,8}(?:提示词|系统提示|系统指令|指令|prompt|密码|密钥)",
    "new_role": r"\byou are (?:now|no longer)\b|\bfrom now on,? you\b|\bdeveloper mode\b|\bjailbreak\w*|\bdan mode\b|\bact as (?:an? )?(?:admin\w*|developer|system|unrestricted)|\b(?:tu es|vous etes) (?:maintenant|desormais)\b|\bmode developpeur\b|你现在是|从现在开始你|开发者模式|越狱模式|管理员模式",
    "fake_role": r"<\|?/?(?:im_start|im_end|system|assistant|user|endoftext|sources?|evidence)\|?>|\[/?(?:inst|sys|system)\]|<</?sys>>|^\s*#{2,}\s*(?:system|instruction|assistant)|^\s*(?:system|assistant|developer)\s*:|\bsystem (?:message|override|notice)\s*:|系统(?:消息|通知)\s*[:：]",
    "order_to_assistant": r"\b(?:assistant|ai|chatbot|model)s?\b[,:]? (?:must|should|please|shall|has to|now)\b(?: \w+){0,3} (?:cancel|refund|send|call|execute|run|approve|issue|transfer|return|reply|say|tell)\b|\b(?:cancel|refund|return) (?:all|every) orders?\b|"
    r"\bl'(?:assistant|ia) doit\b|\bannule[zr]? toutes les commandes\b|(?:助手|机器人|ai)(?:必须|应该|请|现在)[^，。]{0,8}(?:取消|退款|发送|执行|调用|告诉)|取消所有订单",
    "markup": r"!\[[^\]]*\]\(|<(?:script|img|iframe|a|form|svg|style|link|meta)\b|javascript:|data:text/html",
}
_ATTACKS: Final = frozenset({"ignore_instructions", "reveal_prompt", "new_role"})
_COMPLAINT: Final = re.compile(
    r"\b(?:arrived|came|was|is|are|got|received|delivered)\b.{0,30}\b(?:broken|damaged|defective|faulty|torn|leaking|dead|incomplete)\b"
    r"|\b(?:doesn't|does not|don't|won't|stopped) (?:work|turn on|charg)\w*\b"
    r"|\b(?:sent|received|got|delivered) (?:me )?(?:the |a )?wrong (?:item|size|colou?r|product|one)\b|\b(?:part|item|piece)s? (?:is|are) missing\b"
    r"|\b(?:arrive|recu|livre|est|sont|etait)\w*\b.{0,30}\b(?:casse|abime|endommage|defectueu|dechire)\w*|\bne (?:marche|fonctionne|s'allume) (?:pas|plus)\b|\bmauvais (?:article|produit|modele)\b|\bil manque (?:un|une|des)\b"
    r"|(?:收到|买的|到货|寄来|送来)[^，。？]{0,10}(?:坏|破|碎|损|裂|瑕疵|不对|少)|坏了|破损|质量问题|发错|寄错|少发|漏发|(?:不能|没法|无法)(?:用|开机|充电|工作)|用不了"
)
_CONTACT: Final = re.compile(
    r"\b(?:how (?:can|do|could) i (?:contact|reach|call|write to)|contact (?:details|information|you)|your (?:e-?mail|phone|telephone|contact)|phone number)\b"
    r"|\b(?:comment (?:vous )?(?:contacter|joindre|appeler|ecrire)|votre (?:e-?mail|adresse mail|mail|numero|telephone|contact)|vous (?:contacter|joindre))\b"
    r"|(?:怎么|如何)(?:联系|找到)你们|联系方式|(?:客服)?(?:邮箱|电话)(?:是|号码|多少)"
)
_INJECTIONS: Final = {name: re.compile(pattern, re.MULTILINE) for name, pattern in _INJECTION.items()}


def is_out_of_scope(text: str) -> bool:
    """Whether the message requests what a general chatbot does: code, homework, poems, politics."""
    folded = fold(text)
    if _TASKS.search(folded):
        return True
    return bool(_TOPICS.search(folded)) and not _SHOP.search(folded)


def is_about_shop(text: str) -> bool:
    """Whether the message has a word of a shop."""
    return _SHOP.search(fold(text)) is not None


def is_complaint(text: str) -> bool:
    """Whether the customer reports a damaged, wrong or missing article."""
    return _COMPLAINT.search(fold(text)) is not None


def asks_contact(text: str) -> bool:
    """Whether the customer wants to find out how to reach the shop."""
    return _CONTACT.search(fold(text)) is not None


def is_attack(text: str) -> bool:
    """Whether the message wants to change the assistant's rules or to read them, and has nothing about the shop."""
    return bool(injection_markers(text) & _ATTACKS) and not is_about_shop(text)


def injection_markers(text: str) -> frozenset[str]:
    """Names of the signs that the text is meant as an instruction to the assistant. They are counted, never obeyed."""
    plain = normalise(text).casefold()
    folded = fold(text)
    return frozenset(name for name, pattern in _INJECTIONS.items() if pattern.search(folded) or pattern.search(plain))
