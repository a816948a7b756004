"""What the benchmark adds to a comparison: tuned settings, more peers, and references that read the whole workload."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from chatscale_simulator.jobs import Job, Row, describe, prepare
from chatscale_simulator.jobs import run_job as play_policy
from chatscale_simulator.simulation.profiles import GPUS_PER_REPLICA
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.score import Score, score
from tests.benchmarks.autoscaling.peers.registry import PEERS
from tests.benchmarks.autoscaling.references.registry import REFERENCES

TUNED: Final = "tuned"
REFERENCE: Final = "reference"
"""Variant of what reads the whole workload first: no policy, but a yardstick for all."""
TUNED_FILE: Final = Path(__file__).parent / "tuned.json"
"""What tuning chose, by profile and policy."""


def tuned_labels(profile: str) -> dict[str, str]:
    """The setting that tuning chose for each policy on this profile; nothing before anything was tuned."""
    if not TUNED_FILE.exists():
        return {}
    known = json.loads(TUNED_FILE.read_text(encoding="utf-8"))
    return {name: str(chosen["setting"]) for name, chosen in known.get(profile, {}).items()}


def play(job: Job) -> tuple[RunResult, Score]:
    """Do the run, for a reference all of its runs."""
    if job.choice.variant != REFERENCE:
        return play_policy(job, PEERS)
    workload, scenario, _ = prepare(job)
    result = REFERENCES[job.choice.policy](workload, scenario)
    return result, score(result, scenario.slo, GPUS_PER_REPLICA[job.profile])


def measure(job: Job) -> Row:
    """Do the run and keep its numbers."""
    return describe(job) | asdict(play(job)[1])
