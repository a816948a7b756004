"""Step times of known models on known machines, for the Simulated engine.

step_ms = max(c0 + c1 * N, c2 * N) + c3 * K, with N the tokens computed in the step (one per decoding
sequence plus the prefilled prompt tokens) and K the KV tokens held by decoding sequences.
Constants marked "derived" were computed from published measurements.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from chatscale_contract.server.environment import SimulatedProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One model on one machine."""

    c0_ms: float = 0.0
    c1_ms_per_token: float = 0.0
    table_ms: tuple[tuple[int, float], ...] = ()
    """(N, ms), ascending. Replaces c0 + c1 * N if a line does not fit; constant after the last entry."""
    c2_ms_per_token: float
    c3_ms_per_kv_token: float
    kv_tokens: int
    tokens_per_step: int
    max_model_len: int = 8192

    def step_ms(self, tokens: int, kv_tokens: int) -> float:
        """Milliseconds of a step with `tokens`, and `kv_tokens` held by its decoding sequences."""
        base = _interpolate(self.table_ms, tokens) if self.table_ms else self.c0_ms + self.c1_ms_per_token * tokens
        return max(base, self.c2_ms_per_token * tokens) + self.c3_ms_per_kv_token * kv_tokens

    @property
    def max_tokens_per_second(self) -> float:
        """Tokens per second of a full step, i.e. the prefill throughput."""
        return self.tokens_per_step / (self.step_ms(self.tokens_per_step, 0) / 1000)


def _interpolate(table: tuple[tuple[int, float], ...], x: int) -> float:
    at = bisect_right(table, (x, float("inf")))
    if at == 0:
        return table[0][1]
    if at == len(table):
        return table[-1][1]
    (x0, y0), (x1, y1) = table[at - 1], table[at]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


PROFILES: Final[dict[SimulatedProfile, Profile]] = {
    # c0 to c2 fitted to Vidur's profile sums for Llama-3-8B; c3 and KV derived from 128 KiB a token, 80 % of 2.0 TB/s.
    SimulatedProfile.LLAMA_8B_A100: Profile(
        c0_ms=9.7, c1_ms_per_token=0.024, c2_ms_per_token=0.0711, c3_ms_per_kv_token=8.2e-5,
        kv_tokens=412_000, tokens_per_step=2048,
    ),
    # Our engine, docs/benchmarks/gpu.md: steps of 6.2 / 6.4 / 6.6 / 6.8 / 7.4 ms at batch 1 / 8 / 16 / 32 / 64 with
    # about 264 KV tokens a sequence, 109 ms for a prompt of 4096. c3 and KV derived: 128 KiB a token, 80 % of 3 TB/s.
    SimulatedProfile.LLAMA_8B_H100: Profile(
        c0_ms=6.2, c1_ms_per_token=0.005, c2_ms_per_token=0.0265, c3_ms_per_kv_token=5.4e-5,
        kv_tokens=412_000, tokens_per_step=2048,
    ),
    # Derived from 600 GB/s and 125 TFLOPS; not measured.
    SimulatedProfile.LLAMA_8B_A10G: Profile(
        c0_ms=33.0, c1_ms_per_token=0.06, c2_ms_per_token=0.30, c3_ms_per_kv_token=2.7e-4,
        kv_tokens=36_000, tokens_per_step=512,
    ),
    # splitwise-sim's measurements of llama2-70b on H100 TP4: token times by batch, then a 512-token prompt.
    SimulatedProfile.LLAMA_70B_4XH100: Profile(
        table_ms=((1, 29.4), (8, 31.4), (16, 32.8), (32, 36.9), (64, 52.0), (512, 61.0)),
        c2_ms_per_token=0.105, c3_ms_per_kv_token=3.0e-5,
        kv_tokens=400_000, tokens_per_step=512,
    ),
    # Measured on 2 AMX vCPUs in bfloat16: decode steps of 24 / 30 / 37 / 49 / 78 ms at batch 1 / 8 / 16 / 32 / 64
    # with about 129 KV tokens a sequence, one 95-token prefill 48 ms, prefill 3000-3300 tokens/s. The fit gives
    # 24.0 / 29.9 / 36.6 / 49.9 / 76.6 ms, 49.8 ms and 3200 tokens/s. KV: 3 GB at 23 040 bytes a token, assumed.
    SimulatedProfile.SMOLLM2_135M_CPU: Profile(
        c0_ms=23.2, c1_ms_per_token=0.28, c2_ms_per_token=0.28, c3_ms_per_kv_token=4.3e-3,
        kv_tokens=131_072, tokens_per_step=512,
    ),
}  # fmt: skip
