"""Address and credentials of the API server: in-cluster or from a kubeconfig.

kubernetes.aio finds and renews the credentials. Requests use aiohttp and plain JSON: the library's generated client
would cost memory and has no use here.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from chatscale_gateway.discovery.api_server import ApiServer, ApiServerError

CREDENTIALS_TIMEOUT_S: Final = 30.0
"""A kubeconfig can run a login program, and one that waits for a person on a terminal never ends."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def connect(context: str) -> AsyncIterator[ApiServer]:
    """Yield the API server and close its connections afterwards. Raises ApiServerError without usable credentials.

    context: of the kubeconfig; empty means in-cluster credentials, or the current context outside a cluster.
    """
    configuration = await _load_configuration(context)
    connector = aiohttp.TCPConnector(ssl=_ssl_context(configuration))

    async def bearer_token() -> str:
        return await _bearer_token(configuration)

    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        yield ApiServer(session, configuration.host, bearer_token)


async def _load_configuration(context: str) -> Any:
    configuration = Configuration()
    if not context:
        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException:
            log.info("not in a pod, using the kubeconfig")
        else:
            return configuration
    where = f"context {context!r}" if context else "the current context"
    try:
        async with asyncio.timeout(CREDENTIALS_TIMEOUT_S):
            await load_kube_config(context=context or None, client_configuration=configuration, persist_config=False)
    except TimeoutError as error:
        raise ApiServerError(
            f"no credentials for a cluster: {where} of the kubeconfig gave none within {CREDENTIALS_TIMEOUT_S:g} s"
        ) from error
    except (ConfigException, OSError) as error:
        raise ApiServerError(
            f"no credentials for a cluster: not in a pod, and {where} of the kubeconfig cannot be used: {error}"
        ) from error
    return configuration


async def _bearer_token(configuration: Any) -> str:
    """The current token without its scheme, or an empty string; a service account's token is renewed every hour."""
    try:
        async with asyncio.timeout(CREDENTIALS_TIMEOUT_S):
            value: str | None = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    except TimeoutError as error:
        raise ApiServerError(f"credentials were not renewed within {CREDENTIALS_TIMEOUT_S:g} s") from error
    except (ConfigException, OSError) as error:
        raise ApiServerError(f"credentials were not renewed: {error}") from error
    return value.split(" ", 1)[-1] if value else ""


def _ssl_context(configuration: Any) -> ssl.SSLContext:
    found = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    if configuration.cert_file:
        found.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
    if configuration.disable_strict_ssl_verification:
        found.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return found
