"""The arrays that a run's pods and requests live in, and the numbers that stand for their states. No behaviour."""

from typing import Final, NamedTuple

import numpy as np

from chatscale_simulator.simulation.outcome import Workload
from chatscale_simulator.simulation.view import COLUMNS, Column, Flags, Integers, Numbers

EMPTY: Final = 0
STARTING: Final = 1
READY: Final = 2
DRAINING: Final = 3
GONE: Final = 4

UNFINISHED: Final = 0
SERVED: Final = 1
REFUSED: Final = 2
TIMED_OUT: Final = 3

WAITING: Final = int(Column.WAITING)
RUNNING: Final = int(Column.RUNNING)
KV_TOKENS: Final = int(Column.KV_TOKENS)
REJECTED: Final = int(Column.REJECTED)
PROMPT_TOKENS: Final = int(Column.PROMPT_TOKENS)
GENERATED_TOKENS: Final = int(Column.GENERATED_TOKENS)
STARTED: Final = int(Column.STARTED)
FINISHED: Final = int(Column.FINISHED)
TTFT_SUM_S: Final = int(Column.TTFT_SUM_S)
TTFT_COUNT: Final = int(Column.TTFT_COUNT)
ITL_SUM_S: Final = int(Column.ITL_SUM_S)
ITL_COUNT: Final = int(Column.ITL_COUNT)
STEP_SUM_S: Final = int(Column.STEP_SUM_S)
STEP_COUNT: Final = int(Column.STEP_COUNT)
TTFT_SLOW: Final = int(Column.TTFT_SLOW)
TPOT_SLOW: Final = int(Column.TPOT_SLOW)
ARRIVED: Final = int(Column.ARRIVED)

FAR_S: Final = 1e18
"""Later than anything."""
FULL: Final = 1 << 30
"""More than any replica holds."""
_ROUTING: Final = 1 << 40
"""In place of a pod's number, where dice are thrown for a request."""


class Model(NamedTuple):
    """A replica's constants, times in seconds."""

    base_s: Numbers
    """(tokens_per_step + max_sequences + 1,) time of a step over N tokens, without the KV term."""
    kv_s: float
    """Seconds per KV token held by decoding sequences."""
    kv_capacity: int
    tokens_per_step: int
    max_sequences: int
    max_queue: int
    queue_timeout_s: float
    slow_tpot_s: float
    scrape_every_s: float
    scrape_loss: float
    outage_start_s: float
    outage_end_s: float
    seed: int
    at_random: bool


class Fleet(NamedTuple):
    """Requests by arrival, pods by row."""

    arrival: Numbers
    prompt: Integers
    output: Integers
    ttft_limit: Numbers
    """Seconds to the first token that the SLO allows."""
    need: Integers
    """Tokens to prefill: the prompt, and after a preemption also what was generated."""
    made: Integers
    """Tokens generated before the last preemption."""
    first: Numbers
    finish: Numbers
    fate: Integers
    status: Integers
    number: Integers
    ready_at: Numbers
    ended: Numbers
    clock: Numbers
    """End of the last step that was computed."""
    due: Numbers
    """Before this nothing changes but the number of generated tokens."""
    steps: Integers
    run: Integers
    """(pods, max_sequences) requests in order of admission: first those that decode, then those that prefill."""
    left: Integers
    """(pods, max_sequences) decoding: number of the step that yields the last token; prefilling: tokens to go."""
    held: Integers
    """(pods, max_sequences) decoding: KV tokens held, less the steps so far."""
    n_run: Integers
    n_dec: Integers
    next_fin: Integers
    """Number of the step in which the next sequence ends."""
    kv_dec: Integers
    kv_all: Integers
    """Held or reserved by prefills."""
    wait: Integers
    """(pods, ring) requests that wait."""
    w_head: Integers
    w_len: Integers
    now: Numbers
    """(pods, COLUMNS) the metrics as they are."""
    sample: Numbers
    """(pods, COLUMNS) as last scraped."""
    sampled_at: Numbers
    fresh: Flags
    next_scrape: Numbers
    scrapes: Integers
    cursor: Integers
    """[next arrival, rows in use]."""


_OF_PODS: Final = Fleet._fields[Fleet._fields.index("status") : Fleet._fields.index("cursor")]
"""Arrays with one row per pod."""


def new_fleet(workload: Workload, ttft_limit: Numbers, rows: int, model: Model) -> Fleet:
    """All requests to come, no pod yet. ttft_limit: (requests,) seconds."""
    arrival, prompt, output = workload.arrival_s, workload.prompt_tokens, workload.output_tokens
    requests, sequences = len(arrival), model.max_sequences
    ring = model.max_queue + sequences + 1

    def whole(*shape: int) -> Integers:
        return np.zeros(shape, dtype=np.int64)

    def numbers(*shape: int, value: float = 0.0) -> Numbers:
        return np.full(shape, value, dtype=np.float64)

    return Fleet(
        arrival=arrival, prompt=prompt, output=output, ttft_limit=ttft_limit,
        need=prompt.copy(), made=whole(requests),
        first=numbers(requests, value=np.nan), finish=numbers(requests, value=np.nan), fate=whole(requests),
        status=whole(rows), number=whole(rows), ready_at=numbers(rows, value=FAR_S), ended=numbers(rows),
        clock=numbers(rows), due=numbers(rows), steps=whole(rows),
        run=whole(rows, sequences), left=whole(rows, sequences), held=whole(rows, sequences),
        n_run=whole(rows), n_dec=whole(rows), next_fin=whole(rows), kv_dec=whole(rows), kv_all=whole(rows),
        wait=whole(rows, ring), w_head=whole(rows), w_len=whole(rows),
        now=numbers(rows, COLUMNS), sample=numbers(rows, COLUMNS), sampled_at=numbers(rows, value=-FAR_S),
        fresh=np.zeros(rows, dtype=np.bool_), next_scrape=numbers(rows, value=FAR_S), scrapes=whole(rows),
        cursor=whole(2),
    )  # fmt: skip


def with_rows(fleet: Fleet, rows: int, model: Model) -> Fleet:
    """The same run with `rows` more rows for pods."""
    nothing = Workload(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    more = new_fleet(nothing, np.zeros(0), rows, model)
    return fleet._replace(**{name: np.concatenate([getattr(fleet, name), getattr(more, name)]) for name in _OF_PODS})
