"""Handler of Chatwoot's webhook: verify, acknowledge at once, answer in the background."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from chatscale_assistant.conversation.deadlines import where
from chatscale_assistant.desk.chatwoot import ChatwootDesk, Incoming, read_event
from chatscale_assistant.desk.signature import is_signed
from chatscale_assistant.domain.interfaces import Responder
from chatscale_assistant.http.bodies import BOUNDS, read_body
from chatscale_assistant.http.boundary import RECORD
from chatscale_assistant.http.lifecycle import Lifecycle
from chatscale_assistant.http.options import HttpOptions
from chatscale_assistant.http.record import RequestRecord
from chatscale_contract.assistant.endpoints import DESK_PATH
from chatscale_contract.openai.bounded_json import parse_object
from chatscale_contract.openai.errors import ApiError

log = logging.getLogger(__name__)

SIGNATURE_HEADER: Final = "X-Chatwoot-Signature"
TIMESTAMP_HEADER: Final = "X-Chatwoot-Timestamp"
MAX_BACKGROUND: Final = 500
"""Messages that are handled at the same time. More get 429, and Chatwoot then gives the conversation to people."""


@dataclass(slots=True)
class DeskHandlers:
    """Translates between Chatwoot's webhooks and the responder."""

    desk: ChatwootDesk
    responder: Responder
    read_key: Callable[[], str]
    """The Secret's key `signature`."""
    group: asyncio.TaskGroup
    lifecycle: Lifecycle
    options: HttpOptions
    clock: Callable[[], float] = time.time
    _background: int = 0

    async def receive(self, http: web.Request) -> web.Response:
        """POST of an event. 401 for a signature that does not fit."""
        record = http[RECORD]
        record.route = DESK_PATH
        raw = await read_body(http, self.options, self.options.max_body_bytes)
        signature, timestamp = http.headers.get(SIGNATURE_HEADER, ""), http.headers.get(TIMESTAMP_HEADER, "")
        if not is_signed(self.read_key(), timestamp, raw, signature, now_s=self.clock()):
            raise ApiError(401, "the signature does not fit, or is too old", code="invalid_signature", retryable=False)
        incoming = read_event(parse_object(raw, BOUNDS))
        if incoming is not None:
            if self._background >= MAX_BACKGROUND:
                raise ApiError(429, "too many messages are being answered", code="assistant_busy", retry_after_s=5)
            self.group.create_task(self._answer(incoming, record.request_id))
        return web.json_response({})

    async def _answer(self, incoming: Incoming, request_id: str) -> None:
        self._background += 1
        try:
            # A drain waits for it, as for a request.
            with self.lifecycle.requests.serving(RequestRecord(request_id, "", 0.0, DESK_PATH)):
                await self.desk.receive(incoming, self.responder.answer)
        except Exception as error:  # noqa: BLE001 - one message must not end the others
            log.error("message failed", extra={"request_id": request_id, **where(error)})  # noqa: TRY400
        finally:
            self._background -= 1
