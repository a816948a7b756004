"""The sources of a spec become knowledge, mounted ones and those behind HTTP side by side."""

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from chatscale.api.v1alpha1.shopassistant import ShopAssistantSpec
from chatscale_assistant.index.configured import make_knowledge
from tests.unit.assistant.index.builders import CATALOGUE, POLICY, WordEncoder, eventually


async def test_promise_8_all_kinds_of_sources_of_a_spec_are_read(tmp_path):
    (tmp_path / "knowledge/policies").mkdir(parents=True)
    (tmp_path / "knowledge/policies/policy.md").write_text(POLICY)

    async def shop(_):
        return web.Response(text=CATALOGUE, content_type="text/csv")

    app = web.Application()
    app.router.add_get("/shop", shop)
    async with TestServer(app) as server, ClientSession() as session:
        spec = ShopAssistantSpec.model_validate(
            {
                "model": {"chatModel": "tiny"},
                "knowledge": [
                    {"name": "policies", "configMap": "policies"},
                    {"name": "missing", "claim": "missing"},
                    {"name": "catalogue", "kind": "Catalogue", "url": {"url": str(server.make_url("/shop"))}},
                ],
            }
        )
        knowledge = make_knowledge(
            spec, session, encoders=[WordEncoder()], mounts=tmp_path / "knowledge", folder=tmp_path / "index"
        )
        async with knowledge.running():
            await eventually(lambda: knowledge.is_complete)

            assert [(state.name, state.chunks) for state in knowledge.states] == [
                ("policies", 2),
                ("missing", 0),
                ("catalogue", 3),
            ]
            assert "expected a mounted folder" in knowledge.states[1].message
            assert (await knowledge.search("desk lamp")).hits[0].chunk.fields["price"] == "35.00"
