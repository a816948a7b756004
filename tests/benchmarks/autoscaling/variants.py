"""What the benchmark adds to the simulator's policies: tuned settings, more peers, and references."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from chatscale_simulator.jobs import Job, Row, describe, prepare
from chatscale_simulator.jobs import run_job as run_policy
from chatscale_simulator.simulation.profiles import GPUS_PER_REPLICA
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.score import Score, score
from tests.benchmarks.autoscaling.baselines.registry import REFERENCES
from tests.benchmarks.autoscaling.peers.registry import PEERS

TUNED: Final = "tuned"
REFERENCE: Final = "reference"
"""Variant of the references. A reference reads the whole workload before the run, so it is not a policy."""
TUNED_FILE: Final = Path(__file__).parent / "tuned.json"
"""The tuned settings, by profile and policy."""


def tuned_labels(profile: str) -> dict[str, str]:
    """Label of the tuned setting of each policy on this profile; empty before tuning."""
    if not TUNED_FILE.exists():
        return {}
    known = json.loads(TUNED_FILE.read_text(encoding="utf-8"))
    return {name: str(chosen["setting"]) for name, chosen in known.get(profile, {}).items()}


def run_job(job: Job) -> tuple[RunResult, Score]:
    """Do the run; for a reference, all of its runs."""
    if job.choice.variant != REFERENCE:
        return run_policy(job, PEERS)
    workload, scenario, _ = prepare(job)
    result = REFERENCES[job.choice.policy](workload, scenario)
    return result, score(result, scenario.slo, GPUS_PER_REPLICA[job.profile])


def measure(job: Job) -> Row:
    """Do the run and return its inputs and score."""
    return describe(job) | asdict(run_job(job)[1])
