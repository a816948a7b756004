"""API keys of the kind cluster's gateway, made with `chatscale key` as a user makes them."""

import subprocess
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Final

from chatscale_contract.gateway.keys import KEY_PREFIX
from chatscale_contract.server.endpoints import MODELS_PATH
from hack.kube import CONTEXT, wait_for

COMMAND_TIMEOUT_S: Final = 60.0
SHOWN: Final = KEY_PREFIX + "*" * 8
"""What the terminal shows of a key."""
_PROBES: Final = 8
"""Each opens a connection, and the Service chooses a gateway for each."""


class KeyCommandError(Exception):
    """`chatscale key` ended with an error; the message is its line."""


def create_key(name: str, namespace: str, *flags: str) -> str:
    """Create a key and return it. Raises KeyCommandError."""
    return _chatscale_key("create", name, "--namespace", namespace, *flags).strip()


def rotate_key(name: str, namespace: str, *flags: str) -> str:
    """Replace a key and return the new one. Raises KeyCommandError."""
    return _chatscale_key("rotate", name, "--namespace", namespace, *flags).strip()


def revoke_key(name: str, namespace: str) -> None:
    """Delete a key. Raises KeyCommandError."""
    _chatscale_key("revoke", name, "--namespace", namespace)


def list_keys(namespace: str) -> str:
    """The table of a namespace's keys. Raises KeyCommandError."""
    return _chatscale_key("list", "--namespace", namespace)


def bearer(key: str | None) -> dict[str, str]:
    """The header of a request with this key; none without a key."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def status_of(base_url: str, key: str | None, path: str = MODELS_PATH) -> int:
    """The HTTP status of a GET with this key. Raises OSError without an answer within 5 s."""
    request = urllib.request.Request(base_url + path, headers=bearer(key))
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def wait_until_accepted(base_url: str, key: str, within_s: float = 60) -> None:
    """Wait until all gateways have read the Secret of a new key. Raises TimeoutError."""
    wait_for(
        "the gateways accept the key",
        lambda: all(status_of(base_url, key) == HTTPStatus.OK for _ in range(_PROBES)),
        within_s,
        every_s=0.2,
    )


def _chatscale_key(*arguments: str) -> str:
    command = [sys.executable, "-m", "chatscale_cli", "key", *arguments, "--context", CONTEXT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise KeyCommandError(f"chatscale key {' '.join(arguments[:2])}: {done.stderr.strip()}")
    return done.stdout
