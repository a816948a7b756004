"""One number of the evaluation, with its baseline, its limits, its sample size and its interval."""

from dataclasses import dataclass
from typing import Self

from chatscale_assistant.evaluation.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Measurement:
    """A reported number. `low` and `high` are the bounds of the 95 % interval."""

    suite: str
    """Name of the suite, as in `chatscale evaluate --suite`."""
    name: str
    """What was measured, with its unit."""
    language: str
    """ISO 639-1 code; empty if the number is not of one language."""
    value: float
    baseline: float | None
    """The same number for the simplest method; None without one."""
    baseline_name: str
    must: float | None
    """Limit that a release has to reach; None: the number is only reported."""
    aim: float | None
    n: int
    """Sample size."""
    low: float
    high: float
    note: str = ""
    lower_is_better: bool = False

    @classmethod
    def of(
        cls,
        suite: str,
        name: str,
        estimate: Estimate,
        *,
        language: str = "",
        baseline: float | None = None,
        baseline_name: str = "",
        must: float | None = None,
        aim: float | None = None,
        note: str = "",
        lower_is_better: bool = False,
    ) -> Self:
        """A number from an estimate."""
        return cls(
            suite=suite,
            name=name,
            language=language,
            value=estimate.value,
            baseline=baseline,
            baseline_name=baseline_name,
            must=must,
            aim=aim,
            n=estimate.n,
            low=estimate.low,
            high=estimate.high,
            note=note,
            lower_is_better=lower_is_better,
        )

    @property
    def reached(self) -> bool | None:
        """Whether the value reaches `must`; None without a must."""
        return None if self.must is None else self._reaches(self.must)

    @property
    def reached_aim(self) -> bool | None:
        """Whether the value reaches `aim`; None without an aim."""
        return None if self.aim is None else self._reaches(self.aim)

    def _reaches(self, limit: float) -> bool:
        # Values and limits are decimal fractions of small counts: the tolerance is far below one of them.
        return self.value <= limit + 1e-9 if self.lower_is_better else self.value >= limit - 1e-9


@dataclass(frozen=True, slots=True)
class Missing:
    """A suite that did not run, and why."""

    suite: str
    reason: str
