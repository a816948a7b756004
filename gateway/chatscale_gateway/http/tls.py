"""TLS on the API port, with a certificate that changes while the gateway runs.

Kubernetes replaces the files of a mounted Secret. New connections get the new certificate; open ones keep theirs. A new
certificate that cannot be loaded is reported, and the former one stays in use.
"""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

from chatscale_gateway import metrics

RELOAD_PERIOD_S: Final = 5.0
"""The kubelet takes one to two minutes to update the files; this adds little to it."""

log = logging.getLogger(__name__)


class TlsError(Exception):
    """Certificate and key cannot be used; the message names the files."""


class Certificates:
    """The server side of TLS connections. Raises TlsError if the first certificate cannot be loaded."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        self._cert_file, self._key_file = cert_file, key_file
        self._seen: tuple[bytes, bytes] | None = self._read()
        self._current = self._load()
        self._failure = ""
        self.context: Final = _new_context()
        """For `create_server`. It has no certificate of its own: each handshake selects the current one."""
        self.context.sni_callback = self._select

    def _select(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake, also if the client names no server."""
        connection.context = self._current

    async def reload_forever(self, period_s: float = RELOAD_PERIOD_S) -> None:
        """Read the files every `period_s` seconds, until cancelled."""
        while True:
            await asyncio.sleep(period_s)
            await asyncio.to_thread(self.reload)

    def reload(self) -> None:
        """Load the files if their content has changed since the last attempt."""
        try:
            found = self._read()
            if found == self._seen:
                return
            self._seen = found
            self._current = self._load()
        except TlsError as error:
            self._report(str(error))
            return
        self._failure = ""
        metrics.TLS_RELOADS.labels("loaded").inc()
        metrics.TLS_RELOAD_FAILING.set(0)
        log.info("new certificate", extra={"file": str(self._cert_file)})

    def _report(self, failure: str) -> None:
        """Report a failure once, not at every attempt."""
        if failure == self._failure:
            return
        self._failure = failure
        metrics.TLS_RELOADS.labels("failed").inc()
        metrics.TLS_RELOAD_FAILING.set(1)
        log.error("the former certificate stays in use", extra={"why": failure})

    def _read(self) -> tuple[bytes, bytes]:
        try:
            return self._cert_file.read_bytes(), self._key_file.read_bytes()
        except OSError as error:
            self._seen = None  # once the files are back, load them
            raise TlsError(f"{error.filename} cannot be read: {error.strerror}") from error

    def _load(self) -> ssl.SSLContext:
        context = _new_context()
        try:
            context.load_cert_chain(self._cert_file, self._key_file, password=_no_password)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            reason = getattr(error, "reason", None) or type(error).__name__
            text = f"{self._cert_file} and {self._key_file} are no certificate with its key in PEM format: {reason}"
            raise TlsError(text) from error
        return context


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    """Without it OpenSSL would read the password of an encrypted key from the terminal."""
    raise ValueError("the key is encrypted")
