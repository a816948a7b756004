import pytest

from tests.unit.assistant.index.builders import Shop


@pytest.fixture
async def shop(tmp_path):
    """A shop whose index is used, without its watch."""
    made = Shop(tmp_path)
    await made.knowledge.refresh()
    yield made
    await made.worker.close()
    made.store.close()
