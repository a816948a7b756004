"""Settings of a process: read from the environment once and validated before anything starts.

A bad value or an unknown variable with the prefix stops the process with one line that names the variable, the expected
and the found value: a typo must not become a default.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Final, Self

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource
from typing_extensions import override

_SERVICE_LINK: Final = re.compile(r".*(_SERVICE_HOST|_SERVICE_PORT(_.*)?|_PORT(_\d+_.*)?)")
"""Variables that a kubelet sets for each Service of the namespace; those of our own Services have our prefixes."""


class SettingsError(Exception):
    """A setting is invalid; the message is for the person who set it."""


class LogFormat(StrEnum):
    """The format of log lines."""

    JSON = "json"
    TEXT = "text"


class ProcessSettings(BaseSettings):
    """One process. Every field is the environment variable `<env_prefix of model_config><FIELD>`.

    A field's description is the expectation that an error message states.
    """

    program: ClassVar[str]
    """The program in error messages, e.g. `gateway`."""
    without_prefix: ClassVar[Mapping[str, str]] = {}
    """Field to its variable, for variables that other programs define."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read and validate all settings. Raises SettingsError for a bad value or an unknown variable."""
        prefix = cls.model_config["env_prefix"]
        known = {cls._variable(field) for field in cls.model_fields}
        ours = {name: value for name, value in environ.items() if name.startswith(prefix)}
        unknown = sorted(name for name in ours.keys() - known if not _SERVICE_LINK.fullmatch(name))
        if unknown:
            listed = ", ".join(sorted(name for name in known if name.startswith(prefix)))
            raise SettingsError(f"{unknown[0]} is not a setting of the {cls.program}; known are {listed}")
        source = EnvSettingsSource(cls)
        source.env_vars = {name.lower(): value for name, value in ours.items()}
        others = {field: environ[name] for field, name in cls.without_prefix.items() if name in environ}
        try:
            return cls(**{**source(), **others})
        except ValidationError as error:
            raise SettingsError(cls._explain(error.errors()[0])) from error

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the constructor's arguments: `from_env` gets the environment as a value."""
        return (init_settings,)

    @classmethod
    def _variable(cls, field: str) -> str:
        return cls.without_prefix.get(field) or cls.model_config["env_prefix"] + field.upper()

    @classmethod
    def _explain(cls, error: ErrorDetails) -> str:
        """One line: variable, expectation, found value. An error of the whole model has its own text."""
        if not error["loc"]:
            return error["msg"]
        field = str(error["loc"][0])
        expected = cls.model_fields[field].description
        return f"{cls._variable(field)} must be {expected}, found {error['input']!r}"
