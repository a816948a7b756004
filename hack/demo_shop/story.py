"""What the customers of the sample shop got: lines for the terminal, numbers, and what did not happen. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from chatscale_contract.assistant.extras import HandOverState, Rung
from hack.demo_shop.customer import Reply

ANSWER_WITHIN_S: Final = 2.0
"""Issue 20: also at ten times the load that the model can answer."""
_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message of a customer, and its answer."""

    language: str
    question: str
    reply: Reply

    def lines(self) -> list[str]:
        """Question, answer, and what the answer is based on."""
        reply, extras = self.reply, self.reply.extras
        found = [f"customer ({self.language}): {_indented(self.question)}"]
        if extras is None:
            return [*found, f"refused with {reply.status}: {reply.text}"]
        found.append(f"assistant:      {_indented(reply.text) or '(silent: a person answers)'}")
        basis = f"rung {extras.rung}, language {extras.language}, sentiment {extras.sentiment}, {reply.seconds:.2f} s"
        if extras.hand_over is not HandOverState.NONE:
            basis += f", hand-over {extras.hand_over}"
        found.append(f"                [{basis}]")
        notes = [f"source {each.source}: {each.title} “{_short(each.quote)}”" for each in extras.citations]
        notes += [f"check {each.name} did not pass: {each.detail}" for each in extras.checks if not each.passed]
        found += [f"                [{note}]" for note in notes]
        return found


@dataclass(frozen=True, slots=True)
class Sale:
    """The answers of the customers of a sale."""

    replies: Sequence[Reply]
    lost: int = 0
    """Requests without any response."""
    replicas: Sequence[int] = field(default=())
    """Ready replicas of the ChatModel at each look."""

    @property
    def failures(self) -> int:
        """Responses with a 5xx, and requests without a response."""
        return self.lost + sum(reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR for reply in self.replies)

    def percentile_s(self, percent: float) -> float:
        """Seconds until the whole answer; 0 without answers."""
        times = sorted(reply.seconds for reply in self.replies)
        return times[min(len(times) - 1, int(len(times) * percent / 100))] if times else 0.0

    def rungs(self) -> dict[str, int]:
        """Answers of each rung, most first."""
        found = Counter(str(reply.extras.rung) for reply in self.replies if reply.extras is not None)
        return dict(found.most_common())


def summary(exchanges: Sequence[Exchange], cases: int, sale: Sale) -> list[str]:
    """The numbers, for a person."""
    seconds = sorted(each.reply.seconds for each in exchanges)
    grounded = sum(each.reply.is_grounded for each in exchanges)
    lines = [
        f"conversations: {len(exchanges)} answers, {grounded} with a source or a hand-over",
        f"slowest answer: {seconds[-1] if seconds else 0:.2f} s",
        f"desk: {cases} case{'' if cases == 1 else 's'} received, with transcript and summary",
    ]
    total = len(sale.replies)
    lines.append(
        f"sale: {total} answers, {sum(reply.is_grounded for reply in sale.replies)} with a source or a hand-over, "
        f"{sale.failures} failures; p50 {sale.percentile_s(50):.2f} s, p99 {sale.percentile_s(99):.2f} s"
    )
    lines.append("rungs in the sale: " + ", ".join(f"{rung} {count}" for rung, count in sale.rungs().items()))
    if sale.replicas:
        lines.append(f"replicas of the ChatModel in the sale: from {sale.replicas[0]} to {max(sale.replicas)}")
    return lines


def shortcomings(exchanges: Sequence[Exchange], cases: int, sale: Sale) -> list[str]:
    """What the demo must show and did not; empty if everything happened."""
    found = [f"{each.question!r} got no answer: {each.reply.status}" for each in exchanges if each.reply.extras is None]
    found += [
        f"{each.question!r} was answered in {each.reply.extras.language}, not in {each.language}"
        for each in exchanges
        if each.reply.extras is not None and each.reply.text and each.reply.extras.language != each.language
    ]
    if not any(each.reply.extras and each.reply.extras.rung is Rung.TEMPLATE for each in exchanges):
        found.append("no answer came from a tool")
    if sale.replicas and max(sale.replicas) <= sale.replicas[0]:
        found.append(f"the sale did not raise the replicas of the ChatModel above {sale.replicas[0]}")
    if cases == 0:
        found.append("the desk received no case")
    if not sale.replies:
        found.append("nobody was answered in the sale")
    if sale.failures:
        found.append(f"{sale.failures} requests of the sale failed")
    if (slow := sale.percentile_s(99)) > ANSWER_WITHIN_S:
        found.append(f"the p99 of the sale is {slow:.2f} s; it must be below {ANSWER_WITHIN_S:.0f} s")
    if loose := [reply.question for reply in sale.replies if not reply.is_grounded]:
        examples = ", ".join(sorted(set(loose)))
        found.append(f"{len(loose)} answers of the sale have neither a source nor a hand-over: {examples}")
    return found


def _indented(text: str) -> str:
    return text.strip().replace("\n", f"\n{' ' * 16}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
