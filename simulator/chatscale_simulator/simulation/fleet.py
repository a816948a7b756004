"""The arrays that hold the pods and requests of a run, and the constants for their states. Data only."""

from typing import Final, NamedTuple

import numpy as np

from chatscale_simulator.simulation.arrays import BoolArray, FloatArray, IntArray
from chatscale_simulator.simulation.snapshot import COLUMNS, ClientColumn, Column
from chatscale_simulator.simulation.workload import Workload

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

CLIENT_ARRIVED: Final = int(ClientColumn.ARRIVED)
CLIENT_SENT: Final = int(ClientColumn.SENT)
CLIENT_FINISHED: Final = int(ClientColumn.FINISHED)
CLIENT_REFUSED: Final = int(ClientColumn.REFUSED)
CLIENT_PROMPT_TOKENS: Final = int(ClientColumn.PROMPT_TOKENS)
CLIENT_GENERATED_TOKENS: Final = int(ClientColumn.GENERATED_TOKENS)
CLIENT_SLO_MISSES: Final = int(ClientColumn.SLO_MISSES)
CLIENT_WAKE_MISSES: Final = int(ClientColumn.WAKE_MISSES)

LEAST_LOADED: Final = 0
SERVICE: Final = 1
GATEWAY: Final = 2

HEAD: Final = 0
HELD: Final = 1
HELD_PROMPT_TOKENS: Final = 2
HELD_BYTES: Final = 3
BYTES_PER_TOKEN: Final = 4
"""Of a request's body: what the gateway assumes when it estimates prompt tokens."""

FAR_S: Final = 1e18
"""Later than any event."""
FULL: Final = 1 << 30
"""More requests than any replica holds."""
ROUTING_DRAW: Final = 1 << 40
"""Used in place of a pod number, to draw a random number for a request."""


class Model(NamedTuple):
    """The constants of a replica, times in seconds."""

    base_s: FloatArray
    """(tokens_per_step + max_sequences + 1,) time of a step over N tokens, without the KV term."""
    kv_s: float
    """Seconds per KV token held by decoding sequences."""
    kv_capacity: int
    tokens_per_step: int
    max_sequences: int
    max_queue: int
    queue_timeout_s: float
    """From arrival to a slot. With a gateway this is the hold timeout: a request that a replica refuses earlier goes
    back to the front of the gateway's queue."""
    slow_tpot_s: float
    scrape_interval_s: float
    scrape_loss: float
    outage_start_s: float
    outage_end_s: float
    seed: int
    routing: int
    """LEAST_LOADED, SERVICE or GATEWAY."""
    places: int
    """Most requests that the gateway has on one replica."""
    hold_requests: int
    """Bounds of the gateway's queue, as the next two."""
    hold_bytes: int
    hold_prompt_tokens: int


class Fleet(NamedTuple):
    """Request arrays in order of arrival; pod arrays with one row per pod."""

    arrival: FloatArray
    prompt: IntArray
    output: IntArray
    ttft_limit: FloatArray
    """Seconds to the first token that the SLO allows."""
    need: IntArray
    """Tokens to prefill: the prompt, and after a preemption also what was generated."""
    made: IntArray
    """Tokens generated before the last preemption."""
    first: FloatArray
    finish: FloatArray
    outcome: IntArray
    sent: FloatArray
    """Time of arrival at a replica; nan before."""
    waited_for_start: BoolArray
    """Held while no replica was ready."""
    status: IntArray
    number: IntArray
    ready_at: FloatArray
    ended: FloatArray
    clock: FloatArray
    """End of the last computed step."""
    due: FloatArray
    """Until this time only the number of generated tokens changes."""
    steps: IntArray
    run: IntArray
    """(pods, max_sequences) requests in order of admission: first those in decode, then those in prefill."""
    left: IntArray
    """(pods, max_sequences) in decode: number of the step with the last token; in prefill: tokens left."""
    held: IntArray
    """(pods, max_sequences) in decode: KV tokens held, minus the steps so far."""
    n_run: IntArray
    n_dec: IntArray
    next_fin: IntArray
    """Number of the step in which the next sequence ends."""
    kv_dec: IntArray
    kv_all: IntArray
    """Held or reserved by prefills."""
    wait: IntArray
    """(pods, ring) waiting requests."""
    w_head: IntArray
    w_len: IntArray
    now: FloatArray
    """(pods, COLUMNS) the present metrics."""
    sample: FloatArray
    """(pods, COLUMNS) the metrics of the last scrape."""
    sampled_at: FloatArray
    fresh: BoolArray
    next_scrape: FloatArray
    scrapes: IntArray
    cursor: IntArray
    """[next arrival, rows in use]."""
    hold: IntArray
    """(hold_requests + 1,) ring of the requests that the gateway holds."""
    hold_now: IntArray
    """[HEAD, HELD, HELD_PROMPT_TOKENS, HELD_BYTES] of the ring."""
    clients: FloatArray
    """(len(ClientColumn),) counters of the gateway."""


_OF_PODS: Final = Fleet._fields[Fleet._fields.index("status") : Fleet._fields.index("cursor")]
"""Arrays with one row per pod."""


def new_fleet(workload: Workload, ttft_limit: FloatArray, rows: int, model: Model) -> Fleet:
    """A fleet before its first arrival, without pods. ttft_limit: (requests,) seconds."""
    arrival, prompt, output = workload.arrival_s, workload.prompt_tokens, workload.output_tokens
    requests, sequences = len(arrival), model.max_sequences
    ring = model.max_queue + sequences + 1

    def integers(*shape: int) -> IntArray:
        return np.zeros(shape, dtype=np.int64)

    def floats(*shape: int, value: float = 0.0) -> FloatArray:
        return np.full(shape, value, dtype=np.float64)

    return Fleet(
        arrival=arrival, prompt=prompt, output=output, ttft_limit=ttft_limit,
        need=prompt.copy(), made=integers(requests),
        first=floats(requests, value=np.nan), finish=floats(requests, value=np.nan), outcome=integers(requests),
        sent=floats(requests, value=np.nan), waited_for_start=np.zeros(requests, dtype=np.bool_),
        status=integers(rows), number=integers(rows), ready_at=floats(rows, value=FAR_S), ended=floats(rows),
        clock=floats(rows), due=floats(rows), steps=integers(rows),
        run=integers(rows, sequences), left=integers(rows, sequences), held=integers(rows, sequences),
        n_run=integers(rows), n_dec=integers(rows), next_fin=integers(rows),
        kv_dec=integers(rows), kv_all=integers(rows),
        wait=integers(rows, ring), w_head=integers(rows), w_len=integers(rows),
        now=floats(rows, COLUMNS), sample=floats(rows, COLUMNS), sampled_at=floats(rows, value=-FAR_S),
        fresh=np.zeros(rows, dtype=np.bool_), next_scrape=floats(rows, value=FAR_S), scrapes=integers(rows),
        cursor=integers(2), hold=integers(model.hold_requests + 1), hold_now=integers(4),
        clients=floats(len(ClientColumn)),
    )  # fmt: skip


def with_rows(fleet: Fleet, rows: int, model: Model) -> Fleet:
    """The same run with `rows` more rows for pods."""
    nothing = Workload(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    more = new_fleet(nothing, np.zeros(0), rows, model)
    return fleet._replace(**{name: np.concatenate([getattr(fleet, name), getattr(more, name)]) for name in _OF_PODS})
