"""Every sentence of the assistant that stands on its own, in three languages, written by hand. Pure."""

from enum import StrEnum
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language

_EN, _FR, _ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE


class Phrase(StrEnum):
    """Name of a sentence."""

    OPENING = "opening"
    OPENING_SHOP = "opening_shop"
    GREETING = "greeting"
    THANKS = "thanks"
    GOODBYE = "goodbye"
    SMALL_TALK = "small_talk"
    WHO_ANSWERS = "who_answers"
    SORRY = "sorry"
    NO_ANSWER = "no_answer"
    NO_ANSWER_CONTACT = "no_answer_contact"
    OUT_OF_SCOPE = "out_of_scope"
    HAND_OVER = "hand_over"
    HAND_OVER_WAITING = "hand_over_waiting"
    HAND_OVER_CLOSED = "hand_over_closed"
    CONTACT = "contact"
    HAND_OVER_CONTACT = "hand_over_contact"
    HAND_OVER_FAILED = "hand_over_failed"
    NEED_ORDER = "need_order"
    NEED_IDENTITY = "need_identity"
    NEED_ITEMS = "need_items"
    NEED_NEW_ITEMS = "need_new_items"
    OUT_OF_STOCK = "out_of_stock"
    NEED_REASON = "need_reason"
    NEED_PAYMENT = "need_payment"
    NEED_ADDRESS = "need_address"
    NEED_ADDRESS_PARTS = "need_address_parts"
    ORDER_NOT_FOUND = "order_not_found"
    NOT_POSSIBLE = "not_possible"
    TOOL_FAILED = "tool_failed"
    OVERLOADED = "overloaded"
    CONFIRM = "confirm"
    DECLINED = "declined"
    EXPIRED = "expired"
    UNCLEAR_CONSENT = "unclear_consent"
    QUOTE_FOREIGN = "quote_foreign"
    PRODUCTS_FOUND = "products_found"


_TABLE: Final[dict[Phrase, dict[Language, str]]] = {
    Phrase.OPENING: {
        _EN: "I am {name}, an AI assistant.",
        _FR: "Je suis {name}, un assistant IA.",
        _ZH: "我是AI助手{name}。",
    },
    Phrase.OPENING_SHOP: {
        _EN: "I am {name}, the AI assistant of {shop}.",
        _FR: "Je suis {name}, l'assistant IA de {shop}.",
        _ZH: "我是{shop}的AI助手{name}。",
    },
    Phrase.GREETING: {
        _EN: "Hello! How can I help you with your order or our products?",
        _FR: "Bonjour ! Comment puis-je vous aider avec votre commande ou nos produits ?",
        _ZH: "您好！请问订单或商品方面有什么可以帮您？",
    },
    Phrase.THANKS: {_EN: "You're welcome!", _FR: "Avec plaisir !", _ZH: "不客气！"},
    Phrase.GOODBYE: {
        _EN: "Goodbye, and thank you for your visit!",
        _FR: "Au revoir et merci de votre visite !",
        _ZH: "感谢您的咨询，再见！",
    },
    Phrase.SMALL_TALK: {
        _EN: "I can help you with orders, returns, products and the rules of the shop.",
        _FR: "Je peux vous aider pour les commandes, les retours, les produits et les règles de la boutique.",
        _ZH: "我可以帮您查询订单、办理退换货、了解商品和本店规则。",
    },
    Phrase.WHO_ANSWERS: {
        _EN: "I am an AI assistant, not a person. If you prefer a person, just say so.",
        _FR: "Je suis un assistant IA, pas une personne. Si vous préférez une personne, dites-le-moi.",
        _ZH: "我是AI助手，不是真人。如需人工服务，请告诉我。",
    },
    Phrase.SORRY: {
        _EN: "I am sorry about this.",
        _FR: "Je suis désolé pour ce problème.",
        _ZH: "很抱歉给您带来不便。",
    },
    Phrase.NO_ANSWER: {
        _EN: "I have no reliable answer to this. Could you put the question in other words?",
        _FR: "Je n'ai pas de réponse fiable à cette question. Pouvez-vous la formuler autrement ?",
        _ZH: "这个问题我没有可靠的答案。您能换个说法吗？",
    },
    Phrase.NO_ANSWER_CONTACT: {
        _EN: "I have no reliable answer to this. You can reach us here: {contact}",
        _FR: "Je n'ai pas de réponse fiable à cette question. Vous pouvez nous joindre ici : {contact}",
        _ZH: "这个问题我没有可靠的答案。您可以这样联系我们：{contact}",
    },
    Phrase.OUT_OF_SCOPE: {
        _EN: "I can only help with this shop: orders, returns, products and its rules.",
        _FR: "Je ne peux aider que pour cette boutique : commandes, retours, produits et règles.",
        _ZH: "我只能回答与本店有关的问题：订单、退换货、商品和规则。",
    },
    Phrase.HAND_OVER: {
        _EN: "I am handing you over to a person, who will answer you here.",
        _FR: "Je vous mets en relation avec une personne, qui vous répondra ici.",
        _ZH: "我正在为您转接人工客服，客服会在这里回复您。",
    },
    Phrase.HAND_OVER_WAITING: {
        _EN: "Our team has your request, and a person will answer you here.",
        _FR: "Notre équipe a votre demande, et une personne vous répondra ici.",
        _ZH: "客服已收到您的请求，会在这里回复您。",
    },
    Phrase.HAND_OVER_CLOSED: {
        _EN: "I have passed your request on to a person. Our team answers again {opens}.",
        _FR: "J'ai transmis votre demande à une personne. Notre équipe répond de nouveau {opens}.",
        _ZH: "我已将您的请求转给人工客服。客服将于{opens}开始回复。",
    },
    Phrase.CONTACT: {
        _EN: "You can reach us here: {contact}",
        _FR: "Vous pouvez nous joindre ici : {contact}",
        _ZH: "您可以这样联系我们：{contact}",
    },
    Phrase.HAND_OVER_CONTACT: {
        _EN: "I cannot connect you here. You reach a person at: {contact}",
        _FR: "Je ne peux pas vous mettre en relation ici. Pour joindre une personne : {contact}",
        _ZH: "这里无法转接人工。人工客服联系方式：{contact}",
    },
    Phrase.HAND_OVER_FAILED: {
        _EN: "I cannot reach our team at the moment. Please try again in a few minutes.",
        _FR: "Je n'arrive pas à joindre notre équipe pour le moment. Réessayez dans quelques minutes.",
        _ZH: "目前无法联系到人工客服，请过几分钟再试。",
    },
    Phrase.NEED_ORDER: {
        _EN: "Which order is it about? Please give me the order number, such as #W1234567.",
        _FR: "De quelle commande s'agit-il ? Donnez-moi son numéro, par exemple #W1234567.",
        _ZH: "请问是哪个订单？请提供订单号，例如 #W1234567。",
    },
    Phrase.NEED_IDENTITY: {
        _EN: "Please sign in to the shop first, so that I can see your orders.",
        _FR: "Connectez-vous d'abord à la boutique, pour que je puisse voir vos commandes.",
        _ZH: "请先登录本店，我才能查看您的订单。",
    },
    Phrase.NEED_ITEMS: {
        _EN: "Which items of order {order} is it about?\n{items}",
        _FR: "Quels articles de la commande {order} sont concernés ?\n{items}",
        _ZH: "请问是订单 {order} 中的哪些商品？\n{items}",
    },
    Phrase.NEED_NEW_ITEMS: {
        _EN: "Which of these would you like instead?\n{items}",
        _FR: "Lequel souhaitez-vous à la place ?\n{items}",
        _ZH: "您想换成哪一款？\n{items}",
    },
    Phrase.OUT_OF_STOCK: {
        _EN: "This variant is out of stock.",
        _FR: "Cette variante est épuisée.",
        _ZH: "该款目前缺货。",
    },
    Phrase.NEED_REASON: {
        _EN: "What is the reason: is the order no longer needed, or was it placed by mistake?",
        _FR: "Quelle est la raison : la commande n'est plus utile, ou a-t-elle été passée par erreur ?",
        _ZH: "请问取消的原因是：不再需要，还是误下单？",
    },
    Phrase.NEED_PAYMENT: {
        _EN: "Which payment method should be used?\n{methods}",
        _FR: "Quel moyen de paiement faut-il utiliser ?\n{methods}",
        _ZH: "请问使用哪种支付方式？\n{methods}",
    },
    Phrase.NEED_ADDRESS: {
        _EN: "Please give me the full new address: street, city, state or region, postcode and country.",
        _FR: "Donnez-moi la nouvelle adresse complète : rue, ville, région, code postal et pays.",
        _ZH: "请提供完整的新地址：街道、城市、省或州、邮编和国家。",
    },
    Phrase.NEED_ADDRESS_PARTS: {
        _EN: "For the new address I still need this: {parts}. I have this so far:\n{known}",
        _FR: "Pour la nouvelle adresse, il me manque encore ceci : {parts}. Voici ce que j'ai :\n{known}",
        _ZH: "新地址还缺少以下内容：{parts}。目前已有：\n{known}",
    },
    Phrase.ORDER_NOT_FOUND: {
        _EN: "I find no order {order} in your account.",
        _FR: "Je ne trouve pas de commande {order} dans votre compte.",
        _ZH: "在您的账户中没有找到订单 {order}。",
    },
    Phrase.NOT_POSSIBLE: {
        _EN: "I cannot do this for order {order}: its status is “{status}”.",
        _FR: "Ce n'est pas possible pour la commande {order} : son état est « {status} ».",
        _ZH: "订单 {order} 无法办理：当前状态为“{status}”。",
    },
    Phrase.TOOL_FAILED: {
        _EN: "I cannot read the shop's data at the moment. Please try again in a few minutes.",
        _FR: "Je n'arrive pas à lire les données de la boutique pour le moment. Réessayez dans quelques minutes.",
        _ZH: "目前无法读取本店数据，请过几分钟再试。",
    },
    Phrase.OVERLOADED: {
        _EN: "Many customers write at the moment. Please try again in a few minutes.",
        _FR: "Beaucoup de clients écrivent en ce moment. Réessayez dans quelques minutes.",
        _ZH: "目前咨询的顾客较多，请过几分钟再试。",
    },
    Phrase.CONFIRM: {
        _EN: "Is this right? Answer “yes” to confirm. Code: {code}",
        _FR: "Est-ce correct ? Répondez « oui » pour confirmer. Code : {code}",
        _ZH: "请确认以上内容。如同意，请回复“是”。确认码：{code}",
    },
    Phrase.DECLINED: {
        _EN: "All right, nothing has been changed.",
        _FR: "D'accord, rien n'a été modifié.",
        _ZH: "好的，没有做任何更改。",
    },
    Phrase.EXPIRED: {
        _EN: "This confirmation has expired. Here is the request again:",
        _FR: "Cette confirmation a expiré. Voici de nouveau la demande :",
        _ZH: "该确认已过期。请重新确认：",
    },
    Phrase.UNCLEAR_CONSENT: {
        _EN: "Nothing has been changed yet. Please answer “yes” or “no”, or say what should be different.",
        _FR: "Rien n'a encore été modifié. Répondez « oui » ou « non », ou dites-moi ce qui doit changer.",
        _ZH: "目前还没有做任何更改。请回复“是”或“否”，或说明需要调整的地方。",
    },
    Phrase.QUOTE_FOREIGN: {
        _EN: "Our source says, in {source}:",
        _FR: "Voici ce que dit notre source, en {source} :",
        _ZH: "以下是我们资料的原文（{source}）：",
    },
    Phrase.PRODUCTS_FOUND: {
        _EN: "These products may fit:",
        _FR: "Ces produits peuvent convenir :",
        _ZH: "以下商品可能适合您：",
    },
}
LANGUAGE_NAMES: Final = {
    _EN: {_EN: "English", _FR: "anglais", _ZH: "英语"},
    _FR: {_EN: "French", _FR: "français", _ZH: "法语"},
    _ZH: {_EN: "Chinese", _FR: "chinois", _ZH: "中文"},
}
"""Language -> its name in each language."""


def say(phrase: Phrase, language: Language, **values: str) -> str:
    """The sentence. Raises KeyError for a missing value: a mistake of the caller."""
    return _TABLE[phrase][language].format(**values)


def starts_of(phrase: Phrase) -> tuple[str, ...]:
    """The first words of the sentence in each language, up to the first value: to recognise it in a history."""
    return tuple(text.partition("{")[0].strip() for text in _TABLE[phrase].values())
