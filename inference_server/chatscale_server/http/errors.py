"""Errors of a single request, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from chatscale_server.logs import where

log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_SERVER_ERROR: Final = 500
MAX_PATH_CHARS: Final = 200


class ApiError(Exception):
    """Answered with `status` and an OpenAI error body; `retry_after_s` becomes the Retry-After header."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """The JSON object of an error answer, and of the error event in a stream that has begun."""
        return {
            "error": {"message": str(self), "type": _error_type(self.status), "param": self.param, "code": self.code}
        }

    def response(self) -> web.Response:
        """The whole answer."""
        headers = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s is not None else None
        return web.json_response(self.body(), status=self.status, headers=headers)


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400 that names the field at fault."""
    return ApiError(400, message, param=param, code=code)


def _error_type(status: int) -> str:
    if status == web.HTTPTooManyRequests.status_code:
        return "rate_limit_error"
    return "server_error" if status >= _SERVER_ERROR else "invalid_request_error"


def openai_errors(handler: Handler) -> Handler:
    """Give every failure before the first byte the shape that OpenAI clients read.

    Not a middleware: aiohttp answers a wrong `Expect` before it comes to those.
    """

    async def shaped(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return error.response()
        except ConnectionError:
            raise  # the client has left; aiohttp knows, and there is nobody to answer
        except web.HTTPException as error:
            if error.status < web.HTTPBadRequest.status_code:
                raise
            return _from_aiohttp(request, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client must be told
            fields = {"method": request.method, "path": _shown_path(request), **where(error)}
            log.error("request failed", extra=fields)  # noqa: TRY400 - the message may quote the prompt
            return ApiError(500, "the server failed to handle this request", code="internal_error").response()

    return shaped


def _from_aiohttp(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    text = f"{request.method} {_shown_path(request)}: {error.reason}"
    response = ApiError(error.status, text, code=_CODES.get(error.status)).response()
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _shown_path(request: web.BaseRequest) -> str:
    return request.path[:MAX_PATH_CHARS]


_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 417: "expectation_failed"}
