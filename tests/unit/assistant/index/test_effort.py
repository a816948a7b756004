"""What a search costs. While questions wait, it does without the slow encoder where it would not change the answer."""

import pytest
from typing_extensions import override

from chatscale_assistant.index.search import MANY_WAITING
from chatscale_assistant.retrieval.glossary import concepts
from tests.unit.assistant.index.builders import Shop, WordEncoder

DECIDED = "blue tea kettle"
LIKELY = "kettle"
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
        (DECIDED, 0, True), (LIKELY, 0, True), (OPEN, 0, True),
        (DECIDED, 1, False), (LIKELY, 1, True), (OPEN, 1, True),
        (DECIDED, MANY_WAITING, False), (LIKELY, MANY_WAITING, False), (OPEN, MANY_WAITING, True),
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


@pytest.mark.parametrize("waiting", [MANY_WAITING, 100 * MANY_WAITING])
async def test_load_alone_never_turns_an_answer_into_a_miss(tmp_path, waiting):
    """What the fast encoder does not find is searched with all encoders, however many questions wait."""
    question = "shoes for parcels"
    async with Shop(tmp_path, WordEncoder("fast"), CountedEncoder("slow")).complete() as shop:
        search = shop.knowledge._open.searcher.search
        assert search(question, 5, None, waiting=waiting) == search(question, 5, None)


async def test_the_worker_counts_the_questions_that_wait(shop):
    assert shop.worker.waiting == 0
    await shop.knowledge.search(DECIDED)
    assert shop.worker.waiting == 0


async def test_a_search_of_embedded_text_asks_the_index_once_for_words_and_once_for_each_shop_word(tmp_path):
    async with Shop(tmp_path, WordEncoder("fast"), WordEncoder("slow")).complete() as shop:
        searcher = shop.knowledge._open.searcher
        expressions = []

        def traced(_cursor, sql, bindings):
            if "MATCH" in sql:
                expressions.append(bindings[0])
            return True

        searcher.snapshot._connection.exec_trace = traced
        searcher.search(DECIDED, 5, None)

    assert len(expressions) == 1 + len(concepts(DECIDED))
    assert len(concepts(DECIDED)) > 1


async def test_passages_have_any_of_several_terms_as_they_have_each_of_them(shop):
    snapshot = shop.knowledge._open.searcher.snapshot
    every = range(len(snapshot.sources))
    kettle, lamp = (set(snapshot.with_any([term], every)) for term in ("kettle", "lamp"))

    assert kettle
    assert lamp
    assert snapshot.with_any(["kettle", "lamp", "nothing"], every) == kettle | lamp
    assert snapshot.with_any(["kettle", "lamp"], [*kettle]) == kettle
    assert snapshot.with_any([], every) == set()
    assert snapshot.with_any(["kettle"], []) == set()
