"""Tokens per second of each model over all gateways, from the counters that gateways report. Pure."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from chatscale_contract.gateway.demand import GatewayDemand

WINDOW_S: Final = 10.0
"""Prompts are counted when their answer ends: over a shorter time, their rate would jump."""

Tokens = tuple[int, int]
"""Prompt tokens and generated tokens."""
_NONE: Final[Tokens] = (0, 0)


class TokenRates:
    """Call `sample` about once a second. Only models with tokens in the window take memory."""

    __slots__ = ("_before", "_began_s", "_growth")

    def __init__(self) -> None:
        self._before: dict[str, dict[str, Tokens]] = {}
        """Counters of the last sample, by instance of a gateway and by model."""
        self._growth: Final[deque[tuple[float, dict[str, Tokens]]]] = deque()
        """Time of each sample, and what was counted since the one before, by model."""
        self._began_s: float | None = None

    def sample(self, now_s: float, reports: Iterable[GatewayDemand]) -> None:
        """Read the counters of all gateways. The first report of a gateway's instance is where its counting begins."""
        if self._began_s is None:
            self._began_s = now_s
        growth: dict[str, Tokens] = {}
        counters: dict[str, dict[str, Tokens]] = {}
        for report in reports:
            before = self._before.get(report.instance)
            counters[report.instance] = found = {
                key: (model.prompt_tokens, model.passed_tokens) for key, model in report.models.items()
            }
            if before is None:
                continue
            for key, tokens in found.items():
                if tokens != (last := before.get(key, _NONE)):
                    growth[key] = _add(growth.get(key, _NONE), (tokens[0] - last[0], tokens[1] - last[1]))
        self._before = counters
        self._growth.append((now_s, growth))
        while self._growth[0][0] <= now_s - WINDOW_S:
            self._growth.popleft()

    def rate(self, key: str, now_s: float) -> tuple[float, float]:
        """Prompt and generated tokens per second of one model, `namespace/name`."""
        total = _NONE
        for _, growth in self._growth:
            total = _add(total, growth.get(key, _NONE))
        seconds = min(WINDOW_S, max(1.0, now_s - (now_s if self._began_s is None else self._began_s)))
        return max(0, total[0]) / seconds, max(0, total[1]) / seconds


def _add(left: Tokens, right: Tokens) -> Tokens:
    return left[0] + right[0], left[1] + right[1]
