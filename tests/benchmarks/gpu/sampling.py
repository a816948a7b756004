"""Sampling on a GPU: the kernel against the definition, and their times. Takes about 20 s on an H100."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import torch

from chatscale_server.engine.request import Request, Sampling
from chatscale_server.engine.sampling import choose_tokens, greedy, pack_parameters
from chatscale_server.engine.slot_sampler import SlotSampler

VOCAB: Final = 128_256
ROWS: Final = (1, 32, 64)
REPEATS: Final = 20
RULES: Final = {
    "greedy": Sampling(temperature=0.0),
    "plain": Sampling(temperature=0.8),
    "top_p": Sampling(temperature=0.8, top_p=0.95),
    "top_k": Sampling(temperature=0.8, top_k=50),
    "top_k top_p min_p": Sampling(temperature=0.7, top_k=50, top_p=0.9, min_p=0.05),
}
EVEN_DRAWS: Final = 20_000
EVEN_GROUPS: Final = 256
EVEN_LIMIT: Final = 330.5
"""Chi-square with 255 degrees of freedom exceeds this for one seed in 1000."""


def run() -> dict[str, Any]:
    """Compare and time. `differences` and `waits` must be empty, and `chi_square` below `chi_square_limit`.

    `rows` is the table of times. Without a GPU it has the definition's times only.
    """
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    generator = torch.Generator(device).manual_seed(1)
    table, differences = [], []
    for count in ROWS if gpu else ROWS[:1]:
        for shape, logits in _shapes(count, generator).items():
            for name, rule in RULES.items():
                case = {"rows": count, "logits": shape, "sampling": name}
                table.append(case | _times_ms(logits, rule) | {"choose_ms": _choose_ms(logits, rule)})
                differences += [f"{case}: {found}" for found in _differences(logits, rule, generator)] if gpu else []
    found = {"device": torch.cuda.get_device_name() if gpu else "cpu", "rows": table}
    if gpu:
        statistic = _chi_square(generator)
        found |= {"differences": differences, "waits": _waits()}
        found |= {"chi_square": statistic, "chi_square_limit": EVEN_LIMIT, "greedy_ms": _greedy_ms(generator)}
    return found


def _shapes(rows: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Logits (rows, VOCAB): of few likely tokens as computed in bfloat16, of a wide spread, all nearly equal."""
    noise = torch.randn(rows, VOCAB, generator=generator, device=generator.device)
    peaked = noise * 2
    peaked[:, :: VOCAB // 20] += 12
    return {"peaked": peaked.bfloat16().float(), "wide": noise * 3, "flat": noise * 0.01}


def _inputs(rows: int, rule: Sampling, uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The kernel's `step` and `parameters`."""
    step = torch.stack([torch.zeros(rows, dtype=torch.float64, device=uniforms.device), uniforms], dim=1)
    return step, torch.tensor([pack_parameters(rule)], dtype=torch.float32, device=uniforms.device)


def _differences(logits: torch.Tensor, rule: Sampling, generator: torch.Generator) -> list[str]:
    """Rows whose token the definition does not choose, not even if its sums are rounded up or down."""
    from chatscale_server.engine.kernels.sampling import sample

    rows = len(logits)
    uniforms = torch.rand(rows, generator=generator, dtype=torch.float64, device=generator.device)
    tokens = sample(logits, *_inputs(rows, rule, uniforms))
    admissible = torch.zeros(rows, dtype=torch.bool, device=logits.device)
    for scale in (1, 1 - 1e-5, 1 + 1e-5):
        varied = replace(rule, top_p=min(rule.top_p * scale, 1.0)) if rule.top_p < 1 else rule
        lower, upper = (
            choose_tokens(logits, [varied] * rows, (uniforms + shift).clamp(0, 1 - 1e-12)) for shift in (-1e-5, 1e-5)
        )
        admissible |= (lower <= tokens) & (tokens <= upper)
    return [f"row {row} got {int(tokens[row])}" for row in (~admissible).nonzero().flatten().tolist()]


def _times_ms(logits: torch.Tensor, rule: Sampling) -> dict[str, float]:
    """Of the kernel on the device, and of the definition with its waits."""
    rows = len(logits)
    uniforms = torch.full((rows,), 0.5, dtype=torch.float64, device=logits.device)
    times = {"torch_ms": _wall_ms(lambda: choose_tokens(logits, [rule] * rows, uniforms).tolist(), 3)}
    if logits.device.type == "cpu":
        return times
    from chatscale_server.engine.kernels.sampling import sample

    inputs = _inputs(rows, rule, uniforms)
    sample(logits, *inputs)
    began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    began.record()
    for _ in range(REPEATS):
        sample(logits, *inputs)
    ended.record()
    ended.synchronize()
    return {"kernel_ms": round(began.elapsed_time(ended) / REPEATS, 4)} | times


def _choose_ms(logits: torch.Tensor, rule: Sampling) -> float:
    """Wall time of `SlotSampler.choose`, with upload and download."""
    slots = list(range(len(logits)))
    sampler = _sampler(len(logits), rule, logits.device)
    return _wall_ms(lambda: sampler.choose(logits, slots), REPEATS)


def _greedy_ms(generator: torch.Generator) -> float:
    """Wall time of `SlotSampler.choose` for the most rows if the largest logits are already found."""
    logits = _shapes(ROWS[-1], generator)["wide"]
    slots = list(range(len(logits)))
    sampler, best = _sampler(len(logits), RULES["greedy"], logits.device), greedy(logits)
    return _wall_ms(lambda: sampler.choose(logits, slots, best), REPEATS)


def _sampler(rows: int, rule: Sampling, device: torch.device) -> SlotSampler:
    sampler = SlotSampler(rows, device)
    for slot in range(rows):
        sampler.start(slot, Request(id="r", prompt=(1, 2), max_tokens=9, sampling=rule))
    return sampler


def _wall_ms(call: Callable[[], object], repeats: int) -> float:
    """Median."""
    call()
    times = []
    for _ in range(repeats):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return round(sorted(times)[len(times) // 2] * 1e3, 4)


def _chi_square(generator: torch.Generator) -> float:
    """How unevenly a flat distribution over the whole vocabulary is drawn."""
    from chatscale_server.engine.kernels.sampling import sample

    vocab = VOCAB // EVEN_GROUPS * EVEN_GROUPS
    logits = torch.zeros(1, vocab, device=generator.device).expand(EVEN_DRAWS, vocab)
    uniforms = torch.rand(EVEN_DRAWS, generator=generator, dtype=torch.float64, device=generator.device)
    tokens = sample(logits, *_inputs(EVEN_DRAWS, Sampling(), uniforms))
    found = torch.bincount(tokens * EVEN_GROUPS // vocab, minlength=EVEN_GROUPS).double()
    expected = EVEN_DRAWS / EVEN_GROUPS
    return round(float(((found - expected) ** 2 / expected).sum()), 1)


def _waits() -> list[str]:
    """Parts of a step that wait for the device before the tokens are downloaded."""
    rows = 4
    logits = torch.randn(rows, VOCAB, device="cuda")
    masks = {2: bytes([1]) * VOCAB}
    rules = [
        Sampling(temperature=0.8, top_p=0.9, seed=1),
        Sampling(presence_penalty=0.5, frequency_penalty=0.5, repetition_penalty=1.1),
        Sampling(temperature=0.0),
        Sampling(logit_bias=((5, 2.0), (7, -math.inf))),
    ]
    sampler = SlotSampler(rows, torch.device("cuda"))
    slots = list(range(rows))

    def start() -> None:
        for slot, rule in enumerate(rules):
            sampler.start(slot, Request(id="r", prompt=(1, 2), max_tokens=9, sampling=rule))

    start()
    sampler.choose(logits, slots)
    waits = []
    parts: dict[str, Callable[[], object]] = {
        "start": start,
        "draw": lambda: sampler._draw(sampler._adjust(logits, slots, masks), slots, rules),
        "accept": lambda: [sampler._accept(slot, 3) for slot in slots],
    }
    for name, part in parts.items():
        try:
            with _no_waits():
                part()
        except RuntimeError as error:
            waits.append(f"{name}: {error}")
    return waits


@contextmanager
def _no_waits() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
