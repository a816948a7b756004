"""The proxies that are compared, and how each one is started in front of one replica."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hack.paths import cache_dir
from tests.benchmarks.gateway.processes import Process, free_port, module, running
from tests.benchmarks.gateway.wire import MODEL

DIRECT: Final = "direct"
BARE: Final = "bare aiohttp proxy"
GATEWAY: Final = "Chatscale gateway"
NGINX: Final = "nginx"
LITELLM: Final = "LiteLLM proxy"
VLLM_ROUTER: Final = "vllm-router"
INSTALL_TIMEOUT_S: Final = 180
NGINX_TIMEOUT_S: Final = 120
PACKAGES: Final = {LITELLM: "litellm[proxy]==1.77.7", VLLM_ROUTER: "vllm-router==0.1.17"}

_NGINX: Final = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream replica {{ server 127.0.0.1:{replica}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://replica; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy that can be started."""

    name: str
    command: Callable[[int, int, Path], list[str]]
    """From its port, the replica's port and a folder for its files."""
    env: Mapping[str, str] = field(default_factory=dict)
    share: float = 1.0
    """Share of the requests that it gets; slow peers get fewer."""

    def start(self, replica_port: int, folder: Path) -> AbstractAsyncContextManager[Process]:
        """The running proxy."""
        port = free_port()
        return running(self.command(port, replica_port, folder), port, self.env)


@dataclass(frozen=True, slots=True)
class Peers:
    """What can be measured on this machine, and why the rest cannot."""

    found: tuple[Peer, ...]
    missing: Mapping[str, str]
    """Reason by name."""


def find_peers(*, others: bool) -> Peers:
    """others: install nginx, LiteLLM and vllm-router into the cache where they are missing."""
    found = [
        Peer(BARE, lambda port, replica, _: module("bare_proxy", port, replica)),
        Peer(GATEWAY, lambda port, replica, _: module("gateway", port, 0, replica)),
    ]
    missing: dict[str, str] = {}
    nginx, reason = _find_nginx(install=others)
    if nginx:
        found.append(Peer(NGINX, lambda port, replica, folder: _nginx(nginx, port, replica, folder)))
    else:
        missing[NGINX] = reason
    for name, peer in ((LITELLM, _litellm), (VLLM_ROUTER, _vllm_router)):
        reason = _install(name) if others else "left out of this run"
        if reason:
            missing[name] = reason
        else:
            found.append(peer())
    return Peers(tuple(found), missing)


def _folder(name: str) -> Path:
    return cache_dir() / "bench-gateway" / name.split(maxsplit=1)[0].lower()


def _install(name: str) -> str:
    """Install into an environment of its own; the reason if that fails."""
    folder = _folder(name)
    marker = folder / "installed"
    if marker.exists() and marker.read_text() == PACKAGES[name]:
        return ""
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, timeout=INSTALL_TIMEOUT_S)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", PACKAGES[name]]
        subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"did not install within {INSTALL_TIMEOUT_S} s"
    except subprocess.CalledProcessError as error:
        return f"did not install (pip exit code {error.returncode})"
    marker.write_text(PACKAGES[name])
    return ""


def _find_nginx(*, install: bool) -> tuple[str, str]:
    """Path of nginx, or an empty one and the reason.

    Debian's package is unpacked into the cache, not installed: installed, it would start a service on this machine.
    """
    if program := shutil.which("nginx"):
        return program, ""
    folder = _folder(NGINX)
    unpacked = folder / "usr" / "sbin" / "nginx"
    if unpacked.exists():
        return str(unpacked), ""
    reason = _unpack_nginx(folder, unpacked) if install else "left out of this run"
    return "" if reason else str(unpacked), reason


def _unpack_nginx(folder: Path, unpacked: Path) -> str:
    """The reason if that fails."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "not installed, and this machine has no apt"
    folder.mkdir(parents=True, exist_ok=True)
    # The lists of packages can be missing or old. Only root may renew them.
    if not _download_nginx(folder) and not (_apt_get("update", folder=folder) and _download_nginx(folder)):
        return "not installed, and apt cannot download it"
    package = next(folder.glob("nginx_*.deb"))
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=NGINX_TIMEOUT_S)
    if subprocess.run([unpacked, "-v"], check=False, capture_output=True).returncode:
        shutil.rmtree(folder)
        return "does not start on this machine"
    return ""


def _download_nginx(folder: Path) -> bool:
    return _apt_get("download", "nginx", folder=folder) and any(folder.glob("nginx_*.deb"))


def _apt_get(*arguments: str, folder: Path) -> bool:
    """Run apt-get in `folder`; False if it fails or takes too long."""
    command = ["apt-get", "-q", *arguments]
    try:
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, timeout=NGINX_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _nginx(program: str, port: int, replica_port: int, folder: Path) -> list[str]:
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, replica=replica_port))
    return [program, "-c", str(config), "-p", str(folder), "-e", "stderr"]


def _litellm() -> Peer:
    def command(port: int, replica_port: int, folder: Path) -> list[str]:
        parameters = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{replica_port}/v1", "api_key": "x"}
        config = folder / "litellm.yaml"
        config.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]}))
        program = str(_folder(LITELLM) / "bin" / "litellm")
        return [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]

    return Peer(LITELLM, command, {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}, share=0.1)


def _vllm_router() -> Peer:
    def command(port: int, replica_port: int, folder: Path) -> list[str]:
        del folder
        program = str(_folder(VLLM_ROUTER) / "bin" / "vllm-router")
        return [
            program, "--host", "127.0.0.1", "--port", str(port), "--policy", "round_robin", "--log-level", "error",
            "--worker-urls", f"http://127.0.0.1:{replica_port}", "--prometheus-port", str(free_port()),
        ]  # fmt: skip

    return Peer(VLLM_ROUTER, command)
