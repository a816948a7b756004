"""Numbers and codes have no language; the Chinese characters around them do."""

import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.language.detect import own_language


@pytest.mark.parametrize(
    "text",
    ["收到商品后30天内可以退货吗？", "订单#W1234567在哪里", "我的邮箱是a.b@c.com可以吗", "网址https://a.b/c可以吗"],
)
def test_a_number_without_spaces_around_it_takes_no_chinese_with_it(text):
    assert own_language(text) is Language.CHINESE
