"""A source behind HTTP is fetched at its interval, only if it changed, and only from where the spec points."""

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from chatscale.api.v1alpha1.shopassistant import KnowledgeSource
from chatscale_assistant.index import urls
from chatscale_assistant.index.urls import WebSource

CATALOGUE = "name,price\nMug,{}\n"


class Site:
    """A web server with one file, and a source that reads it with a clock of its own."""

    def __init__(self) -> None:
        self.body = CATALOGUE.format("5.00")
        self.status = 200
        self.location = ""
        self.now_s = 0.0
        self.seen: list[tuple[int, str]] = []
        """Status and If-None-Match of each request."""

    async def handle(self, request: web.Request) -> web.Response:
        tag = f'"{hash(self.body)}"'
        status = 304 if self.status == 200 and request.headers.get("If-None-Match") == tag else self.status
        self.seen.append((status, request.headers.get("If-None-Match", "")))
        headers = {"ETag": tag} | ({"Location": self.location} if self.location else {})
        return web.Response(status=status, text="" if status == 304 else self.body, headers=headers)

    async def read(self, after_s: float = 0.0):
        self.now_s += after_s
        await self.source.read()
        if self.source._fetching is not None:
            await self.source._fetching
        return await self.source.read()


@pytest.fixture
async def site():
    made = Site()
    app = web.Application()
    app.router.add_get("/{name:.*}", made.handle)
    async with TestServer(app) as server, ClientSession() as session:
        spec = KnowledgeSource.model_validate(
            {
                "name": "web",
                "kind": "Catalogue",
                "url": {"url": str(server.make_url("/shop.csv")), "intervalSeconds": 60},
            }
        )
        made.source = WebSource(spec, session, clock=lambda: made.now_s)
        yield made
        await made.source.close()


async def test_promise_8_a_source_behind_http_is_read_again_at_its_interval(site):
    first = await site.read()
    assert [chunk.fields["price"] for chunk in first.chunks] == ["5.00"]

    site.body = CATALOGUE.format("6.00")
    assert await site.read(after_s=59) is first
    assert [chunk.fields["price"] for chunk in (await site.read(after_s=2)).chunks] == ["6.00"]


async def test_an_unchanged_file_is_not_sent_again(site):
    first = await site.read()

    assert await site.read(after_s=61) is first
    assert [status for status, _ in site.seen] == [200, 304]


@pytest.mark.parametrize("status", [404, 410, 403])
async def test_promise_9_a_file_that_is_gone_is_not_used_again(site, status):
    await site.read()
    site.status = status

    gone = await site.read(after_s=61)

    assert (gone.chunks, gone.digest) == ((), "")
    assert f"expected status 200, found {status}" in gone.message


async def test_a_server_that_fails_for_long_is_left_out_and_comes_back(site):
    first = await site.read()
    site.status = 500

    assert await site.read(after_s=61) is first
    failed = await site.read(after_s=200)
    assert (failed.chunks, "found 500" in failed.message) == ((), True)

    site.status = 200
    assert (await site.read(after_s=61)).chunks == first.chunks


async def test_a_source_that_could_not_be_fetched_at_the_start_is_tried_again_soon(site):
    daily = site.source.spec.url.model_copy(update={"interval_seconds": 86_400})
    site.source.spec = site.source.spec.model_copy(update={"url": daily})
    site.status = 503
    assert "found 503" in (await site.read()).message

    site.status = 200
    assert (await site.read(after_s=31)).chunks


@pytest.mark.parametrize(
    ("location", "message"),
    [
        pytest.param("file:///etc/passwd", "expected a redirect to http, found one to 'file'", id="file"),
        pytest.param("ftp://shop.example/a", "expected a redirect to http, found one to 'ftp'", id="ftp"),
        pytest.param("/other.csv", "expected at most 3 redirects", id="loop"),
    ],
)
async def test_a_redirect_to_another_scheme_or_without_end_is_refused(site, location, message):
    site.status, site.location = 302, location

    assert message in (await site.read()).message


async def test_a_redirect_from_a_public_host_into_the_cluster_is_refused(site, monkeypatch):
    async def is_private(url: str) -> bool:
        return "169.254" in url

    monkeypatch.setattr(urls, "_is_private", is_private)
    site.status, site.location = 302, "http://169.254.169.254/latest/meta-data"

    assert "expected a redirect to a public host, found '169.254.169.254'" in (await site.read()).message


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("http://127.0.0.1/", True, id="loopback"),
        pytest.param("http://10.1.2.3:8080/", True, id="private"),
        pytest.param("http://[::1]/", True, id="ipv6 loopback"),
        pytest.param("http://1.1.1.1/", False, id="public"),
    ],
)
async def test_private_addresses_are_recognised(url, expected):
    assert await urls._is_private(url) is expected


async def test_a_file_that_is_too_large_is_left_out(site):
    site.source.max_bytes = 10

    assert "expected at most 10 bytes, found more" in (await site.read()).message


@pytest.mark.parametrize("location", ["/signed.csv?X-Signature=planted", "https://user:planted@127.0.0.1:1/x.csv"])
async def test_messages_have_no_credentials_of_an_address(site, location):
    site.status, site.location = 302, location
    source = await site.read()

    assert source.message
    assert "planted" not in source.message


async def test_a_web_page_in_place_of_a_file_is_refused_and_the_last_good_content_stays_in_use(site):
    first = await site.read()
    site.body = "\n<!DOCTYPE html><html><body><h1>Sign in</h1><p>Refunds take 99 days.</p></body></html>"

    assert await site.read(after_s=61) is first
    failed = await site.read(after_s=200)
    assert (failed.chunks, "expected .csv, found a web page" in failed.message) == ((), True)


@pytest.mark.parametrize(
    ("path", "kind", "is_used"),
    [
        pytest.param("/policies.md", "Documents", False, id="Markdown"),
        pytest.param("/policies.TXT", "Documents", False, id="text"),
        pytest.param("/replies", "Replies", False, id="replies"),
        pytest.param("/export.php", "Catalogue", False, id="catalogue"),
        pytest.param("/policies.html", "Documents", True, id="HTML"),
        pytest.param("/policies", "Documents", True, id="without a suffix"),
        pytest.param("/policies.php", "Documents", True, id="program"),
    ],
)
async def test_a_web_page_is_text_only_where_documents_may_be_a_web_page(path, kind, is_used):
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html><body><p>Refunds take 9 days.</p></body></html>", content_type="text/html")

    app = web.Application()
    app.router.add_get(path, page)
    async with TestServer(app) as server, ClientSession() as session:
        found = await _read_once(server, session, path, kind)

    assert (bool(found.chunks), "found a web page" in found.message) == (is_used, not is_used)


async def test_a_redirect_to_a_page_to_log_in_is_no_document():
    async def login(_: web.Request) -> web.Response:
        return web.Response(text="<html><p>Please sign in.</p></html>", content_type="text/html")

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/login")

    app = web.Application()
    app.router.add_get("/policies.md", moved)
    app.router.add_get("/login", login)
    async with TestServer(app) as server, ClientSession() as session:
        found = await _read_once(server, session, "/policies.md", "Documents")

    assert "expected .md, found a web page" in found.message


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        pytest.param("/export.php", "text/csv", "name,price\nMug,5.00\n", id="program"),
        pytest.param("/v1.2", "application/x-ndjson", '{"name": "Mug", "price": "5.00"}', id="version"),
    ],
)
async def test_an_address_that_names_no_format_is_read_by_its_content_type(path, content_type, body):
    async def export(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type=content_type)

    app = web.Application()
    app.router.add_get(path, export)
    async with TestServer(app) as server, ClientSession() as session:
        found = await _read_once(server, session, path, "Catalogue")

    assert ([chunk.fields["price"] for chunk in found.chunks], found.message) == (["5.00"], "")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
async def test_a_document_of_an_unsupported_format_stays_refused(content_type):
    async def data(_: web.Request) -> web.Response:
        return web.Response(text='{"note": "Refunds take 77 days."}', content_type=content_type)

    app = web.Application()
    app.router.add_get("/data.json", data)
    async with TestServer(app) as server, ClientSession() as session:
        found = await _read_once(server, session, "/data.json", "Documents")

    assert (found.chunks, "found a file named .json" in found.message) == ((), True)


async def _read_once(server: TestServer, session: ClientSession, path: str, kind: str):
    spec = KnowledgeSource.model_validate({"name": "web", "kind": kind, "url": {"url": str(server.make_url(path))}})
    return await WebSource(spec, session).read()
