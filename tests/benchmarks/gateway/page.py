"""Writes docs/benchmarks/gateway.md."""

from collections.abc import Iterable, Sequence
from typing import Final

from tests.benchmarks.gateway import kind_results, prefixes
from tests.benchmarks.gateway.capacity import DISCONNECTS, HELD, OPEN_STREAMS
from tests.benchmarks.gateway.costs import ALONE, BUSY, LOADS, STREAMS, Costs
from tests.benchmarks.gateway.fairness import BATCH_FACTOR, BATCH_PRIORITY, REPLICAS, SLOTS
from tests.benchmarks.gateway.limits import GOOD_ANSWER_S, LIMIT_SECONDS
from tests.benchmarks.gateway.peers import BARE, DIRECT, GATEWAY, PACKAGES
from tests.benchmarks.gateway.results import Results, goals
from tests.benchmarks.gateway.wire import ANSWER_TOKENS, LIMIT_PER_MINUTE, Plan

_HEADER: Final = """\
<!-- Written by `make bench-gateway`; do not edit. -->

# The gateway beside other proxies

Ratios are what counts: absolute times are those of one small machine, which other work shares. Each round measures all
proxies one after the other; every number is the median of {rounds} rounds.

## Goals

{goals}

A bare proxy is the least that a proxy with aiohttp can do: it parses, counts, logs and retries nothing. It uses
aiohttp's client on asyncio's own event loop; the gateway uses a client of its own on uvloop. In brackets: the lowest
and the highest ratio of a round. Other work on the machine changes latency more than CPU time: a goal inside a wide
range can be reached in one run and missed in the next.

## CPU time and latency

Load generator, proxies and one replica are processes on this machine. The replica is a stub with the wire format of
the server. Prompts have about 2 kB, answers {tokens} tokens; a stream has one chunk every {every_ms:g} ms. CPU time
is that of the proxy's processes, user and system. Added latency is the latency minus that of direct requests in the
same round: of a whole answer or, of a stream, of the first chunk. The gateway has all its parts, also access log and
metrics; only discovery is replaced by a fixed catalog. A negative added latency is noise of the machine.

"""
_MISSING: Final = "Not measured: {}.\n"
_VERSIONS: Final = "Versions: {}.\n"
_CAPACITY: Final = """\
## Streams, disconnects and held requests

One gateway process, a new one for each row.

{table}

Half of the clients disconnect before the first byte of the response, half after the first chunk, in waves of 100
within one second.

## Prefix hit rate

The dispatcher of the gateway in virtual time: {replicas} replicas with {slots} slots, {conversations} conversations
whose popularity follows Zipf's law (exponent 1), Poisson arrivals that use 60 % of the slots. A replica keeps the
{kept} prefixes that it used last. Gateways read loads and each other once a second. Median of {seeds} seeds.

{routed}

The last column is the mean over all arrivals. PrefixHash limits the load of a replica to 1.25 times the mean, rounded
up to whole requests, as each gateway sees it: the limit is above 1.25 while few requests are in flight, and loads are
up to one second old.

{keys}## Machine

{machine}, {date}, revision {revision}. Load average {before:.1f} before and {after:.1f} after the run.
"""
_KEYS: Final = """\
## Limits and fairness

{table}

Limits: two gateway processes that read each other once a second, one key with {limit:,} output tokens per minute,
{seconds:g} s of streams and answers in parallel, each third stream cancelled after about half of its tokens. Allowed
are a full bucket and what was refilled; used is what the replica generated. Bad keys: median latency of answers that
take the replica {answer_ms:g} ms, in alternating rounds with and without requests whose key is unknown.

Fairness: the dispatcher of one gateway in virtual time, {replicas} replicas with {slots} slots. The live key alone uses
a tenth of all slots, the batch key sends {factor} times as many requests, so both need more slots than there are. A
replica serves its own queue in the order of arrival. Keys with a priority below 0 leave a tenth of the slots free. Keys
of the same priority take turns in the hold queue, but the batch key also fills the replicas' queues.

Measured on {measured}.

{kind}"""
_ROUTED_HEADER: Final = ("routing", "hit rate", "requests, most over mean", "in flight, most over mean")


def render(results: Results) -> str:
    """The page."""
    rounds = len(next(iter(results.costs.rounds.values())))
    rows = [(each.name, each.wanted, each.found, "yes" if each.reached else "**no**") for each in goals(results)]
    text = _HEADER.format(
        rounds=rounds,
        goals=_table(("goal", "wanted", "found", "reached"), rows),
        tokens=ANSWER_TOKENS,
        every_ms=1000 * Plan().every_s,
    )
    text += _costs(results.costs)
    notes = {
        ALONE.name: "the goal for the latency of answers",
        BUSY.name: "the goal for CPU time of answers. The clients send as fast as they can, so latency is mostly time "
        "in a queue for the processor",
        STREAMS.name: "both goals for streams",
    }
    text += "\n".join(f"- {name}: {note}." for name, note in notes.items()) + "\n\n"
    if results.missing:
        text += _MISSING.format(", ".join(f"{name} ({reason})" for name, reason in results.missing.items()))
    if versions := [package for name, package in PACKAGES.items() if name not in results.missing]:
        text += _VERSIONS.format(", ".join(f"`{package}`" for package in versions))
    return text + "\n" + _rest(results)


def _costs(costs: Costs) -> str:
    header = ("proxy", "CPU", "CPU per request, ms", "added p50", "added p50, ms", "added p95, ms")
    text = ""
    for load in LOADS:
        rows: list[Sequence[str]] = []
        for peer in costs.peers():
            if peer == DIRECT:
                continue
            rows.append(
                (
                    f"**{peer}**" if peer == GATEWAY else peer,
                    f"{costs.cpu_ratio(load, peer):.2f}x",
                    f"{1000 * costs.middle(load, peer, lambda cost: cost.cpu_s):.2f}",
                    f"{costs.added_ratio(load, peer):.2f}x",
                    f"{1000 * costs.added_s(load, peer, lambda cost: cost.p50_s):.2f}",
                    f"{1000 * costs.added_s(load, peer, lambda cost: cost.p95_s):.2f}",
                )
            )
        text += f"**{load.name}** (ratios over the {BARE})\n\n{_table(header, rows)}\n\n"
    return text


def _rest(results: Results) -> str:
    found = results.capacity
    capacity = [
        ("memory before the first request", f"{found.memory_idle_mib:.0f} MiB"),
        (f"memory with {OPEN_STREAMS:,} open streams of one chunk per second", f"{found.memory_streams_mib:.0f} MiB"),
        (f"from a disconnect to the end of the replica's work, {DISCONNECTS:,} disconnects",
         f"p50 {1000 * found.disconnect_p50_s:.0f} ms, maximum {1000 * found.disconnect_max_s:.0f} ms"),
        (f"from the first pod to the last answer of {HELD} held requests", f"{found.held_seconds:.1f} s"),
    ]  # fmt: skip
    routed = [
        (name, f"{each.hit_rate:.1%}", f"{each.requests_max_over_mean:.2f}x", f"{each.load_max_over_mean:.2f}x")
        for name, each in results.routed.items()
    ]
    return _CAPACITY.format(
        table=_table(("what", "found"), capacity),
        replicas=prefixes.REPLICAS,
        slots=prefixes.SLOTS,
        conversations=prefixes.CONVERSATIONS,
        kept=prefixes.KEPT_PREFIXES,
        seeds=len(prefixes.SEEDS),
        routed=_table(_ROUTED_HEADER, routed),
        machine=results.machine,
        date=results.date,
        revision=results.revision,
        keys=_keys(results),
        before=results.load_average[0],
        after=results.load_average[1],
    )


def _keys(results: Results) -> str:
    limits, fairness = results.limits, results.fairness
    if limits is None or fairness is None:
        return ""
    rows: list[Sequence[str]] = [
        ("output tokens allowed", f"{limits.allowed_tokens:,.0f}"),
        ("output tokens used", f"{limits.used_tokens:,} ({limits.used_share:.1%})"),
        ("requests answered, cancelled, refused", f"{limits.answered:,}, {limits.cancelled:,}, {limits.refused:,}"),
        ("median latency with a good key, alone", f"{1000 * limits.good_alone_s:.1f} ms"),
        (f"the same beside {limits.bad_per_minute:,.0f} bad keys per minute",
         f"{1000 * limits.good_beside_bad_s:.1f} ms ({limits.slowed:.2f}x)"),
        ("p99 TTFT of the live key, alone", f"{fairness.alone_s:.2f} s"),
        (f"beside a batch key of priority {BATCH_PRIORITY}",
         f"{fairness.with_background_s:.2f} s ({1 + fairness.growth():.2f}x)"),
        ("beside a batch key of the same priority",
         f"{fairness.with_equal_s:.2f} s ({fairness.with_equal_s / fairness.alone_s:.2f}x)"),
        ("live requests refused", f"{fairness.refused}"),
    ]  # fmt: skip
    if (metering := results.metering) is not None:
        rows += [
            ("requests of the usage test, and cancelled ones", f"{metering.requests:,}, {metering.cancelled:,}"),
            ("tokens: replica, metrics, log",
             f"{metering.replica_tokens:,}, {metering.metric_tokens:,}, {metering.log_tokens:,}"),
        ]  # fmt: skip
    if (kind := results.kind) is not None:
        rows += kind_results.rows(kind)
    return _KEYS.format(
        table=_table(("what", "found"), rows),
        limit=LIMIT_PER_MINUTE,
        seconds=LIMIT_SECONDS,
        answer_ms=1000 * GOOD_ANSWER_S,
        replicas=REPLICAS,
        slots=SLOTS,
        factor=BATCH_FACTOR,
        measured=results.keys_measured,
        kind="" if kind is None else kind_results.note(kind) + "\n",
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
