"""Turns every failure of a request into an error response in OpenAI's shape."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from chatscale_contract.openai.errors import ApiError
from chatscale_server.logs import where

log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
MAX_PATH_CHARS: Final = 200


def error_response(error: ApiError) -> web.Response:
    """The whole response to a request that failed before its first byte."""
    return web.json_response(error.body(), status=error.status, headers=error.headers())


def openai_errors(handler: Handler) -> Handler:
    """Give every failure before the first byte the shape that OpenAI clients read.

    Not a middleware: aiohttp answers a wrong `Expect` before it comes to those.
    """

    async def shaped(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return error_response(error)
        except ConnectionError:
            raise  # the client has left; aiohttp knows, and there is nobody to answer
        except web.HTTPException as error:
            if error.status < web.HTTPBadRequest.status_code:
                raise
            return _from_aiohttp(request, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client must be told
            fields = {"method": request.method, "path": _shown_path(request), **where(error)}
            log.error("request failed", extra=fields)  # noqa: TRY400 - the message may quote the prompt
            return error_response(ApiError(500, "the server failed to handle this request", code="internal_error"))

    return shaped


def _from_aiohttp(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    text = f"{request.method} {_shown_path(request)}: {error.reason}"
    response = error_response(ApiError(error.status, text, code=_CODES.get(error.status)))
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _shown_path(request: web.BaseRequest) -> str:
    return request.path[:MAX_PATH_CHARS]


_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 417: "expectation_failed"}
