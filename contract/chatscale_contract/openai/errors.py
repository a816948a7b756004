"""Errors of a single request, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}."""

from typing import Any, Final

_UNAUTHORIZED: Final = 401
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500


class ApiError(Exception):
    """A failed request: HTTP `status` and OpenAI error body. `retry_after_s` becomes the Retry-After header.

    retryable: False tells OpenAI's clients not to repeat the request, as they do after 408, 409, 429 and 5xx.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
        retryable: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.retryable = retryable

    def body(self) -> dict[str, Any]:
        """The JSON object of an error response, or of the error event in a stream that has started."""
        return {
            "error": {"message": str(self), "type": error_type(self.status), "param": self.param, "code": self.code}
        }

    def headers(self) -> dict[str, str]:
        """Headers of the error response."""
        headers = {} if self.retryable else {"x-should-retry": "false"}
        if self.status == _UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return headers if self.retry_after_s is None else {**headers, "Retry-After": str(self.retry_after_s)}


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400 that names the invalid field."""
    return ApiError(400, message, param=param, code=code)


def error_type(status: int) -> str:
    """OpenAI's error `type` for an HTTP status."""
    if status == _TOO_MANY_REQUESTS:
        return "rate_limit_error"
    return "server_error" if status >= _SERVER_ERROR else "invalid_request_error"
