"""`chatscale usage` against an HTTP server in the place of the API server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from chatscale_cli.__main__ import main
from chatscale_contract.sysexits import SysExit
from tests.unit.chatscale_cli.usage.test_usage import a_line

POD = {"metadata": {"name": "gw-0"}, "spec": {"containers": [{"name": "gateway"}]}}
MODEL = {"metadata": {"name": "large", "namespace": "demo"}, "spec": {"price": {"outputPerMillionTokens": "2"}}}
ANSWERS = {
    "/api/v1/namespaces/gw/pods": json.dumps({"kind": "PodList", "apiVersion": "v1", "items": [POD]}),
    "/api/v1/namespaces/empty/pods": json.dumps({"kind": "PodList", "apiVersion": "v1", "items": []}),
    "/api/v1/namespaces/gw/pods/gw-0/log": f"{a_line()}\n{a_line()}",
    "/apis/chatscale.dev/v1alpha1/chatmodels": json.dumps({"items": [MODEL]}),
}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = ANSWERS.get(urlsplit(self.path).path)
            body = (found or "{}").encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        path = tmp_path / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {"kind": "Config", "clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}]}
        path.write_text(json.dumps({**config, "current-context": "c"}))
        yield path
        server.shutdown()


def test_reads_the_logs_of_all_gateway_pods_and_the_prices(kubeconfig: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["usage", "-n", "gw", "--kubeconfig", str(kubeconfig), "--format", "json"]) == 0
    total = json.loads(capsys.readouterr().out)["total"]
    assert (total["requests"], total["cost"]) == (2, {"EUR": "0.002"})


def test_a_namespace_without_a_gateway_is_named(kubeconfig: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["usage", "-n", "empty", "--kubeconfig", str(kubeconfig)]) == SysExit.UNAVAILABLE
    assert "namespace empty has no pods" in capsys.readouterr().err


def test_a_refused_read_is_one_line(kubeconfig: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["usage", "-n", "gone", "--kubeconfig", str(kubeconfig)]) == SysExit.UNAVAILABLE
    assert "the logs of the gateway cannot be read: 404" in capsys.readouterr().err


def test_files_need_no_kubernetes_client_and_the_cluster_names_it(tmp_path: Path):
    (tmp_path / "log").write_text(a_line())
    code = "import sys; sys.modules['kubernetes'] = None; from chatscale_cli.__main__ import main; sys.exit(main({}))"
    runs = [
        subprocess.run([sys.executable, "-c", code.format(arguments)], capture_output=True, text=True, check=False)
        for arguments in (["usage", str(tmp_path / "log")], ["usage"])
    ]
    assert [done.returncode for done in runs] == [0, SysExit.UNAVAILABLE]
    assert "pip install '.[keys]'" in runs[1].stderr
