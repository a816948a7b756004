"""What happened in a demo: looks at the ChatModel over time, the customers' fates, and whether it is what was promised.

Data and text only; who looks and when is `__main__`'s business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from chatscale_contract.money import Price, format_money
from hack import kube
from hack.load import Fate, LoadReport

COLUMN_S = 4.0
"""Seconds that a column of the summary's chart stands for."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at the ChatModel."""

    at_s: float
    desired: int
    ready: int
    queue: int

    @classmethod
    def of(cls, chatmodel: kube.Manifest | None, at_s: float) -> "Moment":
        """What its status says; zeros where it says nothing."""
        status = (chatmodel or {}).get("status", {})
        numbers = (status.get(name, 0) for name in ("desiredReplicas", "readyReplicas", "queueDepth"))
        return cls(at_s, *numbers)

    def line(self, max_replicas: int) -> str:
        """The look as a line of progress: `#` answers, `.` is wanted and does not answer yet."""
        bar = "#" * self.ready + "." * max(0, self.desired - self.ready)
        return f"{self.at_s:5.0f} s  replicas [{bar:<{max_replicas}}]  waiting {self.queue}"


def shortcomings(moments: Sequence[Moment], report: LoadReport) -> list[str]:
    """What the demo promises and did not show; empty when everything happened."""
    found = []
    peak = max((moment.ready for moment in moments), default=0)
    if not moments or moments[0].ready != 1:
        found.append(f"the sale did not begin with 1 replica but with {moments[0].ready if moments else 'none seen'}")
    if peak <= 1:
        found.append(f"the burst did not raise the replicas above 1: at most {peak} answered")
    if moments and (moments[-1].desired, moments[-1].ready) != (1, 1):
        last = moments[-1]
        found.append(f"the replicas did not come back to 1: {last.desired} wanted, {last.ready} answer")
    if not any(moment.queue for moment in moments):
        found.append("no request was ever seen waiting")
    if report.count(Fate.LOST) or not report.count(Fate.ANSWERED):
        found.append(f"requests were lost, or none was answered: {report}")
    return found


def summary(
    moments: Sequence[Moment], report: LoadReport, history: Sequence[kube.Manifest], price: Price | None = None
) -> list[str]:
    """What happened, for a person: replicas and queue over time, requests, times, decisions newest first."""
    columns = _columns(moments)
    top = max((moment.ready for moment in columns), default=0)
    lines = [f"replicas that answer, over time; a column is {COLUMN_S:.0f} s:"]
    lines += [
        f"{level} |" + "".join("#" if moment.ready >= level else " " for moment in columns)
        for level in range(top, 0, -1)
    ]
    lines += ["  +" + "-" * len(columns), "queue depth, in tenths of its maximum:"]
    deepest = max((moment.queue for moment in moments), default=0)
    lines.append("  |" + "".join(_tenths(moment.queue, deepest) for moment in columns))
    lines += [f"queue depth: at most {deepest} requests waiting", f"requests: {report}"]
    half, tail = report.percentile_ttft_s(50), report.percentile_ttft_s(95)
    if half is not None and tail is not None:
        lines.append(f"time to first token: median {half:.1f} s, p95 {tail:.1f} s")
    lines.append(cost(moments, price))
    lines.append("decisions, newest first:")
    lines += [f"  {record['time']}  {record['from']} -> {record['to']}  {record['reason']}" for record in history]
    return lines


def cost(moments: Sequence[Moment], price: Price | None = None) -> str:
    """price: of one replica. Replica-minutes beside those of a fixed fleet that has the highest count all the time."""
    peak = max((moment.desired for moment in moments), default=0)
    pairs = list(pairwise(moments))
    used_min = sum(before.desired * (after.at_s - before.at_s) for before, after in pairs) / 60
    fixed_min = peak * sum(after.at_s - before.at_s for before, after in pairs) / 60
    text = f"cost: {used_min:.1f} replica-minutes; a fixed fleet of {peak} costs {fixed_min:.1f}"
    used, fixed = (
        price.of_gpu_hours(Decimal(str(minutes)) / 60) if price else None for minutes in (used_min, fixed_min)
    )
    if price is None or used is None or fixed is None:
        return text
    return f"{text}: {format_money(used, price.currency)} instead of {format_money(fixed, price.currency)}"


def _columns(moments: Sequence[Moment]) -> list[Moment]:
    """The last look within each column's time."""
    return list({int(moment.at_s / COLUMN_S): moment for moment in moments}.values())


def _tenths(queue: int, deepest: int) -> str:
    """A digit from 1 to 9, `X` for the maximum; empty queues stay blank."""
    if queue == 0:
        return " "
    tenth = max(1, queue * 10 // deepest)
    return "X" if tenth == 10 else str(tenth)  # noqa: PLR2004 - tenths
