"""What POST /v1/completions is asked, on top of what both endpoints share."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field
from typing_extensions import override

from chatscale_contract.openai.errors import bad_request
from chatscale_server.http.schema import MAX_CHOICES, MAX_PROMPT_TOKENS, Generation, Text, contradiction, not_searched

MAX_PROMPTS: Final = MAX_CHOICES
MAX_LOGPROBS: Final = 5

Token = Annotated[int, Field(ge=0)]


def one_kind(parts: list[str | int | list[int]]) -> list[str | int | list[int]]:
    """A pydantic validator: one prompt as tokens, or several, each as text or each as tokens."""
    if len({type(part) for part in parts}) > 1:
        raise ValueError("a list holds the token ids of one prompt, or texts, or lists of token ids")
    if not isinstance(parts[0], int) and len(parts) > MAX_PROMPTS:
        raise ValueError(f"at most {MAX_PROMPTS} prompts")
    return parts


class CompletionRequest(Generation):
    """The body of POST /v1/completions."""

    prompt: (
        Text
        | Annotated[
            list[Text | Token | Annotated[list[Token], Field(max_length=MAX_PROMPT_TOKENS, fail_fast=True)]],
            Field(min_length=1, max_length=MAX_PROMPT_TOKENS, fail_fast=True),
            AfterValidator(one_kind),
        ]
    )
    best_of: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    """As many as `n`, or it would need answers that nobody sees."""
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    suffix: Literal[""] | None = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt, as text or as token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        tokens = [part for part in self.prompt if isinstance(part, int)]
        return [tokens] if tokens else [part for part in self.prompt if not isinstance(part, int)]

    @override
    def check(self) -> None:
        super().check()
        if self.best_of is not None and self.best_of != self.choices_per_prompt:
            raise bad_request(
                f"best_of: only n ({self.choices_per_prompt}) answers are made, and all of them are given",
                param="best_of", code="unsupported_value",
            )  # fmt: skip
        if self.echo and self.logprobs is not None:
            raise contradiction("echo", "with logprobs would need scores of the prompt, which are not computed")

    @override
    def check_search(self) -> None:
        super().check_search()
        if self.logprobs is not None:  # 0 asks for the scores of the chosen tokens
            raise not_searched("logprobs")
