"""Address and credentials of the API server: in-cluster or from a kubeconfig, the same for kopf and our client."""

import asyncio
import logging
from typing import Any, Final

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from chatscale.errors import ClusterUnavailableError

CREDENTIALS_TIMEOUT_S: Final = 30.0
"""A kubeconfig can run a login program, and one that waits for a person on a terminal never ends."""

log = logging.getLogger(__name__)


async def load_configuration(context: str) -> Any:
    """Find credentials: the service account's inside a pod, unless `context` names one of the kubeconfig.

    Returns a kubernetes.aio Configuration; raises ClusterUnavailableError with both reasons when there are none.
    """
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
        raise ClusterUnavailableError(
            f"no credentials for a cluster: {where} of the kubeconfig gave none within {CREDENTIALS_TIMEOUT_S:g} s"
        ) from error
    except (ConfigException, OSError) as error:
        raise ClusterUnavailableError(
            f"no credentials for a cluster: not in a pod, and {where} of the kubeconfig cannot be used: {error}"
        ) from error
    return configuration


async def bearer_token(configuration: Any) -> str | None:
    """The current bearer token without its scheme; a service account's token is renewed every hour.

    Raises ClusterUnavailableError if the renewal exceeds the deadline.
    """
    try:
        async with asyncio.timeout(CREDENTIALS_TIMEOUT_S):
            value: str | None = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    except TimeoutError as error:
        raise ClusterUnavailableError(f"credentials were not renewed within {CREDENTIALS_TIMEOUT_S:g} s") from error
    return value.split(" ", 1)[-1] if value else None
