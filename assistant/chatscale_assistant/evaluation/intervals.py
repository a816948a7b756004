"""Estimates with 95 % intervals: Wilson for shares, seeded bootstrap for everything else. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 2000
_SEED: Final = 20_261_127
_Z: Final = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""
_BLOCK: Final = 4_000_000
"""Indices that are drawn at once: bounds the memory of a bootstrap to 32 MB."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the bounds of its 95 % interval and its sample size."""

    value: float
    low: float
    high: float
    n: int


def exact(value: float, n: int) -> Estimate:
    """A value that has no sampling error, such as a count over all cases."""
    return Estimate(value, value, value, n)


def share(outcomes: Sequence[bool]) -> Estimate:
    """The share of true outcomes, with Wilson's interval: right for shares near 0 and 1 too. Needs one outcome."""
    n, hits = len(outcomes), sum(outcomes)
    if not n:
        raise ValueError("a share needs at least one outcome")
    p = hits / n
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    # At the ends the formula gives 0 and 1 but for rounding.
    return Estimate(p, centre - half if hits else 0.0, centre + half if hits < n else 1.0, n)


def count(hits: int, n: int) -> Estimate:
    """How many of `n` cases: the share's interval, as numbers of cases."""
    found = share([True] * hits + [False] * (n - hits))
    return Estimate(hits, found.low * n, found.high * n, n)


def mean(values: Sequence[float]) -> Estimate:
    """The mean, with a bootstrap interval."""
    return bootstrap(values, lambda rows: rows.mean(axis=-1))


def quantile(values: Sequence[float], q: float) -> Estimate:
    """The quantile `q` (0 to 1), with a bootstrap interval."""
    return bootstrap(values, lambda rows: np.quantile(rows, q, axis=-1))


def bootstrap(values: Sequence[float], statistic: Callable[[Floats], Floats]) -> Estimate:
    """Resample `values`; `statistic` maps rows [resamples, n] to one number each. Same values, same interval."""
    data = np.asarray(values, dtype=np.float64)
    if not data.size:
        raise ValueError("an estimate needs at least one value")
    rng = np.random.default_rng(_SEED)
    per_block = max(1, _BLOCK // data.size)
    found = [
        statistic(data[rng.integers(0, data.size, size=(min(per_block, RESAMPLES - start), data.size))])
        for start in range(0, RESAMPLES, per_block)
    ]
    return _estimate(float(statistic(data[None])[0]), np.concatenate(found), data.size)


def auc(positive: Sequence[float], negative: Sequence[float]) -> Estimate:
    """The probability that a positive case scores above a negative one; ties count half. Bootstrap of both sides."""
    above, below = np.asarray(positive, dtype=np.float64), np.asarray(negative, dtype=np.float64)
    if not above.size or not below.size:
        raise ValueError("an AUC needs at least one positive and one negative case")
    difference = above[:, None] - below[None]
    wins = (difference > 0) + 0.5 * (difference == 0)
    rng = np.random.default_rng(_SEED)
    up = rng.multinomial(above.size, np.full(above.size, 1 / above.size), size=RESAMPLES)
    down = rng.multinomial(below.size, np.full(below.size, 1 / below.size), size=RESAMPLES)
    resampled = ((up @ wins) * down).sum(axis=-1) / (above.size * below.size)
    return _estimate(float(wins.mean()), resampled, above.size + below.size)


def _estimate(value: float, resampled: Floats, n: int) -> Estimate:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)
