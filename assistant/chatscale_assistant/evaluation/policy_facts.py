# ruff: noqa: E501 - one sentence a line, in three languages
"""A small shop's rules in three languages, each with sentences that restate it and sentences that reverse it.

`{v}` is the value, written for the language; `{w}` the second value of a range.  Pure.
"""

from dataclasses import dataclass
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language

_EN, _FR, _ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE


@dataclass(frozen=True, slots=True)
class PolicyFact:
    """One rule."""

    topic: str
    """Facts of one topic stand in one passage."""
    form: str
    """`days`, `business days`, `months`, `hours`, `money`, `percent`, `date`, `time`, `none`."""
    values: tuple[str, ...]
    """Canonical values, such as `30`, `5-7`, `12.50`, `2026-03-15`, `09:00-18:00`; empty for `none`."""
    source: dict[Language, str]
    restated: dict[Language, tuple[str, ...]]
    reversed: dict[Language, str]
    """The opposite of the rule."""


TITLES: Final = {
    "returns": {_EN: "Returns", _FR: "Retours", _ZH: "退货"},
    "refunds": {_EN: "Refunds", _FR: "Remboursements", _ZH: "退款"},
    "shipping": {_EN: "Shipping", _FR: "Livraison", _ZH: "配送"},
    "service": {_EN: "Service", _FR: "Service", _ZH: "服务"},
}
FACTS: Final = (
    PolicyFact("returns", "days", ("30", "45", "60"),
        {_EN: "Shoes can be returned within {v} of delivery.", _FR: "Les chaussures peuvent être retournées sous {v} après la livraison.", _ZH: "鞋子可在收货后{v}内退货。"},
        {_EN: ("You can return shoes within {v}.", "Shoes may be returned up to {v} after delivery."), _FR: ("Vous pouvez retourner les chaussures sous {v}.", "Pour les chaussures, le retour est possible pendant {v}."), _ZH: ("您可以在{v}内退回鞋子。", "鞋类商品支持{v}内退货。")},
        {_EN: "Shoes cannot be returned within {v}.", _FR: "Les chaussures ne peuvent pas être retournées sous {v}.", _ZH: "鞋子不能在{v}内退货。"}),
    PolicyFact("returns", "days", ("14", "10", "21"),
        {_EN: "Electronics can be returned within {v}.", _FR: "Les appareils électroniques peuvent être retournés sous {v}.", _ZH: "电子产品可在{v}内退货。"},
        {_EN: ("Electronics can be sent back within {v}.", "You have {v} to return electronics."), _FR: ("Vous avez {v} pour retourner un appareil électronique.", "Les produits électroniques sont à retourner sous {v}."), _ZH: ("电子产品的退货期限为{v}。", "电子类产品{v}内可以退货。")},
        {_EN: "You cannot return electronics within {v}.", _FR: "Vous ne pouvez pas retourner les appareils électroniques sous {v}.", _ZH: "电子产品{v}内不可退货。"}),
    PolicyFact("returns", "none", (),
        {_EN: "Sale items cannot be returned.", _FR: "Les articles soldés ne peuvent pas être retournés.", _ZH: "折扣商品不能退货。"},
        {_EN: ("Items on sale cannot be returned.", "You cannot return sale items."), _FR: ("Vous ne pouvez pas retourner les articles soldés.", "Les articles en solde ne sont pas retournables."), _ZH: ("打折商品不支持退货。", "折扣商品无法退货。")},
        {_EN: "Yes, sale items can be returned.", _FR: "Oui, les articles soldés peuvent être retournés.", _ZH: "可以，折扣商品可以退货。"}),
    PolicyFact("returns", "percent", ("15", "10", "20"),
        {_EN: "Opened boxes have a restocking fee of {v}.", _FR: "Les boîtes ouvertes entraînent des frais de {v}.", _ZH: "已拆包装的商品收取{v}的手续费。"},
        {_EN: ("The fee for opened boxes is {v}.",), _FR: ("Les frais pour une boîte ouverte sont de {v}.",), _ZH: ("拆开包装的手续费为{v}。",)},
        {_EN: "There is no fee of {v} for opened boxes.", _FR: "Il n'y a pas de frais de {v} pour les boîtes ouvertes.", _ZH: "已拆包装不收取{v}的手续费。"}),
    PolicyFact("refunds", "business days", ("5-7", "3-5", "7-10"),
        {_EN: "A refund to a credit card takes {v}.", _FR: "Un remboursement sur carte bancaire prend {v}.", _ZH: "退款到信用卡需要{v}。"},
        {_EN: ("Refunds to your credit card take {v}.", "The refund arrives on your credit card in {v}."), _FR: ("Le remboursement sur votre carte prend {v}.",), _ZH: ("信用卡退款需{v}。",)},
        {_EN: "A refund to a credit card does not take {v}.", _FR: "Un remboursement sur carte ne prend pas {v}.", _ZH: "信用卡退款不需要{v}。"}),
    PolicyFact("refunds", "hours", ("24", "48", "72"),
        {_EN: "Report damaged items within {v}.", _FR: "Signalez les articles endommagés sous {v}.", _ZH: "商品破损请在{v}内告知。"},
        {_EN: ("Damaged items must be reported within {v}.", "Please report a damaged item within {v}."), _FR: ("Un article endommagé doit être signalé sous {v}.",), _ZH: ("如商品损坏，请在{v}内告知我们。",)},
        {_EN: "Damaged items need not be reported within {v}.", _FR: "Ne signalez pas les articles endommagés sous {v}.", _ZH: "商品破损无需在{v}内告知。"}),
    PolicyFact("shipping", "money", ("4.99", "5.90", "3.50"),
        {_EN: "Standard shipping costs {v}.", _FR: "La livraison standard coûte {v}.", _ZH: "标准配送的价格为{v}。"},
        {_EN: ("The price of standard shipping is {v}.", "Standard shipping costs {v}."), _FR: ("Le prix de la livraison standard est de {v}.",), _ZH: ("标准配送价格是{v}。",)},
        {_EN: "Standard shipping does not cost {v}.", _FR: "La livraison standard ne coûte pas {v}.", _ZH: "标准配送的价格不是{v}。"}),
    PolicyFact("shipping", "money", ("12.50", "14.90", "19.00"),
        {_EN: "Express shipping costs {v}.", _FR: "La livraison express coûte {v}.", _ZH: "加急配送的价格为{v}。"},
        {_EN: ("Express shipping costs {v}.", "For express shipping the price is {v}."), _FR: ("La livraison express est à {v}.",), _ZH: ("加急配送价格是{v}。",)},
        {_EN: "Express shipping does not cost {v}.", _FR: "La livraison express ne coûte pas {v}.", _ZH: "加急配送的价格不是{v}。"}),
    PolicyFact("shipping", "business days", ("1-2", "2-3"),
        {_EN: "Express parcels arrive in {v}.", _FR: "Les colis express arrivent en {v}.", _ZH: "加急包裹{v}到达。"},
        {_EN: ("An express parcel arrives in {v}.",), _FR: ("Un colis express arrive en {v}.",), _ZH: ("加急包裹在{v}内到达。",)},
        {_EN: "Express parcels do not arrive in {v}.", _FR: "Les colis express n'arrivent pas en {v}.", _ZH: "加急包裹不会在{v}内到达。"}),
    PolicyFact("shipping", "days", ("7", "10"),
        {_EN: "Parcels wait at the pickup point for {v}.", _FR: "Les colis restent au point de retrait pendant {v}.", _ZH: "包裹在自提点保留{v}。"},
        {_EN: ("The pickup point keeps your parcel for {v}.",), _FR: ("Le point de retrait garde votre colis {v}.",), _ZH: ("自提点保留包裹{v}。",)},
        {_EN: "Parcels do not wait at the pickup point for {v}.", _FR: "Les colis ne restent pas au point de retrait pendant {v}.", _ZH: "包裹在自提点不保留{v}。"}),
    PolicyFact("service", "months", ("24", "12", "36"),
        {_EN: "Watches have a warranty of {v}.", _FR: "Les montres ont une garantie de {v}.", _ZH: "手表保修{v}。"},
        {_EN: ("The warranty on watches is {v}.",), _FR: ("La garantie des montres est de {v}.",), _ZH: ("手表的保修期为{v}。",)},
        {_EN: "Watches have no warranty of {v}.", _FR: "Les montres n'ont pas de garantie de {v}.", _ZH: "手表没有{v}的保修。"}),
    PolicyFact("service", "percent", ("10", "5", "12"),
        {_EN: "Members get a discount of {v}.", _FR: "Les membres ont une remise de {v}.", _ZH: "会员享受{v}的折扣。"},
        {_EN: ("The discount for members is {v}.",), _FR: ("La remise pour les membres est de {v}.",), _ZH: ("会员折扣为{v}。",)},
        {_EN: "Members get no discount of {v}.", _FR: "Les membres n'ont pas de remise de {v}.", _ZH: "会员没有{v}的折扣。"}),
    PolicyFact("service", "date", ("2026-03-15", "2026-11-28", "2026-06-04"),
        {_EN: "The spring promotion is open until {v}.", _FR: "La promotion est ouverte jusqu'au {v}.", _ZH: "促销开放至{v}。"},
        {_EN: ("The promotion is open until {v}.",), _FR: ("La promotion reste ouverte jusqu'au {v}.",), _ZH: ("促销活动开放至{v}。",)},
        {_EN: "The promotion is not open until {v}.", _FR: "La promotion n'est pas ouverte jusqu'au {v}.", _ZH: "促销不开放至{v}。"}),
    PolicyFact("service", "time", ("09:00-18:00", "10:00-19:30"),
        {_EN: "Our store is open from {v} to {w}.", _FR: "Notre magasin est ouvert de {v} à {w}.", _ZH: "门店营业时间为{v}至{w}。"},
        {_EN: ("The store opens at {v} and closes at {w}.", "The shop is open from {v} to {w}."), _FR: ("La boutique est ouverte de {v} à {w}.",), _ZH: ("本店{v}至{w}营业。",)},
        {_EN: "Our store is not open from {v} to {w}.", _FR: "Notre magasin n'est pas ouvert de {v} à {w}.", _ZH: "门店{v}至{w}不营业。"}),
    PolicyFact("service", "money", ("3.00", "4.50"),
        {_EN: "Gift boxes cost {v}.", _FR: "Les boîtes cadeaux coûtent {v}.", _ZH: "礼品包装的价格为{v}。"},
        {_EN: ("A gift box costs {v}.",), _FR: ("Une boîte cadeau coûte {v}.",), _ZH: ("礼品包装价格是{v}。",)},
        {_EN: "Gift boxes do not cost {v}.", _FR: "Les boîtes cadeaux ne coûtent pas {v}.", _ZH: "礼品包装的价格不是{v}。"}),
)  # fmt: skip
COURTESIES: Final = {
    _EN: ("Let me know if you have any other questions.", "I am sorry for the inconvenience."),
    _FR: ("N'hésitez pas si vous avez d'autres questions.", "Je suis désolé pour la gêne."),
    _ZH: ("如有其他问题，请告诉我。", "很抱歉给您带来不便。"),
}
INVENTED: Final = {
    _EN: ("I have cancelled your order.", "Your refund has been processed.", "Shipping is free for everyone.", "We guarantee the lowest price.", "See https://shop-deals.example for more.", "Use the code SAVE20 when you pay.", "I will refund you today.", "All items have a lifetime warranty.", "You will get a voucher as compensation.", "Call us on 01 99 88 77 66.", "Write to refunds@shop-help.example."),
    _FR: ("J'ai annulé votre commande.", "Votre remboursement a été effectué.", "La livraison est gratuite pour tous.", "Nous garantissons le meilleur prix.", "Voir https://shop-deals.example pour plus.", "Utilisez le code SAVE20 au paiement.", "Je vais vous rembourser aujourd'hui.", "Tous les articles sont garantis à vie.", "Vous recevrez un bon en compensation.", "Appelez le 01 99 88 77 66.", "Écrivez à refunds@shop-help.example."),
    _ZH: ("我已为您取消订单。", "您的退款已处理。", "所有订单免费配送。", "我们保证最低价。", "详情请见 https://shop-deals.example 。", "付款时请使用优惠码 SAVE20。", "我马上为您退款。", "所有商品终身保修。", "我们会赠送优惠券作为补偿。", "请致电 01 99 88 77 66。", "请写信至 refunds@shop-help.example。"),
}  # fmt: skip
