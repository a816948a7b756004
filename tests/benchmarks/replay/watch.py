"""What the cluster did during a replay: every event of its pods and of its ChatModel, with the time it was heard of."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from chatscale_simulator.simulation.result import PodLifetime
from hack.kube import CONTEXT, Manifest

_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Event:
    """One object changed."""

    at_s: float
    """Of `time.monotonic`, when it was heard of."""
    kind: str
    """ADDED, MODIFIED or DELETED."""
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Sighting:
    """One pod; None for what was not seen."""

    created_s: float
    ready_s: float | None = None
    ended_s: float | None = None


@dataclass(slots=True)
class Watch:
    """The events so far; added to in the background."""

    events: list[Event] = field(default_factory=list)


@contextmanager
def watching(*what: str) -> Iterator[Watch]:
    """Follow what `kubectl get WHAT` finds for as long as the block runs."""
    command = ["kubectl", "--context", CONTEXT, "get", *what, "--watch", "--output-watch-events", "-o", "json"]
    watch = Watch()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        thread = threading.Thread(target=listen, args=(process.stdout.fileno(), watch), daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            process.terminate()
            thread.join()


def listen(descriptor: int, watch: Watch) -> None:
    """Add every event of `kubectl --watch`, one JSON object a line, until its end."""
    text = b""
    while part := os.read(descriptor, _READ_BYTES):
        *lines, text = (text + part).split(b"\n")
        for line in lines:
            found = json.loads(line)
            watch.events.append(Event(time.monotonic(), found["type"], found["object"]))


def sightings(events: Iterable[Event]) -> list[Sighting]:
    """Every pod from its creation until it was gone; in order of creation."""
    pods: dict[str, Sighting] = {}
    for event in events:
        uid = event.manifest["metadata"]["uid"]
        seen = pods.get(uid, Sighting(event.at_s))
        ready_s = seen.ready_s if seen.ready_s is not None or not _is_ready(event.manifest) else event.at_s
        pods[uid] = Sighting(seen.created_s, ready_s, event.at_s if event.kind == "DELETED" else None)
    return sorted(pods.values(), key=lambda pod: pod.created_s)


def start_ups_s(pods: Iterable[Sighting]) -> tuple[float, ...]:
    """From creation to ready, of the pods that became so."""
    return tuple(pod.ready_s - pod.created_s for pod in pods if pod.ready_s is not None)


def lives(pods: Iterable[Sighting], began_s: float, end_s: float) -> tuple[PodLifetime, ...]:
    """The same on the replay's clock, cut to it. began_s: of `time.monotonic`. end_s: seconds of the replay."""
    found = []
    for number, pod in enumerate(pods):
        created_s, ended_s = max(pod.created_s - began_s, 0.0), end_s
        if pod.ended_s is not None:
            ended_s = min(pod.ended_s - began_s, end_s)
        ready_s = None if pod.ready_s is None else max(pod.ready_s - began_s, 0.0)
        if created_s < ended_s:
            found.append(PodLifetime(number, created_s, ready_s, ended_s))
    return tuple(found)


def decided(events: Iterable[Event], began_s: float, end_s: float) -> tuple[tuple[float, int], ...]:
    """(second of the replay, replicas asked for) at each change within it; the first at 0."""
    counts = [(max(event.at_s - began_s, 0.0), int(event.manifest["spec"].get("replicas", 1))) for event in events]
    counts = [(at_s, count) for at_s, count in counts if at_s <= end_s]
    before = [count for at_s, count in counts if at_s <= 0]
    changes = [later for earlier, later in pairwise(counts) if later[1] != earlier[1] and later[0] > 0]
    return ((0.0, before[-1] if before else counts[0][1]), *changes)


def reasons(events: Sequence[Event]) -> list[str]:
    """The sentence of each change that the status still tells of, oldest first."""
    latest = events[-1].manifest
    history = latest.get("status", {}).get("autoscaling", {}).get("history", [])
    return [f"{record['from']} -> {record['to']}: {record['reason']}" for record in reversed(history)]


def _is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)
