"""The flags for generation as fields of a request. Pure.

Names and rules are those of the inference server, which checks them again. Here a wrong combination is refused before a
message is typed.
"""

import argparse
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from chatscale_cli.errors import CommandError

_NOT_WITH_BEAMS: Final = ("do_sample", "temperature", "top_k", "top_p")
"""Fields that a beam search cannot honour. 0 and false are accepted, because they request nothing."""


@dataclass(frozen=True, slots=True)
class Generation:
    """How answers are generated. None: the default of the server."""

    max_tokens: int | None = None
    max_length: int | None = None
    num_return_sequences: int | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    num_beams: int | None = None

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Self:
        """Raises CommandError for flags that are not valid together."""
        found = cls(**{name: getattr(options, name) for name in cls.__dataclass_fields__})
        found.check()
        return found

    @property
    def choices(self) -> int:
        """Answers to each message."""
        return self.num_return_sequences or 1

    @property
    def streamed(self) -> bool:
        """A beam search has its answer only at the end."""
        return (self.num_beams or 1) == 1

    def check(self) -> None:
        """Raises CommandError for fields that are not valid together."""
        if self.max_tokens and self.max_length:
            raise CommandError("--max-length cannot be combined with --max-tokens")
        if self.do_sample is False and self.temperature:
            raise CommandError(f"--no-do-sample requires --temperature 0 or none, found {self.temperature:g}")
        if self.do_sample and self.temperature == 0:
            raise CommandError("--do-sample requires a --temperature above 0, found 0")
        if self.streamed:
            return
        for name in _NOT_WITH_BEAMS:
            if getattr(self, name):
                flag = name.replace("_", "-")
                raise CommandError(
                    f"--num-beams {self.num_beams} is a beam search: --{flag} cannot be combined with it"
                )
        if self.num_beams is not None and self.choices > self.num_beams:
            raise CommandError(
                f"--num-return-sequences must be at most --num-beams ({self.num_beams}), found {self.choices}"
            )

    def fields(self) -> dict[str, Any]:
        """The fields of a request that are set. `n` is the name that all runtimes have."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        choices = found.pop("num_return_sequences", None)
        return {**found, **({} if choices is None else {"n": choices}), "stream": self.streamed}
