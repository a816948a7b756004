"""The desk of the sample shop: receives handed-over cases, and keeps the last ones in memory for the demo.

Runs alone in a pod, from a ConfigMap, so it imports nothing of this repository. POST /cases: a signed case. GET /cases:
the received ones as JSON.
"""

import hashlib
import hmac
import json
import os
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8080
KEPT = 100
SIGNATURE = os.environ.get("DESK_SIGNATURE", "")


class Cases:
    """The last cases, one for each idempotency key."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, object]] = {}

    def add(self, key: str, case: dict[str, object]) -> None:
        """A repeated key changes nothing."""
        self._found.setdefault(key, case)
        while len(self._found) > KEPT:
            self._found.pop(next(iter(self._found)))

    def all(self) -> list[dict[str, object]]:
        """Oldest first."""
        return list(self._found.values())


CASES = Cases()


class Desk(BaseHTTPRequestHandler):
    """The two requests."""

    def do_GET(self) -> None:
        """All cases."""
        self._respond(HTTPStatus.OK, CASES.all())

    def do_POST(self) -> None:
        """One case. 401 for a wrong signature."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        signed = self.headers.get("X-Chatscale-Timestamp", "").encode() + b"." + body
        expected = "sha256=" + hmac.new(SIGNATURE.encode(), signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, self.headers.get("X-Chatscale-Signature", "")):
            self._respond(HTTPStatus.UNAUTHORIZED, {"error": "the signature is wrong"})
            return
        CASES.add(self.headers.get("Idempotency-Key", ""), json.loads(body))
        self._respond(HTTPStatus.OK, {"ok": True})

    def log_message(self, format: str, *args: object) -> None:  # type: ignore[explicit-override]  # noqa: A002 - of the base class; `override` needs a package
        """Nothing of a conversation is logged, and each request would be a line."""

    def _respond(self, status: HTTPStatus, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    print(f"the desk listens on port {PORT}", file=sys.stderr, flush=True)
    ThreadingHTTPServer(("", PORT), Desk).serve_forever()
