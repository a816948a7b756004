"""Patterns of intents in three languages, on text that `fold` returned. Pure."""

import re
from enum import StrEnum
from typing import Final


class Intent(StrEnum):
    """What a customer wants with one message."""

    PERSON = "person"
    OUT_OF_SCOPE = "out_of_scope"
    CANCEL = "cancel"
    RETURN = "return"
    EXCHANGE = "exchange"
    CHANGE_ADDRESS = "change_address"
    CHANGE_PROFILE_ADDRESS = "change_profile_address"
    CHANGE_PAYMENT = "change_payment"
    CHANGE_ITEMS = "change_items"
    ORDER_STATUS = "order_status"
    ACCOUNT = "account"
    """The customer's own data and the list of orders."""
    PRODUCT = "product"
    """Price, stock, sizes, features."""
    RECOMMEND = "recommend"
    POLICY = "policy"
    """Rules of the shop: returns, delivery, payment, warranty, hours."""
    WHO_ANSWERS = "who_answers"
    GREETING = "greeting"
    THANKS = "thanks"
    GOODBYE = "goodbye"
    SMALL_TALK = "small_talk"
    UNKNOWN = "unknown"


WRITES: Final = frozenset(
    {
        Intent.CANCEL, Intent.RETURN, Intent.EXCHANGE, Intent.CHANGE_ADDRESS, Intent.CHANGE_PROFILE_ADDRESS,
        Intent.CHANGE_PAYMENT, Intent.CHANGE_ITEMS,
    }
)  # fmt: skip
"""Intents that end in a change."""
_MINE_EN: Final = r"(?:my|this|that|the|our|an?|these|those|it|them|both|order)"
_THINGS_FR: Final = r"(?:ma|mon|mes|la|le|les|cette|cet|ce|ces|une?|votre|notre|l'|des)"

_TABLE: Final = {
    Intent.CANCEL: rf"\bcancel\w*\b(?!.{{0,20}}\bpolicy\b)|\bcall off\b|\bstop (?:my|the|this) order|\bdon't (?:ship|send) (?:it|my)|\bannul\w+|\bannulation\b|\bdecommander\b|取消|撤单|撤销|不买了|退单|(?:这个|那个)?订单(?:我)?不要了|\b(?:no longer|don't) (?:need|want) {_MINE_EN} order|\bplus besoin de (?:ma|la|cette) commande",
    Intent.EXCHANGE: r"\bexchang\w+|\bswap\w*|\b(?:different|another|other|bigger|smaller|larger|wrong) (?:size|colou?r|model)\b.*\b(?:instead|send|get|for|want|need)|\breplace\w*\b|\bechang\w+|\b(?:une )?autre (?:taille|couleur|pointure)\b|\btaille (?:au-dessus|au-dessous|plus (?:grande|petite))|\bremplac\w+|换货|换成|换一|调换|更换(?!地址|付款)|换(?:个|一件|双|大|小|尺码|颜色|别的|码)",
    Intent.RETURN: r"\breturn\w*\b|\bsend (?:it|them|this|these) back|\bgive (?:it|them) back|\bmoney back\b|\brefund\w*|\bretourn\w+|\bretours?\b|\brenvoy\w+|\brenvoi\b|\brendre\b|\brembours\w+|\bme faire rembourser|退货|退款|退回|退钱|退掉|要退|想退|能退|退这|寄回|退还|退一下|(?<!要)退了",
    Intent.CHANGE_PAYMENT: r"\b(?:change|switch|update|use|modify|pay\w*|move|put)\b.{0,30}\b(?:payment|card|paypal|gift card|pay(?:ing)?)\b(?!.{0,12}\b(?:accept|do you)\b)|\b(?:chang|modifi|utilis|pass|regl|pay)\w*\b.{0,30}\b(?:paiement|carte|paypal)\b|(?:改|换|更改|修改|换成|用)[^，。]{0,8}(?:付款|支付|信用卡|礼品卡|贝宝|paypal|卡)",
    Intent.CHANGE_ADDRESS: r"\b(?:change|update|modify|correct|fix|edit|wrong|different|another|new|other)\b.{0,30}\baddress\b|\baddress\b.{0,25}\b(?:wrong|change\w*|update|incorrect|moved)|\b(?:deliver|ship|send)\b.{0,25}\bto (?:another|a different|my (?:new|office|work|parents))|\b(?:chang|modifi|corrig|mett|rectifi)\w*\b.{0,30}\badresse\b|\b(?:mauvaise|nouvelle|autre) adresse\b|\badresse\b.{0,25}\b(?:fausse|erron\w*|chang\w*|incorrecte)|(?:改|换|修改|更改|变更|更新|写错|填错|错了?|新)[^，。]{0,8}地址|地址[^，。]{0,8}(?:改|换|错|变|更)",
    Intent.CHANGE_ITEMS: r"\b(?:change|modify|update|edit|alter)\b.{0,25}\b(?:items?|order|products?|colou?r|size|quantity)\b|\b(?:add|remove)\b.{0,20}\b(?:to|from) (?:my|the|this) order|\b(?:chang|modifi)\w*\b.{0,25}\b(?:articles?|commande|produits?|couleur|taille|quantite)\b|\b(?:ajout|retir|enlev)\w*\b.{0,25}\b(?:a|de) (?:ma|la) commande|(?:改|修改|更改|变更)[^，。]{0,8}(?:商品|订单|颜色|尺码|尺寸|款式|数量|规格)",
    Intent.ORDER_STATUS: r"\b(?:where|wheres|when|whens)\b.{0,40}\b(?:order|parcel|package|delivery|shipment|stuff|item|items|it|purchase|goods|things|shoes)\b(?!.{0,10}\bmade\b)|\btrack\w*\b|\b(?:status|update|news|eta)\b.{0,25}\b(?:order|parcel|package|delivery|shipment|#)|\b(?:order|parcel|package|delivery|shipment)\b.{0,30}\b(?:status|arriv\w*|late|delayed|missing|lost|not (?:here|come|arrived|received)|yet|shipped|come|here|stuck|delivered)|\b(?:haven't|have not|hasn't|has not|didn't|never|not yet|still)\b.{0,25}\b(?:received|arrived|got|get|come|shipped|delivered|waiting)\b|\bstill waiting\b|\bwhat's in (?:my|the) order|\b(?:show|see|check|details? of|look up|find)\b.{0,20}\b(?:my |the |this )?(?:order|purchase)\b"
    r"|\bou (?:est|en est|sont|se trouve|reste)\b.{0,40}\b(?:commande|colis|livraison|paquet|article|achat|chaussures|produit)|\b(?:suivi|suivre|statut|etat|nouvelles?|details?)\b.{0,25}\b(?:commande|colis|livraison|paquet)?|\bquand\b.{0,40}\b(?:livr\w+|recev\w+|arriv\w+|expedi\w+|commande|colis)|\b(?:commande|colis|livraison|paquet)\b.{0,30}\b(?:arrive\w*|retard|perdue?|pas (?:recue?|arrivee?|la)|expedie\w*|bloque\w*|toujours|en est)|\b(?:pas|rien|toujours pas|jamais) (?:encore )?(?:recue?|livree?|arrivee?)\b|\bj'attends toujours"
    r"|(?:订单|包裹|快递|货|物流|东西|快件|商品|鞋)[^，。？]{0,10}(?:在哪|哪里|哪儿|到哪|状态|进度|怎么样了|什么时候|何时|多久|到了|还没|没到|没收到|没发|发了吗|发货了|情况|到货|送到|丢|延误|卡)|(?:什么时候|何时|多久|几时|怎么还不|怎么还没|还没|啥时候)[^，。？]{0,10}(?:到|送|发货|收到|发)|(?:查|查询|看|追踪|跟踪|看看|查看|查一下)[^，。？]{0,8}(?:订单|物流|快递|包裹)|没(?:有)?收到|我的(?:包裹|快递|订单)呢",
    Intent.ACCOUNT: r"\bmy (?:orders|account|profile|details|data|payment methods|address on file|order history|gift card balance|balance)\b|\b(?:list|show|all)\b.{0,15}\bmy orders\b|\bmes (?:commandes|donnees|informations|coordonnees|moyens de paiement)\b|\bmon (?:compte|profil|solde|historique)\b|我的(?:账户|账号|资料|信息|所有订单|全部订单|订单列表|余额|支付方式|付款方式)|(?:所有|全部|有哪些)(?:的)?订单|礼品卡余额",
    Intent.RECOMMEND: r"\brecommend\w*|\bsuggest\w*|\bwhat (?:should|would|could) i (?:buy|get|choose|take|pick)|\bwhich (?:one|\w+) (?:should|would|is (?:best|better))|\bbest (?:\w+ ){0,3}(?:for|under)|\blooking for (?:a |an |some )?(?:gift|present|something)|\bgift (?:ideas?|for)|\bsimilar (?:to|products?)|\bgoes? (?:well )?with\b|\banything (?:similar|else like)|\brecommand\w*|\bconseill(?:e|ez|er)(?:[- ]moi|ez)?\b(?! clientele)|\bsugger\w*|\bque (?:me )?(?:conseillez|recommandez|prendre|choisir|puis-je offrir)|\bquel(?:le)? (?:est )?(?:le |la )?(?:meilleur\w*|\w+ choisir)|\bidees? (?:de )?cadeau|\bun cadeau pour|\bje cherche (?:un cadeau|quelque chose)|推荐|建议买|买什么好|哪(?:个|款|种)(?:更|比较|最)?(?:好|合适|适合|值得)|送(?:给)?(?:什么|啥|朋友|女|男|老|妈|爸)|有什么好|类似的|适合(?:送|我|跑|学生|老人|女|男)",
    Intent.PRODUCT: r"\b(?:price|cost|costs|how much|cheap\w*|expensive)\b|\bin stock\b|\bavailab\w+|\bdo you (?:have|sell|carry|stock|offer)\b|\b(?:have|got) (?:any|you got)\b|\bwhat (?:sizes?|colou?rs?|options?|models?|variants?|products?|kinds?|types?)\b|\b(?:is|are|does|do) (?:the|this|these|your|it|they)\b.{0,40}\b(?:waterproof|compatible|made of|come in|fit|work with|include|have|weigh|support|material|size)|\b(?:features?|specs?|specifications?|dimensions?|weight|material|battery|warranty of)\b|\bwhich (?:sizes?|colou?rs?)\b|\btell me about the\b"
    r"|\b(?:prix|coute\w*|cout|combien|cher|chere|tarif)\b|\b(?:en stock|disponib\w*|stock|rupture)\b|\b(?:avez[- ]vous|vendez[- ]vous|vous avez|vous vendez|proposez[- ]vous|as-tu)\b|\bquelles? (?:tailles?|couleurs?|options?|modeles?|produits?)|\b(?:caracteristiques?|dimensions?|poids|matiere|autonomie|compatible\w*|impermeable|etanche)\b"
    r"|价格|多少钱|几块|怎么卖|贵|便宜|有货|库存|现货|缺货|有没有(?!人)|还有(?:吗|没)|卖(?:不卖|吗)|有卖|什么(?:颜色|尺码|尺寸|型号|款式|规格|材质|牌子)|哪些(?:颜色|尺码|尺寸|型号|款|产品|商品|种)|防水|材质|尺寸|重量|参数|规格|续航|功能|兼容",
    Intent.POLICY: r"\b(?:polic(?:y|ies)|rules?|terms|conditions?|how long do i have|can i (?:return|exchange|cancel|pay|get)|is it possible to|do you (?:ship|deliver|accept|offer|charge|refund|take|match|gift)|how (?:do|does|long|much|can|would|many days)\b.{0,40}\b(?:return|refund|ship\w*|deliver\w*|exchange|warranty|take|pay)|shipping (?:cost|fee|time)s?|delivery (?:cost|fee|time)s?|free shipping|warranty|guarantee|opening hours|open(?:ing)?|closed?|contact|phone number|payment methods|invoice|privacy|loyalty|gift wrap\w*|customs|international\w*|student discount|discount\w*|promo\w*|coupon\w*)\b"
    r"|\b(?:politique|conditions?|regles?|delais?|frais de (?:port|livraison|retour)|livraison gratuite|livrez[- ]vous|acceptez[- ]vous|peut-on|puis-je|est-ce que je peux|garantie|horaires?|ouvert\w*|ferme\w*|moyens de paiement|facture|confidentialite|fidelite|douane|etranger|international\w*|remises?|promo\w*|code promo|numero de telephone|contacter)\b|\bcombien de (?:temps|jours)\b"
    r"|政策|规则|条款|规定|多久(?:可以|能|内)|几天(?:内)?(?:可以|能)|可以(?:退|换|取消|用|开|货到|送)|能不能(?:退|换|开|送)|支持(?:退|换|七天|7天|货到|花呗|分期|吗)|运费|邮费|包邮|配送(?:范围|时间|费)|保修|质保|营业时间|几点(?:开|关)|电话(?:是|号码)|支付方式|付款方式|发票|隐私|会员|积分|关税|国际|海外|优惠|折扣|优惠券|怎么(?:退|换|付款|支付|联系|申请)|如何(?:退|换|付款|支付|联系|申请)",
    Intent.THANKS: r"^(?:ok(?:ay)?,? )?(?:thanks?|thank you|thx|ty|cheers|great,? thanks|perfect,? thanks|much appreciated|appreciate it|merci|super,? merci|parfait,? merci|谢谢|感谢|多谢|谢了|好的,? ?谢谢|辛苦了).{0,40}$",
    Intent.GREETING: r"^(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening|day)|greetings|bonjour|bonsoir|salut|coucou|allo|你好|您好|嗨|哈喽|hello|早上好|下午好|晚上好|在吗|在不在|有人吗)[\s,.!?。！？~]*(?:there|all|everyone|team|monsieur|madame|a tous|亲)?[\s,.!?。！？~]*$",
    Intent.SMALL_TALK: r"\bhow are you\b|\bwhat's up\b|\bwhat can you do\b|\bwho (?:are you|made you)\b|\byour name\b|\bwhat are you\b|\bcan you help\b$|^help\W*$|\bcomment (?:allez[- ]vous|vas[- ]tu)\b"
    r"|^(?:(?:bonjour|bonsoir|salut|coucou|hello|hey|allo)\W*)?(?:(?:comment|est-ce que) )?ca va(?: bien)?(?: aujourd'?hui)?(?:\W+(?:et )?(?:toi|vous))?\W*$"
    r"|\bqui (?:etes[- ]vous|es[- ]tu)|\bque (?:pouvez[- ]vous|peux[- ]tu|sais[- ]tu) faire|\bcomment (?:tu t'appelles|vous appelez)|\baidez[- ]moi\W*$|你是谁|你叫什么|你能做什么|你会什么|你好吗|最近怎么样|吃了吗",
    Intent.GOODBYE: r"\bgood ?bye\b|^bye\b|\bsee you\b|\bhave a (?:nice|good|great) (?:day|evening|weekend)|\bau revoir\b|\bbonne (?:journee|soiree)\b|\ba bientot\b|再见|拜拜|回头见",
}
PATTERNS: Final = {intent: re.compile(pattern) for intent, pattern in _TABLE.items()}
PROFILE: Final = re.compile(
    r"\b(?:default|profile|account|on file|saved|my address(?! (?:for|on|of|in) (?:my |the |this )?order))\b|\bpar defaut\b|\bmon (?:compte|profil)\b|\benregistree?\b|默认|账户|账号|个人|资料"
)
REFUND_STATUS: Final = re.compile(
    r"\b(?:when|where|how long|status|still|not (?:yet )?(?:received|got))\b.{0,40}\b(?:refund\w*|money back)\b|\bmy refund\b"
    r"|\b(?:quand|ou|combien de temps|toujours pas|delai)\b.{0,40}\brembours\w*|\bmon remboursement\b"
    r"|退款.{0,8}(?:到账|到了|没到|进度|多久|什么时候|何时|状态)|(?:什么时候|何时|多久|几天).{0,8}(?:退款|退钱)"
)
"""A question about a refund that is under way, not a request for one; on folded text."""
LANGUAGE_REQUEST: Final = re.compile(
    r"\b(?:please |can you |could you )?(?:answer|reply|write|speak|respond)(?: to me| me)? in \w+|\b(?:repondez|reponds|parlez|ecrivez)(?:[- ]moi)? en \w+|请?用\w{2}(?:回答|回复|说)"
)
"""A request for a language, which says nothing about what is wanted."""
PENDING_ITEM: Final = re.compile(
    r"\b(?:pending|not shipped|before it ships|en attente|pas encore expediee?)\b|未发货|还没发货|待发货"
)
GENERAL: Final = re.compile(
    r"\b(?:polic(?:y|ies)|how (?:long|many days|do i|do|does|can i|would i|to)|can i|could i|may i|is it possible|what (?:if|happens)|do you|are (?:there|\w+) (?:returnable|refundable)|conditions?|rules?|"
    r"politique|comment|combien de (?:temps|jours)|puis-je|peut-on|est-ce (?:que (?:je peux|l'on peut|vous)|possible)|quels? (?:sont|est)|delais?|sous combien|conditions?|regles?|acceptez|remboursez)\b"
    r"|政策|规定|规则|怎么(?:退|换|取消|申请)|如何|多久|几天|可以.{0,6}吗|能.{0,6}吗|能不能|可不可以|是否|支持|条件|流程|吗[?？]?$"
)
OWN: Final = re.compile(
    r"#w?\d|\b(?:my|mine|i (?:want|would like|'d like|need)|i'd like|please|ma|mon|mes|je (?:veux|voudrais|souhaite))\b|我(?:的|要|想)|帮我|请|麻烦"
)
ORDER_ADDRESS: Final = re.compile(
    r"\b(?:address|ship(?:ped|ping)? to|sen[dt] to|deliver(?:ed)? to|where (?:does|will|is) (?:it|this|that) (?:go|going)|adresse"
    r"|(?:livree?|envoyee?|expediee?) (?:a|chez|ou)|ou (?:va-t-elle|est-elle (?:livree|envoyee)|sera-t-elle livree))\b"
    r"|地址|寄到|送到哪|发到哪"
)
"""Of a question about the address of an order."""
ORDER_PAYMENT: Final = re.compile(
    r"\b(?:did i pay|i paid|payment|paid|charged|which card|refund\w*|ai[- ]je paye|j'ai paye|paye\w*|paiement|rembours\w*|quelle carte)\b"
    r"|付款|支付|付了|怎么付|退款"
)
"""Of a question about the payment or the refund of an order."""
