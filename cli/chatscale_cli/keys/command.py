"""`chatscale key`: connects to the cluster and runs one sub-command.

Only a new key goes to standard output, apart from lists, so that a shell can store it in a variable. Everything else
goes to standard error. A key is printed after the API server has accepted it.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TextIO

from chatscale_cli.errors import CommandError
from chatscale_cli.keys import manifests
from chatscale_cli.keys.api_server import connect
from chatscale_cli.keys.interface import ConflictError, Manifest, NoAnswerError, NotFoundError, Secrets
from chatscale_cli.keys.options import ACTION
from chatscale_cli.keys.table import format_rows
from chatscale_contract.gateway.keys import KeyId, KeyPolicy, hash_key, new_key


def run(options: argparse.Namespace) -> int:
    """Run the sub-command against the cluster of the kubeconfig. Returns 0. Raises CommandError."""
    with connect(options.kubeconfig, options.context) as secrets:
        # After `connect`: a login program can wait for a person.
        now = datetime.now(UTC)  # noqa: TID251 - the clock enters here
        run_action(options, secrets, now, sys.stdout, sys.stderr)
    return 0


def run_action(options: argparse.Namespace, secrets: Secrets, now: datetime, out: TextIO, info: TextIO) -> None:
    """Run one sub-command. out: new keys and lists; info: messages for people. Raises CommandError."""
    action = getattr(options, ACTION)
    namespace = options.namespace or secrets.default_namespace
    manifests.check_namespace(namespace)
    if action == "list":
        _list(None if options.all_namespaces else namespace, secrets, now, out, info)
        return
    key = KeyId(namespace, options.name)
    manifests.check_name(key)
    match action:
        case "create":
            _create(options, key, secrets, now, out, info)
        case "rotate":
            _rotate(key, options.overlap, secrets, now, out, info, force=options.force)
        case _:
            _revoke(key, secrets, info)


def _create(
    options: argparse.Namespace, key: KeyId, secrets: Secrets, now: datetime, out: TextIO, info: TextIO
) -> None:
    text = new_key()
    secret = manifests.new_secret(key, hash_key(text), _policy(options, now))
    _write(secrets.create, secret, hash_key(text), secrets)
    out.write(f"{text}\n")
    info.write(
        f"key {key} created. It is shown only this once: the cluster has only its SHA-256.\n"
        f"It opens {_opened(options.models, key)}.\n"
        f"Gateways that read the Secrets of namespace {key.namespace} (chart value gateway.auth.secretNamespaces) "
        "accept it within 5 seconds.\n"
    )


def _opened(models: list[str], key: KeyId) -> str:
    if models:
        return f"the ChatModels {', '.join(models)}"
    return f"all ChatModels of namespace {key.namespace}, and of all namespaces if the gateway runs in {key.namespace}"


def _policy(options: argparse.Namespace, now: datetime) -> KeyPolicy:
    expires: datetime | timedelta | None = options.expires
    if isinstance(expires, timedelta):
        expires = (now + expires).replace(microsecond=0)
    if expires is not None and expires <= now:
        raise CommandError(f"--expires must be in the future, found {manifests.format_time(expires)}")
    models = frozenset(name for text in options.models for name in text.split(",") if name)
    if options.models and not models:
        raise CommandError("--models must name at least one ChatModel, found none: without the flag a key opens all")
    return KeyPolicy(
        models=models,
        requests_per_minute=options.requests_per_minute,
        input_tokens_per_minute=options.input_tokens_per_minute,
        output_tokens_per_minute=options.output_tokens_per_minute,
        max_concurrency=options.max_concurrency,
        priority=options.priority,
        expires=expires,
        wake=not options.no_wake,
        live=options.live,
    )


def _rotate(
    key: KeyId, overlap: timedelta, secrets: Secrets, now: datetime, out: TextIO, info: TextIO, *, force: bool
) -> None:
    found = secrets.get(key)
    manifests.check_label(found)
    text = new_key()
    changed, until = manifests.rotated_secret(found, hash_key(text), overlap, now, force=force)
    try:
        _write(secrets.replace, changed, hash_key(text), secrets)
    except ConflictError as error:
        raise ConflictError(
            f"Secret {key} changed while it was rotated, and the rotation was not stored: run the command again"
        ) from error
    out.write(f"{text}\n")
    end = "is refused from now on" if until is None else f"stays valid until {manifests.format_time(until)}"
    info.write(f"key {key} rotated. The new key is shown only this once. The old key {end}.\n")


def _revoke(key: KeyId, secrets: Secrets, info: TextIO) -> None:
    found = secrets.get(key)
    manifests.check_label(found)
    try:
        secrets.delete(found)
    except ConflictError as error:
        raise ConflictError(
            f"Secret {key} changed while it was revoked, and it was not deleted: run the command again"
        ) from error
    info.write(f"key {key} revoked. Gateways refuse it within 5 seconds.\n")


def _list(namespace: str | None, secrets: Secrets, now: datetime, out: TextIO, info: TextIO) -> None:
    found = secrets.list_all(namespace, manifests.SELECTOR)
    if not found:
        info.write("no keys in any namespace\n" if namespace is None else f"no keys in namespace {namespace}\n")
        return
    out.write(format_rows(manifests.describe(found, now)))


def _write(write: Callable[[Manifest], None], secret: Manifest, sha256: str, secrets: Secrets) -> None:
    """Write a Secret with a new hash. If the answer is lost, read whether the write was carried out."""
    try:
        write(secret)
    except NoAnswerError as error:
        key = manifests.id_of(secret)
        try:
            stored = manifests.has_hash(secrets.get(key), sha256)
        except NotFoundError:
            stored = False
        except CommandError:
            raise NoAnswerError(
                f"{error}; it is not known whether key {key} was stored: look at `chatscale key list`"
            ) from error
        if not stored:
            raise
