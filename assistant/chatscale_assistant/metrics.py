"""All Prometheus metrics of an assistant's pod. No label and no value contains text of a conversation.

Languages, rungs, tools and tasks are closed sets of the configuration, so that no client can add series.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from chatscale_contract.assistant.metrics import ASSISTANT_LABEL, REQUESTS_IN_FLIGHT

REGISTRY: Final = CollectorRegistry()
"""Its own registry: the default one would also contain the metrics of every imported library."""
ANSWER_BUCKETS_S: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0)
PART_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.5, 5.0)

REQUESTS = Counter(
    "assistant_requests_total", "Requests ended, by route and HTTP status; 499: the client left before the response",
    ("route", "code"), registry=REGISTRY,
)  # fmt: skip
REQUESTS_IN_FLIGHT_GAUGE = Gauge(
    REQUESTS_IN_FLIGHT, "Requests that are answered now and that wait for it. The HPA of spec.replicas.max scales by "
    "its sum", (ASSISTANT_LABEL,), registry=REGISTRY,
)  # fmt: skip
ANSWERS = Counter(
    "assistant_answers_total", "Answers, by rung of the ladder (curated, template, quote, model, hand_over, no_answer) "
    "and language", ("rung", "language"), registry=REGISTRY,
)  # fmt: skip
ANSWER_SECONDS = Histogram(
    "assistant_answer_seconds", "Time from a question to its answer, without waiting for a place. model: `called` or "
    "`not_called`", ("model",), buckets=ANSWER_BUCKETS_S, registry=REGISTRY,
)  # fmt: skip
HAND_OVERS = Counter(
    "assistant_hand_overs_total", "Cases that went to a person, by reason (requested, angry, complaint, misses, "
    "overload, tools_failed, search_failed, not_supported) and whether the desk accepted them: accepted, refused, or "
    "none without a desk",
    ("reason", "desk"), registry=REGISTRY,
)  # fmt: skip
CHECKS_FAILED = Counter(
    "assistant_checks_failed_total", "Checks that an answer did not pass, so that the answer came from a lower rung",
    ("check",), registry=REGISTRY,
)  # fmt: skip
MODEL_STEPS = Counter(
    "assistant_model_steps_total", "Answers that the chat model could have phrased, by result: written, not_grounded, "
    "not_allowed, no_slot, no_time, breaker_open, overloaded, timeout, error", ("result",), registry=REGISTRY,
)  # fmt: skip
MODEL_SECONDS = Histogram(
    "assistant_model_seconds", "Time of the calls of the chat model that returned a text", buckets=ANSWER_BUCKETS_S,
    registry=REGISTRY,
)  # fmt: skip
MODEL_BREAKER_OPEN = Gauge(
    "assistant_model_breaker_open", "1 while the chat model is not called because it failed several times in a row",
    registry=REGISTRY,
)  # fmt: skip
MODEL_WRITES = Gauge(
    "assistant_model_writes", "1 if the chat model may phrase answers (spec.model.writes and the evaluation report)",
    registry=REGISTRY,
)  # fmt: skip
TOOL_CALLS = Counter(
    "assistant_tool_calls_total", "Tool calls, by server, tool and outcome: ok, error (of the tool), refused (by the "
    "gate), failed (no answer)", ("server", "tool", "outcome"), registry=REGISTRY,
)  # fmt: skip
TOOL_SECONDS = Histogram(
    "assistant_tool_seconds", "Time of tool calls that the gate let through", ("server",), buckets=PART_BUCKETS_S,
    registry=REGISTRY,
)  # fmt: skip
SEARCHES = Counter(
    "assistant_searches_total", "Searches of the index, by kind: full, or words (without the encoders, because full "
    "searches would have to wait too long)", ("kind",), registry=REGISTRY,
)  # fmt: skip
RETRIEVAL_SECONDS = Histogram(
    "assistant_retrieval_seconds", "Time of one search of the index", buckets=PART_BUCKETS_S, registry=REGISTRY
)
PARTS_FAILED = Counter(
    "assistant_parts_failed_total", "Steps of a turn that failed or were late, so that the answer came from a lower "
    "rung: retrieval, tools, desk, checks, turn", ("part",), registry=REGISTRY,
)  # fmt: skip
TASK_ITEMS = Counter(
    "assistant_task_items_total", "Items of /v1/tasks, by task and outcome: ok, error", ("task", "outcome"),
    registry=REGISTRY,
)  # fmt: skip
INDEX_VERSION = Gauge(
    "assistant_index_version", "1 for the version of the index in use", ("version",), registry=REGISTRY
)
INDEX_AGE_SECONDS = Gauge("assistant_index_age_seconds", "Time since the index in use was built", registry=REGISTRY)
EVENT_LOOP_LAG_SECONDS = Histogram(
    "assistant_event_loop_lag_seconds", "How late the event loop ran a timer, measured each second",
    buckets=PART_BUCKETS_S, registry=REGISTRY,
)  # fmt: skip
