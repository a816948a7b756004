"""The sample files of manifests/samples/shop answer the questions of docs/guide/shop-assistant.md."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hack.paths import ROOT
from tests.unit.assistant.whole.shop import WholeShop, whole_shop

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FILES = {"policies": "policies.md", "catalogue": "catalogue.csv", "replies": "replies.yaml"}
GUIDE = ROOT / "docs" / "guide" / "shop-assistant.md"
EXPECTED = {
    "Can I return a head torch?": ("en", "only if they are faulty", "policies"),
    "保修期是多久？": ("zh", "24 months", "policies"),
    "Combien coûte la livraison ?": ("fr", "4.90", "policies"),
    "How much are the trail running shoes?": ("en", "109.00", "catalogue"),
}
"""Language, a part of the answer, and its source."""


@pytest.fixture
async def shop(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WholeShop]:
    async with whole_shop(tmp_path, tmp_path_factory.mktemp("index")) as found:
        before = found.pod.knowledge.version
        for source, file in FILES.items():
            found.write(source, (ROOT / "manifests/samples/shop" / file).read_text())
        async with asyncio.timeout(60):
            while found.pod.knowledge.version == before or not found.pod.knowledge.is_complete:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield found


async def test_the_questions_of_the_guide_are_answered_from_the_sample_files(shop: WholeShop):
    page = GUIDE.read_text()
    asked = re.findall(r'^echo "(.*)" \| chatscale chat shop$', page, re.MULTILINE)
    asked += re.findall(r'"role":"user","content":"(.*?)"', page)
    assert set(asked) == set(EXPECTED)

    found = {question: await shop.say(question) for question in asked}

    for question, (language, part, source) in EXPECTED.items():
        answer = found[question]
        assert (question, answer["language"], part in answer["text"]) == (question, language, True), answer
        assert source in {each["source"] for each in answer["citations"]}


async def test_curated_replies_of_the_sample_come_in_the_language_of_the_question(shop: WholeShop):
    assert "9:00 to 18:00" in (await shop.say("When can I call you?"))["text"]
    assert "9 h à 18 h" in (await shop.say("Quels sont vos horaires ?"))["text"]
