"""What one request reserves from its key's limits, and what it has used at its end. Pure.

The replica's `usage` decides. A request that ends without it, because its client left or the replica failed, counts
with what the gateway has seen. Limits, metrics and the access log count the same tokens.
"""

import re
from dataclasses import dataclass, field
from typing import Final, assert_never

from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH, COMPLETIONS_PATH
from chatscale_gateway.dispatch.interface import Arrival
from chatscale_gateway.http.extraction import RequestFacts
from chatscale_gateway.limits.limiter import NO_LIMITS, Limiter, Reservation
from chatscale_gateway.routing.catalog import Model
from chatscale_gateway.routing.outcomes import Outcome, Usage

GENERATING_PATHS: Final = frozenset({CHAT_COMPLETIONS_PATH, COMPLETIONS_PATH})
"""Their streams end with `[DONE]`."""
DEFAULT_OUTPUT_TOKENS: Final = 1024
"""Reserved for each choice of a request that does not limit its answer. A guess: most answers are shorter, and a longer
one becomes a debt of the bucket."""
_COUNT: Final = re.compile(r"[0-9]{1,9}")
_MOST_TOKENS: Final = 10**9
"""Of one request. `n` can be any number, and reports of counters have a largest one."""


@dataclass(slots=True)
class Spending:
    """The tokens of one request, from its admission to its end."""

    prompt_tokens: int
    """Estimated."""
    tpot_s: float
    """Usual time per output token of an answer that is not streamed: as measured, or the model's objective."""
    generates: bool
    """The path of the request generates text."""
    streamed: bool
    reservation: Reservation = field(default=NO_LIMITS)
    cached_tokens: int = 0
    """Of the prompt, as the replica said at the start of its stream."""
    choices: int = 1
    """Answers that the replica generates."""
    max_output_tokens: int = _MOST_TOKENS
    """Of all choices."""
    streamed_events: int = 0
    """Events that the replica has streamed."""
    role_events: int = 0
    """Those of them that begin a message."""

    def refused(self, now_s: float) -> None:
        """The gateway refused the request."""
        self.reservation.give_back(now_s)

    def left(self, now_s: float) -> None:
        """The request has ended. Without an attempt it has used no tokens; after one this changes nothing."""
        self.reservation.settle(0, 0, now_s)

    def stream_began(self, prompt_tokens: str, cached_tokens: str) -> None:
        """Take the prompt's exact counts from the replica's headers. Invalid or missing ones change nothing."""
        if _COUNT.fullmatch(prompt_tokens):
            self.prompt_tokens = int(prompt_tokens)
            if _COUNT.fullmatch(cached_tokens):
                self.cached_tokens = min(int(cached_tokens), self.prompt_tokens)

    def attempt_ended(self, outcome: Outcome, usage: Usage | None, began_s: float, now_s: float) -> Usage | None:
        """Settle, and return the tokens that count; None if there are none, or the request may be sent again.

        began_s: when it got its place on the replica.
        """
        if outcome in {Outcome.BACKPRESSURE, Outcome.NOT_CONNECTED}:
            return None
        if usage is None or usage.prompt_tokens + usage.generated_tokens == 0:
            prompt, generated = self._seen(outcome, max(0.0, now_s - began_s))
            cached = min(self.cached_tokens, prompt)
            usage = Usage(prompt, cached, generated, estimated=True) if prompt or generated else usage
        if not self.reservation.settled:
            self.reservation.settle(*((usage.prompt_tokens, usage.generated_tokens) if usage else (0, 0)), now_s)
        if usage is not None and usage.estimated and outcome is Outcome.COMPLETED and not self.generates:
            return None  # such as /tokenize: the replica counts no tokens for it
        return usage

    @property
    def _streamed_tokens(self) -> int:
        # Some runtimes repeat the role in each event, so no more than one of each choice is without a token.
        return self.streamed_events - min(self.role_events, self.choices, self.streamed_events)

    def _seen(self, outcome: Outcome, elapsed_s: float) -> tuple[int, int]:
        """Input and output tokens of an attempt without usage."""
        match outcome:
            case Outcome.CLIENT_ERROR | Outcome.BACKPRESSURE | Outcome.NOT_CONNECTED:
                return 0, 0
            case Outcome.SERVER_ERROR:
                return (self.prompt_tokens, self._streamed_tokens) if self.streamed_events else (0, 0)
            case Outcome.COMPLETED | Outcome.CLIENT_LEFT:
                # A runtime can stream although the request does not say `true`, but `1` or `"true"`.
                if self.streamed or self.streamed_events or not self.generates:
                    return self.prompt_tokens, self._streamed_tokens
                # The answer was not streamed, so nobody has counted its tokens: assume the model's usual speed.
                return self.prompt_tokens, min(self.max_output_tokens, round(elapsed_s / self.tpot_s))
            case Outcome.BROKEN | Outcome.NO_ANSWER | Outcome.CUT_OFF:
                return self.prompt_tokens, self._streamed_tokens
            case _:
                assert_never(outcome)


def reserve(
    limiter: Limiter,
    model: Model,
    path: str,
    facts: RequestFacts,
    arrival: Arrival,
    now_s: float,
    tpot_s: float | None = None,
) -> Spending:
    """Admit a request within the limits of its key. tpot_s: as measured. Raises ApiError 429."""
    generates = path in GENERATING_PATHS
    per_choice, longest = facts.max_tokens, model.max_model_len
    guessed = per_choice is None and generates
    if guessed:
        rest = DEFAULT_OUTPUT_TOKENS if longest is None else max(1, longest - facts.prompt_tokens)
        per_choice = min(DEFAULT_OUTPUT_TOKENS, rest)
    elif per_choice is not None:
        # Some runtimes take 0 for no limit.
        per_choice = max(1, per_choice if longest is None else min(per_choice, longest))
    output_tokens = min(_MOST_TOKENS, (per_choice or 0) * facts.choices)
    reservation = limiter.admit(arrival.caller, facts.prompt_tokens, output_tokens, now_s, guessed=guessed)
    return Spending(
        facts.prompt_tokens,
        tpot_s or model.slo.tpot_s,
        generates,
        facts.streamed,
        reservation,
        choices=facts.choices,
        max_output_tokens=output_tokens,
    )
