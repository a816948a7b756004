"""`chatscale key` and the real API server: names, versions, labels and namespaces."""

import subprocess
import threading

import pytest

from chatscale_cli.keys.api_server import connect
from chatscale_cli.keys.interface import ConflictError
from chatscale_contract.gateway.key_secret import StoredKey, decode_data, parse_key_data
from chatscale_contract.gateway.keys import KeyId, hash_key
from hack import keys, kube


def stored(name: str, namespace: str) -> StoredKey:
    secret = kube.get("secret", name, namespace)
    assert secret is not None
    return parse_key_data(decode_data(secret["data"]))


def test_a_key_is_created_rotated_listed_and_revoked(namespace: str):
    first = keys.create_key("shop", namespace, "--models", "shop", "--requests-per-minute", "60", "--expires", "30d")
    second = keys.rotate_key("shop", namespace)

    found = stored("shop", namespace)
    assert (found.sha256, found.previous_sha256) == (hash_key(second), hash_key(first))
    assert (found.policy.models, found.policy.requests_per_minute) == (frozenset({"shop"}), 60)
    assert found.policy.expires is not None
    secret = kube.get("secret", "shop", namespace)
    assert secret is not None
    assert secret["metadata"]["labels"] == {"chatscale.dev/api-key": "true"}

    keys.revoke_key("shop", namespace)
    assert kube.get("secret", "shop", namespace) is None


def test_create_refuses_a_name_that_exists(namespace: str):
    kube.kubectl("create", "secret", "generic", "taken", "-n", namespace)
    with pytest.raises(keys.KeyCommandError, match=r'secrets "taken" already exists: choose another name'):
        keys.create_key("taken", namespace)


def test_a_namespace_that_does_not_exist_is_named():
    with pytest.raises(keys.KeyCommandError, match='namespaces "it-nowhere" not found'):
        keys.create_key("shop", "it-nowhere")


def test_a_secret_of_another_purpose_is_left_alone(namespace: str):
    kube.kubectl("create", "secret", "generic", "password", "-n", namespace, "--from-literal=password=x")
    for change in (keys.rotate_key, keys.revoke_key):
        with pytest.raises(keys.KeyCommandError, match="is not an API key"):
            change("password", namespace)
    assert kube.get("secret", "password", namespace) is not None


def test_of_concurrent_rotations_one_succeeds_and_the_others_say_why(namespace: str):
    keys.create_key("busy", namespace)
    printed: list[str] = []
    errors: list[str] = []

    def rotate() -> None:
        try:
            printed.append(keys.rotate_key("busy", namespace))
        except keys.KeyCommandError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    [key] = printed
    assert stored("busy", namespace).sha256 == hash_key(key)
    assert all("changed while it was rotated" in error or "was rotated before" in error for error in errors), errors


def test_a_stale_version_is_neither_replaced_nor_deleted(namespace: str):
    keys.create_key("stale", namespace)
    with connect(None, kube.CONTEXT) as secrets:
        read = secrets.get(KeyId(namespace, "stale"))
        kube.kubectl("annotate", "secret", "stale", "-n", namespace, "owner=team-a")
        with pytest.raises(ConflictError):
            secrets.replace(read)
        with pytest.raises(ConflictError):
            secrets.delete(read)
    assert kube.get("secret", "stale", namespace) is not None


def test_list_shows_only_keys(namespace: str):
    keys.create_key("listed", namespace, "--priority", "-5")
    kube.kubectl("create", "secret", "generic", "unlisted", "-n", namespace)

    out = keys.list_keys(namespace)

    assert [line.split()[1] for line in out.splitlines()[1:] if line.split()[1] in {"listed", "unlisted"}] == ["listed"]


def test_the_notes_make_a_key_with_kubectl_and_openssl(namespace: str):
    """As NOTES.txt and docs/guide/keys.md show it."""
    script = f"""
        set -euo pipefail
        key=csk-$(openssl rand -hex 32)
        kubectl --context {kube.CONTEXT} -n {namespace} create secret generic by-hand \\
          --from-literal=sha256="$(printf %s "$key" | openssl dgst -sha256 -r | cut -d' ' -f1)" >/dev/null
        kubectl --context {kube.CONTEXT} -n {namespace} label secret by-hand chatscale.dev/api-key=true >/dev/null
        printf %s "$key"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert stored("by-hand", namespace) == StoredKey(hash_key(done.stdout))
