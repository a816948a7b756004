"""Keys of the kind cluster: made by the real command, and waited for until the gateways accept them."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from hack import keys


class Gateway:
    """Accepts `good` from the given request on."""

    def __init__(self, accepts_from: int) -> None:
        self.accepts_from = accepts_from
        self.requests = 0

    def status(self, authorization: str | None) -> int:
        self.requests += 1
        return 200 if authorization == "Bearer good" and self.requests >= self.accepts_from else 401


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(accepts_from=1)


@pytest.fixture
def base_url(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(gateway.status(self.headers.get("Authorization")))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_the_status_depends_on_the_key_that_is_sent(base_url: str):
    assert [keys.status_of(base_url, key) for key in (None, "bad", "good")] == [401, 401, 200]


def test_a_new_key_is_waited_for_until_every_probe_is_accepted(base_url: str, gateway: Gateway):
    gateway.accepts_from = 3
    keys.wait_until_accepted(base_url, "good", within_s=10)
    assert gateway.requests == 2 + 8


def test_a_key_that_is_never_accepted_ends_the_wait(base_url: str):
    with pytest.raises(TimeoutError, match="the gateways accept the key"):
        keys.wait_until_accepted(base_url, "bad", within_s=0)


def test_a_command_that_fails_says_why_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(keys.KeyCommandError, match=r"^chatscale key create website: chatscale: no cluster: .*\Z"):
        keys.create_key("website", "shop")


def test_what_is_shown_of_a_key_is_no_part_of_it():
    assert keys.SHOWN == "csk-********"
