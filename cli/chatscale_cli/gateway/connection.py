"""Opens the way to the gateway that the flags name, and closes it.

The commands run between calls of the event loop, because prompts block it: a port-forward has no work then.
"""

import argparse
import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from chatscale_cli.errors import CommandError, KeyRefusedError
from chatscale_cli.gateway.client import GatewayClient
from chatscale_cli.gateway.key import given_key, prompted_key
from chatscale_cli.gateway.options import URL_VARIABLE

if TYPE_CHECKING:
    from chatscale_cli.gateway.cluster import ApiServer

_API_PREFIX: Final = "/v1"
"""Base URLs of OpenAI clients end with it."""


@contextmanager
def open_gateway(options: argparse.Namespace, runner: asyncio.Runner) -> Iterator[GatewayClient]:
    """Yield a client of the gateway. Raises CommandError. options: see `add_gateway_options`."""
    key = given_key(options.key_file)
    address = options.url or os.environ.get(URL_VARIABLE)
    tls = _tls(options.ca_file)
    with ExitStack() as stack:
        if address:
            opening = _open_url(parse_url(address), tls)
        else:
            # Here, because the import takes a third of a second.
            from chatscale_cli.gateway.cluster import open_api_server

            api = stack.enter_context(open_api_server(options.kubeconfig, options.context))
            opening = _open_forward(api, options.namespace, tls)
        client = stack.enter_context(_entered(runner, opening))
        client.key = key
        yield client


def list_models(client: GatewayClient, runner: asyncio.Runner) -> list[str]:
    """Models that the key opens. Reads a key from the terminal if the gateway requires one and none was given."""
    try:
        return runner.run(client.models())
    except KeyRefusedError:
        if client.key is not None:
            raise
    client.key = prompted_key()
    return runner.run(client.models())


def parse_url(text: str) -> URL:
    """The address without `/v1`. Raises CommandError."""
    try:
        url = URL(text)
    except ValueError as error:
        raise CommandError(f"the address of the gateway must be a URL, found {text!r}") from error
    if url.scheme not in {"http", "https"} or not url.host or url.user or url.query_string or url.fragment:
        raise CommandError(f"the address of the gateway must be http://host or https://host, found {text!r}")
    return url.with_path(url.path.rstrip("/").removesuffix(_API_PREFIX))


@contextmanager
def _entered(runner: asyncio.Runner, opening: AbstractAsyncContextManager[GatewayClient]) -> Iterator[GatewayClient]:
    stack = AsyncExitStack()
    try:
        yield runner.run(stack.enter_async_context(opening))
    finally:
        runner.run(stack.aclose())


@asynccontextmanager
async def _open_url(url: URL, tls: ssl.SSLContext | bool) -> AsyncIterator[GatewayClient]:  # noqa: FBT001 - as aiohttp
    async with _session() as session:
        yield GatewayClient(session, url, tls)


@asynccontextmanager
async def _open_forward(
    api: "ApiServer",
    namespace: str | None,
    tls: ssl.SSLContext | bool,  # noqa: FBT001 - as aiohttp
) -> AsyncIterator[GatewayClient]:
    from chatscale_cli.gateway.port_forward import PortForward, listening

    async with _session() as session, _session() as cluster:
        forward = PortForward(api, cluster, namespace)
        target = await forward.target()
        async with listening(forward) as port:
            # The certificate of the gateway has the name of its Service.
            name = f"{target.service}.{target.namespace}.svc" if target.scheme == "https" else None
            base = URL.build(scheme=target.scheme, host="127.0.0.1", port=port)
            yield GatewayClient(session, base, tls, name, forward)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


def _tls(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as error:
        raise CommandError(f"--ca-file {ca_file}: cannot be used, {error}") from error
