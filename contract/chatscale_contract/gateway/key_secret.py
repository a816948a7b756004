"""The `data` of a Secret that holds a key: hashes and policy as plain text, in both directions.

People write these Secrets by hand, so an error message names the field, the expectation and the found value. It never
repeats a hash or a key, also when somebody put one into the wrong field. A field that is unknown or malformed makes the
whole Secret invalid: a limit with a typing error must not become a key without a limit.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from chatscale_contract.gateway.keys import KEY_PREFIX, KeyPolicy

MAX_VALUE_CHARACTERS: Final = 16_384
"""Of one value. Enough for a list of 200 long model names."""
MAX_LIMIT: Final = 10**12
MAX_PRIORITY: Final = 100
_SHOWN_CHARACTERS: Final = 32
"""A longer value is not shown: it could be a key or a hash. An RFC 3339 time with microseconds fits."""
_DIGITS: Final = re.compile(r"-?[0-9]{1,13}")
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_NAME: Final = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_MODEL: Final = re.compile(rf"({_NAME}/)?{_NAME}")
_SEPARATORS: Final = re.compile(r"[,\s]+")


class MalformedKeyError(ValueError):
    """The data of a Secret is not that of a key. The message contains neither a key nor a hash."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What one Secret holds."""

    sha256: str = field(repr=False)
    """As `hash_key` returns it."""
    policy: KeyPolicy = field(default_factory=KeyPolicy)
    previous_sha256: str | None = field(default=None, repr=False)
    """The hash before the last rotation; its key is valid until `previous_expires`."""
    previous_expires: datetime | None = None
    """With a time zone; None without `previous_sha256`."""


def parse_key_data(data: Mapping[str, str]) -> StoredKey:
    """Read the decoded `data` of a Secret. Raises MalformedKeyError for the first fault."""
    found = _validate(_KeyData, data)
    return StoredKey(found.sha256, found.policy(), found.previous_sha256, found.previous_expires)


def parse_policy(data: Mapping[str, str]) -> KeyPolicy:
    """Read the fields of a policy without those of a key. Raises MalformedKeyError for the first fault."""
    return _validate(_PolicyData, data).policy()


def key_data(key: StoredKey) -> dict[str, str]:
    """The plain text `data` of a Secret for this key; defaults are left out. The opposite of `parse_key_data`."""
    default = KeyPolicy()
    found: dict[str, str] = {"sha256": key.sha256}
    if key.previous_sha256 is not None and key.previous_expires is not None:
        found |= {"previousSha256": key.previous_sha256, "previousExpires": _time_text(key.previous_expires)}
    for name in _POLICY_FIELDS:
        value = getattr(key.policy, name)
        if value != getattr(default, name):
            found[to_camel(name)] = _text(value)
    return found


def decode_data(data: object) -> dict[str, str]:
    """Decode the base64 `data` of a Secret's manifest; None is an empty Secret. Raises MalformedKeyError."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise MalformedKeyError("data must be an object")
    return {str(name): _decode(str(name), value) for name, value in data.items()}


def _decode(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise MalformedKeyError(f"{_shown_name(name)} must be base64")
    if len(value) > 2 * MAX_VALUE_CHARACTERS:
        raise MalformedKeyError(f"{_shown_name(name)} must have at most {MAX_VALUE_CHARACTERS} characters")
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):  # not ASCII, not base64, not UTF-8
        raise MalformedKeyError(f"{_shown_name(name)} must be UTF-8 text in base64") from None


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return _time_text(value)
        case frozenset():
            return ",".join(sorted(map(str, value)))
        case _:
            return str(value)


def _time_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _malformed() -> PydanticCustomError:
    """The message comes from the field's description."""
    return PydanticCustomError("malformed", "malformed")


def _stripped(value: object) -> str:
    """Files and editors end a value with a line break."""
    if not isinstance(value, str) or len(value) > MAX_VALUE_CHARACTERS:
        raise _malformed()
    return value.strip()


def _read_hash(value: object) -> str:
    found = _stripped(value)
    if not _HASH.fullmatch(found):
        raise _malformed()
    return found.lower()


def _read_number(value: object) -> int:
    found = _stripped(value)
    if not _DIGITS.fullmatch(found):
        raise _malformed()
    return int(found)


def _read_flag(value: object) -> bool:
    found = _stripped(value)
    if found not in {"true", "false"}:
        raise _malformed()
    return found == "true"


def _read_time(value: object) -> datetime:
    found = _stripped(value)
    if not _TIME.fullmatch(found):
        raise _malformed()
    try:
        return datetime.fromisoformat(found.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _malformed() from None


def _read_models(value: object) -> frozenset[str]:
    found = frozenset(part for part in _SEPARATORS.split(_stripped(value)) if part)
    # No name at all would open every model.
    if not found or not all(_MODEL.fullmatch(name) for name in found):
        raise _malformed()
    return found


_A_HASH: Final = "a SHA-256 of 64 hexadecimal digits"
_A_TIME: Final = "an RFC 3339 time such as 2026-12-31T23:59:59Z"
_A_LIMIT: Final = f"a whole number from 1 to {MAX_LIMIT}"
_A_FLAG: Final = "true or false"
_Hash = Annotated[str, BeforeValidator(_read_hash)]
_Time = Annotated[datetime, BeforeValidator(_read_time)]
_Flag = Annotated[bool, BeforeValidator(_read_flag)]
_Limit = Annotated[int, BeforeValidator(_read_number), Field(ge=1, le=MAX_LIMIT, description=_A_LIMIT)]
_Priority = Annotated[
    int,
    BeforeValidator(_read_number),
    Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY, description=f"a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}"),
]
_Models = Annotated[
    frozenset[str],
    BeforeValidator(_read_models),
    Field(description="names of ChatModels, as name or namespace/name, separated by commas or spaces"),
]


class _PolicyData(BaseModel):
    """The values as text. A field's description is the expectation in its error message."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True
    )

    models: _Models = frozenset()
    requests_per_minute: _Limit | None = None
    input_tokens_per_minute: _Limit | None = None
    output_tokens_per_minute: _Limit | None = None
    max_concurrency: _Limit | None = None
    priority: _Priority = 0
    expires: _Time | None = Field(default=None, description=_A_TIME)
    wake: _Flag = Field(default=True, description=_A_FLAG)
    live: _Flag = Field(default=False, description=_A_FLAG)

    def policy(self) -> KeyPolicy:
        return KeyPolicy(**{name: getattr(self, name) for name in _POLICY_FIELDS})


class _KeyData(_PolicyData):
    """A policy and the hashes of its key."""

    sha256: _Hash = Field(description=_A_HASH)
    previous_sha256: _Hash | None = Field(default=None, description=_A_HASH)
    previous_expires: _Time | None = Field(default=None, description=_A_TIME)

    @model_validator(mode="after")
    def _rotation_is_complete(self) -> Self:
        if (self.previous_sha256 is None) != (self.previous_expires is None):
            message = "previousSha256 and previousExpires must be set together, found only one of them"
            raise PydanticCustomError("rotation", message)
        if self.previous_sha256 == self.sha256:
            raise PydanticCustomError("rotation", "previousSha256 must differ from sha256, found the same hash")
        return self


_POLICY_FIELDS: Final = tuple(_PolicyData.model_fields)
POLICY_FIELDS: Final = tuple(map(to_camel, _POLICY_FIELDS))
"""Fields of a policy, as in a Secret."""
_DESCRIPTIONS: Final = {to_camel(name): found.description or _A_LIMIT for name, found in _KeyData.model_fields.items()}
_HASH_FIELDS: Final = frozenset({"sha256", "previousSha256"})
_Data = TypeVar("_Data", bound=_PolicyData)


def _validate(model: type[_Data], data: Mapping[str, str]) -> _Data:
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        message = _explain(error.errors(include_url=False, include_context=False)[0], model)
        # Without the cause: it contains all values.
        raise MalformedKeyError(message) from None


def _explain(error: ErrorDetails, model: type[_PolicyData]) -> str:
    """One line: field, expectation, found value."""
    if not error["loc"]:
        return error["msg"]
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        fields = sorted(map(to_camel, model.model_fields), key=lambda each: each in POLICY_FIELDS)
        kind = "key" if model is _KeyData else "policy"
        return f"{_shown_name(name)} is not a field of a {kind}; fields are {', '.join(fields)}"
    if error["type"] == "missing":
        return f"{name} must be {_DESCRIPTIONS[name]}, found nothing"
    return f"{name} must be {_DESCRIPTIONS[name]}, found {_shown(error['input'], is_hash=name in _HASH_FIELDS)}"


def _shown(value: Any, *, is_hash: bool) -> str:
    """The value, unless it could be a key or a hash."""
    text = str(value).strip()
    if is_hash or len(text) > _SHOWN_CHARACTERS or KEY_PREFIX in text:
        return f"{len(text)} characters"
    return repr(text)


def _shown_name(name: str) -> str:
    """A key can be the name of a field, too, and a line break would begin another line in a log."""
    is_safe = len(name) <= _SHOWN_CHARACTERS and KEY_PREFIX not in name and name.isprintable()
    return name if is_safe else f"a name of {len(name)} characters"
