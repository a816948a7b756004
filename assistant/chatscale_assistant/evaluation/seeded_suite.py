"""The part of suite `facts` that needs no assistant: true sentences with one error each, and the fact check alone."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chatscale_assistant.evaluation.independent_check import unsupported
from chatscale_assistant.evaluation.intervals import share
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.seeded_errors import Case, ErrorKind, all_cases
from chatscale_assistant.grounding import check_sentences
from chatscale_assistant.grounding.check import text_of

CASES: Final = 2000
"""About this many of them: one takes 25 ms."""


def measure_seeded(products: Mapping[str, Any], orders: Mapping[str, Any], sample: int | None) -> Iterator[Measurement]:
    """Errors caught, and true sentences stopped. The baseline looks for each number anywhere in the sources."""
    cases = all_cases(products, orders)
    # At an odd distance, so that every kind, language and source is in the sample.
    cases = cases[:: max(1, len(cases) // (sample or CASES)) | 1]
    wrong = [case for case in cases if case.error is not None]
    true = [case for case in cases if case.error is None]
    caught = [not passes(case) for case in wrong]
    anywhere = [bool(unsupported(case.sentence, map(text_of, case.evidence))) for case in wrong]
    missed = Counter(case.error for case, found in zip(wrong, caught, strict=True) if not found)
    yield Measurement.of(
        "facts",
        "seeded errors caught",
        share(caught),
        baseline=share(anywhere).value,
        baseline_name="numbers anywhere in the sources",
        must=0.99,
        aim=1.0,
        note=f"missed: {_listed(missed)}" if missed else "",
    )
    yield Measurement.of(
        "facts",
        "true sentences stopped",
        share([not passes(case) for case in true]),
        lower_is_better=True,
        note="The customer then gets the quote instead.",
    )


def passes(case: Case) -> bool:
    """Whether the fact check would let a customer read the sentence."""
    return check_sentences([case.sentence], case.evidence, case.language)[0].supported


def _listed(counts: Counter[ErrorKind | None]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in counts.most_common())
