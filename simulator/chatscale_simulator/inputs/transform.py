"""Workload transformations: superpose, cut, undo rounded arrivals, and draw requests from recorded rates. Pure."""

from typing import Final

import numpy as np

from chatscale_simulator.inputs.trace_csv import RecordedRates, TraceError
from chatscale_simulator.simulation.arrays import FloatArray, IntArray
from chatscale_simulator.simulation.workload import Workload

MAX_ROUNDING_S: Final = 10.0
"""Publishers round arrivals to a second, or to three."""
SHIFT_S: Final = 15.0
"""Each request of each copy moves by up to this much, in either direction."""
PROMPT_SIGMA: Final = 0.5
"""Sigma of the log-normal prompt lengths, where only a mean is known. The Azure 2023 conversation trace has 0.50."""
OUTPUT_SIGMA: Final = 1.0
"""The same for outputs; that trace has 0.99."""


def superpose(workload: Workload, copies: int, seed: int) -> Workload:
    """Multiply the load by an integer and keep its shape: each request of each copy moves by U(-15 s, 15 s).

    With one copy the trace stays as it is.
    """
    if copies == 1:
        return workload
    rng = np.random.default_rng((seed, copies))
    arrival_s = np.tile(workload.arrival_s, copies)
    arrival_s = np.maximum(arrival_s + rng.uniform(-SHIFT_S, SHIFT_S, len(arrival_s)), 0.0)
    return _sorted(arrival_s, np.tile(workload.prompt_tokens, copies), np.tile(workload.output_tokens, copies))


def cut(workload: Workload, from_s: float, to_s: float) -> Workload:
    """The requests that arrive in [from_s, to_s), in seconds from from_s."""
    first, last = np.searchsorted(workload.arrival_s, (from_s, to_s))
    kept = slice(int(first), int(last))
    return Workload(
        workload.arrival_s[kept] - from_s, workload.prompt_tokens[kept].copy(), workload.output_tokens[kept].copy()
    )


def undo_rounding(workload: Workload, grid_s: float, seed: int) -> Workload:
    """Undo a publisher's rounding of arrivals down to multiples of `grid_s`: move each by U(0, grid_s)."""
    rng = np.random.default_rng((seed, 0))
    arrival_s = workload.arrival_s + rng.uniform(0.0, grid_s, len(workload.arrival_s))
    return _sorted(arrival_s, workload.prompt_tokens, workload.output_tokens)


def rounding_s(workload: Workload) -> float:
    """The whole seconds that all arrivals are multiples of; 0 if there are none or too few arrivals to tell.

    Larger multiples than MAX_ROUNDING_S are bursts, not rounding.
    """
    distinct = np.unique(workload.arrival_s)
    if len(distinct) < 10 or len(distinct) * 2 > len(workload.arrival_s) or (distinct % 1).any():  # noqa: PLR2004
        return 0.0
    grid_s = float(np.gcd.reduce(distinct.astype(np.int64)))
    return grid_s if grid_s <= MAX_ROUNDING_S else 0.0


def busiest_window(workload: Workload, length_s: float) -> tuple[float, float]:
    """The window whose busiest and quietest quarter hours differ the most.

    Windows start on the hour. A trace that is not longer than the window is one whole window.
    """
    bucket_s = 900.0
    if workload.duration_s <= length_s:
        return 0.0, max(length_s, workload.duration_s + 1.0)
    counts = np.histogram(workload.arrival_s, np.arange(0.0, workload.duration_s + bucket_s, bucket_s))[0]
    counts = counts[: int(workload.duration_s // bucket_s)]
    wide, step = int(length_s / bucket_s), int(3600 / bucket_s)
    starts = range(0, max(len(counts) - wide, 0) + 1, step)
    best = max(starts, key=lambda start: int(np.ptp(counts[start : start + wide])))
    return best * bucket_s, best * bucket_s + length_s


def draw_arrivals(
    rates: RecordedRates, seed: int, prompt_tokens: float | None, output_tokens: float | None
) -> Workload:
    """Draw requests for recorded rates: Poisson arrivals, log-normal lengths around the means.

    prompt_tokens, output_tokens: means for a recording without its own. Raises TraceError without either.
    """
    prompts = _means(rates, rates.prompt_tokens, prompt_tokens, "input_tokens")
    outputs = _means(rates, rates.output_tokens, output_tokens, "output_tokens")
    rng = np.random.default_rng((seed, 1))
    lasts_s = np.append(np.diff(rates.start_s), np.diff(rates.start_s)[-1])
    entry = np.repeat(np.arange(len(lasts_s)), rng.poisson(rates.requests_per_s * lasts_s))
    if not len(entry):
        raise TraceError("the recorded rates must add up to at least one request, found none")
    arrival_s = rates.start_s[entry] + rng.random(len(entry)) * lasts_s[entry]
    return _sorted(arrival_s, _lengths(rng, prompts[entry], PROMPT_SIGMA), _lengths(rng, outputs[entry], OUTPUT_SIGMA))


def _means(rates: RecordedRates, recorded: FloatArray | None, given: float | None, column: str) -> FloatArray:
    if recorded is not None:
        return recorded
    if given is None:
        raise TraceError(f"recorded rates need a mean {column}: as a column of the recording, or as an option")
    return np.full(len(rates.start_s), given)


def _lengths(rng: np.random.Generator, means: FloatArray, sigma: float) -> IntArray:
    drawn = np.maximum(means, 1.0) * np.exp(sigma * rng.standard_normal(len(means)) - sigma**2 / 2)
    lengths: IntArray = np.maximum(np.rint(drawn), 1).astype(np.int64)
    return lengths


def _sorted(arrival_s: FloatArray, prompt_tokens: IntArray, output_tokens: IntArray) -> Workload:
    order = np.argsort(arrival_s, kind="stable")
    return Workload(arrival_s[order], prompt_tokens[order], output_tokens[order])
