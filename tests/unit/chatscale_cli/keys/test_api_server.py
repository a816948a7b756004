"""The key commands against an HTTP server in the place of the API server, through a kubeconfig."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from chatscale_cli.__main__ import main
from chatscale_contract.gateway.keys import hash_key
from chatscale_contract.sysexits import SysExit

SECRET = {"metadata": {"namespace": "store", "name": "shop", "uid": "u", "resourceVersion": "7"}}


@dataclass
class ApiServer:
    """Gives one answer to each request, and keeps what it received."""

    status: int = 200
    answer: Any = field(default_factory=dict)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path and body."""
    tokens: set[str | None] = field(default_factory=set)
    closes: bool = False
    """Close the connection instead of an answer."""
    port: int = 0


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    state = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            state.requests.append((self.command, self.path, json.loads(self.rfile.read(length) or b"null")))
            state.tokens.add(self.headers.get("Authorization"))
            if state.closes:
                self.close_connection = True
                return
            body = state.answer if isinstance(state.answer, bytes) else json.dumps(state.answer).encode()
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - names of the base class

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        Thread(target=server.serve_forever, daemon=True).start()
        yield state
        server.shutdown()


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@dataclass
class Shell:
    kubeconfig: Path
    capsys: pytest.CaptureFixture[str]

    def chatscale(self, *arguments: str) -> Done:
        code = main(["key", *arguments, "--kubeconfig", str(self.kubeconfig)])
        return Done(code, *self.capsys.readouterr())


@pytest.fixture
def shell(
    api_server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """Its context names the namespace `store`."""
    config = {
        "current-context": "main",
        "contexts": [
            {"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "store"}},
            {"name": "plain", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{api_server.port}"}}],
        "users": [{"name": "u", "user": {"token": "t0ken"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("NO_PROXY", "*")
    return Shell(path, capsys)


def test_create_posts_the_secret_into_the_namespace_of_the_context(api_server: ApiServer, shell: Shell):
    done = shell.chatscale("create", "shop")
    assert (done.code, done.out.count("\n")) == (0, 1), done.err
    [(method, path, body)] = api_server.requests
    assert (method, path) == ("POST", "/api/v1/namespaces/store/secrets")
    assert body["metadata"]["labels"] == {"chatscale.dev/api-key": "true"}
    assert api_server.tokens == {"Bearer t0ken"}
    assert hash_key(done.out.strip()) not in done.err


def test_another_context_and_namespace_can_be_named(api_server: ApiServer, shell: Shell):
    shell.chatscale("list", "--context", "plain")
    shell.chatscale("list", "-n", "elsewhere")
    shell.chatscale("list", "-A")
    query = "?labelSelector=chatscale.dev/api-key%3Dtrue"
    assert [path for _, path, _ in api_server.requests] == [
        f"/api/v1/namespaces/default/secrets{query}",
        f"/api/v1/namespaces/elsewhere/secrets{query}",
        f"/api/v1/secrets{query}",
    ]


def test_revoke_deletes_only_the_version_that_was_read(api_server: ApiServer, shell: Shell):
    api_server.answer = SECRET | {"metadata": SECRET["metadata"] | {"labels": {"chatscale.dev/api-key": "true"}}}
    done = shell.chatscale("revoke", "shop")
    assert done.code == 0, done.err
    assert api_server.requests[1:] == [
        ("DELETE", "/api/v1/namespaces/store/secrets/shop", {"preconditions": {"uid": "u", "resourceVersion": "7"}})
    ]


@pytest.mark.parametrize(
    ("status", "answer", "code", "message"),
    [
        pytest.param(
            409,
            {"reason": "AlreadyExists", "message": 'secrets "shop" already exists'},
            SysExit.BAD_SETTINGS,
            'secrets "shop" already exists: choose another name, or rotate the key',
            id="name exists",
        ),
        pytest.param(
            404,
            {"message": 'namespaces "store" not found'},
            SysExit.BAD_SETTINGS,
            'namespaces "store" not found',
            id="no namespace",
        ),
        pytest.param(
            403,
            {"message": 'secrets is forbidden: User "u" cannot create'},
            SysExit.UNAVAILABLE,
            'the API server denied the request: secrets is forbidden: User "u" cannot create',
            id="forbidden",
        ),
        pytest.param(401, {"message": "Unauthorized"}, SysExit.UNAVAILABLE, "(HTTP 401)", id="credentials"),
        pytest.param(200, b"<html>", SysExit.UNAVAILABLE, "HTTP 200 without a JSON object", id="not an API server"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    api_server: ApiServer, shell: Shell, status: int, answer: object, code: SysExit, message: str
):
    api_server.status, api_server.answer = status, answer
    done = shell.chatscale("create", "shop")
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("chatscale: ")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_a_connection_that_closes_leaves_the_result_open(api_server: ApiServer, shell: Shell):
    api_server.closes = True
    done = shell.chatscale("create", "shop")
    assert (done.code, done.out) == (SysExit.UNAVAILABLE, "")
    assert "it is not known whether key store/shop was stored" in done.err
    assert [method for method, _, _ in api_server.requests] == ["POST", "GET"]


def test_an_api_server_that_is_away_is_named(shell: Shell):
    config = json.loads(shell.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    shell.kubeconfig.write_text(json.dumps(config))
    done = shell.chatscale("list")
    assert (done.code, done.out) == (SysExit.UNAVAILABLE, "")
    assert done.err.startswith("chatscale: the API server http://127.0.0.1:1 cannot be reached: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        pytest.param(None, [], "the current context of the kubeconfig", id="no file"),
        pytest.param("[]", [], "cannot be used", id="not a kubeconfig"),
        pytest.param("a: [", [], "cannot be used", id="not YAML"),
        pytest.param("keep", ["--context", "gone"], "the context 'gone'", id="no such context"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_one_line(
    shell: Shell, content: str | None, arguments: list[str], message: str
):
    if content is None:
        shell.kubeconfig.unlink()
    elif content != "keep":
        shell.kubeconfig.write_text(content)
    done = shell.chatscale("list", *arguments)
    assert (done.code, done.out) == (SysExit.UNAVAILABLE, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert done.err.startswith("chatscale: no cluster: ")


def test_without_a_flag_the_kubeconfig_is_that_of_kubectl(api_server: ApiServer, shell: Shell):
    environment = {**os.environ, "KUBECONFIG": str(shell.kubeconfig)}
    command = [sys.executable, "-m", "chatscale_cli", "key", "list"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no keys in namespace store\n")
    assert len(api_server.requests) == 1
