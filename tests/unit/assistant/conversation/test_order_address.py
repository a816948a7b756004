"""A new delivery address is read from one message or several, in three languages; nothing is guessed."""

import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.conversation.order_address import read_address
from chatscale_assistant.conversation.order_wanted import read_wanted
from chatscale_assistant.domain.conversation import Speaker, Turn
from chatscale_assistant.intent import Intent, find_entities
from chatscale_assistant.language.address_words import COUNTRIES, WITH_REGION

PARTS = ("address1", "address2", "city", "state", "zip", "country")
DENVER = ("12 Main Street", None, "Denver", "CO", "80014", "USA")
PARIS = ("12 rue de la Paix", None, "Paris", "Île-de-France", "75002", "France")
BEGIN = "Change the delivery address of order #W1234567"


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        pytest.param([f"{BEGIN} to 12 Main Street, Denver, CO 80014, USA"], DENVER, id="in the request"),
        pytest.param(
            ["please ship #W1234567 to my new address: 12 Main Street, Denver, CO, 80014, USA. Thanks"],
            DENVER, id="after two signs",
        ),
        pytest.param(
            ["The address of #W1234567 is wrong, it should be 12 Main Street Denver CO 80014 USA"],
            DENVER, id="without commas",
        ),
        pytest.param(
            [f"{BEGIN} to 215 River Road, Suite 991, New York, NY, 10083, USA"],
            ("215 River Road", "Suite 991", "New York", "NY", "10083", "USA"), id="a city with the name of a state",
        ),
        pytest.param(
            [f"{BEGIN} to 1 Elm Avenue, Apt #1204, Austin, TX 78784, USA"],
            ("1 Elm Avenue", "Apt #1204", "Austin", "TX", "78784", "USA"), id="the number of a flat",
        ),
        pytest.param([BEGIN, "12 Main Street, Denver", "CO 80014, USA"], DENVER, id="in two answers"),
        pytest.param([BEGIN, "12 Main Street", "CO 80014, USA", "Denver"], DENVER, id="the city last"),
        pytest.param(
            [BEGIN, "street: 12 Main Street; city: Denver; state: CO; zip: 80014; country: USA"], DENVER, id="labels",
        ),
        pytest.param(
            [BEGIN, "1 Old Road, Apt 2, Denver, CO 80015, USA", "no, 12 Main Street, Denver, CO 80014, USA"],
            DENVER, id="another address replaces all of it",
        ),
        pytest.param(
            [BEGIN, "12 Main Street, Denver, CO 80015, USA", "no, the zip is 80014"], DENVER, id="one part corrected",
        ),
        pytest.param(
            [BEGIN, "10 Downing Street, London SW1A 2AA, United Kingdom"],
            ("10 Downing Street", None, "London", None, "SW1A 2AA", "United Kingdom"), id="United Kingdom",
        ),
        pytest.param(
            ["Changer l'adresse de livraison de #W1234567 : 12 rue de la Paix, 75002 Paris, Île-de-France, France"],
            PARIS, id="fr",
        ),
        pytest.param(
            ["Merci de livrer #W1234567 au 12 bis rue X, Bâtiment B, 75002 Paris, Île-de-France, France"],
            ("12 bis rue X", "Bâtiment B", "Paris", "Île-de-France", "75002", "France"), id="fr with a second line",
        ),
        pytest.param(
            ["changer l'adresse", "rue : 5 rue X\nville : Lyon\nrégion : Rhône\ncode postal : 69001\npays : France"],
            ("5 rue X", None, "Lyon", "Rhône", "69001", "France"), id="fr labels",
        ),
        pytest.param(
            ["把订单#W1234567的收货地址改成浙江省杭州市西湖区文三路1号，3单元502室，310012，中国"],
            ("西湖区文三路1号", "3单元502室", "杭州市", "浙江省", "310012", "中国"), id="zh",
        ),
        pytest.param(
            ["请把订单 #W1234567 的地址改为：中国北京市朝阳区建国路88号 100022"],
            ("朝阳区建国路88号", None, "北京市", "北京市", "100022", "中国"), id="zh municipality",
        ),
        pytest.param(
            ["改地址", "广东省深圳市南山区科技路1号 518057 中国", "不对，邮编是518058"],
            ("南山区科技路1号", None, "深圳市", "广东省", "518058", "中国"), id="zh corrected",
        ),
        pytest.param(
            ["把订单#W1234567的地址改成 12 Main Street, Denver, CO 80014, USA，谢谢"], DENVER, id="zh, Latin letters",
        ),
        pytest.param(
            [f"{BEGIN} to 12 Main Street, Apt 5, Denver, CO 80014, USA", "14 Oak Avenue, Boulder, CO"],
            ("14 Oak Avenue", None, "Boulder", "CO", None, None), id="another street and city",
        ),
        pytest.param(
            [BEGIN, "12 Main Street, Apt 5, Denver, CO 80014, USA", "14 Oak Avenue, Boulder"],
            ("14 Oak Avenue", None, "Boulder", None, None, None), id="another street and city, no region",
        ),
        pytest.param(
            [BEGIN, "12 Main Street, Denver", "14 Oak Avenue, Boulder"],
            ("14 Oak Avenue", None, "Boulder", None, None, None), id="another street and city, none with a region",
        ),
        pytest.param(
            [BEGIN, "12 Main Street, Apt 5, Denver, CO 80014, USA", "street: 14 Oak Avenue; city: Boulder"],
            ("14 Oak Avenue", None, "Boulder", None, None, None), id="another street and city, labels",
        ),
        pytest.param(
            ["改地址", "广东省深圳市南山区科技路1号，3单元502室，518057，中国", "杭州市西湖区文三路1号"],
            ("西湖区文三路1号", None, "杭州市", None, None, None), id="zh another street and city",
        ),
        pytest.param([BEGIN, "CO 80014, USA", "12 Main Street, Denver"], DENVER, id="the street and the city last"),
        pytest.param(
            [BEGIN, "12 Main Street, Apt 5, Denver, CO 80014, USA", "address line 2: none"],
            ("12 Main Street", "", "Denver", "CO", "80014", "USA"), id="no second line",
        ),
        pytest.param(
            [BEGIN, "12 Main Street, no apartment, Denver, CO 80014, USA"],
            ("12 Main Street", "", "Denver", "CO", "80014", "USA"), id="no flat",
        ),
        pytest.param(
            ["changer l'adresse", "12 rue de la Paix, 75002 Paris, Île-de-France, France", "complément : aucun"],
            ("12 rue de la Paix", "", *PARIS[2:]), id="fr no second line",
        ),
        pytest.param(
            ["changer l'adresse", "12 rue de la Paix, 75002 Paris, Île-de-France, France\ncomplément d'adresse : non"],
            ("12 rue de la Paix", "", *PARIS[2:]), id="fr no second line of the address",
        ),
        pytest.param(
            ["改地址", "广东省深圳市南山区科技路1号 518057 中国", "门牌号：没有"],
            ("南山区科技路1号", "", "深圳市", "广东省", "518057", "中国"), id="zh no second line",
        ),
        pytest.param(
            [f"{BEGIN} to 12 St James Street Denver CO 80014 USA"], ("12 St James Street", *DENVER[1:]), id="St James",
        ),
        pytest.param(
            [f"{BEGIN} to 12 St James St Denver CO 80014 USA"], ("12 St James St", *DENVER[1:]), id="St James St",
        ),
        pytest.param(
            [f"{BEGIN} to 12 Court Street Denver CO 80014 USA"], ("12 Court Street", *DENVER[1:]), id="Court Street",
        ),
        pytest.param(
            [f"{BEGIN} to 100 Lake Drive Way Denver CO 80014 USA"], ("100 Lake Drive Way", *DENVER[1:]), id="Drive Way",
        ),
        pytest.param(
            [f"{BEGIN} to 45 Avenue Road Toronto ON M5R 2G3 Canada"],
            ("45 Avenue Road", None, "Toronto", "ON", "M5R 2G3", "Canada"), id="Avenue Road",
        ),
        pytest.param(
            [f"{BEGIN} to 12 Broadway New York NY 10001 USA"],
            ("12 Broadway", None, "New York", "NY", "10001", "USA"), id="Broadway",
        ),
        pytest.param(
            [f"{BEGIN} to 12 Main Street NE, Washington, DC 20002, USA"],
            ("12 Main Street NE", None, "Washington", "DC", "20002", "USA"), id="a direction",
        ),
        pytest.param(
            [f"{BEGIN} to 12 Main Street, St Louis, MO 63101, USA"],
            ("12 Main Street", None, "St Louis", "MO", "63101", "USA"), id="St Louis",
        ),
        pytest.param(
            [f"{BEGIN} to 12 Main Street, Port Washington, NY 11050, USA"],
            ("12 Main Street", None, "Port Washington", "NY", "11050", "USA"), id="a city that ends as a state",
        ),
        pytest.param(
            [BEGIN, "5 avenue de Normandie, 75002 Paris, Île-de-France, France"],
            ("5 avenue de Normandie", *PARIS[1:]), id="a street that ends as a region",
        ),
        pytest.param([BEGIN], (None,) * 6, id="none"),
        pytest.param(["I moved, please ship #W1234567 to my office"], (None,) * 6, id="no postal address"),
        pytest.param([BEGIN, "yes"], (None,) * 6, id="a yes is no part"),
    ],
)  # fmt: skip
def test_parts_of_an_address_are_read_from_all_messages(texts, parts):
    found = read_address(texts[::-1])

    assert found.is_clear
    assert tuple(found.parts.get(part) for part in PARTS) == parts
    optional = {"address2"} if found.parts.get("country") != "United Kingdom" else {"address2", "state"}
    assert found.missing == tuple(part for part in PARTS if part not in optional and part not in found.parts)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([f"{BEGIN} to John Doe, 12 Main Street, Denver, CO 80014, USA"], id="a piece before the street"),
        pytest.param([f"{BEGIN} to 12 Main Street, Denver, CO, 80014, USA, I moved last week"], id="a sentence"),
        pytest.param([BEGIN, "same as my profile"], id="no address"),
        pytest.param([BEGIN, "I meant 14 Main Street"], id="a sentence before the street"),
        pytest.param([BEGIN, "my house is on 12 Main Street, Denver, CO 80014, USA"], id="a sentence with the street"),
        pytest.param(["changer l'adresse", "je voulais dire 12 rue de la Paix, 75002 Paris"], id="fr a sentence"),
        pytest.param([f"{BEGIN} to 12 Main Street St Louis MO 63101 USA"], id="a street or a city"),
        pytest.param([f"{BEGIN} to 12 rue de la Paix Montreal QC H3A 1A1 Canada"], id="a street without an end"),
        pytest.param([f"{BEGIN} to 12 Main Street, San Francisco California, 94105, USA"], id="a region in the city"),
        pytest.param([f"{BEGIN} to 12 Main Street, San Francisco California 94105, USA"], id="a region and a zip"),
        pytest.param([f"{BEGIN} to 12 Main Street, Albany New York, 12207, USA"], id="a region of two words"),
        pytest.param([f"{BEGIN} to 12 Main Street, Denver CO, 80014, USA"], id="a region's code in the city"),
        pytest.param([f"{BEGIN} to 12 Main Street San Francisco California 94105 USA"], id="a region in the street"),
        pytest.param([f"{BEGIN} to 12 Main Street San Francisco, California 94105, USA"], id="a city in the street"),
        pytest.param([BEGIN, "city: Oak Street Denver"], id="a street in the city"),
        pytest.param([BEGIN, "80014 Denver, Oak Street"], id="a street as the region"),
        pytest.param([BEGIN, "12 Main Street, Denver", "state: none"], id="no region"),
        pytest.param([BEGIN, "12 Main Street, 80014", "city: n/a"], id="no city"),
        pytest.param([BEGIN, "12 Main Street, CO 80014, USA", "none"], id="nothing"),
        pytest.param([BEGIN, "12 Main Street, CO 80014, USA", "no city"], id="a city that is none"),
        pytest.param(["changer l'adresse", "5 rue X, 69001", "ville : aucune"], id="fr no city"),
        pytest.param(["changer l'adresse", "5 rue X, 69001", "aucun"], id="fr nothing"),
        pytest.param(["改地址", "西湖区文三路1号 310012", "城市：没有"], id="zh no city"),
        pytest.param(["改地址", "西湖区文三路1号 310012", "没有"], id="zh nothing"),
        pytest.param([BEGIN, f"12 Main Street, {'long ' * 30}, CO 80014, USA"], id="a long part"),
        pytest.param([BEGIN, "a, " * 2000], id="a long message"),
        pytest.param([BEGIN, "和上次一样"], id="zh"),
    ],
)
def test_what_has_no_place_in_an_address_makes_it_unclear(texts):
    assert not read_address(texts[::-1]).is_clear


OLD = "5 Old Road, Boulder, CO 80301, USA"
LILAS = "5 rue des Lilas, 31000 Toulouse, Occitanie, France"


@pytest.mark.parametrize(
    "texts",
    [
        [f"Do not ship #W1234567 to {OLD}"],
        [f"Please don't deliver order #W1234567 to this address: {OLD}"],
        [f"{BEGIN}. My old address is {OLD}"],
        [f"{BEGIN}. My old address:\n{OLD}"],
        [f"{BEGIN}. My current address is {OLD}"],
        [f"{BEGIN}. My previous delivery address was {OLD}"],
        [f"{BEGIN}, I no longer live at {OLD}"],
        [f"{BEGIN}, I moved from {OLD}"],
        [f"{BEGIN}, I moved from my old address, {OLD}"],
        [f"{BEGIN} to 12 Main Street, Denver, CO 80014, USA instead of 5 Old Road"],
        [f"Ne livrez pas #W1234567 au {LILAS}"],
        [f"Changer l'adresse de #W1234567. Mon ancienne adresse est {LILAS}"],
        [f"Changer l'adresse de #W1234567. Mon adresse actuelle est {LILAS}"],
        [f"Changer l'adresse de #W1234567, je n'habite plus au {LILAS}"],
        ["修改订单#W1234567的地址，原来的地址是广东省深圳市南山区科技路1号 518057 中国"],
        ["修改订单#W1234567的地址，我现在的地址是广东省深圳市南山区科技路1号 518057 中国"],
        ["订单#W1234567不要寄到广东省深圳市南山区科技路1号 518057 中国"],
        [BEGIN, "not 12 Main Street, Denver, CO 80014, USA"],
        [BEGIN, "no 12 Main Street, Denver, CO 80014, USA"],
        [BEGIN, f"my old address is {OLD}"],
        [BEGIN, "12 Main Street is not my address, Denver"],
        [BEGIN, "12 Main Street, Denver", "the zip is not 80014"],
        [BEGIN, "12 Main Street", "city: not Denver"],
        ["changer l'adresse", f"pas {LILAS}"],
        ["changer l'adresse", f"mon ancienne adresse : {LILAS}"],
        ["改地址", "不是广东省深圳市南山区科技路1号 518057 中国"],
        ["改地址", "旧地址：广东省深圳市南山区科技路1号 518057 中国"],
    ],
)
def test_an_old_or_refused_address_is_unclear(texts):
    assert not read_address(texts[::-1]).is_clear


@pytest.mark.parametrize(
    "text",
    [
        "Change my current address of order #W1234567 to 12 Main Street, Denver, CO 80014, USA",
        "My old address is wrong, change it to 12 Main Street, Denver, CO 80014, USA",
        "The address of #W1234567 is not correct, it should be 12 Main Street, Denver, CO 80014, USA",
        "I don't live there any more. Ship #W1234567 to 12 Main Street, Denver, CO 80014, USA",
        "My 2 items haven't come. Ship #W1234567 to 12 Main Street, Denver, CO 80014, USA",
        "My old address is wrong\nChange it to 12 Main Street, Denver, CO 80014, USA",
        "把订单#W1234567原来的地址改成 12 Main Street, Denver, CO 80014, USA",
    ],
)
def test_a_new_address_beside_words_about_the_old_one_is_read(text):
    found = read_address([text])

    assert found.is_clear
    assert tuple(found.parts.get(part) for part in PARTS) == DENVER


@pytest.mark.parametrize(
    ("country", "missing"),
    [
        ("France", ()),
        ("United Kingdom", ()),
        ("U.K.", ()),
        ("country: Malaysia", ("state",)),
        ("USA", ("state",)),
        ("United States", ("state",)),
        ("U.S.A.", ("state",)),
        ("Canada", ("state",)),
        ("Mexique", ("state",)),
        ("Australie", ("state",)),
        ("Brazil", ("state",)),
        ("Inde", ("state",)),
        ("中国", ("state",)),
        ("法国", ()),
    ],
)
def test_a_region_is_required_only_where_addresses_have_one(country, missing):
    found = read_address([country, "12 rue de la Paix, 75002 Paris", BEGIN])

    assert found.missing == missing


def test_all_countries_with_regions_are_countries():
    assert WITH_REGION < COUNTRIES


def test_another_city_is_no_region():
    assert not read_address(["Lyon", "12 rue de la Paix, 75002 Paris, France", BEGIN]).is_clear


def test_the_number_of_a_flat_is_no_order():
    text = f"{BEGIN} to 1 Elm Avenue, Apt #1204, Austin, TX 78784, USA"
    assert find_entities(text, Language.ENGLISH).orders == ("#W1234567",)


def test_an_answer_that_says_address_goes_on_with_the_request_before_it():
    turns = (
        Turn(Speaker.CUSTOMER, f"{BEGIN} to 12 Main Street, Denver"),
        Turn(Speaker.ASSISTANT, "For the new address I still need this: postcode. I have this so far:\n- city: Denver"),
        Turn(Speaker.CUSTOMER, "the rest of the new address is CO 80014, USA"),
    )
    wanted = read_wanted(turns, Language.ENGLISH)

    assert wanted is not None
    assert (wanted.intent, wanted.entities.orders) == (Intent.CHANGE_ADDRESS, ("#W1234567",))
    assert not read_address(wanted.texts).missing
