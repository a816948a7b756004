"""Finished runs, one JSON object per line, with a key of everything that a run depends on."""

import hashlib
import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from chatscale_simulator.jobs import Job, Row, describe
from chatscale_simulator.policy_choice import CHATSCALE, CHATSCALE_ANNOUNCED
from hack.paths import ROOT
from tests.benchmarks.autoscaling.variants import REFERENCE

_CONTROL = ROOT / "operator" / "chatscale"
_SIMULATOR = ROOT / "simulator" / "chatscale_simulator"
_HERE = ROOT / "tests" / "benchmarks" / "autoscaling"
_KERNEL = (
    *(_SIMULATOR / "simulation").glob("*.py"),
    *(_SIMULATOR / "inputs" / name for name in ("traces.py", "trace_csv.py", "transform.py")),
    ROOT / "contract" / "chatscale_contract" / "server" / "profiles.py",
    ROOT / "gateway" / "chatscale_gateway" / "routing" / "shares.py",
)
"""Without the code that only passes settings on (jobs, policy_choice): it changes often, and no result changes."""


class Kind(StrEnum):
    """Which sources decide the result of a run."""

    CHATSCALE = "chatscale"
    PEERS = "peers"
    REFERENCES = "references"


class Store:
    """A file of finished runs. A run whose inputs or sources have changed is not found."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._revisions = {kind: revision(kind) for kind in Kind}
        self._rows: dict[str, Row] = {}
        self._took_s: dict[str, float] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            return  # An incomplete last line: the benchmark was stopped while it wrote.
        self._rows[entry["key"]] = entry["row"]
        self._took_s[entry["key"]] = entry.get("took_s", 0.0)

    def find(self, job: Job) -> Row | None:
        """The stored result of this run with the present sources; None if there is none."""
        return self._rows.get(self._key(job))

    def took_s(self, job: Job) -> float:
        """Seconds of one core that this run took; 0 if it is not stored."""
        return self._took_s.get(self._key(job), 0.0)

    def keep(self, job: Job, row: Row, took_s: float = 0.0) -> None:
        """Append one finished run."""
        key = self._key(job)
        self._rows[key], self._took_s[key] = row, took_s
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"key": key, "row": row, "took_s": round(took_s, 2)}) + "\n")

    def _key(self, job: Job) -> str:
        inputs: dict[str, Any] = describe(job) | {
            "variant": job.choice.setting,
            "hours": job.traffic.hours,
            "bytes": job.traffic.path.stat().st_size,
            "sources": self._revisions[kind_of(job)],
        }
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:24]


def kind_of(job: Job) -> Kind:
    """Which sources decide the result of this run."""
    if job.choice.policy in (CHATSCALE, CHATSCALE_ANNOUNCED):
        return Kind.CHATSCALE
    return Kind.REFERENCES if job.choice.variant == REFERENCE else Kind.PEERS


def revision(kind: Kind) -> str:
    """A digest of the sources that decide the result: a change of Chatscale's policy leaves the runs of peers valid."""
    adapter = _SIMULATOR / "policies" / "chatscale.py"
    policy = {
        Kind.CHATSCALE: [adapter, *(_CONTROL / "scaling").glob("*.py"), *(_CONTROL / "api" / "v1alpha1").glob("*.py")],
        Kind.PEERS: [
            *(path for path in (_SIMULATOR / "policies").glob("*.py") if path != adapter),
            *(_HERE / "peers").glob("*.py"),
        ],
        Kind.REFERENCES: (_HERE / "baselines").glob("*.py"),
    }
    return _digest({*_KERNEL, *policy[kind]})


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
