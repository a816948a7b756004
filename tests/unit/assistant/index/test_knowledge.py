"""What a search returns, while index files and encoders change."""

import asyncio
import threading

from chatscale_assistant.domain.evidence import Retrieved
from chatscale_assistant.index.worker import Priority, Worker
from tests.unit.assistant.index.builders import CATALOGUE, POLICY, Shop, WordEncoder, eventually


async def test_promise_13_without_an_index_nothing_is_found(tmp_path):
    shop = Shop(tmp_path)

    assert await shop.knowledge.search("shoes") == Retrieved((), "", 0.0)
    assert shop.knowledge.chunk("x") is None
    assert shop.knowledge.rows("id", "1") == ()
    await shop.worker.close()


async def test_promise_13_a_question_without_anything_in_common_is_not_answerable(tmp_path):
    async with Shop(tmp_path).complete() as shop:
        assert (await shop.knowledge.search("quantum chromodynamics")).answerable < 0.5
        assert (await shop.knowledge.search("")).answerable < 0.5
        assert (await shop.knowledge.search("when do you take shoes back")).answerable > 0.5


async def test_promise_10_a_hit_is_the_text_of_the_source_with_its_version(shop):
    found = await shop.knowledge.search("take shoes back")

    hit = found.hits[0].chunk
    assert (hit.source, hit.title, hit.text) == ("policies", "Returns", "We take shoes back for 30 days.")
    assert hit == shop.knowledge.chunk(hit.id)
    digest = next(state.digest for state in shop.knowledge.states if state.name == "policies")
    assert digest.startswith(hit.version)
    assert found.index == shop.knowledge.version


async def test_a_product_is_one_hit_with_the_row_that_the_question_names_and_other_rows_at_the_end(shop):
    found = await shop.knowledge.search("white lamp or blue tea kettle", source="catalogue", limit=2)

    assert [hit.chunk.fields["id"] for hit in found.hits] in (["2", "3", "1"], ["3", "2"])
    found = await shop.knowledge.search("blue tea kettle", source="catalogue", limit=1)
    assert [hit.chunk.fields["id"] for hit in found.hits] == ["2", "1"]
    assert [row.fields["id"] for row in shop.knowledge.variants(found.hits[0].chunk)] == ["1", "2"]


async def test_a_curated_reply_is_one_hit_whatever_question_matched(shop):
    for question in ("When are you open?", "你们几点开门"):
        (hit,) = (await shop.knowledge.search(question, source="replies")).hits
        assert (hit.chunk.fields["reply"], hit.chunk.fields["answer.fr"]) == ("hours", "De 9 h à 18 h.")


async def test_rows_are_found_by_any_column_whatever_case_and_accents(shop):
    assert [row.fields["id"] for row in shop.knowledge.rows("Name", "TEA kettlé")] == ["1", "2"]
    assert shop.knowledge.rows("name", "tea") == ()
    assert shop.knowledge.rows("name", "tea kettle", source="policies") == ()


async def test_searches_go_on_during_swaps_and_old_files_go_after_their_last_reader(tmp_path):
    async with Shop(tmp_path).complete() as shop:
        wrong: list[str] = []
        done = asyncio.Event()

        async def read():
            while not done.is_set():
                found = await shop.knowledge.search("tea kettle price", source="catalogue", limit=1)
                prices = {hit.chunk.fields["price"] for hit in found.hits}
                if not found.hits or not prices <= valid:
                    wrong.append(f"{prices} of {valid}")

        valid = {"19.90", "21.90"}
        readers = [asyncio.create_task(read()) for _ in range(5)]
        for price in range(20, 40):
            valid |= {f"{price}.50"}
            shop.write("catalogue/shop.csv", CATALOGUE.replace("19.90", f"{price}.50").replace("21.90", f"{price}.50"))
            await shop.knowledge.refresh()
            valid = {f"{price}.50"}
        done.set()
        await asyncio.gather(*readers)

        assert wrong == []
        await eventually(lambda: len(list(shop.index.glob("index-*"))) == 1)
        await eventually(lambda: shop.knowledge.is_complete)


async def test_promise_24_another_encoder_builds_beside_the_old_index_and_then_swaps(tmp_path):
    async with Shop(tmp_path, WordEncoder("old")).complete() as shop:
        old = shop.knowledge.version

    new = WordEncoder("new", dimensions=32)
    async with Shop(tmp_path, new).complete() as shop:
        assert shop.knowledge.version != old
        assert len(new.embedded) == 6
        assert (await shop.texts("take shoes back"))[0] == "We take shoes back for 30 days."
    # Back to the old one: its vectors are still there.
    again = WordEncoder("old")
    async with Shop(tmp_path, again).complete() as shop:
        assert (shop.knowledge.version, again.embedded) == (old, [])


async def test_pods_with_the_same_content_have_the_same_version(tmp_path):
    one, two = Shop(tmp_path / "a"), Shop(tmp_path / "b")
    for shop in (one, two):
        await shop.knowledge.refresh()
        await shop.worker.close()

    assert one.knowledge.version == two.knowledge.version


async def test_a_broken_encoder_leaves_words_and_fields(tmp_path):
    encoder = WordEncoder()
    async with Shop(tmp_path, encoder).complete() as shop:
        encoder.is_broken = True

        assert (await shop.texts("take shoes back"))[0] == "We take shoes back for 30 days."


async def test_an_index_that_cannot_be_written_answers_nothing_instead_of_old_text(shop):
    shop.write("policies/policy.md", POLICY.replace("30", "14"))
    shop.builder.folder = shop.mounts / "policies/policy.md"  # no folder
    await shop.knowledge.refresh()

    assert (await shop.knowledge.search("shoes")).hits == ()
    assert "cannot be written" in shop.messages()["policies"]

    shop.builder.folder = shop.index
    await shop.knowledge.refresh()
    assert await shop.texts("take shoes back", limit=1) == ["We take shoes back for 14 days."]


async def test_a_damaged_cache_is_replaced(tmp_path):
    (tmp_path / "index").mkdir()
    (tmp_path / "index/embeddings.sqlite").write_bytes(b"no database" * 100)

    async with Shop(tmp_path).complete() as shop:
        assert (await shop.titles("tea kettle"))[0] == "Tea Kettle"


async def test_questions_go_before_passages():
    worker = Worker()
    order: list[str] = []
    go_on = threading.Event()

    first = asyncio.create_task(worker.call(go_on.wait))
    jobs = [
        asyncio.create_task(worker.call(lambda: order.append("passage"), Priority.INDEXING)),
        asyncio.create_task(worker.call(lambda: order.append("question"))),
    ]
    await asyncio.sleep(0)  # all three are queued
    go_on.set()
    await asyncio.gather(first, *jobs)

    assert order == ["question", "passage"]
    await worker.close()


async def test_the_event_loop_runs_while_an_encoder_computes(tmp_path):
    encoder = WordEncoder()
    async with Shop(tmp_path, encoder).complete() as shop:
        began, go_on = threading.Event(), threading.Event()
        embed = encoder.queries

        def slow(texts):
            began.set()
            assert go_on.wait(30)  # set by the event loop below: this would time out if the loop were blocked
            return embed(texts)

        encoder.queries = slow
        search = asyncio.create_task(shop.texts("take shoes back"))
        await eventually(began.is_set)
        assert shop.knowledge.rows("id", "1")
        go_on.set()

        assert (await search)[0] == "We take shoes back for 30 days."


async def test_a_search_whose_customer_left_is_not_computed():
    worker = Worker()
    order: list[str] = []
    go_on = threading.Event()
    first = asyncio.create_task(worker.call(go_on.wait))
    left = asyncio.create_task(worker.call(lambda: order.append("left")))
    await asyncio.sleep(0)

    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    go_on.set()
    await first
    await worker.close()

    assert order == []


async def test_knowledge_is_settled_once_its_vectors_are_there_or_cannot_be_computed(tmp_path):
    good, broken = WordEncoder(), WordEncoder()
    broken.is_broken = True
    for number, encoder in enumerate((good, broken)):
        shop = Shop(tmp_path / str(number), encoder)
        async with asyncio.timeout(30), shop.knowledge.running():
            await shop.knowledge.settled.wait()
            assert shop.knowledge.is_complete is (encoder is good)
