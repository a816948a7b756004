"""One error class for each reaction."""


class AssistantError(Exception):
    """Base of the errors below."""


class GateClosedError(AssistantError):
    """The gate refused a tool call. The message is for the log and has no text of the conversation."""


class ToolFailedError(AssistantError):
    """A tool or its server failed, or did not answer in time."""


class SourceError(AssistantError):
    """A knowledge source cannot be read: names the source, the file, the expectation and the found value."""


class InvalidRequestError(AssistantError):
    """The client's request is wrong: becomes a 400 in OpenAI's form."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param
