"""A change of a source is used at once, and old text never again."""

import asyncio
import os
import shutil
import time

import pytest

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.index.content import Source
from chatscale_assistant.index.knowledge import Knowledge
from tests.unit.assistant.index.builders import CATALOGUE, POLICY, Shop, WordEncoder, eventually


async def test_promise_9_a_changed_price_is_used_before_anything_is_embedded(shop):
    shop.write("catalogue/shop.csv", CATALOGUE.replace("19.90", "24.90"))
    assert await shop.knowledge.refresh()

    (row,) = shop.knowledge.rows("id", "1")
    assert row.fields["price"] == "24.90"
    assert not any("19.90" in text for text in await shop.texts("Tea Kettle red"))
    assert shop.encoders[0].embedded == []


async def test_promise_9_a_deleted_document_is_never_used_again(shop):
    before = await shop.knowledge.search("take shoes back")
    assert before.hits[0].chunk.text == "We take shoes back for 30 days."

    (shop.mounts / "policies/policy.md").unlink()
    await shop.knowledge.refresh()

    assert not any("shoes" in text for text in await shop.texts("take shoes back"))
    assert shop.knowledge.chunk(before.hits[0].chunk.id) is None
    assert shop.messages()["policies"] == "source policies: expected text, found none"


async def test_promise_9_a_search_that_began_before_a_deletion_does_not_return_the_old_text(tmp_path):
    shop = Shop(tmp_path)
    await shop.knowledge.refresh()
    began, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def block():
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)

    blocked = asyncio.create_task(shop.worker.call(block))
    await began.wait()
    search = asyncio.create_task(shop.texts("take shoes back"))
    await asyncio.sleep(0)
    shop.write("policies/policy.md", "# Other\nNothing.")
    await shop.knowledge.refresh()
    go_on.set()
    await blocked

    assert not any("shoes" in text for text in await search)
    await shop.worker.close()


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        pytest.param("catalogue/shop.csv", b"id,name\n1,\xff\n", "line 2: expected UTF-8, found byte 0xFF", id="utf-8"),
        pytest.param("catalogue/shop.csv", "id,name\n1,A\n1,B\n", "column 'id': expected a value that no", id="twice"),
        pytest.param("replies/replies.yaml", "a: &a [1]\nb: *a", "expected YAML without aliases", id="alias"),
        pytest.param("policies/policy.md", b"\x00\x01", "expected text, found a NUL byte", id="binary"),
    ],
)
async def test_promise_9_a_broken_source_is_left_out_with_a_message_and_the_others_stay(shop, path, content, message):
    shop.write(path, content)
    await shop.knowledge.refresh()

    broken = path.split("/")[0]
    assert {state.name for state in shop.knowledge.states if state.chunks} == {"policies", "catalogue", "replies"} - {
        broken
    }
    assert message in shop.messages()[broken]
    assert (await shop.knowledge.search("kettle shoes open", source=broken)).hits == ()


async def test_a_repaired_source_is_used_again(shop):
    shop.write("catalogue/shop.csv", "broken")
    await shop.knowledge.refresh()
    shop.write("catalogue/shop.csv", CATALOGUE)
    await shop.knowledge.refresh()

    assert shop.knowledge.rows("name", "desk lamp")
    assert shop.messages()["catalogue"] == ""


async def test_an_unreadable_document_leaves_the_others_of_its_source(shop):
    shop.write("policies/scan.pdf", "%PDF")
    await shop.knowledge.refresh()

    assert "scan.pdf: expected Markdown, text or HTML" in shop.messages()["policies"]
    assert (await shop.texts("take shoes back"))[0] == "We take shoes back for 30 days."


async def test_promise_8_the_swap_of_a_config_maps_mount_is_seen(tmp_path):
    shop = Shop(tmp_path)
    mount = shop.mounts / "policies"
    (mount / "policy.md").unlink()
    for number, text in enumerate((POLICY, POLICY.replace("30 days", "14 days"))):
        folder = mount / f"..2026_0{number}"
        folder.mkdir()
        (folder / "policy.md").write_text(text)
        # Kubelet keeps the times of the files, so that only the link differs.
        os.utime(folder / "policy.md", (1, 1))
    (mount / "..data").symlink_to("..2026_00")
    (mount / "policy.md").symlink_to("..data/policy.md")
    await shop.knowledge.refresh()
    assert await shop.texts("shoes", limit=1) == ["We take shoes back for 30 days."]

    (mount / "..data_tmp").symlink_to("..2026_01")
    (mount / "..data_tmp").rename(mount / "..data")
    shutil.rmtree(mount / "..2026_00")

    assert await shop.knowledge.refresh()
    assert await shop.texts("shoes", limit=1) == ["We take shoes back for 14 days."]
    await shop.worker.close()


async def test_a_change_of_a_claims_file_with_the_same_size_and_time_is_seen(shop):
    path = shop.mounts / "catalogue/shop.csv"
    seen = path.stat()
    path.write_text(CATALOGUE.replace("19.90", "18.80"))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    assert await shop.knowledge.refresh()
    assert shop.knowledge.rows("id", "1")[0].fields["price"] == "18.80"


async def test_nothing_is_built_while_nothing_changes(shop):
    version = shop.knowledge.version

    assert not await shop.knowledge.refresh()
    os.utime(shop.mounts / "catalogue/shop.csv")
    assert not await shop.knowledge.refresh()
    assert shop.knowledge.version == version


async def test_a_link_out_of_a_source_is_not_read(shop, tmp_path):
    (tmp_path / "secret.md").write_text("The key is 4711.")
    (shop.mounts / "policies/secret.md").symlink_to(tmp_path / "secret.md")
    await shop.knowledge.refresh()

    assert not any("4711" in text for text in await shop.texts("key"))


async def test_promise_9_the_watch_uses_a_change_within_5_s_and_embeds_it_afterwards(tmp_path):
    async with Shop(tmp_path, poll_s=0.5).complete() as shop:
        shop.write("policies/policy.md", POLICY.replace("4.90", "5.90"))
        began = time.monotonic()
        await eventually(lambda: shop.knowledge.version and "5.90" in str(shop.knowledge._content.chunks))
        await eventually(lambda: any("5.90" in text for text in shop.encoders[0].embedded))

        assert time.monotonic() - began < 5
        assert "Parcels to France cost 5.90 EUR." in await shop.texts("parcels France")


async def test_only_new_text_is_embedded_also_after_a_restart(tmp_path):
    async with Shop(tmp_path).complete() as first:
        assert len(first.encoders[0].embedded) == 6  # two passages, two products, two questions
    first.write("policies/policy.md", POLICY.replace("4.90", "5.90"))

    again = WordEncoder()
    async with Shop(tmp_path, again).complete():
        assert again.embedded == ["Shipping\nParcels to France cost 5.90 EUR."]


async def test_sources_are_fetched_at_the_same_time_so_slow_servers_do_not_add_up(tmp_path):
    shop = Shop(tmp_path)
    running = asyncio.Barrier(2)

    class Slow:
        def __init__(self, name: str) -> None:
            self.name = name

        async def read(self) -> Source:
            await running.wait()
            return Source(self.name, KnowledgeKind.DOCUMENTS, message="no answer")

        async def close(self) -> None:
            """Nothing is open."""

    knowledge = Knowledge([Slow("a"), Slow("b")], shop.builder, worker=shop.worker)
    async with asyncio.timeout(10):
        await knowledge.refresh()

    assert [state.name for state in knowledge.states] == ["a", "b"]
    await shop.worker.close()
