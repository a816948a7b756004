"""docs/metrics.md: every Prometheus metric of all programs, as the processes themselves expose it.

Reads the collectors, not a list kept beside them; a metric of the wire contract that the server does not
expose is an error.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric as MetricFamily

from hack.generators.markdown import GENERATED, table

_OF_BUCKETS = "le"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric; `name` as a query names it, so counters end in `_total`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def of_families(families: Iterable[MetricFamily]) -> list[MetricRow]:
    """Read metrics that have samples already, as the server's all have."""
    return [
        MetricRow(_query_name(family), family.type, _labels(family), _sentence(family.documentation))
        for family in families
    ]


def of_module(namespace: Mapping[str, Any]) -> list[MetricRow]:
    """Read the metric objects of a module's namespace, in its order, whether or not they have samples yet."""
    rows = []
    for metric in namespace.values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            labels = tuple(metric._labelnames)  # noqa: SLF001 - prometheus_client has no public name for it
            rows.append(MetricRow(_query_name(family), family.type, labels, _sentence(family.documentation)))
    return rows


def render(
    server: list[MetricRow],
    operator: list[MetricRow],
    contract: Iterable[str],
    *,
    gateway: Iterable[MetricRow] = (),
    assistant: Iterable[MetricRow] = (),
    scaling: Iterable[str] = (),
    external: Iterable[str] = (),
) -> str:
    """Write the whole document. ValueError names metrics of `contract` that the server lacks.

    scaling: what the operator reads for its decisions. external: what an HPA can read.
    """
    exposed = {row.name for row in server}
    if missing := sorted(set(contract) - exposed):
        raise ValueError(f"the server exposes no {', '.join(missing)}, which the wire contract promises")
    own = [row for row in server if ":" not in row.name]
    twins = [row for row in server if ":" in row.name]
    return _TEMPLATE.format(
        generated=GENERATED.format(source="the modules metrics.py of server, operator, gateway and assistant"),
        scaling=_sequence(scaling),
        external=_sequence(external),
        server=_table(own),
        twins=_table(twins),
        operator=_table(operator),
        gateway=_table([*gateway]),
        assistant=_table([*assistant]),
    )


def _query_name(family: MetricFamily) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _labels(family: MetricFamily) -> tuple[str, ...]:
    names = dict.fromkeys(name for sample in family.samples for name in sample.labels)
    return tuple(name for name in names if name != _OF_BUCKETS)


def _sequence(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _table(rows: list[MetricRow]) -> str:
    return table(
        ("Metric", "Type", "Labels", "Meaning"),
        [(f"`{row.name}`", row.kind, ", ".join(f"`{label}`" for label in row.labels), row.meaning) for row in rows],
    )


_TEMPLATE = """\
{generated}

# Metrics

Names end in their unit; histograms have the usual `_bucket`, `_sum` and `_count` series.

## Inference server, port 8000, `/metrics`

In mode Operator, scaling follows `spec.autoscaling.slo`, or the targets in `spec.autoscaling.metrics` if there are any.
For its decisions the operator reads {scaling}.

In mode HPA, the HPA follows targets only. It reads one or two of {external}, as external metrics.

{server}
The same numbers under vLLM's names, for dashboards that exist already:

{twins}
## Operator, port 9100, `/metrics`

C is the number of ChatModels. Beside these, the usual series of a Python process.

{operator}
## Gateway, port 9100, `/metrics`

{gateway}
## Shop assistant, port 8000, `/metrics`

No label and no value has text of a conversation.

{assistant}"""
