"""The server profiles of the simulated replicas, and the SLO that runs are scored by."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from chatscale_contract.server.environment import SimulatedProfile
from chatscale_contract.server.metrics import SLO_PREFILL_FACTOR
from chatscale_contract.server.profiles import PROFILES, Profile
from chatscale_simulator.simulation.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class SloTarget:
    """The latency limits of the SLO."""

    ttft_s: float = 2.0
    """Time to first token. The limit is three times the time on an idle replica where that is more."""
    tpot_s: float = 0.1
    """Mean time per output token after the first."""
    unloaded_factor: float = float(SLO_PREFILL_FACTOR)

    def ttft_limit_s(self, unloaded_ttft_s: FloatArray) -> FloatArray:
        """The limit of the time to first token. unloaded_ttft_s: (requests,) the time on an idle replica."""
        return np.maximum(self.ttft_s, self.unloaded_factor * unloaded_ttft_s)


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """One replica: a step-time profile and the server's limits."""

    steps: Profile
    max_sequences: int
    max_queue: int = 256
    """Requests that may wait on one replica: as many as slots, which is a usual setting."""
    queue_timeout_s: float = 60.0


SERVERS: Final[dict[str, ServerProfile]] = {
    "M": ServerProfile(PROFILES[SimulatedProfile.LLAMA_70B_4XH100], max_sequences=256),
    "S": ServerProfile(PROFILES[SimulatedProfile.LLAMA_8B_A100], max_sequences=256),
}
"""M: 70B on 4 H100. S: 8B on an A100-80."""
GPUS_PER_REPLICA: Final = {"M": 4, "S": 1}


def base_seconds(server: ServerProfile) -> FloatArray:
    """Time of a step over N tokens, without the KV term, for N from 0 to the largest batch."""
    largest = server.steps.tokens_per_step + server.max_sequences + 1
    return np.array([server.steps.step_ms(tokens, 0) / 1000 for tokens in range(largest)])


def unloaded_ttft_seconds(server: ServerProfile, prompt_tokens: IntArray) -> FloatArray:
    """Time to first token of each prompt on an idle replica: whole chunks, then the rest."""
    base, chunk = base_seconds(server), server.steps.tokens_per_step
    whole, rest = np.divmod(prompt_tokens, chunk)
    seconds: FloatArray = whole * base[chunk] + np.where(rest > 0, base[rest], 0.0)
    return seconds


def max_tokens_per_second(server: ServerProfile) -> float:
    """The token rate that a replica measures in warm-up: the tokens of one full step over its time."""
    full = server.steps.tokens_per_step
    return full / float(base_seconds(server)[full])


def decode_step_seconds(server: ServerProfile) -> float:
    """The duration that a replica measures in warm-up of a decode step with all slots in use and a short context."""
    slots = server.max_sequences
    return server.steps.step_ms(slots, kv_tokens=slots) / 1000
