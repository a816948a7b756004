"""Base of all inputs and results of tasks, and errors that name field, expectation and found value.

Inputs come from shops' own programs and may be hostile: every text, list and number has a limit here or in the models.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.errors import InvalidRequestError

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
MAX_SHOWN_CHARACTERS: Final = 60
"""Of a found value in an error message."""
MAX_SHOWN_ERRORS: Final = 5

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""The shop's id of a thing or person: no control characters."""
_PREFIX: Final = re.compile(r"^(?:(?:Input|Value) should (?:be )?|(?:Tuple|List|String|Dictionary) should have )")
_COUNTED: Final = re.compile(r" after validation, not \d+$")
_NAMED_FIELD: Final = re.compile(r"([a-z_]+(?:\[\d+\]|\.[a-z_]+)*): (?=expected )")
Share = Annotated[float, Field(ge=0, le=1)]


class TaskModel(BaseModel):
    """Immutable, without unknown fields, without NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EvidenceItem(TaskModel):
    """What a part of a result is based on."""

    source: str = Field(description="Path in the input, such as `reviews[3].rating`, or the method's name.")
    value: str = Field(description="The text or number that stands there.")


class TaskResult(TaskModel):
    """What every result has."""

    engine: str = Field(description="What computed the result, with its version, such as `logistic-head/1`.")
    evidence: tuple[EvidenceItem, ...] = Field(description="What the result is based on.")


class LocalisedInput(TaskModel):
    """An input whose result has text for people."""

    language: Language = Field(default=Language.ENGLISH, description="Language of explanations: zh, en or fr.")


M = TypeVar("M", bound=TaskModel)


def parse_body(body: bytes) -> Any:
    """A request's JSON. Raises InvalidRequestError for a body that is too large, broken, or has NaN or Infinity."""
    if len(body) > MAX_BODY_BYTES:
        raise InvalidRequestError(f"body: expected at most {MAX_BODY_BYTES} bytes, found {len(body)}")
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except InvalidRequestError:
        raise
    except RecursionError as e:
        raise InvalidRequestError("body: expected JSON with moderate nesting, found too many levels") from e
    except ValueError as e:
        raise InvalidRequestError(f"body: expected JSON in UTF-8, found {e}") from e


def _refuse_constant(name: str) -> Any:
    raise InvalidRequestError(f"body: expected finite numbers, found {name}")


def parse_input(task: str, model: type[M], data: object) -> M:
    """The task's input. Raises InvalidRequestError with the first fields that are wrong."""
    if not isinstance(data, Mapping):
        raise InvalidRequestError(f"{task}: input: expected an object, found {shown(data)}", "input")
    try:
        return model.model_validate(data)
    except ValidationError as e:
        raise invalid(task, e) from e


def invalid(task: str, error: ValidationError) -> InvalidRequestError:
    """The error of an input that does not match its schema; `param` is the first field that is wrong."""
    found = error.errors(include_url=False)
    places = {each["loc"][:end] for each in found for end in range(len(each["loc"]))}
    # A list whose items are invalid is also reported as too short, which is not what the caller has to correct.
    faults = [each for each in found if each["type"] != "too_short" or each["loc"] not in places]
    described = [_place_and_expectation(each) for each in faults[:MAX_SHOWN_ERRORS]]
    lines = [f"{task}: {place}: {expectation}" for place, expectation in described]
    if len(faults) > MAX_SHOWN_ERRORS:
        lines.append(f"and {len(faults) - MAX_SHOWN_ERRORS} more")
    return InvalidRequestError("; ".join(lines), described[0][0])


def _place_and_expectation(error: Any) -> tuple[str, str]:
    """A validator of a whole input begins its message with the field, such as `stock: expected ...`."""
    place, expectation = _path(error["loc"]), _expectation(error)
    named = _NAMED_FIELD.match(expectation) if not error["loc"] else None
    return (named[1], expectation[named.end() :]) if named else (place, expectation)


def _path(location: tuple[str | int, ...]) -> str:
    """E.g. ("items", 3, "stock") -> items[3].stock."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{shown_text(part)}"
    return text.removeprefix(".") or "input"


def _expectation(error: Any) -> str:
    """Expectation and found value of one error of pydantic."""
    match error["type"]:
        case "extra_forbidden":
            return f"expected no such field, found {shown(error['input'])}"
        case "missing":
            return "expected a value, found none"
        case "value_error":
            return str(error["ctx"]["error"])
        case "finite_number":
            message = "a finite number"
        case "timezone_aware":
            message = "a time with a time zone"
        case "string_pattern_mismatch":
            message = f"text that matches {error['ctx']['pattern']}"
        case _:
            message = _PREFIX.sub("", _COUNTED.sub("", str(error["msg"])))
            message = message[:1].lower() + message[1:]
    return f"expected {message}, found {shown(error['input'])}"


def shown(value: object) -> str:
    """A found value for a message: short, on one line."""
    if isinstance(value, str):
        return f'"{shown_text(value)}"'
    if isinstance(value, bool | int | float) or value is None:
        return shown_text(str(value)) if not isinstance(value, float) or math.isfinite(value) else f"{value}"
    if isinstance(value, Mapping):
        return f"an object with {len(value)} fields"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return f"a {type(value).__name__}"


def shown_text(text: str) -> str:
    """A text for a message: printable, at most `MAX_SHOWN_CHARACTERS`."""
    printable = "".join(each if each.isprintable() else " " for each in text[: MAX_SHOWN_CHARACTERS + 1])
    return printable if len(text) <= MAX_SHOWN_CHARACTERS else printable[:MAX_SHOWN_CHARACTERS] + "…"
