"""The counters of one model, and whether each request kept the SLO, counted from arrival in the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chatscale_contract.gateway.demand import ModelDemand
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_gateway.dispatch.request import Request
from chatscale_gateway.live.recent_ttft import RecentTtft
from chatscale_gateway.routing.outcomes import MAX_ATTEMPTS, Outcome, Usage

_UNBEGUN: Final = frozenset({Outcome.NOT_CONNECTED, Outcome.BACKPRESSURE})
"""The replica has not begun the request."""
_LATE_WITHOUT_TOKEN: Final = frozenset({
    Outcome.CLIENT_LEFT, Outcome.NO_ANSWER, Outcome.NOT_CONNECTED, Outcome.BROKEN, Outcome.SERVER_ERROR
})  # fmt: skip
"""Ends without a first token that miss the SLO if the limit for the first token has passed. A client's error and the
gateway's shutdown are not among them."""


@dataclass(slots=True)
class Accounts:
    """See `ModelDemand` for the meaning of each counter."""

    arrived: int = 0
    sent: int = 0
    finished: int = 0
    refused: int = 0
    abandoned: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    passed_tokens: int = 0
    slo_misses: int = 0
    wake_misses: int = 0
    no_wake_arrived: int = 0
    no_wake_placed: int = 0
    recent_ttft: RecentTtft = field(default_factory=RecentTtft)

    def arrive(self, request: Request) -> None:
        """A new request was admitted."""
        self.arrived += 1
        self.no_wake_arrived += not request.wakes

    def first_token(self, request: Request, objectives: LatencyObjectives, prefill_rate: float, now_s: float) -> None:
        """A replica has begun. A late first token of a streamed answer misses the SLO at once.

        An answer that is not streamed shows no first token. It is judged at its end.
        """
        self._begin(request)
        if request.first_token_s is None and request.arrival.streamed:
            request.first_token_s = now_s
            self.recent_ttft.record(now_s - request.arrival.arrived_s, now_s)
            if _is_late(request, objectives, prefill_rate, now_s):
                self._miss_first_token(request)

    def attempt_ended(
        self,
        request: Request,
        outcome: Outcome,
        objectives: LatencyObjectives,
        prefill_rate: float,
        now_s: float,
        usage: Usage | None,
    ) -> None:
        """Count the end of an attempt, and of the request unless another attempt can follow.

        `request.attempts` includes this attempt.
        """
        if outcome not in _UNBEGUN:
            self._begin(request)
        if usage is not None:
            self.prompt_tokens += usage.prompt_tokens
            self.cached_tokens += usage.cached_tokens
            self.generated_tokens += usage.generated_tokens
        if outcome is Outcome.BACKPRESSURE or (outcome is Outcome.NOT_CONNECTED and request.attempts < MAX_ATTEMPTS):
            return
        if outcome is Outcome.CLIENT_LEFT:
            self.abandoned += 1
        else:
            self.finished += 1
        if request.first_token_s is not None:
            self._judge_output(request, outcome, objectives, now_s, usage)
        elif outcome is Outcome.COMPLETED:
            self._judge_whole(request, objectives, prefill_rate, now_s, usage)
        # A client that leaves before the end of an answer that is not streamed may have left after its first token.
        elif outcome in _LATE_WITHOUT_TOKEN and (request.arrival.streamed or outcome is not Outcome.CLIENT_LEFT):
            self._judge_missing(request, objectives, prefill_rate, now_s)

    def left_before_sent(
        self, request: Request, objectives: LatencyObjectives, prefill_rate: float, now_s: float
    ) -> None:
        """The client left while the request was held. It is an SLO miss only after the limit for the first token."""
        self.abandoned += 1
        self._judge_missing(request, objectives, prefill_rate, now_s)

    def report(self, held: int, held_prompt_tokens: int, in_flight_by_pod: dict[str, int], oldest_s: float,
               in_flight: int, no_wake_held: int, no_wake_in_flight: int,
               recent_ttft: Mapping[int, int]) -> ModelDemand:  # fmt: skip
        """The counters with the gauges."""
        return ModelDemand(
            held=held,
            held_prompt_tokens=held_prompt_tokens,
            in_flight=in_flight,
            oldest_held_s=oldest_s,
            arrived=self.arrived,
            sent=self.sent,
            finished=self.finished,
            refused=self.refused,
            abandoned=self.abandoned,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            generated_tokens=self.generated_tokens,
            passed_tokens=self.passed_tokens,
            slo_misses=self.slo_misses,
            wake_misses=self.wake_misses,
            no_wake_held=no_wake_held,
            no_wake_in_flight=no_wake_in_flight,
            no_wake_arrived=self.no_wake_arrived,
            no_wake_placed=self.no_wake_placed,
            in_flight_by_pod=in_flight_by_pod,
            recent_ttft=recent_ttft,
        )

    def _begin(self, request: Request) -> None:
        if not request.began:
            request.began = True
            self.sent += 1

    def _judge_output(
        self, request: Request, outcome: Outcome, objectives: LatencyObjectives, now_s: float, usage: Usage | None
    ) -> None:
        if outcome is not Outcome.COMPLETED or usage is None or request.missed or request.first_token_s is None:
            return
        if objectives.misses_tpot(now_s - request.first_token_s, usage.generated_tokens):
            request.missed = True
            self.slo_misses += 1

    def _judge_whole(
        self, request: Request, objectives: LatencyObjectives, prefill_rate: float, now_s: float, usage: Usage | None
    ) -> None:
        """An answer without a visible first token is late if it took longer than both objectives together allow."""
        if usage is not None:
            decode_limit_s = objectives.tpot_s * max(0, usage.generated_tokens - 1)
            if _is_late(request, objectives, prefill_rate, now_s - decode_limit_s):
                self._miss_first_token(request)

    def _judge_missing(
        self, request: Request, objectives: LatencyObjectives, prefill_rate: float, now_s: float
    ) -> None:
        if _is_late(request, objectives, prefill_rate, now_s):
            self._miss_first_token(request)

    def _miss_first_token(self, request: Request) -> None:
        if request.missed:
            return
        request.missed = True
        if request.waited_for_start:
            self.wake_misses += 1
        else:
            self.slo_misses += 1


def _is_late(request: Request, objectives: LatencyObjectives, prefill_rate: float, at_s: float) -> bool:
    """True if the limit for the first token has passed at `at_s`."""
    return objectives.misses_ttft(at_s - request.arrival.arrived_s, request.prompt_tokens, prefill_rate)
