"""Words of postal addresses in English, French and Chinese. Pure.

Countries and regions are compared after `fold`; patterns run on text that `normalise` returned.
"""

import re
from typing import Final

COUNTRIES: Final = frozenset(
    """usa|us|u.s.|u.s|u.s.a|united states|united states of america|the united states|america|etats-unis|etats unis
    |canada|mexico|mexique|france|belgium|belgique|switzerland|suisse|luxembourg|germany|allemagne|uk|u.k.|u.k|united kingdom
    |the united kingdom|royaume-uni|great britain|england|scotland|wales|ireland|irlande|spain|espagne|italy|italie
    |portugal|netherlands|the netherlands|pays-bas|austria|autriche|denmark|danemark|sweden|suede|norway|norvege|finland
    |finlande|poland|pologne|greece|grece|china|chine|hong kong|macau|taiwan|singapore|singapour|japan|japon|south korea
    |coree du sud|australia|australie|new zealand|nouvelle-zelande|india|inde|brazil|bresil|morocco|maroc|tunisia|tunisie
    |algeria|algerie|senegal|monaco|中国|中华人民共和国|美国|加拿大|法国|英国|德国|比利时|瑞士|意大利|西班牙|日本|韩国
    |新加坡|澳大利亚|新西兰""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)
WITH_REGION: Final = frozenset(
    """usa|us|u.s.|u.s|u.s.a|united states|united states of america|the united states|america|etats-unis|etats unis|canada
    |mexico|mexique|china|chine|australia|australie|india|inde|brazil|bresil|中国|中华人民共和国|美国|加拿大|澳大利亚""".replace(
        "\n    ", ""
    ).split("|")
)
"""Those of the countries whose addresses have a state or province."""
REGIONS: Final = frozenset(
    """alabama|alaska|arizona|arkansas|california|colorado|connecticut|delaware|florida|georgia|hawaii|idaho|illinois
    |indiana|iowa|kansas|kentucky|louisiana|maine|maryland|massachusetts|michigan|minnesota|mississippi|missouri|montana
    |nebraska|nevada|new hampshire|new jersey|new mexico|new york|north carolina|north dakota|ohio|oklahoma|oregon
    |pennsylvania|rhode island|south carolina|south dakota|tennessee|texas|utah|vermont|virginia|washington
    |west virginia|wisconsin|wyoming|district of columbia|ontario|quebec|british columbia|alberta|manitoba|saskatchewan
    |nova scotia|new brunswick|newfoundland and labrador|prince edward island|auvergne-rhone-alpes
    |bourgogne-franche-comte|bretagne|centre-val de loire|corse|grand est|hauts-de-france|ile-de-france|ile de france
    |normandie|nouvelle-aquitaine|occitanie|pays de la loire|provence-alpes-cote d'azur|paca|guadeloupe|martinique
    |guyane|la reunion|mayotte|wallonie|flandre""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)
REGION_CODES: Final = frozenset(
    """al ak az ar ca co ct de fl ga hi id il in ia ks ky la me md ma mi mn ms mo mt ne nv nh nj nm ny nc nd oh ok or pa ri
    sc sd tn tx ut vt va wa wv wi wy dc d.c. d.c on qc bc ab mb sk ns nb nl pe yt nt nu""".split()
)
"""Of the United States and Canada."""
CODES: Final = r"([A-Z]{2,3}|D\.C\.)"
"""Codes of states and provinces. One group."""
ZIP: Final = re.compile(
    r"(?<![\w-])(?:\d{5}(?:-\d{4})?|\d{6}|[A-Z]\d[A-Z] ?\d[A-Z]\d|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|\d{4}(?: [A-Z]{2})?)(?![\w-])"
)
"""Postcodes of the United States, France, China, Canada, the United Kingdom, Belgium, Switzerland, the Netherlands."""
STREET: Final = (
    r"(?:street|st|road|rd|avenue|ave|av|lane|ln|drive|dr|boulevard|blvd|bd|way|court|ct|place|pl|square|sq|terrace|trail"
    r"|parkway|pkwy|highway|hwy|circle|broadway|rue|chemin|allées?|impasse|quai|route|cours|sentier|stra(?:ss|ß)e|str)"
)
UNIT: Final = re.compile(
    r"(?:apt|apartment|suite|ste|unit|flat|floor|room|building|bldg|bât|bâtiment|appartement|appt|étage|escalier|porte"
    r"|résidence|c/o|chez|p\.?o\.? box|bp|boîte)\b|#\s?\d|\d+(?:st|nd|rd|th) floor|\d+(?:er|e|ème) étage",
    re.IGNORECASE,
)
"""The beginning of a second line."""
NUMBERED_UNIT: Final = re.compile(
    r"\b(?:apt|apartment|suite|ste|unit|room|flat|appt|appartement)\.?\s?#\s?\d+", re.IGNORECASE
)
"""`Apt #1204` is no number of an order."""
FILLERS: Final = re.compile(
    r"(?:(?:no|nope|yes|yeah|ok|okay|sorry|please|thanks|thank you|thx|hi|hello|hey|sure|here it is|here you go|actually|wait"
    r"|non|oui|pardon|desole|merci|merci beaucoup|bonjour|s'il (?:vous|te) plait|svp|voici|d'accord|en fait"
    r"|不|是|是的|好|好的|对|对的|谢谢|谢谢你|谢谢您|麻烦了|麻烦您了|请|你好|您好|抱歉|辛苦了)[\s.]*)+"
)
"""Pieces around an address; on folded text."""
UNPLACED: Final = re.compile(
    r"\d|\b(?:i|i'm|my|me|we|our|you|it|its|it's|is|are|was|this|that|same|not|don't|what|why|how|when|where|which|who|because"
    r"|please|order|address|only|also|but|if|can|could|would|je|j'ai|mon|ma|mes|nous|notre|vous|il|elle|c'est|est|ne|pas"
    r"|pourquoi|comment|quand|quelle?|parce|adresse|commande|meme|aussi|mais|si)\b|[我你您它这那吗呢么怎为么因订单地址公司家一样请要]"
)
"""Signs that a piece is a sentence and no name of a place; on folded text."""
MARKERS: Final = re.compile(
    r"\baddress\b(?! ?(?:line|[12]))[^,;\n:]{0,60}?(?:\bto\b|\bis\b(?!\s(?:wrong|not|incorrect|old|out))|\bwill be\b|\bshould be\b|:)[\s:]*"
    r"|\b(?:ship|send|deliver|redirect)\b[^,;\n]{0,40}?\bto\b[\s:]*"
    r"|(?<!ment d')\badresse\b(?! ?[12])[^,;\n:]{0,60}?(?:\bpar\b|\ben\b|\bpour\b|\bà\b|\bau\b|\best\b(?!\s(?:fausse|erron|incorrect|à|pas|mauvaise|ancienne))|\bvers\b|:)[\s:]*"
    r"|\b(?:livr|envoy|expédi)\w*[^,;\n]{0,40}?\b(?:à|au|chez|vers)\b[\s:]*"
    r"|(?:改|换|变更|更改|修改|更新|寄|送|发)(?:成|为|到|至|往)[\s:]*|地址[^,;。\n]{0,6}?(?:是|为|:)[\s:]*",
    re.IGNORECASE,
)
"""What stands before an address in a sentence."""
NOTHING: Final = re.compile(
    r"none|no|n/a|na|nil|null|nothing|aucune?|non|neant|rien|sans|没有?|无|空|不需要|暂无|不适用"
)
"""Instead of the value of a part. On folded text."""
NO_UNIT: Final = re.compile(
    r"(?:no|without|without any|pas d[e'] ?|sans|aucune?|没有|无)\s?"
    r"(?:apt|apartment|unit|suite|flat|second line|line 2|address(?: line)? ?2"
    r"|appartement|appt|complement(?: d'adresse)?|etage|deuxieme ligne|门牌号?|补充地址|单元号?)(?: number)?"
)
"""The address has no second line. On folded text."""
NEGATION: Final = re.compile(
    r"\bnot\b|n't\b|\b(?:do|does|is|ca|wo)nt\b|\bcannot\b|\bnever\b|\bno longer\b|\bexcept|\b(?:rather|other) than\b"
    r"|\binstead of\b|\bbut (?=\d)|\bfrom\s+(?=\d)|\b(?:no|non)\s+(?=\d)|\bused to live\b|\bi lived\b"
    r"|\bpas\b(?!.de.calais)|\bn(?:e |')\w+ (?:plus|jamais)\b|\bsauf\b|\bau lieu d|\bplutot que\b|\bhabitai[st]\b"
    r"|不(?:是|要|再|住|在|寄|送|发|用|能|想)|别(?:再)?(?:寄|送|发|用|改|往|给)|请勿|勿(?:再)?(?:寄|送|发)|除了|以前住|之前住|原来住"
)
"""In a sentence with an address: it may be the one that is not wanted. On folded text."""
OLD_ADDRESS: Final = re.compile(
    r"\b(?:old|previous|former|current|present|existing|prior)\s(?:\w+\s){0,2}?(?:address|home|house|place)\b"
    r"(?:\s*[,\n]|(?:(?!\bto\b)[^,;\n:\d]){0,40}?(?:\b(?:is|was|at)\b(?!\s(?:wrong|not|incorrect|old|outdated|out))|:))"
    r"|\b(?:(?:ancienne|precedente|vieille) adresse|adresse (?:de livraison )?(?:actuelle|precedente|ancienne|d'avant))\b"
    r"(?:\s*[,\n]|(?:(?!\b(?:par|en|pour)\b)[^,;\n:\d]){0,40}?(?:\b(?:est|etait)\b(?!\s(?:fausse|erron|incorrect|mauvaise))|:))"
    r"|\baddress (?:was|used to be)\b(?!\s(?:wrong|not|incorrect))|\badresse etait\b(?!\s(?:fausse|erron|incorrect))"
    r"|(?:原来?|原先|原本|以前|之前|旧|老|现在|目前|当前|现有)的?(?:收货|送货|配送|邮寄)?地址\s*(?:就?是|为|:|,|\n)(?!\s*(?:错|不))"
)
"""What follows is the address that the order or the customer has or had. On folded text."""
_IS: Final = r"\s*(?::|=|\bis\b|\bshould be\b|\best\b|应该是|应为|改成|改为|是|为)\s*"
_LEAD: Final = r"(?:(?:and|et|the|my|a|new|correct|right|no|but|la|le|mon|ma|nouvelle|nouveau|新的?)\s*|l')*"
LABELS: Final = re.compile(
    rf"{_LEAD}(?:"
    rf"(?:street(?: address)?|address(?: line)? ?1|line 1|rue|adresse ?1|ligne 1|街道(?:地址)?|详细地址){_IS}(?P<address1>.+)"
    rf"|(?:address(?: line)? ?2|line 2|second line|complément(?: d'adresse)?|adresse ?2|ligne 2|门牌号?|补充地址){_IS}(?P<address2>.+)"
    rf"|(?:city|town|ville|commune|城市){_IS}(?P<city>.+)"
    rf"|(?:state(?: or region)?|region|province|région|département|省份?|省或州|州){_IS}(?P<state>.+)"
    rf"|(?:zip(?: ?code)?|post(?:al)? ?code|postcode|code postal|邮编|邮政编码)(?:{_IS}|\s*)(?P<zip>(?=.*\d)[\w -]{{3,12}})"
    rf"|(?:country|pays|国家){_IS}(?P<country>.+)"
    rf"|(?:(?:delivery|shipping|full) )?(?:address|adresse(?: de livraison)?|收?货?地址){_IS}(?P<address>.+)"
    r")",
    re.IGNORECASE,
)
"""A labelled part."""
