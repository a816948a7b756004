"""How the operator understands one runtime. Data only; pod scrapes and Prometheus queries both use it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from chatscale.observe.problems import ProblemReason
from chatscale.scaling.signals import ReplicaSample


class Series(NamedTuple):
    """One value of one replica."""

    name: str
    """With the suffix of the exposition: a counter's name ends in `_total`."""
    labels: Mapping[str, str]
    value: float


class ExitMeaning(NamedTuple):
    """Why a server exited."""

    reason: ProblemReason
    name: str
    """Of the exit code, for a message where the server left none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The metrics and exit codes of one runtime."""

    names: tuple[str, ...]
    """Names of all series that the operator reads."""
    timestamp_name: str
    """A series that each replica always exposes; with Prometheus its last scrape is the time of the sample."""
    distinct_labels: tuple[str, ...] = ()
    """Labels that distinguish the series of one name and one replica."""
    promql_matchers: Callable[[str, str], str]
    """(namespace, ChatModel) to the PromQL label matchers that select the ChatModel's series; more may match, as only
    series of known pods are used."""
    to_sample: Callable[[Iterable[Series], datetime], ReplicaSample]
    """(series of one replica, time of the reading) to a sample. Raises MetricsUnavailableError if a series that
    scaling needs is missing or impossible: a load that is known in part must not look like a small load."""
    exit_meanings: Mapping[int, ExitMeaning] = field(default_factory=dict)
    """By exit code; any other code except 0 means that the server crashed."""
