"""The pages and their files as browsers get them. tests/browser opens them in a browser."""

import hashlib
import json
import re

import pytest

from chatscale_contract.gateway.endpoints import PAGE_MODELS_PATH
from chatscale_contract.gateway.key_secret import StoredKey
from chatscale_contract.gateway.keys import KeyId, KeyPolicy, hash_key
from chatscale_gateway.http.authentication import Authentication
from chatscale_gateway.keys.key_ring import FoundKey, KeyRing
from chatscale_gateway.pages.files import load_page_files
from chatscale_gateway.routing.catalog import ModelKey
from hack.vendor import FILES, TARGET, locked_versions
from tests.support.gateway_world import a_model
from tests.unit.gateway.http.fakes import CHAT, Pod, a_gateway, chat, serving

PAGE_BYTES = 250_000
KEY = {"Authorization": "Bearer csk-demo"}


class Keys:
    ring = KeyRing([FoundKey(KeyId("demo", "k"), StoredKey(hash_key("csk-demo"), KeyPolicy()))], "system")


GUARDED = Authentication(Keys())


@pytest.mark.parametrize("prefix", ["", "/llm"])
@pytest.mark.parametrize("page", ["/", "/live"])
async def test_serves_a_page_and_its_assets_without_a_key(prefix, page):
    async with a_gateway(path_prefix="/llm", authentication=GUARDED) as world:
        async with world.client.get(prefix + page) as response:
            assert (response.status, response.content_type) == (200, "text/html")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-cache"
            policy = response.headers["Content-Security-Policy"].split("; ")
            assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
            assert "unsafe" not in response.headers["Content-Security-Policy"]
            text = await response.text()
        for name in re.findall(r'(?:src|href)="(assets/[^"]+)"', text):
            async with world.client.get(f"{prefix}/{name}") as response:
                assert response.status == 200, name
                assert response.content_type in {"text/javascript", "text/css", "image/svg+xml"}
                assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert {line["status"] for line in world.lines} == {200}
        assert world.demand().arrived == 0


async def test_a_prefix_without_a_slash_leads_to_the_page():
    async with a_gateway(path_prefix="/llm") as world, world.client.get("/llm") as response:
        assert (response.status, response.url.path) == (200, "/llm/")


async def test_an_unchanged_file_is_not_sent_again():
    async with a_gateway() as world:
        async with world.client.get("/") as response:
            tag = response.headers["ETag"]
        async with world.client.get("/", headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        async with world.client.head("/") as response:
            assert response.status == 200


async def test_the_assets_of_another_version_must_be_revalidated():
    async with a_gateway() as world:
        async with world.client.get("/assets/other/vendor/marked.js") as response:
            assert (response.status, response.headers["Cache-Control"]) == (200, "no-cache")
        for name in ("x.js", "../files.py", "%2e%2e/index.html", "vendor", "vendor/"):
            async with world.client.get(f"/assets/other/{name}") as response:
                assert response.status in {401, 404}, name


async def test_pages_can_be_turned_off():
    async with a_gateway(pages=False) as world:
        for path in ("/", "/live", "/assets/x/vendor/marked.js", PAGE_MODELS_PATH):
            async with world.client.get(path) as response:
                assert response.status == 404


async def test_model_states_need_a_key_and_wake_nothing():
    asleep = a_model(ModelKey("demo", "asleep"), replicas=0, start_s=42.5)
    stopped = a_model(ModelKey("demo", "stopped"), replicas=0, scale_to_zero=False)
    models = (a_model(), asleep, stopped, a_model(ModelKey("demo", "starting")), a_model(ModelKey("shop", "tiny")))
    async with serving(Pod()) as pod, a_gateway(pod, models=models, authentication=GUARDED) as world:
        async with world.client.get(PAGE_MODELS_PATH) as response:
            assert response.status == 401
        async with world.client.post(CHAT, json=chat(), headers=KEY) as response:
            assert response.status == 200
        async with world.client.get(PAGE_MODELS_PATH, headers=KEY) as response:
            assert response.headers["Cache-Control"] == "no-store"
            found = {each.pop("id"): each for each in (await response.json())["data"]}
        assert {name: each["state"] for name, each in found.items()} == {
            "tiny": "ready", "asleep": "asleep", "stopped": "stopped", "starting": "starting"
        }  # fmt: skip
        assert found["tiny"] == {
            "state": "ready", "replicas": 1, "ready": 1, "slots": 4, "in_flight": 0, "held": 0,
            "start_seconds": None, "max_model_len": None,
        }  # fmt: skip
        assert found["asleep"]["start_seconds"] == 42.5
        assert world.dispatcher.demand().wake_seq == 0
        assert world.demand(asleep.key).arrived == 0


def test_the_copied_libraries_are_those_of_the_lock_file():
    manifest = json.loads((TARGET / "manifest.json").read_text())
    assert manifest.keys() == FILES.keys()
    for name, entry in manifest.items():
        assert hashlib.sha256((TARGET / name).read_bytes()).hexdigest() == entry["sha256"], name
        assert entry["version"] == locked_versions()[entry["package"]]
        assert f"{entry['package']} {entry['version']}" in (TARGET / "NOTICE").read_text()


def test_the_chat_page_is_small():
    files = load_page_files()
    names = [name for name in files.assets if name.startswith(("chat/", "shared/", "vendor/marked", "vendor/purify"))]
    assert sum(len(files.assets[name].content) for name in names) + len(files.pages["/"].content) < PAGE_BYTES
