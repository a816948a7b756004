"""Words of shops in three languages -> one concept, so that a French sentence and a Chinese source can be compared.

A term of a text is a concept, else a word (stem), else a pair of Chinese characters.  Pure.
"""

import re
from typing import Final

from chatscale_assistant.language.scripts import fold

_LEXICON: Final = """
return: return* | retour* renvoy* renvoi* rendre rendu* | 退货 退回 退换 寄回
refund: refund* reimburs* | rembours* | 退款 返还 退还
exchange: exchang* swap* | echang* | 换货 更换 调换
cancel: cancel* | annul* | 取消 撤销
order: order orders ordered ordering | commande* command* | 订单 下单 订购
delivery: deliver delivers delivery deliveries deliver* | livr* | 送达 送货 派送 配送 交付
shipping: ship ships shipped shipping shipment* dispatch* postage | expedi* envoi* port envoye* | 发货 运送 运费 寄出 邮寄 快递 物流
parcel: parcel* package* | colis paquet* | 包裹
tracking: track* | suivi* suivre | 跟踪 追踪 单号
price: price* cost costs costing priced | prix cout* coute* tarif* | 价格 售价 价钱 单价 多少钱
total: total* sum | total* montant* somme | 总计 总额 合计 总价 金额
balance: balance | solde | 余额
discount: discount* promotion* promo sale sales coupon* voucher* | remise* reduction* promo* solde* bon | 折扣 优惠 促销 打折
pay: pay pays paid payment* paying | pai* pay* reglement* regl* | 付款 支付
card: card cards | carte* | 卡
gift: gift* | cadeau* | 礼品 礼物
credit: credit | credit bancaire | 信用
paypal: paypal | paypal | 贝宝
invoice: invoice* receipt* bill billing | facture* recu ticket | 发票 收据
address: address* | adresse* | 地址
stock: stock* available availab* unavailable inventory | stock* disponib* indisponib* | 有货 库存 现货 缺货 售罄 供应
warranty: warrant* guarantee* | garanti* | 保修 质保 保证 担保
repair: repair* fix* | repar* | 维修 修理
damage: damag* defect* broken faulty | endommag* defect* casse* abime* | 损坏 破损 瑕疵 故障 坏
open: open opens opened opening hours | ouvert* ouvr* horaire* | 营业 开门 开放
close: close closes closed closing | ferm* | 关门 休息 打烊
store: store stores shop shops boutique | magasin* boutique* | 商店 门店 店铺 本店
customer: customer* client* buyer* | client* acheteur* | 客户 顾客 买家
account: account* profile | compte* profil* | 账户 账号 帐户
item: item items article* | article* | 商品 物品
product: product* | produit* | 产品
shoe: shoe* sneaker* footwear | chaussure* basket* | 鞋
boot: boot boots | botte* | 靴
clothing: cloth* apparel garment* | vetement* habit* | 衣服 服装 衣物
electronics: electronic* | electroni* | 电子
shirt: shirt* tshirt t-shirt | chemise* tee-shirt | 衬衫 t恤 恤衫
jacket: jacket* | veste* blouson* | 夹克 外套
box: box boxes packaging | boite* emballage* carton* | 包装 盒
original: original* | origin* origine | 原 原始
unworn: unworn unused | neuf neuve* porte* | 未穿 未使用 全新
label: label* tag tags | etiquette* | 标签 吊牌
email: email e-mail emails | e-mail mail courriel* | 邮件 邮箱 电子邮件
phone: phone* call telephone | telephon* appel* | 电话 致电
support: support service help | assistance aide service | 客服 帮助
reason: reason* | raison* motif* | 原因 理由
size: size sizes sizing | taille* pointure* | 尺码 尺寸 大小 码
color: color* colour* | couleur* coloris | 颜色 色
material: material* fabric made | matiere* materiau* tissu | 材质 材料 面料
weight: weigh* | poids pese* | 重量 重
capacity: capacity | capacite | 容量
battery: batter* | batterie* pile autonomie | 电池 续航
screen: screen* display | ecran* | 屏幕
water: water* waterproof | eau etanche* impermeable | 水 防水
bottle: bottle* | bouteille* gourde* | 瓶 水壶
bag: bag bags backpack* | sac sacs | 包 背包
laptop: laptop* notebook computer* | ordinateur* portable | 笔记本 电脑
smartphone: smartphone* | smartphone* | 手机
watch: watch watches wristwatch smartwatch | montre* | 手表
headphone: headphone* earbud* earphone* | casque* ecouteur* | 耳机
chair: chair* | chaise* fauteuil* | 椅
lamp: lamp lamps | lampe* | 灯
camera: camera* | camera* appareil | 相机 摄像
kettle: kettle* | bouilloire* | 水壶 茶壶
coffee: coffee espresso | cafe* expresso | 咖啡
bike: bicycle* bike* cycling | velo* cycliste | 自行车 骑行
food: food perishable* | aliment* perissable* nourriture | 食品
book: book books | livre livres | 书
member: member* membership loyalty | membre* fidelite adhe* | 会员
europe: europe european eu | europe* ue | 欧洲 欧盟
france: france french | france francais* | 法国
china: china chinese | chine chinois* | 中国
country: countr* international* abroad overseas | pays international* etranger* | 国家 国际 海外
customs: customs duty duties import tax taxes vat | douane* taxe* tva impot* | 关税 税
express: express priority fast | express rapide* prioritaire | 加急 特快 快速
standard: standard regular | standard normal* | 标准 普通
weekend: weekend* | week-end* | 周末
holiday: holiday* | ferie* vacances | 节假日 假日
receive: receiv* receipt arrive* arriv* | recep* recoi* recev* recu* arriv* | 收到 收货 签收 到货 到达
request: request* demand* | demand* | 申请 要求 请求
change: chang* modif* update* edit | modifi* chang* | 修改 更改 变更 改
confirm: confirm* | confirm* | 确认
review: review* rating* | avis note* | 评价 评论
privacy: privacy personal data | confidentialit* donnees personnel* | 隐私 个人 数据
sign: sign signature | signature sign* | 签名
minimum: minimum minim* | minimum minim* | 最低 至少
maximum: maximum | maximum | 最多 最高
variant: variant* version* option* | variante* version* option* | 款式 版本 选项 规格
pick: pickup collect* click | retrait* retirer | 自提 取货
wash: wash* laundry machine | lav* laver machine | 洗
charge: charg* fee fees | frais charg* factur* | 费用 手续费 收费
colour:black: black | noir* | 黑
colour:white: white | blanc* | 白
colour:red: red | rouge* | 红
colour:blue: blue navy | bleu* | 蓝
colour:green: green | vert verte* verts | 绿
colour:yellow: yellow | jaune* | 黄
colour:purple: purple | violet* pourpre | 紫
colour:pink: pink | rose | 粉
colour:grey: grey gray | gris* | 灰
colour:brown: brown | marron brun* | 棕 褐
colour:orange: orange | orange | 橙
colour:gold: gold golden | dore* | 金色
colour:silver: silver | argente* | 银
material:cotton: cotton | coton | 棉
material:polyester: polyester | polyester | 聚酯 涤纶
material:leather: leather | cuir | 皮革 皮质 真皮
material:glass: glass | verre | 玻璃
material:plastic: plastic | plastique | 塑料
material:metal: metal metallic | metal* | 金属
material:steel: steel stainless | acier inox* | 不锈钢 钢
material:wood: wood wooden | bois | 木
material:ceramic: ceramic | ceramique | 陶瓷
material:wool: wool | laine | 羊毛
size:small: small | petit petite petits petites | 小号
size:medium: medium | moyen moyenne moyens | 中号
size:large: large | grand grande grands grandes | 大号
status:pending: pending | attente | 待处理 待发货
status:processed: processed processing | traitee traite | 已处理 处理完毕
status:delivered: delivered | livree livre | 已送达 已签收
status:cancelled: cancelled canceled | annulee annule annulees | 已取消
status:shipped: shipped dispatched | expediee expedie | 已发货 已寄出
"""
_STOP: Final = frozenset(
    """
    a an the and or but of to in on at by for from with as is are was were be been it its this that these those you your
    we our i my me they their he she his her can could may might will would shall should must do does did have has had if
    then than so such there here within into out up also just any some each please after before during about no not
    le la les l un une des du de d et ou mais en dans sur par pour avec sans au aux ce cet cette ces c est sont etre ete a
    ont avez avons vous votre vos nous notre nos je j il elle ils elles on se s sa son ses leur que qu qui ne n pas plus si
    y peut pouvez peuvent doit doivent sera seront apres avant sous cela ca tres tout toute tous
    which what who when where how why whose one only other same more most very quel quelle quels quelles comment quand
    """.split()
)
_HAN_STOP: Final = re.compile(
    "[的了吗呢吧啊是在和与及或您你我他她它们这那个有可以能会将被把就也都请如果则内后前于为以由对从到之等即可一]"
)
EXCLUSIVE: Final = ("=colour:", "=material:", "=status:")
"""A sentence may have these terms only if its source has them too."""


def _parse(lexicon: str) -> tuple[dict[str, str], dict[str, str], list[tuple[str, str]]]:
    exact: dict[str, str] = {}
    stems: dict[str, str] = {}
    chinese: list[tuple[str, str]] = []
    for line in lexicon.strip().splitlines():
        concept, _, words = line.rpartition(": ")
        english, french, han = words.split("|")
        for word in f"{english} {french}".split():
            if word.endswith("*"):
                stems.setdefault(word[:-1], f"={concept}")
            elif concept.startswith(("colour:", "material:", "status:")) or word not in exact:
                exact[word] = f"={concept}"
        chinese += [(word, f"={concept}") for word in han.split()]
    chinese.sort(key=lambda each: -len(each[0]))
    return exact, stems, chinese


_EXACT, _STEMS, _CHINESE = _parse(_LEXICON)
_LONGEST_STEM: Final = max(map(len, _STEMS))
_TOKEN: Final = re.compile(r"[a-z]+(?:-[a-z]+)*|[\u3400-\u9fff]+")
_SIZE: Final = re.compile(r"(?<![A-Za-z'’])(?:X{0,3}[SL]|M)(?![A-Za-z'’])")
_STEM_LENGTH: Final = 6


def terms(text: str) -> frozenset[str]:
    """The terms of a text: `=concept`, `w:stem`, `z:pair`, `size:XL`. Numbers and codes are no terms."""
    found = {f"size:{match.group()}" for match in _SIZE.finditer(text)}
    for token in _TOKEN.findall(fold(text).replace("'", " ")):
        found |= _chinese_terms(token) if token[0] >= "\u3400" else _latin_terms(token)
    return frozenset(found)


def _latin_terms(token: str) -> set[str]:
    parts = [token, *token.split("-")] if "-" in token else [token]
    return {term for part in parts if (term := _latin_term(part)) is not None}


def _latin_term(word: str) -> str | None:
    if word in _EXACT:
        return _EXACT[word]
    if word in _STOP or len(word) < 2:  # noqa: PLR2004 - single letters
        return None
    for length in range(min(len(word), _LONGEST_STEM), 1, -1):
        if concept := _STEMS.get(word[:length]):
            return concept
    return f"w:{word.rstrip('sx')[:_STEM_LENGTH] or word}"


def _chinese_terms(text: str) -> set[str]:
    found: set[str] = set()
    for word, concept in _CHINESE:
        if word in text:
            found.add(concept)
            text = text.replace(word, " ")
    for part in _HAN_STOP.sub(" ", text).split():
        found |= {f"z:{part[i : i + 2]}" for i in range(len(part) - 1)}
    return found
