# ruff: noqa: E501 - one entry a line
"""Words of shops in English, Chinese and French, written by hand. One entry a line; `,` separates words of a language.

They are general words of shops. They cover the product types of the tau2 catalogue, so measure other catalogues anew.
"""

from typing import Final

ENTRIES: Final = """
t-shirt, tee | T恤, 短袖 | tee-shirt, t-shirt
shirt | 衬衫, 衬衣 | chemise
dress | 连衣裙, 裙子 | robe
skirt | 半身裙 | jupe
trousers, pants | 裤子, 长裤 | pantalon
jeans | 牛仔裤 | jean
shorts | 短裤 | short
jacket | 夹克, 外套, 上衣 | veste, blouson
coat | 大衣 | manteau
fleece | 抓绒, 摇粒绒, 绒衣 | polaire
sweater, pullover | 毛衣, 套头衫 | pull, chandail
hoodie | 卫衣, 连帽衫 | sweat, sweat à capuche
raincoat | 雨衣 | imperméable
socks | 袜子 | chaussettes
underwear | 内衣, 内裤 | sous-vêtements
pajamas | 睡衣 | pyjama
hat, cap | 帽子 | chapeau, casquette, bonnet
scarf | 围巾 | écharpe, foulard
gloves | 手套 | gants
belt | 皮带, 腰带 | ceinture
tie | 领带 | cravate
swimsuit | 泳衣, 泳裤 | maillot de bain
shoes | 鞋, 鞋子 | chaussures
running shoes | 跑步鞋, 跑鞋 | chaussures de course, chaussures de running, chaussures pour courir, chaussures de jogging
sneakers, trainers | 运动鞋, 球鞋, 休闲鞋, 帆布鞋, 板鞋 | baskets, tennis
boots | 靴子, 靴 | bottes, bottines
hiking boots | 登山鞋, 登山靴, 徒步鞋, 徒步靴 | chaussures de randonnée, chaussures de marche, chaussures de montagne
sandals | 凉鞋 | sandales
slippers | 拖鞋 | pantoufles, chaussons
backpack, rucksack | 背包, 双肩包, 书包 | sac à dos, cartable
bag, handbag | 包, 手提包, 挎包 | sac, sac à main
suitcase, luggage | 行李箱, 旅行箱, 拉杆箱, 行李 | valise, valises, bagage, bagages
luggage set | 行李箱套装, 旅行箱套装 | ensemble de bagages, set de valises, jeu de valises
wallet | 钱包 | portefeuille
umbrella | 雨伞, 伞 | parapluie
patio umbrella, parasol | 遮阳伞, 太阳伞, 庭院伞 | parasol
sunglasses | 太阳镜, 墨镜, 太阳眼镜 | lunettes de soleil, lunettes noires
glasses | 眼镜 | lunettes
watch, wristwatch | 手表, 腕表 | montre, montre-bracelet
smart watch, smartwatch | 智能手表, 智能腕表 | montre connectée, montre intelligente
jewellery, jewelry | 首饰, 珠宝 | bijou
necklace | 项链 | collier
ring | 戒指 | bague
earrings | 耳环 | boucles d'oreilles
bracelet | 手链, 手镯 | bracelet
laptop, notebook computer | 笔记本电脑, 手提电脑, 便携电脑 | ordinateur portable, pc portable
computer | 电脑, 计算机 | ordinateur
tablet | 平板, 平板电脑 | tablette
smartphone, phone, mobile phone | 智能手机, 手机 | smartphone, téléphone, portable
e-reader, ebook reader | 电子书阅读器, 电子阅读器, 阅读器, 电子书 | liseuse, liseuse électronique
headphones, headset | 耳机, 头戴式耳机, 耳麦 | casque audio, casque, écouteurs
earbuds, earphones, airpods | 耳塞, 入耳式耳机, 无线耳机, 蓝牙耳机 | écouteurs, oreillettes, écouteurs sans fil
speaker | 音箱, 音响, 扬声器 | enceinte, haut-parleur
bluetooth speaker | 蓝牙音箱, 蓝牙音响 | enceinte bluetooth, haut-parleur bluetooth
mouse | 鼠标 | souris
gaming mouse | 游戏鼠标, 电竞鼠标 | souris gamer, souris de jeu, souris gaming
keyboard | 键盘 | clavier
mechanical keyboard | 机械键盘 | clavier mécanique
monitor, display | 显示器, 屏幕 | écran, moniteur
printer | 打印机 | imprimante
charger | 充电器 | chargeur
portable charger, power bank | 充电宝, 移动电源 | batterie externe, chargeur portable, powerbank
cable | 数据线, 电缆 | câble
camera | 相机, 照相机, 摄像头 | appareil photo, caméra
digital camera | 数码相机, 数码照相机 | appareil photo numérique
action camera | 运动相机, 运动摄像机 | caméra d'action, caméra sport, caméra embarquée
security camera | 监控摄像头, 安防摄像头, 监控, 摄像头 | caméra de surveillance, caméra de sécurité
indoor | 室内 | intérieur, d'intérieur
television, tv | 电视, 电视机 | télévision, téléviseur
game console | 游戏机 | console de jeux
thermostat | 恒温器, 温控器 | thermostat
smart thermostat | 智能恒温器, 智能温控器 | thermostat connecté, thermostat intelligent
light bulb, bulb | 灯泡 | ampoule
led | LED, 发光二极管 | led
lamp | 灯 | lampe
desk lamp | 台灯, 桌灯, 书桌灯 | lampe de bureau, lampe de chevet
clock | 钟, 时钟 | horloge, pendule
wall clock | 挂钟, 壁钟 | horloge murale, pendule murale
alarm clock | 闹钟 | réveil
air purifier | 空气净化器, 空气清新机 | purificateur d'air
fan | 电风扇, 风扇 | ventilateur
heater | 取暖器, 暖风机 | radiateur, chauffage
humidifier | 加湿器 | humidificateur
vacuum cleaner, vacuum | 吸尘器, 扫地机器人, 扫地机 | aspirateur
robot vacuum, robotic | 扫地机器人, 机器人 | aspirateur robot, robot
iron | 熨斗 | fer à repasser
washing machine | 洗衣机 | lave-linge, machine à laver
refrigerator, fridge | 冰箱 | réfrigérateur, frigo
microwave | 微波炉 | micro-ondes
oven | 烤箱 | four
toaster | 烤面包机 | grille-pain
blender | 搅拌机, 榨汁机 | mixeur, blender
coffee | 咖啡 | café
coffee maker, coffee machine | 咖啡壶, 咖啡机 | cafetière, machine à café
espresso machine | 浓缩咖啡机, 意式咖啡机, 胶囊咖啡机 | machine à expresso, machine espresso, machine à espresso
kettle | 水壶, 烧水壶 | bouilloire
electric kettle | 电热水壶, 电水壶, 热水壶 | bouilloire électrique
tea kettle, teapot | 茶壶, 煮茶壶 | théière, bouilloire à thé
tea | 茶, 茶叶 | thé
bottle | 瓶, 瓶子 | bouteille
water bottle | 水瓶, 水杯, 水壶 | gourde, bouteille d'eau, bidon
cup, mug | 杯子, 马克杯 | tasse, mug
plate | 盘子 | assiette
knife | 刀 | couteau
pan | 平底锅, 锅 | poêle, casserole
towel | 毛巾 | serviette
bed | 床 | lit
pillow | 枕头 | oreiller
blanket | 毯子 | couverture
mattress | 床垫 | matelas
sofa, couch | 沙发 | canapé
chair | 椅子 | chaise
office chair, desk chair | 办公椅, 电脑椅, 转椅 | chaise de bureau, fauteuil de bureau, siège de bureau
table | 桌子, 餐桌 | table
desk | 书桌, 办公桌 | bureau
bookshelf, bookcase | 书架, 书柜 | bibliothèque, étagère, étagère à livres
shelf | 架子, 置物架 | étagère
wardrobe | 衣柜 | armoire, penderie
mirror | 镜子 | miroir
carpet, rug | 地毯 | tapis
curtain | 窗帘 | rideau
garden | 花园, 园艺, 庭院 | jardin
hose, garden hose | 水管, 浇水管, 花园水管, 软管 | tuyau, tuyau d'arrosage, tuyau de jardin
grill, barbecue | 烧烤架, 烤架, 烧烤炉, 烤肉架, 烧烤 | barbecue, gril
plant | 植物, 盆栽 | plante
tool | 工具 | outil
drill | 电钻 | perceuse
tent | 帐篷 | tente
sleeping bag | 睡袋 | sac de couchage
bicycle, bike | 自行车, 单车, 脚踏车 | vélo, bicyclette, VTT
mountain bike | 山地车 | VTT, vélo de montagne
helmet | 头盔 | casque
cycling helmet, bike helmet | 骑行头盔, 自行车头盔 | casque de vélo, casque vélo, casque de cyclisme
skateboard | 滑板 | skateboard, skate, planche à roulettes
scooter | 滑板车 | trottinette
ball | 球 | ballon, balle
racket | 球拍 | raquette
dumbbell, weights | 哑铃, 健身器材 | haltère, haltères, poids
dumbbell set | 哑铃套装, 哑铃组 | set d'haltères, jeu d'haltères
yoga mat | 瑜伽垫, 健身垫 | tapis de yoga, tapis de gym
treadmill | 跑步机 | tapis de course
makeup kit, make-up, cosmetics | 化妆品, 化妆套装, 彩妆, 美妆, 化妆盒, 化妆 | maquillage, kit de maquillage, trousse de maquillage
lipstick | 口红 | rouge à lèvres
perfume, fragrance | 香水 | parfum, eau de toilette
shampoo | 洗发水 | shampooing
soap | 香皂, 肥皂 | savon
toothbrush | 牙刷 | brosse à dents
electric toothbrush | 电动牙刷 | brosse à dents électrique
hair dryer | 吹风机 | sèche-cheveux
razor | 剃须刀, 刮胡刀 | rasoir
toy | 玩具 | jouet
doll | 娃娃 | poupée
puzzle, jigsaw, jigsaw puzzle | 拼图 | puzzle, casse-tête
board game | 桌游, 棋 | jeu de société
book | 书, 图书 | livre
notebook, notepad | 笔记本, 记事本, 本子 | carnet, cahier, bloc-notes
pen | 笔, 钢笔, 圆珠笔 | stylo
paper | 纸 | papier
pet | 宠物 | animal, animaux, animal de compagnie
pet bed, dog bed, cat bed | 宠物床, 宠物窝, 狗窝, 猫窝, 狗床, 猫床 | panier pour animaux, lit pour animaux, lit pour chien, panier pour chien, couchage pour chat
dog | 狗, 犬 | chien
cat | 猫 | chat
baby | 婴儿, 宝宝 | bébé
child, kids | 儿童, 孩子 | enfant
men | 男士, 男款, 男式 | homme
women | 女士, 女款, 女式 | femme
black | 黑色, 黑 | noir
white | 白色, 白 | blanc, blanche
red | 红色, 红 | rouge
blue | 蓝色, 蓝 | bleu, bleue
green | 绿色, 绿 | vert, verte
yellow | 黄色 | jaune
grey, gray | 灰色 | gris, grise
brown | 棕色, 咖啡色 | marron, brun
pink | 粉色, 粉红色 | rose
purple | 紫色 | violet
silver | 银色 | argenté, argent
gold | 金色 | doré, or
navy | 藏青色, 海军蓝 | bleu marine
beige | 米色 | beige
small | 小号 | petit
medium | 中号 | moyen
large | 大号 | grand
leather | 皮革, 真皮, 皮 | cuir
cotton | 棉, 纯棉 | coton
polyester | 涤纶, 聚酯 | polyester
nylon | 尼龙 | nylon
canvas | 帆布 | toile
mesh | 网面, 网布 | maille, mesh
wool | 羊毛 | laine
glass | 玻璃 | verre
plastic | 塑料 | plastique
metal | 金属 | métal
wood, wooden | 木, 木质, 木头, 实木 | bois
stainless steel | 不锈钢 | acier inoxydable, inox
rubber | 橡胶 | caoutchouc
silicone | 硅胶 | silicone
ceramic | 陶瓷 | céramique
bamboo | 竹 | bambou
memory foam | 记忆棉, 记忆海绵 | mousse à mémoire de forme
wireless | 无线 | sans fil
wired | 有线 | filaire
bluetooth | 蓝牙 | bluetooth
waterproof, water resistance | 防水 | étanche, imperméable, waterproof
rechargeable | 可充电, 充电 | rechargeable
battery, battery life | 电池, 电量, 续航 | batterie, pile, autonomie
electric | 电动 | électrique
gas | 燃气 | gaz
charcoal | 木炭, 炭 | charbon
solar | 太阳能 | solaire
smart | 智能 | intelligent, connecté
gaming | 游戏, 电竞 | jeu, gamer, gaming
running | 跑步 | course, courir, jogging
hiking | 登山, 徒步, 远足 | randonnée
camping | 露营 | camping
set, kit | 套装 | ensemble, kit, coffret
return, send back | 退货, 退回 | retour, retourner, renvoyer
refund, money back | 退款, 退钱 | remboursement, rembourser
exchange, swap | 换货, 更换, 调换 | échange, échanger
cancel, cancellation | 取消 | annuler, annulation
order | 订单, 下单 | commande, commander
delivery, shipping, deliver | 配送, 送货, 发货, 运输, 物流, 运费, 邮费 | livraison, livrer, livrez, expédition, frais de port
free delivery, free shipping | 包邮, 免运费, 免邮 | livraison gratuite, livraison offerte, port offert
express | 加急 | express
bank transfer, wire transfer | 银行转账, 转账, 汇款 | virement, virement bancaire
head torch, headlamp | 头灯 | lampe frontale
delivered | 送达, 已送达, 收到 | livré, livrée, reçu
parcel, package | 包裹, 快递 | colis, paquet
tracking | 追踪, 查询物流, 物流单号 | suivi
address | 地址 | adresse
payment, pay | 付款, 支付 | paiement, payer
payment method | 付款方式, 支付方式 | moyen de paiement, mode de paiement
credit card | 信用卡 | carte bancaire, carte de crédit
gift card | 礼品卡, 礼卡 | carte cadeau, chèque-cadeau
invoice | 发票 | facture
price, cost | 价格, 价钱, 多少钱 | prix, coût, coûte
discount, coupon, promotion | 折扣, 优惠, 优惠券, 打折 | réduction, remise, promotion, promo
warranty, guarantee | 保修, 质保, 保证 | garantie
stock, available, availability | 库存, 有货, 现货 | stock, disponible, disponibilité
account, profile | 账户, 账号 | compte, profil
email | 邮箱, 电子邮件, 邮件 | e-mail, courriel
size | 尺码, 尺寸, 大小 | taille, pointure, dimension
color, colour | 颜色 | couleur
material | 材质, 材料 | matière, matériau
capacity | 容量 | capacité, contenance
damaged, broken, defective | 损坏, 坏了, 破损, 有缺陷 | endommagé, cassé, défectueux, abîmé
business days, working days | 工作日 | jours ouvrables, jours ouvrés
days | 天 | jours
opening hours | 营业时间 | horaires, heures d'ouverture
store, shop | 商店, 门店, 店铺 | magasin, boutique
person, human, agent | 真人, 人工, 客服 | personne, humain, conseiller
privacy, personal data | 隐私, 个人信息 | confidentialité, données personnelles
pending | 待处理, 未发货 | en attente
modify, change | 修改, 更改, 改 | modifier, changer
confirm, confirmation, agree | 确认, 同意, 先问 | confirmer, confirmation, accord, accepter
verify, identity, authenticate | 验证, 核实, 身份, 本人 | vérifier, identité, authentifier
"""
