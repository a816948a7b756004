"""While questions wait, searches do without the slow encoder where it would not change the answer."""

import pytest
from typing_extensions import override

from chatscale_assistant.index.search import MANY_WAITING
from tests.unit.assistant.index.builders import Shop, WordEncoder

DECIDED = "blue tea kettle"
OPEN = "what do you have for my kitchen"


class CountedEncoder(WordEncoder):
    """Counts the questions that it embeds."""

    asked = 0

    @override
    def queries(self, texts):
        self.asked += 1
        return super().queries(texts)


@pytest.mark.parametrize(
    ("question", "waiting", "uses_slow"),
    [
        (DECIDED, 0, True), (OPEN, 0, True), (DECIDED, 1, False), (OPEN, 1, True),
        (DECIDED, MANY_WAITING, False), (OPEN, MANY_WAITING, False),
    ],
)  # fmt: skip
async def test_the_slow_encoder_is_left_out_by_need_and_load(tmp_path, question, waiting, uses_slow):
    slow = CountedEncoder("slow")
    async with Shop(tmp_path, WordEncoder("fast"), slow).complete() as shop:
        before = slow.asked
        found = shop.knowledge._open.searcher.search(question, 5, None, waiting=waiting)

    assert (slow.asked > before) is uses_slow
    if question == DECIDED:
        assert found.hits[0].chunk.fields["id"] == "2"


async def test_the_worker_counts_the_questions_that_wait(shop):
    assert shop.worker.waiting == 0
    await shop.knowledge.search(DECIDED)
    assert shop.worker.waiting == 0
